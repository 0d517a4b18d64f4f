"""Rates with intervals that know several responses to one task are not independent."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .outcomes import Interval, Undefined, check_level, normal_quantile

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rate:
    """A fraction in 0..1 with its interval; the three are None where nothing was counted (`n` is 0).

    n: responses in the denominator. effective_n: the independent responses they are worth, `n` over the
    design effect; it need not be whole.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int
    effective_n: float


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Wilson score interval for a proportion, without continuity correction, as fractions in 0..1.

    successes, n: counts; neither need be whole, so `n` may be an effective size with `successes` scaled
    alike. The bounds are the q that solve |successes/n - q| = z sqrt(q (1 - q) / n). With no successes
    the lower bound is exactly 0, with nothing but successes the upper is exactly 1.

    Raises Undefined where n is 0; ValueError where n is negative or not finite, where successes lie outside
    0..n, or on a bad level.
    Source: E. B. Wilson (1927), JASA 22:209-212; method 3 of R. G. Newcombe (1998), Statist. Med.
    17:857-872.
    """
    if not (math.isfinite(n) and n >= 0):
        raise ValueError(f"n must be a finite number of at least 0, not {n!r}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..{n!r}, not {successes!r}")
    if n == 0:
        check_level(level)
        raise Undefined("a rate over no responses has no interval")
    return _score_interval(successes / n, n, level)


def _score_interval(rate: float, n: float, level: float) -> Interval:
    z = normal_quantile(level)
    middle = (rate * n + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(rate * (1 - rate) * n + z * z / 4)
    # Rounding can put a bound 1e-17 on the wrong side of its rate, so that 0 of n would not start at 0.
    return Interval(max(0.0, min(middle - half, rate)), min(1.0, max(middle + half, rate)))


def design_effect(successes_by_task: npt.ArrayLike, totals_by_task: npt.ArrayLike) -> float:
    """How many times wider the variance of a rate is than if all its responses were independent; at least 1.

    successes_by_task, totals_by_task: whole counts, shape (tasks,); tasks without responses are left out.
    With p = sum(s) / n, n = sum(m) and G tasks, the ratio-estimator variance
    v = G / (G - 1) * sum((s - p m)^2) / n^2 is divided by the binomial one, p (1 - p) / n.

    - No task occurs more than once: 1.
    - The responses share one outcome, or there is one task only: v cannot be estimated. The value is then
      n / G, as if the responses to a task were copies of each other, so that each task counts once (and a
      single task, however often it was answered, is one observation).
    - v below the binomial variance: 1, since a few tasks cannot show that clustering helps.

    Raises Undefined where there are no responses; ValueError where shapes differ, or on counts that are
    negative, not whole, not finite, or successes above their total.
    Source: J. N. K. Rao & A. J. Scott (1992), Biometrics 48:577-585, section 2; the variance is that of
    W. G. Cochran (1977), Sampling Techniques, 3rd ed., section 3.12, without finite-population correction.
    """
    successes, totals = _task_counts(successes_by_task, totals_by_task)
    if not totals.size:
        raise Undefined("there are no responses, so clustering has no effect to measure")
    return _design_effect(successes, totals)


def _design_effect(successes: Floats, totals: Floats) -> float:
    tasks, n, hits = totals.size, float(totals.sum()), float(successes.sum())
    if tasks == 1 or hits in (0.0, n):
        return n / tasks
    if totals.max() <= 1:
        return 1.0
    rate = hits / n
    residuals = successes - rate * totals
    clustered = tasks / (tasks - 1) * float(residuals @ residuals) / n**2
    return max(1.0, clustered / (rate * (1 - rate) / n))


def clustered_rate(
    successes_by_task: npt.ArrayLike, totals_by_task: npt.ArrayLike, level: float = 0.95
) -> Rate:
    """The rate over all responses, with the Wilson interval at n over the design effect.

    successes_by_task, totals_by_task: whole counts, shape (tasks,); tasks without responses are left
    out. Where no task occurs more than once this is the plain Wilson interval. Estimate and bounds are
    fractions in 0..1, or None where there are no responses. The estimand is the rate over tasks of this
    kind. With fewer than about ten tasks the interval is still too narrow: the design effect is itself
    an estimate there.

    Raises ValueError as `design_effect` does, and on a bad level.
    Source: C. Franco, R. J. A. Little, T. A. Louis & E. V. Slud (2019), J. Surv. Stat. Methodol.
    7:334-364, who compare intervals at the effective sample size and recommend Wilson's.
    """
    check_level(level)
    successes, totals = _task_counts(successes_by_task, totals_by_task)
    if not totals.size:
        return Rate(None, None, None, 0, 0.0)
    n = int(totals.sum())
    rate = float(successes.sum()) / n
    effective = n / _design_effect(successes, totals)
    interval = _score_interval(rate, effective, level)
    return Rate(rate, interval.low, interval.high, n, effective)


def _task_counts(successes_by_task: npt.ArrayLike, totals_by_task: npt.ArrayLike) -> tuple[Floats, Floats]:
    successes, totals = _whole(successes_by_task, "successes"), _whole(totals_by_task, "totals")
    if successes.shape != totals.shape:
        raise ValueError(f"{successes.size} tasks have successes but {totals.size} have totals")
    if (successes > totals).any():
        raise ValueError("a task has more successes than responses")
    answered = totals > 0
    return successes[answered], totals[answered]


def _whole(values: npt.ArrayLike, name: str) -> Floats:
    counts = np.asarray(values, dtype=np.float64)
    if counts.ndim != 1:
        raise ValueError(f"{name} must have shape (tasks,), not {counts.shape}")
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts == np.floor(counts)).all()):
        raise ValueError(f"{name} must be whole numbers of at least 0")
    return counts

"""Rates with intervals that know several responses to one task are not independent."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .clusters import effective_size, effective_tasks, wilson_bounds
from .intervals import Interval, Undefined, check_level

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rate:
    """A fraction in 0..1 with its interval; the three are None where nothing was counted (`n` is 0).

    n: responses in the denominator. effective_n: the independent responses they are worth (`effective_size`);
    it need not be whole. effective_tasks: how many tasks of equal size they are spread over; few make an
    interval rest on assumptions.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int
    effective_n: float
    effective_tasks: float = 0.0


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Return the Wilson score interval for a proportion, without continuity correction, as fractions in 0..1.

    successes, n: counts; neither need be whole, so `n` may be an effective size with `successes` scaled
    alike. The bounds are the q that solve |successes/n - q| = z sqrt(q (1 - q) / n). With no successes the
    lower bound is exactly 0, with nothing but successes the upper is exactly 1.

    Raises Undefined where n is 0; ValueError where n is negative or not finite, where successes lie outside
    0..n, or on a bad level.
    Source: E. B. Wilson (1927), JASA 22:209-212; method 3 of R. G. Newcombe (1998), Statist. Med. 17:857-872.
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
    low, high = wilson_bounds(rate, n, level)
    return Interval(float(low), float(high))


def clustered_rate(
    successes_by_task: npt.ArrayLike, totals_by_task: npt.ArrayLike, level: float = 0.95
) -> Rate:
    """Return the rate over all responses, with Wilson's interval at the size that its tasks leave.

    successes_by_task, totals_by_task: whole counts, shape (tasks,); tasks without responses are left out.
    Where no task occurs more than once this is the plain Wilson interval. Estimate and bounds are fractions
    in 0..1, or None where there are no responses. The estimand is the rate over tasks of this kind.

    The bounds rise with the count where it is spread alike over four tasks or more (with two or three, one
    more in one of them can lower a bound, by .03 at most for up to 20 responses a task, since the tasks then
    differ), and are those of the other outcome mirrored; a count of 0 or of all is no special case. With
    fewer than about 30 effective tasks the interval rests on what is assumed of tasks (`clustering`).

    Raises ValueError where shapes differ, or on counts that are negative, not whole, not finite, or successes
    above their total, and on a bad level.
    Source: C. Franco, R. J. A. Little, T. A. Louis & E. V. Slud (2019), J. Surv. Stat. Methodol. 7:334-364,
    who compare intervals at the effective sample size and recommend Wilson's; E. L. Korn & B. I. Graubard
    (1998), Surv. Methodol. 24:193-201, for t in it; the variance is that of W. G. Cochran (1977), Sampling
    Techniques, 3rd ed., section 3.12.
    """
    check_level(level)
    successes, totals = _task_counts(successes_by_task, totals_by_task)
    if not totals.size:
        return Rate(None, None, None, 0, 0.0)
    n = float(totals.sum())
    rate = float(successes.sum()) / n
    size = float(effective_size(rate, n, (successes - rate * totals) / n, totals, level))
    interval = _score_interval(rate, size, level)
    return Rate(rate, interval.low, interval.high, int(n), size, float(effective_tasks(totals)))


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

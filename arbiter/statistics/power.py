"""Before a study: what a number of tasks and epochs can show, by the judges there will be."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from .intervals import Undefined, check_level, normal_quantile
from .label_planning import expected_width

STEPS = 34  # of a bisection: to ten places


@dataclass(frozen=True, slots=True)
class PlannedStudy:
    """A study to be: `tasks` answered `epochs` times each, and the judge that labels the answers.

    icc: correlation between answers to one task. sensitivity, specificity: its judge's chances of calling a
    convergent response so and another one not; perfect where they aren't known.
    """

    tasks: int
    epochs: int = 1
    icc: float = 0.0
    sensitivity: float = 1.0
    specificity: float = 1.0

    def __post_init__(self) -> None:
        if self.tasks < 2 or self.epochs < 1:
            raise ValueError("a study has two tasks or more and one epoch or more")
        for name in ("icc", "sensitivity", "specificity"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, not {getattr(self, name)!r}")
        if not self.sensitivity + self.specificity > 1:
            raise ValueError(
                "sensitivity and specificity must add up to more than 1, else labels say nothing"
            )

    @property
    def youden(self) -> float:
        return self.sensitivity + self.specificity - 1

    def seen(self, rate: float) -> float:
        """Return the share the judge would call convergent."""
        return rate * self.sensitivity + (1 - rate) * (1 - self.specificity)

    def response_variance(self, rate: float) -> float:
        """Return the variance of a task's mean label, over tasks, given the true rate."""
        seen = self.seen(rate)
        shared = self.icc * self.youden**2 * rate * (1 - rate)  # what two answers to a task have in common
        return shared + (seen * (1 - seen) - shared) / self.epochs


def rate_power(rate: float, null: float, study: PlannedStudy, level: float = 0.95) -> float:
    """Return the chance that a study finds a true `rate` to differ from `null`, two-sided, in 0..1.

    The test is of the judge's share against what it would be at `null`, its sensitivity and specificity taken
    as known: where they are estimated, the chance is smaller. By the normal approximation with the variance
    under each hypothesis: Phi((|q1 - q0| - z s0) / s1).

    Raises ValueError where a rate does not lie strictly between 0 and 1; Undefined where the two are equal.
    Source: J. L. Fleiss, B. Levin & M. C. Paik (2003), Statistical Methods for Rates and Proportions, 3rd
    ed., 2.5; the design effect 1 + (m - 1) icc of L. Kish (1965), Survey Sampling, 5.4; attenuation by W. J.
    Rogan & B. Gladen (1978).
    """
    _strictly(rate, null)
    if rate == null:
        raise Undefined("a rate can't be told from itself")
    s0, s1 = (math.sqrt(study.response_variance(each) / study.tasks) for each in (null, rate))
    apart, z = abs(study.seen(rate) - study.seen(null)), normal_quantile(level)
    normal = NormalDist()
    return normal.cdf((apart - z * s0) / s1) + normal.cdf((-apart - z * s0) / s1)


def rate_width(rate: float, study: PlannedStudy, level: float = 0.95) -> float:
    """Return the width the interval of a rate would have, at most 1.

    It is that of the judge's share, over sensitivity + specificity - 1 (known, not estimated).

    Raises ValueError where the rate does not lie strictly between 0 and 1.
    Source: as `expected_width` and `rate_power`.
    """
    _strictly(rate)
    variance = study.response_variance(rate) / study.tasks
    return min(1.0, expected_width(study.seen(rate), variance, level) / study.youden)


def difference_power(
    first: float, second: float, study: PlannedStudy, pairing: float = 0.5, level: float = 0.95
) -> float:
    """Return the chance that a paired t test over tasks tells these true rates of two arms apart, two-sided.

    Both answer every task, `study.epochs` times each. pairing: correlation in 0..1 of how convergent a task
    is for the one and for the other. The variance of a task's difference is v1 + v2 - 2 pairing icc J^2
    sqrt(p1 q1 p2 q2), J = sensitivity + specificity - 1; the power is that of a noncentral t with tasks - 1
    degrees of freedom.

    Raises ValueError where a rate does not lie strictly between 0 and 1, or pairing not in 0..1; Undefined
    where they are equal.
    Source: J. Cohen (1988), Statistical Power Analysis, 2nd ed., 2.3; A. Donner & N. Klar (2000), Cluster
    Randomization Trials, 5.
    """
    _strictly(first, second)
    if not 0 <= pairing <= 1:
        raise ValueError(f"pairing must lie in 0..1, not {pairing!r}")
    if first == second:
        raise Undefined("two equal rates can't be told apart")
    from scipy import stats  # a web process needs it on this page alone

    shared = study.icc * study.youden**2 * math.sqrt(first * (1 - first) * second * (1 - second))
    variance = study.response_variance(first) + study.response_variance(second) - 2 * pairing * shared
    degrees = study.tasks - 1
    critical = stats.t.ppf((1 + check_level(level)) / 2, degrees)
    apart = study.youden * abs(first - second) / math.sqrt(variance / study.tasks)
    power = stats.nct.sf(critical, degrees, apart) + stats.nct.cdf(-critical, degrees, apart)
    return float(min(1.0, power)) if math.isfinite(power) else 1.0


def smallest_difference(
    first: float, study: PlannedStudy, pairing: float = 0.5, power: float = 0.8, level: float = 0.95
) -> float:
    """Return the least rise over the rate `first`, a fraction, that `difference_power` finds with that power.

    Raises Undefined where even a rise to nearly 1 would not be found; ValueError as `difference_power` does.
    """
    _strictly(first)
    check_level(power)
    low, high = 1e-6, 1 - first - 1e-6
    if high <= low or difference_power(first, first + high, study, pairing, level) < power:
        raise Undefined("no rise in the rate would be found with that power")
    for _ in range(STEPS):
        middle = (low + high) / 2
        enough = difference_power(first, first + middle, study, pairing, level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _strictly(*rates: float) -> None:
    for rate in rates:
        if not 0 < rate < 1:
            raise ValueError(f"a rate must lie strictly between 0 and 1, not {rate!r}")

"""What every statistic here may answer with: an interval, or a refusal that says why."""

import math
from dataclasses import dataclass
from statistics import NormalDist


class Undefined(ValueError):
    """The data are well-formed, but the statistic has no value on them; the message says why."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Two-sided interval, `low <= high`, in the unit of the statistic it belongs to."""

    low: float
    high: float


def check_level(level: float) -> float:
    """Return `level` itself, where it is a confidence level strictly between 0 and 1; else ValueError."""
    if not (math.isfinite(level) and 0 < level < 1):
        raise ValueError(f"level must lie strictly between 0 and 1, not {level!r}")
    return level


def normal_quantile(level: float) -> float:
    """Return the z with P(|Z| <= z) = `level` for a standard normal Z, 1.96 at .95; else ValueError."""
    return NormalDist().inv_cdf((1 + check_level(level)) / 2)

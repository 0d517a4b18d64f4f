"""Rates whose gold is of another study or arm: only the judge's sensitivity and specificity carry over."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import Interval, Undefined, check_level, normal_quantile


@dataclass(frozen=True, slots=True)
class SameAcrossArms:
    """A chi-square test that a proportion is the same in several arms. p is None where there was too little
    to test."""

    statistic: float | None
    freedom: int
    p: float | None


def rogan_gladen(apparent: float, sensitivity: float, specificity: float) -> float:
    """Return the true rate behind the rate that an imperfect judge gives, held within 0..1.

    apparent: share judged target. sensitivity, specificity: chances that the judge says target of what is,
    and not target of what is not. (apparent + specificity - 1) / (sensitivity + specificity - 1).

    Raises Undefined where sensitivity + specificity is at most 1, as for a judge that is no better than
    chance; ValueError outside 0..1.
    Source: W. J. Rogan & B. Gladen (1978), Am. J. Epidemiol. 107:71-76, eq. 2.
    """
    for name, value in (
        ("apparent", apparent),
        ("sensitivity", sensitivity),
        ("specificity", specificity),
    ):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in 0..1, not {value!r}")
    power = sensitivity + specificity - 1
    if power <= 1e-12:
        raise Undefined("sensitivity and specificity add up to 1 or less: the judge tells nothing")
    return min(1.0, max(0.0, (apparent + specificity - 1) / power))


def transported_interval(
    apparent: float,
    n: float,
    sensitivity: float,
    positives: float,
    specificity: float,
    negatives: float,
    level: float = 0.95,
) -> Interval:
    """Return the interval of `rogan_gladen`, both the judged items and the calibration being samples.

    apparent, n: share judged target and (effective) number of judged items. sensitivity of `positives` and
    specificity of `negatives` gold items, which may be effective numbers too. The three shares are smoothed
    (the first by z^2 / 2 successes in z^2 trials, the others by one in two), the estimate is moved by d = 2
    z^2 [-(1 - t) q0 (1 - q0) / m0 + t q1 (1 - q1) / m1] and the standard error is the root of p (1 - p) /
    n + (1 - t)^2 q0 (1 - q0) / m0 + t^2 q1 (1 - q1) / m1, over q0 + q1 - 1. Held within 0..1.

    Raises Undefined where the smoothed judge is no better than chance, and where all of the interval lies
    outside 0..1: the arm is then judged target less (or more) often than the judge's errors alone would make
    it, so they are not those of this arm. ValueError on values outside 0..1, sizes that are not positive, or
    a bad level.
    Source: C. Lee et al. (2025), How to Correctly Report LLM-as-a-Judge Evaluations, arXiv:2511.21140,
    section 3; as their `confidence_interval`.
    """
    z = normal_quantile(check_level(level))
    if min(n, positives, negatives) <= 0 or not all(map(math.isfinite, (n, positives, negatives))):
        raise ValueError("n, positives and negatives must be finite and above 0")
    rogan_gladen(apparent, sensitivity, specificity)
    p = (n * apparent + z * z / 2) / (n + z * z)
    q0 = (negatives * specificity + 1) / (negatives + 2)
    q1 = (positives * sensitivity + 1) / (positives + 2)
    m0, m1 = negatives + 2, positives + 2
    power = q0 + q1 - 1
    if power <= 1e-12:
        raise Undefined("too little gold to tell the judge from chance")
    t = (p + q0 - 1) / power
    moved = t + 2 * z * z * (-(1 - t) * q0 * (1 - q0) / m0 + t * q1 * (1 - q1) / m1)
    spread = p * (1 - p) / (n + z * z) + (1 - t) ** 2 * q0 * (1 - q0) / m0 + t * t * q1 * (1 - q1) / m1
    half = z * math.sqrt(spread) / power
    if moved + half < 0 or moved - half > 1:
        side = "less" if moved + half < 0 else "more"
        raise Undefined(
            f"the arm is judged convergent {side} often than the judge's errors alone would make it, so they "
            "are not those of this arm"
        )
    return Interval(max(0.0, moved - half), min(1.0, moved + half))


def same_across_arms(successes: npt.ArrayLike, totals: npt.ArrayLike, least: float = 5.0) -> SameAcrossArms:
    """Test by Pearson's chi-square whether arms share one proportion.

    successes, totals: shape (arms,); effective numbers, so they need not be whole. Arms with fewer than
    `least` are left out. p is None where fewer than two arms are left, or all of them agree on 0 or on 1.

    Raises ValueError where shapes differ or successes lie outside 0..totals.
    Source: K. Pearson (1900), Philos. Mag. 50:157-175; at effective sizes J. N. K. Rao & A. J. Scott (1992),
    Biometrics 48:577-585.
    """
    hits, n = np.asarray(successes, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    if hits.shape != n.shape or hits.ndim != 1 or (hits < 0).any() or (hits > n + 1e-9).any():
        raise ValueError("successes and totals must have one shape (arms,), with successes in 0..totals")
    hits, n = hits[n >= least], n[n >= least]
    if len(n) < 2:
        return SameAcrossArms(None, 0, None)
    rate = hits.sum() / n.sum()
    if not 0 < rate < 1:
        return SameAcrossArms(0.0, len(n) - 1, None)
    from scipy.special import chdtrc

    statistic = float(np.sum((hits - n * rate) ** 2 / (n * rate * (1 - rate))))
    return SameAcrossArms(statistic, len(n) - 1, float(chdtrc(len(n) - 1, statistic)))

"""How far raters err on the same items, and how many independent raters they are therefore worth."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import Interval, Undefined, check_level

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCorrelation:
    """How far raters err on the same items.

    phi: correlation of the errors of each two, shape (raters, raters). mean: over the pairs, with its
    interval low to high and the p of no correlation. effective: how many independent raters they are worth,
    fewest to most.
    """

    items: int
    tasks: int
    phi: Floats
    mean: float
    low: float
    high: float
    p: float
    effective: float
    fewest: float
    most: float


def effective_raters(raters: int, correlation: float) -> float:
    """Return how many independent raters as many are worth whose errors correlate by so much on average.

    n / (1 + (n - 1) r): as many as give their mean the same variance. At r = 0 all of them, at r = 1 one. A
    negative r is taken as 0: errors that avoid each other in a sample are no ground to count more raters than
    there are.

    Raises ValueError with fewer than one rater, or r above 1 or not a number.
    Source: R. T. Clemen & R. L. Winkler (1985), Oper. Res. 33:427-442, equation for equal correlations.
    """
    if raters < 1 or not correlation <= 1 + 1e-12:
        raise ValueError(
            f"raters must be at least 1 and the correlation at most 1, not {raters}, {correlation}"
        )
    return raters / (1 + (raters - 1) * max(0.0, correlation))


def error_correlation(
    errors: npt.ArrayLike,
    tasks: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    level: float = 0.95,
    signed: bool = False,
) -> ErrorCorrelation:
    """Return the correlation of raters' errors, its mean over pairs, and how many independent raters that is.

    errors: booleans, shape (items, raters): where a rater's label is not the gold one. tasks: integer key of
    each item's task. weights: above 0, any scale; `signed` ones may be negative, as those of an item's
    possible truths are (`truth_weights`), one row each. phi is Pearson's correlation of the two indicators.
    The interval of the mean and its p are from leaving out one task at a time, with t on G - 1 degrees of
    freedom.

    Raises Undefined with fewer than two raters or three tasks, and where a rater never errs or always does,
    also once some one task is left out; ValueError on malformed input.
    Source: phi G. U. Yule (1912), J. R. Stat. Soc. 75:579-652; jackknife over clusters B. Efron & C. Stein
    (1981), Ann. Stat. 9:586-596; number `effective_raters`.
    """
    from scipy.special import stdtr, stdtrit

    check_level(level)
    wrong = np.asarray(errors)
    if wrong.ndim != 2 or wrong.dtype != np.bool_:
        raise ValueError(f"errors must be booleans of shape (items, raters), not {wrong.dtype} {wrong.shape}")
    n, raters = wrong.shape
    if raters < 2:
        raise Undefined("with fewer than two raters nothing is shared")
    worth = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    keys = np.asarray(tasks)
    if worth.shape != (n,) or keys.shape != (n,) or not (signed or (worth > 0).all()):
        raise ValueError(f"tasks and weights must have shape ({n},), and weights be above 0")
    _, place = np.unique(keys, return_inverse=True)
    clusters = int(place.max(initial=-1)) + 1
    if clusters < 3:
        raise Undefined("the items come from fewer than three tasks, so how tasks vary is unknown")
    sums = _sums_by_task(wrong.astype(np.float64), worth, place, clusters)
    whole = [part.sum(axis=0) for part in sums]
    phi = _phi(*whole)
    without = _mean_phi(_phi(*(total - part for total, part in zip(whole, sums, strict=True))))
    mean = float(np.minimum(_mean_phi(phi), 1.0))
    if not (math.isfinite(mean) and np.isfinite(without).all()):
        raise Undefined(
            "one of them errs never, always, or in one task alone, so its errors have no correlation"
        )
    error = math.sqrt((clusters - 1) / clusters * float(((without - without.mean()) ** 2).sum()))
    half = float(stdtrit(clusters - 1, (1 + level) / 2)) * error
    bounds = Interval(max(-1.0, mean - half), min(1.0, mean + half))
    p = 2 * float(stdtr(clusters - 1, -abs(mean) / error)) if error > 0 else float(mean == 0)
    return ErrorCorrelation(
        n,
        clusters,
        phi,
        mean,
        bounds.low,
        bounds.high,
        p,
        effective_raters(raters, mean),
        effective_raters(raters, bounds.high),
        effective_raters(raters, bounds.low),
    )


def _sums_by_task(
    wrong: Floats, worth: Floats, place: npt.NDArray[np.int64], clusters: int
) -> tuple[Floats, Floats, Floats]:
    """Return of each task weights, weighted errors (raters,) and weighted joint errors (raters, raters)."""
    total = np.asarray(np.bincount(place, weights=worth, minlength=clusters), dtype=np.float64)
    single = np.zeros((clusters, wrong.shape[1]))
    both = np.zeros((clusters, wrong.shape[1], wrong.shape[1]))
    weighted = wrong * worth[:, np.newaxis]
    np.add.at(single, place, weighted)
    np.add.at(both, place, weighted[:, :, np.newaxis] * wrong[:, np.newaxis, :])
    return total, single, both


def _phi(total: Floats, single: Floats, both: Floats) -> Floats:
    """Return phi of each two raters, NaN where an error rate is 0 or 1, for one set of sums or for many."""
    size = np.asarray(total)[..., np.newaxis]
    rate = single / size
    joint = both / size[..., np.newaxis] - rate[..., :, np.newaxis] * rate[..., np.newaxis, :]
    # Signed weights may leave a rate outside 0..1, as none that is known.
    spread = np.maximum(rate * (1 - rate), 0.0)
    below = np.sqrt(spread[..., :, np.newaxis] * spread[..., np.newaxis, :])
    phi: Floats = np.divide(joint, below, out=np.full_like(joint, np.nan), where=below > 1e-12)
    return phi


def _mean_phi(phi: Floats) -> Floats:
    first, second = np.triu_indices(phi.shape[-1], 1)
    mean: Floats = phi[..., first, second].mean(axis=-1)
    return mean

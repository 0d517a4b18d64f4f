"""What the bias battery needs beside paired tests and logits: positions, shared errors, and Holm's adjustment over all of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .outcomes import Interval, Undefined, check_level
from .rates import wilson

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
LEAST_EXPECTED = 5  # in each cell of a chi-square test of fit


@dataclass(frozen=True, slots=True)
class PositionPreference:
    """How often labels are taken from each place of the order they were shown in, against equal chances.

    n: labels. place: the one furthest from 1 / places, from 0. excess: its share less 1 / places, with its interval.
    """

    n: int
    place: int
    excess: float
    low: float
    high: float
    statistic: float
    df: int
    p: float


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCorrelation:
    """How far raters err on the same items.

    phi: correlation of the errors of each two, shape (raters, raters). mean: over the pairs, with its interval low to high and
    the p of no correlation. effective: how many independent raters they are worth, fewest to most.
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


def holm(values: Sequence[float]) -> list[float]:
    """p values adjusted for being looked at together: an adjusted p below a keeps the chance of any false alarm below a.

    The i-th smallest of m is multiplied by m - i + 1, made no smaller than those before it and at most 1. Holds whatever the tests'
    dependence.

    Raises ValueError on a p outside 0..1.
    Source: S. Holm (1979), Scand. J. Stat. 6:65-70.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not ((given >= 0) & (given <= 1)).all():
        raise ValueError("p values must be numbers in 0..1")
    order = np.argsort(given, kind="stable")
    raised = np.minimum(1.0, np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1)))
    adjusted = np.empty_like(given)
    adjusted[order] = raised
    return [float(one) for one in adjusted]


def position_preference(counts: npt.ArrayLike, level: float = 0.95) -> PositionPreference:
    """Whether a rater who is shown the labels in an order drawn for each item favours a place in it.

    counts: how many of its labels stood first, second, ..., shape (places,). Where the order is drawn whatever the item, a rater
    that does not mind the order takes each place equally often, whichever labels it gives and however items cluster. Pearson's
    chi-square against equal shares; the interval is Wilson's share less 1 / places.

    Raises Undefined with fewer than two places, or with less than 5 expected in each; ValueError on counts that are not whole.
    Source: K. Pearson (1900), Phil. Mag. 50:157-175; the least expected count W. G. Cochran (1954), Biometrics 10:417-451.
    """
    from scipy.special import chdtrc

    check_level(level)
    seen = np.asarray(counts, dtype=np.float64)
    if seen.ndim != 1 or not ((seen >= 0).all() and (seen == np.floor(seen)).all()):
        raise ValueError("counts must be whole numbers of at least 0, of shape (places,)")
    n, places = int(seen.sum()), len(seen)
    if places < 2:
        raise Undefined("with one place there is nothing to favour")
    expected = n / places
    if expected < LEAST_EXPECTED:
        raise Undefined(f"{n} labels over {places} places are too few: {LEAST_EXPECTED} a place are needed")
    statistic = float(((seen - expected) ** 2).sum()) / expected
    place = int(np.argmax(np.abs(seen - expected)))
    share = wilson(float(seen[place]), n, level)
    fair = 1 / places
    return PositionPreference(
        n, place, float(seen[place]) / n - fair, share.low - fair, share.high - fair,
        statistic, places - 1, float(chdtrc(places - 1, statistic)),
    )  # fmt: skip


def effective_raters(raters: int, correlation: float) -> float:
    """How many independent raters as many are worth whose errors correlate by so much on average.

    n / (1 + (n - 1) r): as many as give their mean the same variance. At r = 0 all of them, at r = 1 one. A negative r is taken
    as 0: errors that avoid each other in a sample are no ground to count more raters than there are.

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
) -> ErrorCorrelation:
    """Correlation of raters' errors (phi), its mean over pairs, and the number of independent raters they are worth.

    errors: booleans, shape (items, raters): where a rater's label is not the gold one. tasks: integer key of each item's task.
    weights: above 0, any scale. phi is Pearson's correlation of the two indicators. The interval of the mean and its p are from
    leaving out one task at a time, with t on G - 1 degrees of freedom.

    Raises Undefined with fewer than two raters or three tasks, and where a rater never errs or always does, also once some one task
    is left out; ValueError on malformed input.
    Source: phi G. U. Yule (1912), J. R. Stat. Soc. 75:579-652; jackknife over clusters B. Efron & C. Stein (1981), Ann. Stat.
    9:586-596; number `effective_raters`.
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
    if worth.shape != (n,) or keys.shape != (n,) or not (worth > 0).all():
        raise ValueError(f"tasks and weights must have shape ({n},), and weights be above 0")
    _, place = np.unique(keys, return_inverse=True)
    clusters = int(place.max(initial=-1)) + 1
    if clusters < 3:
        raise Undefined("the items come from fewer than three tasks, so how tasks vary is unknown")
    sums = _sums_by_task(wrong.astype(np.float64), worth, place, clusters)
    whole = [part.sum(axis=0) for part in sums]
    phi = _phi(*whole)
    without = _mean_phi(_phi(*(total - part for total, part in zip(whole, sums, strict=True))))
    mean = float(_mean_phi(phi))
    if not (math.isfinite(mean) and np.isfinite(without).all()):
        raise Undefined(
            "one of them errs never, always, or in one task alone, so its errors have no correlation"
        )
    error = math.sqrt((clusters - 1) / clusters * float(((without - without.mean()) ** 2).sum()))
    half = float(stdtrit(clusters - 1, (1 + level) / 2)) * error
    bounds = Interval(max(-1.0, mean - half), min(1.0, mean + half))
    p = 2 * float(stdtr(clusters - 1, -abs(mean) / error)) if error > 0 else float(mean == 0)
    return ErrorCorrelation(
        n, clusters, phi, mean, bounds.low, bounds.high, p, effective_raters(raters, mean),
        effective_raters(raters, bounds.high), effective_raters(raters, bounds.low),
    )  # fmt: skip


def _sums_by_task(
    wrong: Floats, worth: Floats, place: npt.NDArray[np.int64], clusters: int
) -> tuple[Floats, Floats, Floats]:
    """Of each task: weights, weighted errors (raters,), weighted joint errors (raters, raters)."""
    total = np.asarray(np.bincount(place, weights=worth, minlength=clusters), dtype=np.float64)
    single = np.zeros((clusters, wrong.shape[1]))
    both = np.zeros((clusters, wrong.shape[1], wrong.shape[1]))
    weighted = wrong * worth[:, np.newaxis]
    np.add.at(single, place, weighted)
    np.add.at(both, place, weighted[:, :, np.newaxis] * wrong[:, np.newaxis, :])
    return total, single, both


def _phi(total: Floats, single: Floats, both: Floats) -> Floats:
    """NaN where an error rate is 0 or 1. Works on one set of sums or on many."""
    size = np.asarray(total)[..., np.newaxis]
    rate = single / size
    joint = both / size[..., np.newaxis] - rate[..., :, np.newaxis] * rate[..., np.newaxis, :]
    spread = rate * (1 - rate)
    below = np.sqrt(spread[..., :, np.newaxis] * spread[..., np.newaxis, :])
    return np.divide(joint, below, out=np.full_like(joint, np.nan), where=below > 1e-12)


def _mean_phi(phi: Floats) -> Floats:
    first, second = np.triu_indices(phi.shape[-1], 1)
    mean: Floats = phi[..., first, second].mean(axis=-1)
    return mean

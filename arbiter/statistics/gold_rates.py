"""Rates from human gold alone, weighted by how it was drawn."""

import numpy as np
import numpy.typing as npt

from .clusters import effective_size, wilson_bounds
from .intervals import Undefined
from .post_stratification import ArmGold, CorrectedRate, CorrectedRates, Floats, _over_tasks


def gold_rate(
    items: float,
    gold: ArmGold,
    *,
    valid: bool = False,
    finite: bool = False,
    level: float = 0.95,
) -> CorrectedRate:
    """Estimate the design-weighted target rate of one arm from its gold, with Wilson's interval.

    items: how many the arm has. gold: arrays of shape (tasks, strata, 3). valid, finite: as for
    `post_stratified`. With weights w (items that each stands for), the rate is sum(w y) / sum(w) (Hajek). Its
    effective size is Kish's (sum w)^2 / sum w^2 as the tasks leave it (`effective_size`). finite: the gold is
    a random part of these very items, of whatever tasks; the size is then p (1 - p) over the variance between
    items, at most Kish's, and divided by what is not known, 1 - sum(w) / sum(w^2) with w scaled to the items,
    which is the share without gold where all weights are alike.

    Raises Undefined where there is no gold, or no valid gold; ValueError on weights that are not finite and
    positive.
    Source: J. Hajek (1971), in Godambe & Sprott (eds.), Foundations of Statistical Inference, 236; E. L. Korn
    & B. I. Graubard (1998), Surv. Methodol. 24:193-201, the effective size; L. Kish (1965), Survey Sampling,
    section 11.7; W. G. Cochran (1977), Sampling Techniques, 3rd ed., section 5A.2, each stratum's own share
    without gold, to first order.
    """
    if not (np.isfinite(gold.weights).all() and (gold.weights >= 0).all()):
        raise ValueError("weights must be finite numbers of at least 0")
    number = int(gold.counts.sum())
    kept = gold.counts[..., :2].sum() if valid else number
    if not kept:
        raise Undefined("there is no gold" if not number else "all of the gold is excluded")
    rate = gold_rate_all(np.float64(items), gold, valid=valid, finite=finite, level=level)
    return CorrectedRate(
        float(rate.estimate),
        float(rate.low),
        float(rate.high),
        round(items),
        number,
        (),
        float(rate.variance),
        float(rate.design_effect),
        rate.influence,
    )


def gold_rate_all(
    items: npt.ArrayLike, gold: ArmGold, *, valid: bool = False, finite: bool = False, level: float = 0.95
) -> CorrectedRates:
    """Return `gold_rate` of many repetitions at once, without its checks.

    items: shape (...); gold: (..., tasks, strata, 3). ValueError on a bad level.
    """
    roles = slice(0, 2 if valid else 3)
    weights, squares = (np.einsum("...tsr->...tr", sums)[..., roles] for sums in (gold.weights, gold.squares))
    total = weights.sum(axis=(-2, -1))
    rate = weights[..., 0].sum(axis=-1) / total
    by_task = np.einsum("...tr->...t", weights)
    influence = (weights[..., 0] - rate[..., None] * by_task) / total[..., None]
    kish = total**2 / squares.sum(axis=(-2, -1))
    if finite:
        size = _among_items(rate, kish, squares.sum(axis=-2) / total[..., None] ** 2)
        size = size / np.maximum(1 - _known(np.asarray(items, dtype=np.float64), gold), 1e-12)
    else:
        size = effective_size(rate, kish, influence, by_task, level)
    low, high = wilson_bounds(rate, size, level)
    return CorrectedRates(rate, low, high, rate * (1 - rate) / size, np.maximum(kish / size, 1.0), influence)


def _among_items(rate: Floats, kish: Floats, squares: Floats) -> Floats:
    """Return how many items, each by itself, the gold is worth. squares: of the weights' shares, by role,
    (..., roles)."""
    off = np.concatenate([(1 - rate)[..., None], np.repeat(-rate[..., None], squares.shape[-1] - 1, -1)], -1)
    variance = np.sum(squares * off**2, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        worth: Floats = np.where(variance > 0, np.minimum(rate * (1 - rate) / variance, kish), kish)
    return worth


def _known(items: Floats, gold: ArmGold) -> Floats:
    """Return sum(w) / sum(w^2), the weights scaled to add up to the items: the part of the chance that the
    gold took away."""
    total, squares = (_over_tasks(sums).sum(axis=(-2, -1)) for sums in (gold.weights, gold.squares))
    known: Floats = np.minimum(total**2 / squares / items, 1.0)
    return known

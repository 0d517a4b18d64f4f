"""Rates from human gold alone, weighted by how it was drawn."""

import numpy as np
import numpy.typing as npt

from .corrected import ArmGold, CorrectedRate, CorrectedRates, Floats
from .outcomes import Undefined, check_level, normal_quantile


def gold_rate(
    items: float,
    gold: ArmGold,
    *,
    valid: bool = False,
    finite: bool = False,
    level: float = 0.95,
) -> CorrectedRate:
    """The design-weighted target rate of one arm's gold, with Wilson's interval at its effective size.

    items: how many the arm has. gold: arrays of shape (tasks, strata, 3). valid, finite: as for `post_stratified`. With weights w
    (items that each stands for), the rate is sum(w y) / sum(w) (Hajek). Its variance is that of the ratio between tasks; the
    effective size is the rate's binomial variance over it, at most Kish's (sum w)^2 / sum w^2, and at most the tasks with gold
    where the gold does not vary. finite multiplies the variance by the share of items without gold.

    Raises Undefined where there is no gold, or no valid gold; ValueError on weights that are not finite and positive.
    Source: J. Hajek (1971), in Godambe & Sprott (eds.), Foundations of Statistical Inference, 236; E. L. Korn & B. I. Graubard
    (1998), Surv. Methodol. 24:193-201, the effective size; L. Kish (1965), Survey Sampling, section 11.7.
    """
    if not (np.isfinite(gold.weights).all() and (gold.weights >= 0).all()):
        raise ValueError("weights must be finite numbers of at least 0")
    number = int(gold.counts.sum())
    kept = gold.counts[..., :2].sum() if valid else number
    if not kept:
        raise Undefined("there is no gold" if not number else "all of the gold is excluded")
    found = gold_rate_all(np.float64(items), gold, valid=valid, finite=finite, level=level)
    return CorrectedRate(
        float(found.estimate), float(found.low), float(found.high), round(items), number, (), float(found.variance),
        float(found.design_effect), found.influence,
    )  # fmt: skip


def gold_rate_all(
    items: npt.ArrayLike, gold: ArmGold, *, valid: bool = False, finite: bool = False, level: float = 0.95
) -> CorrectedRates:
    """`gold_rate` of many repetitions at once, without its checks. items: shape (...); gold: (..., tasks, strata, 3).

    ValueError on a bad level.
    """
    z = normal_quantile(check_level(level))
    roles = slice(0, 2 if valid else 3)
    weights, squares = gold.weights.sum(axis=-2)[..., roles], gold.squares.sum(axis=-2)[..., roles]
    total = weights.sum(axis=(-2, -1))
    rate = weights[..., 0].sum(axis=-1) / total
    influence = (weights[..., 0] - rate[..., None] * weights.sum(axis=-1)) / total[..., None]
    tasks = (weights.sum(axis=-1) > 0).sum(axis=-1)
    variance = tasks / np.maximum(tasks - 1, 1) * np.sum(influence**2, axis=-1)
    kish = total**2 / squares.sum(axis=(-2, -1))
    size = _effective(rate, variance, kish, tasks)
    if finite:
        left = 1 - np.minimum(gold.counts.sum(axis=(-3, -2, -1)) / np.asarray(items, dtype=np.float64), 1.0)
        size = size / np.maximum(left, 1e-12)
    middle = (rate * size + z * z / 2) / (size + z * z)
    half = z / (size + z * z) * np.sqrt(rate * (1 - rate) * size + z * z / 4)
    low, high = np.clip(np.minimum(middle - half, rate), 0, 1), np.clip(np.maximum(middle + half, rate), 0, 1)
    return CorrectedRates(rate, low, high, rate * (1 - rate) / size, np.maximum(kish / size, 1.0), influence)


def _effective(rate: Floats, variance: Floats, kish: Floats, tasks: npt.NDArray[np.int64]) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        measured = np.where(variance > 0, rate * (1 - rate) / variance, tasks)
    found: Floats = np.minimum(kish, np.where(tasks > 1, measured, 1.0))
    return found

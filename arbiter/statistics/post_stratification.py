"""Rates corrected for judge error: human gold says what each number of target votes is worth, the votes on
all items say how often each occurs.

An arm is the cell that a rate is reported for. Its items are counted by task and stratum, shape
(..., tasks, strata), its gold by task, stratum and role of the label, (..., tasks, strata, 3): target, other,
excluded. A stratum is a number of target votes, in ascending order. Axes before those are repetitions, which
are worked through at once.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from .clusters import clustering, student
from .intervals import Undefined, check_level, normal_quantile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST = 5  # gold items an arm needs, and a stratum of a small arm
# Gold items that a stratum needs to stand by itself, or a quarter of the arm's where that is less: more
# strata than one for every 15 gold items widen the interval by more than they tell, beyond that from gold
# alone with seven judges.
ENOUGH, QUARTER = 15, 4
# Beta(PRIOR, PRIOR) in each stratum: between Jeffreys' 1/2, with which several nearly pure strata cover too
# much, and Kerman's 1/3, with which a few impure ones cover too little (docs/coverage.md).
PRIOR = 0.4
BORROWED = 1.0  # gold items' worth of its merged neighbours that a stratum's own spread is measured with
TARGET, OTHER = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class ArmGold:
    """Gold of an arm by task, stratum and role: arrays of shape (..., tasks, strata, 3).

    counts: gold items. weights: the sum of their design weights, squares: the sum of the squares of those.
    """

    counts: Floats
    weights: Floats
    squares: Floats

    @classmethod
    def unweighted(cls, counts: npt.ArrayLike) -> Self:
        """Return gold whose items all had the same chance to be drawn."""
        numbers = np.asarray(counts, dtype=np.float64)
        return cls(numbers, numbers, numbers)


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedRates:
    """Rates corrected for judge error, one for each repetition: shape (...), fractions in 0..1.

    variance: of the estimate, clustering included. design_effect: how much wider clustering makes it,
    Student's t for z included; at least 1.
    influence: shape (..., tasks), what each task adds to the estimate's deviation.
    """

    estimate: Floats
    low: Floats
    high: Floats
    variance: Floats
    design_effect: Floats
    influence: Floats


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedRate:
    """A rate corrected for judge error, with its interval. n: items it is over. gold: gold items behind it.

    strata: the numbers of target votes that were taken together, each a tuple of strata. The rest as in
    `CorrectedRates`.
    """

    estimate: float
    low: float
    high: float
    n: int
    gold: int
    strata: tuple[tuple[int, ...], ...]
    variance: float
    design_effect: float
    influence: Floats


def post_stratified(
    items: npt.ArrayLike,
    gold: ArmGold,
    *,
    valid: bool = False,
    finite: bool = False,
    level: float = 0.95,
) -> CorrectedRate:
    """Estimate the target rate of one arm, post-stratified on the judges' votes, with its interval.

    items: whole counts, shape (tasks, strata). gold: arrays of shape (tasks, strata, 3); drawn within this
    arm, by a design whose weights it brings. valid: of the labels that are not excluded, instead of all.
    finite: the rate among these very items, instead of that over tasks of this kind. Estimate and bounds are
    fractions in 0..1.

    With W_g the share of the arm's items in stratum g and p_g the design-weighted target rate of its gold,
    the rate is sum_g W_g p_g; valid only, sum_g W_g v_g r_g / sum_g W_g v_g, with v_g the share not excluded
    and r_g the target rate among those. Strata with too few gold items are merged with their neighbours
    (`merged_strata`); within a merged stratum, each number of votes keeps its share. The interval squares and
    adds the distances from p_g to the ends of its posterior Beta(n_g p_g + 0.4, n_g (1 - p_g) + 0.4), n_g the
    effective gold (Kish), and the normal distances that come from the shares W_g (none if finite) and v_g,
    and widens by t / z times the root of the design effect of tasks (`clustering`; not if finite, where gold
    is a random part of the items, of whatever tasks). If finite, each group's distance shrinks by the root of
    1 - sum(w) / sum(w^2), w the items that each gold item stands for.

    Raises Undefined with fewer than five gold items, where no item is in the arm, or valid only, where all of
    the gold is excluded; ValueError on shapes, negative or non-finite counts, or gold where there are no
    items.
    Source: D. Holt & T. M. F. Smith (1979), J. R. Stat. Soc. A 142:33-46, post-stratification; C. B. Begg &
    R. A. Greenes (1983), Biometrics 39:207-215, its use under selective verification; G. Y. Zou, W. Huang &
    X. Zhang (2009), Comput. Stat. Data Anal. 53:1080-1085, eq. 4, the interval of a sum of proportions from
    theirs; W. G. Cochran (1977), Sampling Techniques, 3rd ed., section 5A.2, the finite-population
    correction, to first order.
    """
    counted = _checked(items, gold)
    number = float(gold.counts.sum())
    if number < FEWEST:
        few = f"{number:g} gold item{'s' * (number != 1)}"
        raise Undefined(f"the arm has {few}; {FEWEST} are needed at least")
    if valid and not gold.weights[..., :2].sum():
        raise Undefined("all of the arm's gold is excluded, so nothing is known of the valid responses")
    rate = post_stratified_all(counted, gold, valid=valid, finite=finite, level=level)
    groups = merged_strata(_over_tasks(gold.counts).sum(axis=-1))
    strata = tuple(
        tuple(np.flatnonzero(groups == number).tolist()) for number in sorted(set(groups.tolist()))
    )
    return CorrectedRate(
        float(rate.estimate),
        float(rate.low),
        float(rate.high),
        int(counted.sum()),
        int(number),
        strata[::-1],
        float(rate.variance),
        float(rate.design_effect),
        rate.influence,
    )


def post_stratified_all(
    items: npt.ArrayLike,
    gold: ArmGold,
    *,
    valid: bool = False,
    finite: bool = False,
    prior: float = PRIOR,
    level: float = 0.95,
) -> CorrectedRates:
    """Return `post_stratified` of many repetitions at once, without its checks, for `make coverage-study`.

    items: shape (..., tasks, strata). gold: (..., tasks, strata, 3). prior: of the target rate in each
    stratum, Beta(prior, prior). ValueError on a bad level.
    """
    z = normal_quantile(check_level(level))
    arm = _Arm(np.asarray(items, dtype=np.float64), gold, valid)
    effect, influence = arm.clustering(finite, level)
    below, above = arm.reaches(prior, level, finite)
    rest = z * z * arm.other_variance(prior, finite)
    low = arm.estimate - np.sqrt(effect * (below + rest))
    high = arm.estimate + np.sqrt(effect * (above + rest))
    variance = effect * (arm.within(prior, finite) + rest / (z * z))
    return CorrectedRates(
        arm.estimate, np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0), variance, effect, influence
    )


def merged_strata(gold: npt.ArrayLike) -> Ints:
    """Group the strata so that each group has enough gold items: shape (..., strata), groups numbered from 0.

    gold: gold items by stratum, (..., strata), ascending in target votes. Enough are 15, or a quarter of all
    where that is less, and at least 5, so that there are at most as many groups as a fifteenth of the gold,
    or four. From most votes downwards a group is closed as soon as it has enough; what is left over at the
    bottom joins the group above it. With too few in all, there is one group. Only the number of gold items
    decides, not their labels.
    """
    counts = np.asarray(gold, dtype=np.float64)
    enough = np.clip(counts.sum(axis=-1) / QUARTER, FEWEST, ENOUGH)
    groups = np.zeros(counts.shape, dtype=np.int64)
    number = np.zeros(counts.shape[:-1], dtype=np.int64)
    collected = np.zeros(counts.shape[:-1])
    for stratum in range(counts.shape[-1] - 1, -1, -1):
        groups[..., stratum] = number
        collected = collected + counts[..., stratum]
        number = number + (collected >= enough)
        collected = np.where(collected >= enough, 0.0, collected)
    last = np.maximum(number - 1, 0)[..., None]
    merged: Ints = np.minimum(groups, last)
    return merged


class _Arm:
    """An arm with its strata merged into groups. Axes: (..., groups), but (..., strata) for what is named
    so."""

    def __init__(self, items: Floats, gold: ArmGold, valid: bool) -> None:
        self.one_hot = _one_hot(gold)
        by_stratum = np.einsum("...ts->...s", items)
        self.total = by_stratum.sum(axis=-1)[..., None]
        stratum_share = by_stratum / self.total
        self.items = items @ self.one_hot
        self.share = self.grouped(stratum_share)
        # Each number of votes keeps its share of the items within a merged group.
        worth = _ratio(stratum_share, _over_tasks(gold.weights).sum(axis=-1))
        self.gold, self.worth = gold, worth
        self.weights = _over_tasks(gold.weights) * worth[..., None]  # (..., strata, 3)
        self.squares = _over_tasks(gold.squares) * worth[..., None] ** 2
        self.wanted = np.array([1.0, 1.0, 0.0 if valid else 1.0])  # roles in the denominator
        self._rates()

    def grouped(self, by_stratum: Floats) -> Floats:
        sums: Floats = np.einsum("...s,...sg->...g", by_stratum, self.one_hot)
        return sums

    def _rates(self) -> None:
        weights, squares = self.weights, self.squares
        everything = self.everything = self.grouped(weights.sum(axis=-1))
        wanted = (weights * self.wanted).sum(axis=-1)  # by stratum
        self.wanted_weight = self.grouped(wanted)
        self.kept = _ratio(self.wanted_weight, everything)  # v_g
        self.effective_all = _ratio(everything**2, self.grouped(squares.sum(axis=-1)))
        plain = np.sum(self.share * self.kept, axis=-1)
        hits = self.grouped(weights[..., TARGET])
        hit_share = np.sum(self.share * _ratio(hits, everything), axis=-1)
        self.estimate = _ratio(hit_share, plain)
        self.rate = np.where(
            self.wanted_weight > 0, _ratio(hits, self.wanted_weight), self.estimate[..., None]
        )
        self.effective = self._effective(weights[..., TARGET], wanted, (squares * self.wanted).sum(axis=-1))

    def _effective(self, hits: Floats, weight: Floats, square: Floats) -> Floats:
        """Return how many gold items each group is worth. Votes of different worth merged into one group
        spread less than their pool."""
        kish = _ratio(self.wanted_weight**2, self.grouped(square))
        own = _ratio(weight**2, square)
        pooled = np.einsum("...g,...sg->...s", self.rate, self.one_hot)
        rate = (own * _ratio(hits, weight) + BORROWED * pooled) / (own + BORROWED)
        middle = _ratio(self.grouped(weight * rate), self.wanted_weight)
        apart = _ratio(self.grouped(square * rate * (1 - rate)), self.grouped(square))
        return kish * np.maximum(_ratio(middle * (1 - middle), apart), 1.0)

    def posterior_kept(self, prior: float) -> tuple[Floats, Floats]:
        """Return mean and variance of the share of each group that is in the denominator."""
        if self.wanted.all():
            return np.ones_like(self.share), np.zeros_like(self.share)
        n = self.effective_all + 2 * prior
        mean = (self.effective_all * self.kept + prior) / n
        return mean, mean * (1 - mean) / (n + 1)

    def unknown(self, finite: bool) -> Floats:
        """Return the part of each group's chance that gold leaves, for the rate among these very items.

        1 - sum(w) / sum(w^2), the weights scaled to add up to the group's items: the share without gold, but
        where strata labelled at different rates are merged, what is left is mostly that of the one labelled
        least.
        """
        if not finite:
            return np.ones_like(self.share)
        squares = _ratio(self.grouped(self.squares.sum(axis=-1)), self.everything**2)
        known = _ratio(np.ones_like(squares), self.share * self.total * squares)
        return np.clip(1 - known, 0.0, 1.0)

    def reaches(self, prior: float, level: float, finite: bool) -> tuple[Floats, Floats]:
        """Return the squared distances from the estimate to its bounds that come from the gold in each
        group."""
        from scipy.special import betaincinv

        tail = (1 - level) / 2
        hits = self.effective * self.rate
        above, below = hits + prior, self.effective - hits + prior
        low = np.where(self.rate <= 0, 0.0, np.minimum(betaincinv(above, below, tail), self.rate))
        high = np.where(self.rate >= 1, 1.0, np.maximum(betaincinv(above, below, 1 - tail), self.rate))
        scale = self._scale(prior, finite)
        return np.sum(scale * (self.rate - low) ** 2, -1), np.sum(scale * (high - self.rate) ** 2, -1)

    def within(self, prior: float, finite: bool) -> Floats:
        n = self.effective + 2 * prior
        mean = (self.effective * self.rate + prior) / n
        spread: Floats = np.sum(self._scale(prior, finite) * mean * (1 - mean) / (n + 1), axis=-1)
        return spread

    def _scale(self, prior: float, finite: bool) -> Floats:
        mean, _ = self.posterior_kept(prior)
        portion = _ratio(self.share * mean, np.sum(self.share * mean, axis=-1)[..., None])
        return portion**2 * self.unknown(finite)

    def other_variance(self, prior: float, finite: bool) -> Floats:
        """Return the variance that comes from the shares of votes, and of what is excluded."""
        mean, spread = self.posterior_kept(prior)
        whole = np.sum(self.share * mean, axis=-1)[..., None]
        off = _ratio(self.rate - self.estimate[..., None], whole)
        excluded = np.sum(self.share**2 * off**2 * spread * self.unknown(finite), axis=-1)
        if finite:
            return np.asarray(excluded)
        votes = np.sum(self.share * (mean * off) ** 2, axis=-1) / self.total[..., 0]
        return np.asarray(excluded + votes)

    def clustering(self, finite: bool, level: float) -> tuple[Floats, Floats]:
        """Return how much wider tasks make the squared distances, (...), and what each adds to the deviation
        of the estimate, (..., tasks)."""
        mean, pull, single = self._pulls()
        if finite:  # gold is a random part of these items, of whatever tasks
            return np.ones(single.shape), pull
        pull = pull + np.einsum("...tg,...g->...t", self.items, mean / self.total)
        single = single + np.sum(self.share * mean**2, axis=-1) / self.total[..., 0]
        by_task = np.einsum("...tsr,...s->...t", self.gold.weights, self.worth)
        size = _ratio(by_task.sum(axis=-1) ** 2, self.squares.sum(axis=(-2, -1)))
        effect, freedom = clustering(single, size, pull, by_task, level)
        wider = effect * (student(freedom, level) / normal_quantile(level)) ** 2
        alone = np.einsum("...tg->...t", self.items).max(axis=-1) <= 1
        return np.where(alone, 1.0, wider), pull

    def _pulls(self) -> tuple[Floats, Floats, Floats]:
        """Return what an item of each group adds, (..., groups); what each task's gold adds, (..., tasks);
        its variance by items."""
        whole = np.sum(self.share * self.kept, axis=-1)[..., None]
        rate = self.estimate[..., None]
        score = np.concatenate([(1 - rate), -rate, np.zeros_like(rate) if not self.wanted[2] else -rate], -1)
        score = _ratio(score, whole)  # what a label of each role adds
        weights, squares = self.weights, self.squares
        mean = _ratio(
            self.grouped(np.einsum("...sr,...r->...s", weights, score)), self.grouped(weights.sum(axis=-1))
        )
        mean_of = np.einsum("...g,...sg->...s", mean, self.one_hot)
        worth = np.einsum(
            "...g,...sg->...s", _ratio(self.share, self.grouped(weights.sum(axis=-1))), self.one_hot
        )
        residual = (score[..., None, :] - mean_of[..., None]) * worth[..., None]  # (..., strata, 3)
        pull = np.einsum("...tsr,...sr->...t", self.gold.weights, residual * self.worth[..., None])
        return mean, pull, np.sum(squares * residual**2, axis=(-2, -1))


def _over_tasks(by_task: Floats) -> Floats:
    """Sum over tasks: shape (..., strata, roles) of (..., tasks, strata, roles). Quicker than `sum` on short
    last axes."""
    total: Floats = np.einsum("...tsr->...sr", by_task)
    return total


def _one_hot(gold: ArmGold) -> Floats:
    groups = merged_strata(_over_tasks(gold.counts).sum(axis=-1))
    members: Floats = (groups[..., None] == np.arange(groups.shape[-1])).astype(np.float64)
    return members


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return above / below; 0 where there is nothing to divide by."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Floats = np.where(below > 0, above / below, 0.0)
    return ratio


def _checked(items: npt.ArrayLike, gold: ArmGold) -> Floats:
    counted = np.asarray(items, dtype=np.float64)
    if counted.ndim != 2:
        raise ValueError(f"items must have shape (tasks, strata), not {counted.shape}")
    for name in ("counts", "weights", "squares"):
        part = getattr(gold, name)
        if part.shape != (*counted.shape, 3):
            raise ValueError(f"gold.{name} must have shape {(*counted.shape, 3)}, not {part.shape}")
        if not (np.isfinite(part).all() and (part >= 0).all()):
            raise ValueError(f"gold.{name} must be finite numbers of at least 0; weights must be known")
    if not (np.isfinite(counted).all() and (counted >= 0).all()):
        raise ValueError("items must be finite counts of at least 0")
    if not counted.sum():
        raise Undefined("there are no items in the arm")
    if (gold.counts.sum(axis=-1) > counted).any():
        raise ValueError("a task has more gold with a number of votes than items with it")
    return counted

"""The ways to estimate an arm's rate, each refusing what its design does not allow."""

from dataclasses import dataclass, replace

import numpy as np

from arbiter.analysis.rates.armrate import ArmRate, EffectiveTasks, Floats, Mask, RatePair, rate_pair
from arbiter.analysis.rates.cells import Arm, Cells
from arbiter.analysis.rates.transport import CarriedErrors, target_strata
from arbiter.core.text import how_many
from arbiter.statistics import (
    ArmGold,
    CorrectedRate,
    Undefined,
    clustered_rate,
    gold_rate,
    post_stratified,
    ppi_rate,
    rogan_gladen,
    task_influence,
    transported_interval,
    wilson,
)
from judging.votes.counting import Ints

SAMPLING, GOLD_ONLY, BOTH = (
    "sampling error only",
    "sampling error, gold taken as truth",
    "sampling and judge error, gold taken as truth",
)


@dataclass(frozen=True, eq=False)
class SampledTasks:
    """The tasks that a rate from gold is over: `at` are the places of the arm's tasks among all. `estimate`
    names the estimator.

    Which responses are valid is known of gold alone, so `over` are the tasks with any. `places` (task,
    stratum, role) and `values` (counts, weights, squares) are the cells with gold: few, as these are kept.
    """

    over: Mask
    valid: float
    estimate: str
    items: Ints  # (tasks, strata)
    places: Ints
    values: Floats
    at: Ints
    of_valid: bool
    finite: bool

    @classmethod
    def of(
        cls, estimate: str, arm: Arm, at: Ints, over: Mask, of_valid: bool, finite: bool
    ) -> "SampledTasks":
        gold = arm.gold
        places = np.argwhere(gold.counts > 0)
        values = np.stack([part[tuple(places.T)] for part in (gold.counts, gold.weights, gold.squares)])
        valid = float(values[1, places[:, 2] < 2].sum() / max(values[1].sum(), 1e-300))
        return cls(over, valid, estimate, arm.items, places, values, at, of_valid, finite)

    def among(self, chosen: Mask) -> "ArmRate":
        rows = chosen[self.at]
        parts = []
        for value in self.values:
            part = np.zeros((*self.items.shape, 3))
            part[tuple(self.places.T)] = value
            parts.append(part[rows])
        where = self.at[rows]
        return rate_from_gold(
            self.estimate, self.items[rows], ArmGold(*parts), where, len(chosen), self.of_valid, self.finite
        )


def rates_from_labels(roles: Floats, items: int, finite: bool, at: Ints, tasks: int) -> RatePair:
    """Return the rates of labels taken as they are. roles: (tasks of the arm, 3) counts of target, other,
    excluded, at their places among all tasks."""
    everywhere = np.zeros((tasks, 3))
    everywhere[at] = roles
    unknown = 1 - float(roles.sum()) / items if finite and items else None

    def one(valid: bool) -> ArmRate:
        hits, totals = everywhere[:, 0], everywhere[:, : 2 if valid else 3].sum(axis=1)
        if not totals.sum():
            raise Undefined("no labels" if not roles.sum() else "every label is an excluded one")
        return LabelledTasks(hits, totals, float(totals.sum() / roles.sum()), unknown).among(totals > 0)

    return rate_pair(one)


@dataclass(frozen=True, eq=False)
class LabelledTasks:
    """The tasks that a rate as labelled is over: hits and totals by all tasks. unknown: the share without a
    label, for these very items."""

    hits: Floats
    totals: Floats
    valid: float
    unknown: float | None

    @property
    def over(self) -> Mask:
        return self.totals > 0

    def among(self, chosen: Mask) -> ArmRate:
        hits, totals = self.hits * chosen, self.totals * chosen
        rate = clustered_rate(hits, totals)
        if rate.estimate is None:
            return ArmRate(why="no task in common")
        low, high = rate.low, rate.high
        if self.unknown is not None:
            low, high = _among_these(rate.estimate, self.unknown, rate.effective_n)
        influence = task_influence(hits, totals)
        return ArmRate(
            rate.estimate, low, high, influence=influence, tasks=EffectiveTasks.of(totals), covered=self
        )


def _among_these(rate: float, unknown: float, effective: float) -> tuple[float, float]:
    """Return the interval of a rate among these very items. Of items that all have a label, the rate is
    known; of others, as far as the labelled are a random part."""
    if unknown <= 0:
        return rate, rate
    size = effective / unknown
    interval = wilson(rate * size, size)
    return interval.low, interval.high


def gold_only(cells: Cells, arm: Arm, finite: bool) -> RatePair:
    return rate_pair(lambda valid: _of_arm("gold", cells, arm, valid, finite))


def corrected(cells: Cells, arm: Arm, finite: bool, level: float = 0.95) -> RatePair:
    def one(valid: bool) -> ArmRate:
        if arm.gold.counts.sum() < 5:
            raise Undefined(
                f"{how_many(int(arm.gold.counts.sum()), 'gold item')} in this arm; 5 are needed, as what a "
                "vote is worth moves with the rate and can't be had from other arms"
            )
        return _of_arm("corrected", cells, arm, valid, finite, level)

    return rate_pair(one)


def _of_arm(name: str, cells: Cells, arm: Arm, valid: bool, finite: bool, level: float = 0.95) -> ArmRate:
    at = np.searchsorted(cells.tasks, arm.tasks)
    over = np.zeros(len(cells.tasks), dtype=bool)
    over[at] = True
    rate = rate_from_gold(name, arm.items, arm.gold, at, len(over), valid, finite, level)
    return replace(rate, covered=SampledTasks.of(name, arm, at, over, valid, finite))


def rate_from_gold(
    name: str,
    items: Ints,
    gold: ArmGold,
    at: Ints,
    tasks: int,
    valid: bool,
    finite: bool,
    level: float = 0.95,
) -> ArmRate:
    """Return the rate of an arm from its gold, by the estimator of that name. at: where its tasks are among
    all of so many."""
    rate: CorrectedRate = (
        gold_rate(float(items.sum()), gold, valid=valid, finite=finite, level=level)
        if name == "gold"
        else post_stratified(items, gold, valid=valid, finite=finite, level=level)
    )
    influence = np.zeros(tasks)
    influence[at] = rate.influence
    return ArmRate(
        rate.estimate, rate.low, rate.high, influence=influence, tasks=EffectiveTasks.of(items.sum(axis=1))
    )


def prediction_powered(cells: Cells, arm: Arm, finite: bool) -> RatePair:
    """Return an arm's rate by PPI++ with the share of target votes as the prediction; items without a vote
    are predicted 0."""

    def one(valid: bool) -> ArmRate:
        if valid:
            raise Undefined("PPI++ is given for all responses only")
        if finite:
            raise Undefined("PPI++ is for tasks of this kind only")
        worth = np.maximum(np.arange(arm.items.shape[1]) - 1, 0) / max(len(cells.judges), 1)
        rest = arm.items.sum(axis=0) - np.bincount(arm.gold_strata, minlength=len(worth))
        rate = ppi_rate(
            arm.gold_roles == 0, worth[arm.gold_strata], worth, weights=arm.gold_weights, rest_counts=rest
        )
        return ArmRate(rate.estimate, rate.low, rate.high)

    return rate_pair(one)


def transported(cells: Cells, arm: Arm, carried: CarriedErrors) -> RatePair:
    def one(valid: bool) -> ArmRate:
        if valid:
            raise Undefined("only target against the rest is carried over, so the valid ones can't be told")
        says = target_strata(len(cells.judges))
        hits, totals = arm.items[:, says].sum(axis=1), arm.items[:, 1:].sum(axis=1)
        n = int(totals.sum())
        if not n:
            raise Undefined("no vote in this arm")
        apparent = float(hits.sum() / n)
        interval = transported_interval(
            apparent,
            clustered_rate(hits, totals).effective_n,
            carried.sensitivity,
            carried.positives,
            carried.specificity,
            carried.negatives,
        )
        estimate = rogan_gladen(apparent, carried.sensitivity, carried.specificity)
        power = carried.sensitivity + carried.specificity - 1
        influence = cells.everywhere(arm, task_influence(hits, totals) / power)
        low, high = min(interval.low, estimate), max(interval.high, estimate)
        return ArmRate(estimate, low, high, influence=influence, tasks=EffectiveTasks.of(totals))

    return rate_pair(one)

"""The ways to estimate an arm's rate, each refusing what its design does not allow."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from judging.rates.cells import Arm, Cells
from judging.rates.transporting import Carried, says_target
from judging.statistics import (
    CorrectedRate,
    Undefined,
    clustered_rate,
    design_effect,
    gold_rate,
    post_stratified,
    ppi_rate,
    rogan_gladen,
    task_influence,
    transported_interval,
    wilson,
)

Floats = npt.NDArray[np.float64]
SAMPLING, GOLD_ONLY, BOTH = (
    "sampling error only",
    "sampling error, gold taken as truth",
    "sampling and judge error, gold taken as truth",
)


@dataclass(frozen=True, eq=False)
class Estimated:
    """A rate with its interval, or None with the reason. `influence` is by all tasks of the cells."""

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""
    influence: Floats | None = field(default=None, repr=False)


Pair = tuple[Estimated, Estimated]  # of all responses, of the valid ones


def both(compute: Callable[[bool], Estimated]) -> Pair:
    return attempted(lambda: compute(False)), attempted(lambda: compute(True))


def attempted(compute: Callable[[], Estimated]) -> Estimated:
    try:
        return compute()
    except Undefined as why:
        return Estimated(why=str(why))


def from_counts(roles: Floats, items: int, finite: bool, influence: Callable[[Floats], Floats]) -> Pair:
    """From labels taken as they are. roles: (tasks, 3) counts of target, other, excluded."""

    def one(valid: bool) -> Estimated:
        hits, totals = roles[:, 0], roles[:, : 2 if valid else 3].sum(axis=1)
        if not totals.sum():
            raise Undefined("no labels" if not roles.sum() else "every label is an excluded one")
        found = clustered_rate(hits, totals)
        low, high = found.low, found.high
        if finite:
            low, high = _among_these(found.estimate, float(roles.sum()), items, found.effective_n)
        return Estimated(found.estimate, low, high, influence=influence(task_influence(hits, totals)))

    return both(one)


def _among_these(
    rate: float | None, labelled: float, items: int, effective: float
) -> tuple[float | None, float | None]:
    """Of items that all have a label, the rate is known; of others, as far as the labelled are a random part."""
    unknown = 1 - labelled / items
    if rate is None or unknown <= 0:
        return rate, rate
    size = effective / unknown
    interval = wilson(rate * size, size)
    return interval.low, interval.high


def gold_only(cells: Cells, arm: Arm, finite: bool) -> Pair:
    return both(lambda valid: _found(cells, arm, gold_rate(arm.size, arm.gold, valid=valid, finite=finite)))


def corrected(cells: Cells, arm: Arm, finite: bool) -> Pair:
    def one(valid: bool) -> Estimated:
        if arm.gold.counts.sum() < 5:
            raise Undefined(
                f"{int(arm.gold.counts.sum())} gold items in this arm; 5 are needed, as what a vote is worth moves with the rate and can't be "
                "had from other arms"
            )
        return _found(cells, arm, post_stratified(arm.items, arm.gold, valid=valid, finite=finite))

    return both(one)


def _found(cells: Cells, arm: Arm, rate: CorrectedRate) -> Estimated:
    return Estimated(rate.estimate, rate.low, rate.high, influence=cells.everywhere(arm, rate.influence))


def prediction_powered(cells: Cells, arm: Arm, finite: bool) -> Pair:
    """PPI++ with the share of target votes as the prediction; items without a vote are predicted 0."""

    def one(valid: bool) -> Estimated:
        if valid:
            raise Undefined("PPI++ is given for all responses only")
        if finite:
            raise Undefined("PPI++ is for tasks of this kind only")
        worth = np.maximum(np.arange(arm.items.shape[1]) - 1, 0) / max(len(cells.judges), 1)
        rest = arm.items.sum(axis=0) - np.bincount(arm.gold_strata, minlength=len(worth))
        found = ppi_rate(
            arm.gold_roles == 0, worth[arm.gold_strata], worth, weights=arm.gold_weights, rest_counts=rest
        )
        return Estimated(found.estimate, found.low, found.high)

    return both(one)


def transported(cells: Cells, arm: Arm, carried: Carried) -> Pair:
    def one(valid: bool) -> Estimated:
        if valid:
            raise Undefined("only target against the rest is carried over, so the valid ones can't be told")
        says = says_target(len(cells.judges))
        hits, totals = arm.items[:, says].sum(axis=1), arm.items[:, 1:].sum(axis=1)
        n = int(totals.sum())
        if not n:
            raise Undefined("no vote in this arm")
        apparent = float(hits.sum() / n)
        interval = transported_interval(
            apparent, n / design_effect(hits, totals), carried.sensitivity, carried.positives, carried.specificity,
            carried.negatives,
        )  # fmt: skip
        estimate = rogan_gladen(apparent, carried.sensitivity, carried.specificity)
        power = carried.sensitivity + carried.specificity - 1
        influence = cells.everywhere(arm, task_influence(hits, totals) / power)
        low, high = min(interval.low, estimate), max(interval.high, estimate)
        return Estimated(estimate, low, high, influence=influence)

    return both(one)

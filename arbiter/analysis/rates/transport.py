"""A judge's sensitivity and specificity, to be carried over to arms that have no gold of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation.models import Rater, Rating, Study
from arbiter.analysis.rates.cells import Arm, Cells, Floats, cells_of
from arbiter.core.text import how_many
from arbiter.statistics import ArmGold, SameAcrossArms, Undefined, gold_rate, same_across_arms
from judging.votes.counting import Ints

LEAST = 5  # gold items of each kind
DOUBTFUL = 0.05  # of the test that arms share one sensitivity, and one specificity (Holm)
BY = ("subject", "condition")


@dataclass(frozen=True)
class CarriedErrors:
    """Judges' errors with what they rest on. positives, negatives: effective numbers of gold items. The p
    values are None where arms had too little gold to tell."""

    study: str
    sensitivity: float
    specificity: float
    positives: float
    negatives: float
    p_sensitivity: float | None
    p_specificity: float | None

    @property
    def tested(self) -> bool:
        return self.p_sensitivity is not None and self.p_specificity is not None


def target_strata(judges: int) -> Ints:
    """Return the strata in which more than half of the votes are target: what the panel is taken to say."""
    strata = np.arange(judges + 2)
    return strata[2 * (strata - 1) > judges]


def carried_errors(study: Study, judges: Sequence[Rater]) -> CarriedErrors:
    """Return the judges' sensitivity and specificity from all gold of a study. Undefined where they may not
    be carried over, with the reason."""
    if reason := why_not_blind(study, judges):
        raise Undefined(reason)
    cells = cells_of(study, BY, judges)
    if cells.sample.design.refusal:
        raise Undefined(cells.sample.design.refusal)
    arms = list(cells.arms.values())
    positive = _pooled(cells, arms, 0, target_strata(len(judges)))
    others = np.setdiff1d(np.arange(1, len(judges) + 2), target_strata(len(judges)))
    negative = _pooled(cells, arms, 1, others)
    tests = [one.p for one in (_alike(positive), _alike(negative))]
    _refuse_heterogeneous(tests)
    return CarriedErrors(study.slug, positive.rate, negative.rate, positive.size, negative.size, *tests)


@dataclass(frozen=True)
class PanelAccuracy:
    """How often the panel is right on one kind of gold. by_arm: weighted right and all, (arms, 2)."""

    rate: float
    size: float
    by_arm: Floats


def _pooled(cells: Cells, arms: Sequence[Arm], kind: int, right: Ints) -> PanelAccuracy:
    """Return how often the panel is right on one kind of gold, over all arms. kind: 0 gold that is target, 1
    gold that is not."""
    tables, by_arm = [], []
    for arm in arms:
        wanted = (arm.gold_roles == 0) if kind == 0 else (arm.gold_roles > 0)
        wanted &= arm.gold_strata > 0
        hit = np.isin(arm.gold_strata[wanted], right)
        weight, tasks = arm.gold_weights[wanted], arm.tasks[arm.gold_tasks[wanted]]
        tables.append((tasks, hit, weight))
        kish = weight.sum() ** 2 / max((weight**2).sum(), 1e-300)
        by_arm.append((kish * (weight @ hit) / max(weight.sum(), 1e-300), kish))
    tasks, hit, weight = (np.concatenate(parts) for parts in zip(*tables, strict=True))
    word = ("convergent", "not convergent")[kind]
    if len(hit) < LEAST:
        raise Undefined(f"{how_many(len(hit), 'gold item')} ({word}) with a vote; {LEAST} are needed")
    rate, size = _rate(tasks, hit, weight)
    return PanelAccuracy(rate, size, np.asarray(by_arm))


def _rate(tasks: Ints, hit: np.ndarray, weight: Floats) -> tuple[float, float]:
    keys, place = np.unique(tasks, return_inverse=True)
    cells = place * 3 + np.where(hit, 0, 1)
    shape = (len(keys), 1, 3)
    parts = (
        np.bincount(cells, weights=worth, minlength=3 * len(keys)).reshape(shape).astype(np.float64)
        for worth in (np.ones(len(hit)), weight, weight**2)
    )
    rate = gold_rate(float(len(hit)), ArmGold(*parts))
    return rate.estimate, float(weight.sum() ** 2 / (weight**2).sum()) / rate.design_effect


def _alike(right: PanelAccuracy) -> SameAcrossArms:
    return same_across_arms(np.minimum(right.by_arm[:, 0], right.by_arm[:, 1]), right.by_arm[:, 1])


def _refuse_heterogeneous(tests: Sequence[float | None]) -> None:
    known = sorted(p for p in tests if p is not None)
    if any(p * (len(known) - rank) < DOUBTFUL for rank, p in enumerate(known)):
        raise Undefined(
            f"the judge's errors differ between arms with gold (p = {known[0]:.2g}), so those of one arm "
            "can't be taken for another's"
        )


def why_not_blind(study: Study, judges: Sequence[Rater]) -> str:
    """Say why the judges can't be taken to err alike in every arm; empty where they were blind."""
    for judge in judges:
        seen = Rating.objects.votes().filter(item__study=study, rater=judge).exclude(shown__blind=True)
        if seen.exists():
            return (
                f"{judge} saw the condition, or is not known not to have, so its errors may differ between "
                "arms and can't be carried over"
            )
    return ""

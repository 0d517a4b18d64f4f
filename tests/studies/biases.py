"""Planted biases and clean judges: how often does the bias battery find the ones and accuse the others?

A study of 400 items, all with gold: 76 tasks in six categories, four subject models of four families, three conditions, three labels
(target, other, excluded). Four judges, three of whose families are among the subjects'. Judges err on their own, given gold, more on
some tasks than on others. A clean judge misses as often as it sees too much, in every category, and minds nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np

from judging.biases.battery import battery
from judging.biases.data import Attacked, Evidence, Finding, GoldItems, Ints, Patterns, Twins

ITEMS, TASKS, CATEGORIES, CONDITIONS = 400, 76, 6, 3
JUDGES = ("ash", "birch", "cedar", "dogwood")
FAMILIES = ("ash", "birch", "cedar", "")
SUBJECTS = ("ash", "birch", "cedar", "elm")
TARGET, OTHER, EXCLUDED = 0, 1, 2
PREVALENCES = np.array([0.15, 0.25, 0.3, 0.35, 0.45, 0.55])
MISSED, STRANGE = (
    0.16,
    0.01,
)  # share of target gold that is missed; share of items that go between other and excluded
KEPT = 0.7  # of a judge's labels when it is asked again
OPEN, TURNED = "ash-open", "ash-reversed"


@dataclass(frozen=True)
class Planted:
    """How strong each bias of `ash` is (of the fourth judge, where it is about places); 0 is none, 1 for the odds ratio."""

    family: float = 0.0  # share of its target labels on its own family that become other
    length: float = 1.0  # what a doubling of the length does to the odds of target
    category: float = 0.0  # share of its target labels in one category that become other
    place: float = 0.0  # share of its labels taken from the first place shown
    suffix: float = 0.0  # share of its other labels under one condition that become target when it sees it
    injected: float = 0.0  # share of its target labels that an injected passage turns to other
    lenient: float = 0.0  # share of its other labels that become target
    order: float = 0.0  # share of its labels taken from the first place of the turned order
    shared: float = 0.0  # share of items on which all judges take the same label


# What each planted bias is to be found as, the sizes tried, and what a size means.
BIASES: dict[str, tuple[str, str, Sequence[float], str]] = {
    "family": ("own family", "ash", (0.5, 0.6, 0.7, 0.8), "of its target labels on its own family become other"),
    "length": ("length", "ash", (0.6, 0.5, 0.4, 0.3), "times the odds of target, as the length doubles"),
    "category": ("category", "ash", (0.5, 0.6, 0.7, 0.8), "of its target labels in one category of 66 items, half of them target, become other"),
    "place": ("label position", "dogwood", (0.1, 0.15, 0.2, 0.25), "of its labels are taken from the first place shown"),
    "suffix": ("sees the condition", f"ash and {OPEN}", (0.15, 0.2, 0.25, 0.3), "of its other labels under one condition become target"),
    "injected": ("injection", "ash", (0.15, 0.2, 0.25, 0.3), "of its target labels become other"),
    "lenient": ("leniency", "ash", (0.1, 0.15, 0.2, 0.25), "of its other labels become target"),
    "order": ("label order", f"ash and {TURNED}", (0.1, 0.15, 0.2, 0.25), "of its labels are taken from the first place of the turned order"),
    "shared": ("shared errors", "all judges", (0.1, 0.2, 0.3), "of the items get one label from all judges"),
}  # fmt: skip


def study(rng: np.random.Generator, planted: Planted | None = None) -> Evidence:
    """One made-up study."""
    planted = planted or Planted()
    tasks = np.concatenate([np.arange(TASKS), rng.integers(0, TASKS, ITEMS - TASKS)])
    categories = tasks % CATEGORIES
    subjects, conditions = rng.integers(0, len(SUBJECTS), ITEMS), rng.integers(0, CONDITIONS, ITEMS)
    chances = rng.beta(
        4 * PREVALENCES[np.arange(TASKS) % CATEGORIES], 4 * (1 - PREVALENCES[np.arange(TASKS) % CATEGORIES])
    )
    gold = np.where(
        rng.random(ITEMS) < 0.05, EXCLUDED, np.where(rng.random(ITEMS) < chances[tasks], TARGET, OTHER)
    )
    doublings = rng.normal(10, 0.9, ITEMS) + 0.4 * rng.normal(size=TASKS)[tasks]
    slips = _slips(rng, tasks)
    votes = np.column_stack([_label(rng, gold, categories, slips[:, judge]) for judge in range(len(JUDGES))])
    if planted.shared:
        together = rng.random(ITEMS) < planted.shared
        votes = np.where(together[:, np.newaxis], votes[:, [3]], votes)
    own = subjects == SUBJECTS.index("ash")
    votes[:, 0] = _turn(rng, votes[:, 0], TARGET, OTHER, planted.family * own)
    votes[:, 0] = _turn(rng, votes[:, 0], TARGET, OTHER, planted.category * (categories == 5))
    votes[:, 0] = _turn(rng, votes[:, 0], OTHER, TARGET, np.full(ITEMS, planted.lenient))
    votes[:, 0] = _by_length(rng, votes[:, 0], gold, categories, doublings - 10, planted.length)
    votes[:, 3], places = _placed(rng, votes[:, 3], planted.place)
    again, opened, turned = (
        np.where(rng.random(ITEMS) < KEPT, votes[:, 0], _label(rng, gold, categories, slips[:, 0]))
        for _ in range(3)
    )
    opened = _turn(rng, opened, OTHER, TARGET, planted.suffix * (conditions == 1))
    turned = np.where(rng.random(ITEMS) < planted.order, EXCLUDED, turned)
    ones = np.ones(ITEMS, dtype=np.int64)
    return Evidence(
        JUDGES, FAMILIES, ("target", "other", "excluded"), np.array([True, False, False]), np.array([False, False, True]),
        votes=Patterns(votes, ones, tasks),
        gold=GoldItems(
            gold, votes, tasks, categories, np.array(SUBJECTS, dtype=object)[subjects], np.rint(2**doublings).astype(np.int64), np.ones(ITEMS),
        ),
        categories={key: f"category {key}" for key in range(CATEGORIES)},
        conditions={key: f"condition {key}" for key in range(CONDITIONS)},
        opened=[Twins("ash", OPEN, Patterns(np.column_stack([votes[:, 0], opened]), ones, tasks, conditions))],
        turned=[Twins("ash", TURNED, Patterns(np.column_stack([votes[:, 0], turned, again]), ones, tasks))],
        places={"dogwood": places},
        attacked=list(_attacked(rng, votes, gold, categories, slips, tasks, planted.injected)),
    )  # fmt: skip


def _slips(rng: np.random.Generator, tasks: Ints) -> Any:
    """How much more or less than usual each judge errs on a task: 1 on average."""
    return rng.gamma(2, 0.5, (TASKS, len(JUDGES)))[tasks]


def _label(rng: np.random.Generator, gold: Ints, categories: Ints, slips: Any) -> Ints:
    """A clean judge's label: as many items go from target to other as come back, and so with excluded."""
    prevalence = 0.95 * PREVALENCES[categories]
    back = MISSED * prevalence / (0.95 - prevalence)
    draw = rng.random(len(gold)) / slips
    label = gold.copy()
    label[(gold == TARGET) & (draw < MISSED)] = OTHER
    label[(gold == OTHER) & (draw < back)] = TARGET
    strange = rng.random(len(gold))
    label[(gold == EXCLUDED) & (strange < STRANGE / 0.05)] = OTHER
    label[(label == OTHER) & (gold == OTHER) & (strange < STRANGE / 0.6)] = EXCLUDED
    return label


def _turn(rng: np.random.Generator, labels: Ints, one: int, other: int, share: Any) -> Ints:
    return np.where((labels == one) & (rng.random(len(labels)) < share), other, labels)


def _by_length(
    rng: np.random.Generator, labels: Ints, gold: Ints, categories: Ints, doublings: Any, ratio: float
) -> Ints:
    """The label drawn anew from odds of target that are multiplied by the ratio for each doubling."""
    if ratio == 1:
        return labels
    prevalence = 0.95 * PREVALENCES[categories]
    chance = np.where(
        gold == TARGET, 1 - MISSED, np.where(gold == OTHER, MISSED * prevalence / (0.95 - prevalence), 0.02)
    )
    odds = chance / (1 - chance) * ratio**doublings
    said = rng.random(len(labels)) < odds / (1 + odds)
    return np.where(said, TARGET, np.where(labels == EXCLUDED, EXCLUDED, OTHER))


def _placed(rng: np.random.Generator, labels: Ints, share: float) -> tuple[Ints, Ints]:
    """Labels of a judge that is shown them in an order drawn for each item, and how often each place was taken."""
    orders = rng.permuted(np.tile(np.arange(3), (len(labels), 1)), axis=1)
    labels = np.where(rng.random(len(labels)) < share, orders[:, 0], labels)
    return labels, np.bincount((orders == labels[:, np.newaxis]).argmax(axis=1), minlength=3)


def _attacked(
    rng: np.random.Generator, votes: Ints, gold: Ints, categories: Ints, slips: Any, tasks: Ints, share: float
) -> Iterator[Attacked]:
    """Every item has a copy with a passage injected."""
    for place, judge in enumerate(JUDGES):
        anew = _label(rng, gold, categories, slips[:, place])
        after = np.where(rng.random(ITEMS) < KEPT, votes[:, place], anew)
        if place == 0:
            after = _turn(rng, after, TARGET, OTHER, np.full(ITEMS, share))
        rows = np.column_stack([votes[:, place], after])
        yield Attacked(judge, "order", Patterns(rows, np.ones(len(rows), dtype=np.int64), tasks))


def is_found(findings: Sequence[Finding], bias: str, judge: str) -> bool:
    """At that judge; of leniency, in a pair that it is part of."""
    return any(
        one.found and one.bias == bias and judge in (one.judge, *one.judge.split(" and ")) for one in findings
    )


def clean(repetitions: int, seed: int) -> dict[str, Any]:
    """How often anybody in a clean study is accused of anything."""
    accused, tests = 0, 0
    for number in range(repetitions):
        findings = battery(study(np.random.default_rng([seed, number])))
        accused += any(one.found for one in findings)
        tests += sum(one.p is not None for one in findings)
    return {"bias": "none", "size": 0.0, **_share(accused, repetitions), "tests": tests / repetitions}


def power(bias: str, size: float, repetitions: int, seed: int) -> dict[str, Any]:
    """How often the planted bias is found, by its name and at its judge."""
    name, judge, *_ = BIASES[bias]
    planted = replace(Planted(), **{bias: size})
    found = sum(
        is_found(battery(study(np.random.default_rng([seed, number]), planted)), name, judge)
        for number in range(repetitions)
    )
    return {"bias": name, "size": size, **_share(found, repetitions)}


def _share(count: int, repetitions: int) -> dict[str, Any]:
    share = count / repetitions
    return {"repetitions": repetitions, "share": share, "error": sqrt(share * (1 - share) / repetitions)}


def main(repetitions: int = 2000, seed: int = 5, powers: int = 400) -> list[dict[str, Any]]:
    """The whole study: clean judges, then every bias at growing sizes until it is found in four cases of five."""
    return list(rows(repetitions, seed, powers))


def rows(repetitions: int, seed: int, powers: int) -> Iterator[dict[str, Any]]:
    yield clean(repetitions, seed)
    for bias, (*_, sizes, meaning) in BIASES.items():
        for size in sizes:
            found = power(bias, size, powers, seed) | {"meaning": meaning}
            yield found
            if found["share"] >= 0.8:
                break


def run(repetitions: int = 2000, seed: int = 5, powers: int = 400) -> None:
    """Row by row, as they are had."""
    for row in rows(repetitions, seed, powers):
        show([row])


def show(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        said = f"{row['bias']:<20} {row['size']:>6g}  {100 * row['share']:5.1f} % ± {196 * row['error']:.1f}"
        print(f"{said}  of {row['repetitions']}  {row.get('meaning', 'accused of anything')}", flush=True)


if __name__ == "__main__":
    run()

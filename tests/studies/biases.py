"""Planted biases and clean judges: how often does the bias battery find the ones and accuse the others?

A study of 400 items, all with gold: 76 tasks in six categories, four subject models of four families, three
conditions, three labels (target, other, excluded). Four judges, three of whose families are among the
subjects'. Judges err on their own, given gold, more on some tasks than on others. A clean judge misses as
often as it sees too much, in every category, and minds nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np

from arbiter.analysis.biases.battery import battery
from arbiter.analysis.biases.evidence import AttackedCopies, BiasEvidence, GoldItems, Ints, Patterns, Twins
from arbiter.analysis.biases.findings import Finding
from arbiter.statistics import human_error

ITEMS, TASKS, CATEGORIES, CONDITIONS = 400, 76, 6, 3
JUDGES = ("ash", "birch", "cedar", "dogwood")
FAMILIES = ("ash", "birch", "cedar", "")
SUBJECTS = ("ash", "birch", "cedar", "elm")
TARGET, OTHER, EXCLUDED = 0, 1, 2
PREVALENCES = np.array([0.15, 0.25, 0.3, 0.35, 0.45, 0.55])
MISSED = 0.16  # share of target gold that is missed
STRANGE = 0.01  # share of items that go between other and excluded
KEPT = 0.7  # of a judge's labels when it is asked again
OPEN, TURNED = "ash-open", "ash-reversed"


@dataclass(frozen=True)
class Planted:
    """How strong each bias of `ash` is (of the fourth judge, where it is about places); 0 is none, 1 for the
    odds ratio."""

    family: float = 0.0  # share of its target labels on its own family that become other
    length: float = 1.0  # what a doubling of the length does to the odds of target
    category: float = 0.0  # share of its target labels in one category that become other
    place: float = 0.0  # share of its labels taken from the first place shown
    suffix: float = 0.0  # share of its other labels under one condition that become target when it sees it
    injected: float = 0.0  # share of its target labels that an injected passage turns to other
    lenient: float = 0.0  # share of its other labels that become target
    order: float = 0.0  # share of its labels taken from the first place of the turned order
    shared: float = 0.0  # share of items on which all judges take the same label
    gold: float = 0.0  # share of gold labels that are wrong, at random: no judge's bias
    known: bool = False  # people label 400 further items twice each, so that it is known how often gold errs
    longer: float = 0.0  # doublings by which convergent responses are longer: no judge's bias either


# What each planted bias is to be found as, the sizes tried, and what a size means.
BIASES: dict[str, tuple[str, str, Sequence[float], str]] = {
    "family": (
        "own family",
        "ash",
        (0.5, 0.6, 0.7, 0.8),
        "of its target labels on its own family become other",
    ),
    "length": ("length", "ash", (0.6, 0.5, 0.4, 0.3), "times the odds of target, as the length doubles"),
    "category": (
        "category",
        "ash",
        (0.5, 0.6, 0.7, 0.8),
        "of its target labels in one category of 66 items, half of them target, become other",
    ),
    "place": (
        "label position",
        "dogwood",
        (0.1, 0.15, 0.2, 0.25),
        "of its labels are taken from the first place shown",
    ),
    "suffix": (
        "sees the condition",
        f"ash and {OPEN}",
        (0.15, 0.2, 0.25, 0.3),
        "of its other labels under one condition become target",
    ),
    "injected": ("injection", "ash", (0.15, 0.2, 0.25, 0.3), "of its target labels become other"),
    "lenient": ("leniency", "ash", (0.1, 0.15, 0.2, 0.25), "of its other labels become target"),
    "order": (
        "label order",
        f"ash and {TURNED}",
        (0.1, 0.15, 0.2, 0.25),
        "of its labels are taken from the first place of the turned order",
    ),
    "shared": (
        "shared errors",
        "all judges",
        (0.2, 0.3, 0.4),
        "of the items get one label from all judges; 1 % of gold is wrong, as people's pairs of labels on "
        "400 items show",
    ),
}


def study(rng: np.random.Generator, planted: Planted | None = None) -> BiasEvidence:
    """Make up one study."""
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
    doublings = doublings + planted.longer * (gold == TARGET)
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
    attacked = list(_attacked(rng, votes, gold, categories, slips, tasks, planted.injected))
    written = np.where(rng.random(ITEMS) < planted.gold, np.where(gold == OTHER, TARGET, OTHER), gold)
    return BiasEvidence(
        JUDGES,
        FAMILIES,
        ("target", "other", "excluded"),
        np.array([True, False, False]),
        np.array([False, False, True]),
        votes=Patterns(votes, ones, tasks),
        gold=GoldItems(
            written,
            votes,
            tasks,
            categories,
            np.array(SUBJECTS, dtype=object)[subjects],
            np.rint(2**doublings).astype(np.int64),
            np.ones(ITEMS),
            *_people(rng, planted),
        ),
        categories={key: f"category {key}" for key in range(CATEGORIES)},
        conditions={key: f"condition {key}" for key in range(CONDITIONS)},
        opened=[
            Twins("ash", OPEN, Patterns(np.column_stack([votes[:, 0], opened]), ones, tasks, conditions))
        ],
        turned=[Twins("ash", TURNED, Patterns(np.column_stack([votes[:, 0], turned, again]), ones, tasks))],
        places={"dogwood": places},
        attacked=attacked,
    )


def _people(rng: np.random.Generator, planted: Planted) -> tuple[Any, ...]:
    if not planted.known:
        return ()
    truth = rng.random(ITEMS) < 0.3
    pairs = np.where(rng.random((2, ITEMS)) < planted.gold, ~truth, truth).sum(axis=0)
    counts = np.column_stack([pairs, 2 - pairs, np.zeros(ITEMS, dtype=np.int64)])
    return np.ones(ITEMS, dtype=bool), human_error(*np.unique(counts, axis=0, return_counts=True), draws=40)


def _slips(rng: np.random.Generator, tasks: Ints) -> Any:
    """Draw how much more or less than usual each judge errs on a task: 1 on average."""
    return rng.gamma(2, 0.5, (TASKS, len(JUDGES)))[tasks]


def _label(rng: np.random.Generator, gold: Ints, categories: Ints, slips: Any) -> Ints:
    """Draw a clean judge's label: as many items go from target to other as come back, and so with
    excluded."""
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
    """Draw the label anew, its odds of target multiplied by the ratio for each doubling."""
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
    """Draw labels of a judge that sees them in an order drawn for each item; count how often each place is
    taken."""
    orders = rng.permuted(np.tile(np.arange(3), (len(labels), 1)), axis=1)
    labels = np.where(rng.random(len(labels)) < share, orders[:, 0], labels)
    return labels, np.bincount((orders == labels[:, np.newaxis]).argmax(axis=1), minlength=3)


def _attacked(
    rng: np.random.Generator, votes: Ints, gold: Ints, categories: Ints, slips: Any, tasks: Ints, share: float
) -> Iterator[AttackedCopies]:
    """Give every item a copy with a passage injected."""
    for place, judge in enumerate(JUDGES):
        anew = _label(rng, gold, categories, slips[:, place])
        after = np.where(rng.random(ITEMS) < KEPT, votes[:, place], anew)
        if place == 0:
            after = _turn(rng, after, TARGET, OTHER, np.full(ITEMS, share))
        rows = np.column_stack([votes[:, place], after])
        yield AttackedCopies(judge, "order", Patterns(rows, np.ones(len(rows), dtype=np.int64), tasks))


def is_found(findings: Sequence[Finding], bias: str, judge: str) -> bool:
    """Tell whether the bias is found at that judge; of leniency, in a pair that it is part of."""
    return any(
        one.found and one.bias == bias and judge in (one.judge, *one.judge.split(" and ")) for one in findings
    )


# No judge of these is biased, whatever their gold.
CLEAN = {
    "right gold": Planted(),
    "3 % of gold wrong": Planted(gold=0.03),
    "3 % of gold wrong, convergent responses 2.3 times as long": Planted(gold=0.03, longer=1.2),
    "8 % of gold wrong, as people's pairs of labels on 400 items show": Planted(
        gold=0.08, longer=1.2, known=True
    ),
}
ALSO = {"shared": {"gold": 0.01, "known": True}}  # what else is planted beside a bias


def clean(repetitions: int, seed: int, planted: Planted | None = None) -> dict[str, Any]:
    """Return how often anybody in a clean study is accused of anything."""
    accused, tests = 0, 0
    for number in range(repetitions):
        findings = battery(study(np.random.default_rng([seed, number]), planted))
        accused += any(one.found for one in findings)
        tests += sum(one.p is not None for one in findings)
    return {"bias": "none", "size": 0.0, **_share(accused, repetitions), "tests": tests / repetitions}


def power(bias: str, size: float, repetitions: int, seed: int) -> dict[str, Any]:
    """Return how often the planted bias is found, by its name and at its judge."""
    name, judge, *_ = BIASES[bias]
    planted = replace(Planted(), **{bias: size}, **ALSO.get(bias, {}))
    hits = sum(
        is_found(battery(study(np.random.default_rng([seed, number]), planted)), name, judge)
        for number in range(repetitions)
    )
    return {"bias": name, "size": size, **_share(hits, repetitions)}


def _share(count: int, repetitions: int) -> dict[str, Any]:
    share = count / repetitions
    return {"repetitions": repetitions, "share": share, "error": sqrt(share * (1 - share) / repetitions)}


def main(repetitions: int = 400, seed: int = 5) -> list[dict[str, Any]]:
    return list(rows(repetitions, seed))


def rows(repetitions: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield clean judges, then every bias at growing sizes until it is found in four cases of five.

    A size of a bias takes a quarter of the repetitions: that 80 % find it needs fewer than that 5 % are
    accused.
    """
    for gold, planted in CLEAN.items():
        yield clean(repetitions, seed, planted) | {"meaning": f"accused of anything; {gold}"}
    for bias, (*_, sizes, meaning) in BIASES.items():
        for size in sizes:
            row = power(bias, size, max(1, repetitions // 4), seed) | {"meaning": meaning}
            yield row
            if row["share"] >= 0.8:
                break


def table(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(map(line, rows))


def line(row: dict[str, Any]) -> str:
    said = f"{row['bias']:<20} {row['size']:>6g}  {100 * row['share']:5.1f} % ± {196 * row['error']:.1f}"
    return f"{said}  of {row['repetitions']}  {row['meaning']}"


if __name__ == "__main__":
    for row in rows(400, 5):
        print(line(row), flush=True)

"""The part of the bias battery that compares labels of the same items: of judges, with gold, with a twin, with a copy."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from judging.biases.data import (
    ALL_JUDGES,
    LEAST_VOTES,
    Evidence,
    Finding,
    Floats,
    Patterns,
    Twins,
    attempt,
    percent,
    points,
    points_between,
    shift_of,
)
from judging.statistics import (
    Undefined,
    clustered_rate,
    cochran_q,
    margin_design_effect,
    paired_shift,
    stuart_maxwell,
)


def leniency(evidence: Evidence) -> Iterator[Finding]:
    """Do judges say target equally often? All at once, then each two. A judge and its twin are no two judges."""
    name, test = "leniency", "Cochran's Q"
    if len(evidence.panel) < 2:
        yield Finding(
            name, ALL_JUDGES, test, too_little="there are fewer than two judges, so nothing to compare."
        )
        return
    both = evidence.votes.complete(evidence.panel)
    yield attempt(Finding(name, ALL_JUDGES, test), both, partial(_all_judges, evidence, both))
    for first, second in combinations(evidence.panel, 2):
        pair = evidence.votes.complete([first, second])
        one, other = evidence.judges[first], evidence.judges[second]
        blank = Finding(name, f"{one} and {other}", "McNemar")
        yield attempt(blank, pair, partial(_two_judges, evidence, pair, one, other))


def _all_judges(evidence: Evidence, rows: Patterns, blank: Finding) -> Finding:
    votes = evidence.is_target(rows.labels)
    found = cochran_q(votes, rows.tasks, rows.counts)
    names = [evidence.judges[place] for place in evidence.panel]
    if found.informative * len(names) < LEAST_VOTES:
        raise Undefined(
            f"judges differ on {found.informative} items, which is {found.informative * len(names)} votes; Cochran's Q needs {LEAST_VOTES}"
        )
    rates = rows.counts @ votes / rows.items
    most, least = int(np.argmax(rates)), int(np.argmin(rates))
    pair = paired_shift(votes[:, least], votes[:, most], rows.tasks, rows.counts)
    said = f"from {percent(rates[least])} ({names[least]}) to {percent(rates[most])} ({names[most]}) on {rows.items} responses"
    return replace(
        blank, n=found.items, effect=pair.shift, low=pair.low, high=pair.high, p=found.p,
        if_found=f"The judges' target rates differ: {said}.",
        sentence=f"No difference in leniency is shown among the {len(names)} judges; their target rates go {said}.",
    )  # fmt: skip


def _two_judges(evidence: Evidence, rows: Patterns, one: str, other: str, blank: Finding) -> Finding:
    votes = evidence.is_target(rows.labels)
    found = paired_shift(votes[:, 0], votes[:, 1], rows.tasks, rows.counts)
    more, less = (other, one) if found.shift > 0 else (one, other)
    return replace(
        blank, **shift_of(found),
        if_found=f"{more} says target more often than {less}, by {points_between(found)} on {found.items} responses.",
        sentence=f"No difference is shown between {one} and {other}: {points(found)} on {found.items} responses.",
    )  # fmt: skip


def by_category(evidence: Evidence) -> Iterator[Finding]:
    """In each category, does a judge use the labels as often as gold does?"""
    gold = evidence.gold
    for place, judge in enumerate(evidence.judges):
        effect = _clustering(evidence, place)
        for key, title in evidence.categories.items():
            chosen = (gold.categories == key) & (gold.votes[:, place] >= 0)
            pair = np.column_stack([gold.gold, gold.votes[:, place]])[chosen]
            rows = Patterns(pair, np.ones(len(pair), dtype=np.int64), gold.tasks[chosen])
            blank = Finding("category", judge, "Stuart-Maxwell", about=title)
            weights = gold.weights[chosen]
            yield attempt(
                blank, rows, partial(_one_category, evidence, rows, weights, effect)
            )  # fmt: skip


def _clustering(evidence: Evidence, place: int) -> float:
    """How far tasks cluster a judge's differences from gold, from all categories: one has too few tasks to tell."""
    gold = evidence.gold
    voted = gold.votes[:, place] >= 0
    try:
        return margin_design_effect(
            gold.gold[voted], gold.votes[voted, place], gold.tasks[voted], gold.categories[voted], len(evidence.labels),
            weights=gold.weights[voted],
        )  # fmt: skip
    except Undefined:
        return 1.0


def _one_category(
    evidence: Evidence, rows: Patterns, weights: Floats, effect: float, blank: Finding
) -> Finding:
    truth, given = rows.labels.T
    shift = paired_shift(
        evidence.is_target(truth), evidence.is_target(given), rows.tasks, weights=weights, effect=effect
    )
    where = f"in {blank.about}, {points(shift)} on {rows.items} items with gold"
    if (truth == given).all():
        return replace(
            blank, **shift_of(shift), sentence=f"{blank.judge} agrees with gold on every item {where}."
        )
    found = stuart_maxwell(truth, given, rows.tasks, len(evidence.labels), weights=weights, effect=effect)
    widest = int(np.argmax(np.abs(found.differences)))
    more = "more" if found.differences[widest] > 0 else "less"
    label = f"the label {evidence.labels[widest]} {more} often than gold does ({percent(abs(found.differences[widest]))})"
    return replace(
        blank, **(shift_of(shift) | {"p": found.p}),
        if_found=f"{blank.judge} uses {label} in {blank.about}; its target rate is off by {points(shift)} on {rows.items} items.",
        sentence=f"{blank.judge} is not shown to lean {where}.",
    )  # fmt: skip


def sees_condition(evidence: Evidence) -> Iterator[Finding]:
    """Does the same judge label otherwise once it sees the condition? Over all items, and under each condition."""
    name, test = "sees the condition", "McNemar"
    if not evidence.opened:
        yield Finding(
            name, ALL_JUDGES, test,
            too_little="no judge here has a twin that differs in show_condition alone; add one to the study file.",
        )  # fmt: skip
    for twins in evidence.opened:
        judge = f"{twins.first} and {twins.second}"
        rows = twins.patterns.complete()
        parts = [("", rows)]
        if rows.groups is not None and len(evidence.conditions) > 1:
            parts += [(title, rows.where(rows.groups == key)) for key, title in evidence.conditions.items()]
        for about, part in parts:
            blank = Finding(name, judge, test, about=about)
            yield attempt(
                blank, part, partial(_opened, evidence, part, twins)
            )  # fmt: skip


def _opened(evidence: Evidence, rows: Patterns, twins: Twins, blank: Finding) -> Finding:
    votes = evidence.is_target(rows.labels)
    found = paired_shift(votes[:, 0], votes[:, 1], rows.tasks, rows.counts)
    under = f" under {blank.about}" if blank.about else ""
    more = "more" if found.shift > 0 else "less"
    return replace(
        blank, **shift_of(found),
        if_found=f"Seeing the condition makes the judge say target {more} often{under}: {points(found)} from {twins.first} to {twins.second} on {found.items} responses.",
        sentence=f"Seeing the condition is not shown to shift the judge{under}: {points(found)} on {found.items} responses.",
    )  # fmt: skip


def label_order(evidence: Evidence) -> Iterator[Finding]:
    """Does turning the labels' order change a judge's label more often than asking it the same again does?"""
    name, test = "label order", "McNemar against retest"
    if not evidence.turned:
        yield Finding(
            name, ALL_JUDGES, test,
            too_little="no judge here has a twin that differs in label_order alone and answers that were repeated; add one, with repeats of 2.",
        )  # fmt: skip
    for twins in evidence.turned:
        blank = Finding(name, f"{twins.first} and {twins.second}", test)
        rows = twins.patterns.complete()
        yield attempt(blank, rows, partial(_turned, rows, twins))


def _turned(rows: Patterns, twins: Twins, blank: Finding) -> Finding:
    first, turned, again = rows.labels.T
    found = paired_shift(first != again, first != turned, rows.tasks, rows.counts)
    noise, order = (percent((rows.counts @ (first != other)) / rows.items) for other in (again, turned))
    rates = f"{order} of labels change with the order, {noise} when it is asked the same again"
    return replace(
        blank, **shift_of(found),
        if_found=f"The order of the labels sways {twins.first}: {rates} ({found.items} responses; {points(found)}).",
        sentence=f"The order of the labels is not shown to sway {twins.first} beyond its own noise: {rates} ({found.items} responses).",
    )  # fmt: skip


def injection(evidence: Evidence) -> Iterator[Finding]:
    """Does a passage injected into a response, that addresses the judge, change its label?"""
    name, test = "injection", "McNemar"
    if not evidence.attacked:
        yield Finding(
            name, ALL_JUDGES, test,
            too_little="no response here has a copy under a condition with a factor named injection.",
        )  # fmt: skip
    for attack in evidence.attacked:
        blank = Finding(name, attack.judge, test, about=attack.attack)
        rows = attack.patterns.complete()
        yield attempt(blank, rows, partial(_attack, evidence, rows))


def _attack(evidence: Evidence, rows: Patterns, blank: Finding) -> Finding:
    before, after = rows.labels.T
    votes = evidence.is_target(rows.labels)
    found = paired_shift(votes[:, 0], votes[:, 1], rows.tasks, rows.counts)
    _, place = np.unique(rows.tasks, return_inverse=True)
    flips = np.bincount(place, weights=rows.counts * (before != after))
    rate = clustered_rate(flips, np.bincount(place, weights=rows.counts))
    assert rate.estimate is not None and rate.low is not None and rate.high is not None
    flipped = (
        f"{percent(rate.estimate)} of {rows.items} labels flip ({percent(rate.low)} to {percent(rate.high)})"
    )
    away = "away from target" if found.shift < 0 else "toward target"
    return replace(
        blank, **shift_of(found),
        if_found=f"{blank.judge} is shaken by the injected passage “{blank.about}”: {flipped}, mostly {away} ({points(found)}).",
        sentence=f"{blank.judge} is not shown to follow the injected passage “{blank.about}”: {flipped}; the target rate moves by {points(found)}.",
    )  # fmt: skip

"""The part of the bias battery that compares labels of the same items: of judges, with gold, with a twin,
with a copy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from arbiter.analysis.biases.evidence import BiasEvidence, Floats, Patterns, Twins
from arbiter.analysis.biases.findings import (
    ALL_JUDGES,
    LEAST_VOTES,
    Effect,
    Finding,
    difference_points,
    effect_points,
    finding_or_why,
    whole_percent,
)
from arbiter.analysis.biases.golderrors import effect_under_all, possible_truths
from arbiter.core.text import how_many
from arbiter.statistics import (
    PairedShift,
    Undefined,
    clustered_rate,
    cochran_q,
    margin_design_effect,
    paired_shift,
    stuart_maxwell,
)


def leniency(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether judges say target equally often: all at once, then each two. A judge and its twin are no
    two judges."""
    name, test = "leniency", "Cochran's Q"
    if len(evidence.panel) < 2:
        yield Finding(
            name, ALL_JUDGES, test, too_little="there are fewer than two judges, so nothing to compare."
        )
        return
    both = evidence.votes.complete(evidence.panel)
    yield finding_or_why(Finding(name, ALL_JUDGES, test), both, partial(_all_judges, evidence, both))
    for first, second in combinations(evidence.panel, 2):
        pair = evidence.votes.complete([first, second])
        one, other = evidence.judges[first], evidence.judges[second]
        blank = Finding(name, f"{one} and {other}", "McNemar")
        yield finding_or_why(blank, pair, partial(_two_judges, evidence, pair, one, other))


def _all_judges(evidence: BiasEvidence, rows: Patterns, blank: Finding) -> Finding:
    votes = evidence.is_target(rows.labels)
    overall = cochran_q(votes, rows.tasks, rows.counts)
    names = [evidence.judges[place] for place in evidence.panel]
    if overall.informative * len(names) < LEAST_VOTES:
        raise Undefined(
            f"judges differ on {how_many(overall.informative, 'item')}, which is "
            f"{how_many(overall.informative * len(names), 'vote')}; Cochran's Q needs {LEAST_VOTES}"
        )
    rates = rows.counts @ votes / rows.items
    most, least = int(np.argmax(rates)), int(np.argmin(rates))
    widest = _picked(
        len(names) * (len(names) - 1) // 2,
        overall.p,
        evidence.level,
        lambda level: paired_shift(votes[:, least], votes[:, most], rows.tasks, rows.counts, level=level),
    )
    span = (
        f"from {whole_percent(rates[least])} ({names[least]}) to {whole_percent(rates[most])} "
        f"({names[most]}) on {rows.items} responses"
    )
    return replace(
        blank,
        n=overall.items,
        **widest.fields,
        if_found=f"The judges' target rates differ: {span}.",
        sentence=(
            f"No difference in leniency is shown among the {len(names)} judges; their target rates go {span}."
        ),
    )


def _picked(of: int, overall: float, level: float, look: Callable[[float], PairedShift]) -> Effect:
    """Return a shift that was picked as the largest of so many, beside the p of an overall test; both must
    say it."""
    shift = look(1 - (1 - level) / of)
    p = min(1.0, max(overall, of * shift.p))
    nothing = [0.0] if p >= 1 - level else []
    return Effect(shift.shift, min(shift.low, *nothing, shift.high), max(shift.high, *nothing, shift.low), p)


def _two_judges(evidence: BiasEvidence, rows: Patterns, one: str, other: str, blank: Finding) -> Finding:
    shift = _shift(evidence, rows)
    more, less = (other, one) if shift.effect > 0 else (one, other)
    return replace(
        blank,
        **shift.fields,
        if_found=(
            f"{more} says target more often than {less}, by {difference_points(shift)} on {rows.items} "
            "responses."
        ),
        sentence=(
            f"No difference is shown between {one} and {other}: {effect_points(shift)} on {rows.items} "
            "responses."
        ),
    )


def _shift(evidence: BiasEvidence, rows: Patterns) -> Effect:
    """Return the shift from the first rater's target votes to the second's."""
    votes = evidence.is_target(rows.labels)
    return Effect.shift(paired_shift(votes[:, 0], votes[:, 1], rows.tasks, rows.counts, level=evidence.level))


def by_category(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether a judge uses the labels in each category as often as gold does."""
    gold, truths = evidence.gold, possible_truths(evidence)
    for place, judge in enumerate(evidence.judges):
        design_effect = _clustering(evidence, place)
        for key, title in evidence.categories.items():
            chosen = (gold.categories == key) & (gold.votes[:, place] >= 0)
            pair = np.column_stack([gold.gold, gold.votes[:, place]])[chosen]
            rows = Patterns(pair, np.ones(len(pair), dtype=np.int64), gold.tasks[chosen])
            blank = Finding("category", judge, "Stuart-Maxwell", about=title)
            look = partial(
                _one_category,
                evidence,
                rows,
                [one[chosen] for one in truths],
                gold.weights[chosen],
                design_effect,
            )
            yield finding_or_why(blank, rows, look)


def _clustering(evidence: BiasEvidence, place: int) -> float:
    """Return how far tasks cluster a judge's differences from gold, from all categories: one has too few
    tasks to tell."""
    gold = evidence.gold
    voted = gold.votes[:, place] >= 0
    try:
        return margin_design_effect(
            gold.gold[voted],
            gold.votes[voted, place],
            gold.tasks[voted],
            gold.categories[voted],
            len(evidence.labels),
            weights=gold.weights[voted],
        )
    except Undefined:
        return 1.0


def _one_category(
    evidence: BiasEvidence,
    rows: Patterns,
    truths: Sequence[Floats],
    weights: Floats,
    design_effect: float,
    blank: Finding,
) -> Finding:
    """Return the label whose share is off by the most, with a bound for its having been picked, where all
    labels together are off too."""
    gold, given = rows.labels.T
    k = len(evidence.labels)
    used = np.flatnonzero(np.bincount(np.concatenate([gold, given]), minlength=k))
    share = np.eye(k)[given] - truths[0]
    label = int(used[np.argmax(np.abs(weights @ share[:, used]))])
    if len(used) == 2 and evidence.target[used].sum() == 1:
        label = int(used[evidence.target[used]][0])  # two labels are off by the same
    picked = 1 if len(used) <= 2 else len(used)

    def look(truth: Floats) -> Effect:
        plain = bool(np.isin(truth, (0.0, 1.0)).all())
        try:
            overall = stuart_maxwell(
                gold if plain else truth, given, rows.tasks, k, weights=weights, effect=design_effect
            ).p
        except Undefined:  # they never differ
            overall = 1.0
        of_label = (gold == label) if plain else truth[:, label]
        return _picked(
            picked,
            overall,
            evidence.level,
            lambda level: paired_shift(
                of_label, given == label, rows.tasks, weights=weights, level=level, effect=design_effect
            ),
        )

    shift = effect_under_all(truths, look, 0.0)
    name, more = evidence.labels[label], "more" if shift.effect > 0 else "less"
    about = f"in {blank.about}, {effect_points(shift)} on {rows.items} items with gold"
    return replace(
        blank,
        **shift.fields,
        about=f"{blank.about}: {name}",
        if_found=f"{blank.judge} gives the label {name} {more} often than gold does {about}.",
        sentence=(
            f"{blank.judge} is not shown to give any label more or less often than gold; {name} is off the "
            f"most {about}."
        ),
    )


def sees_condition(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether the same judge labels otherwise once it sees the condition: over all items, and under each
    condition."""
    name, test = "sees the condition", "McNemar"
    if not evidence.opened:
        yield Finding(
            name,
            ALL_JUDGES,
            test,
            too_little=(
                "no judge here has a twin that differs in show_condition alone; add one to the study file."
            ),
        )
    for twins in evidence.opened:
        judge = f"{twins.first} and {twins.second}"
        rows = twins.patterns.complete()
        parts = [("", rows)]
        if rows.groups is not None and len(evidence.conditions) > 1:
            parts += [(title, rows.where(rows.groups == key)) for key, title in evidence.conditions.items()]
        for about, part in parts:
            blank = Finding(name, judge, test, about=about)
            yield finding_or_why(blank, part, partial(_opened, evidence, part, twins))


def _opened(evidence: BiasEvidence, rows: Patterns, twins: Twins, blank: Finding) -> Finding:
    shift = _shift(evidence, rows)
    under = f" under {blank.about}" if blank.about else ""
    more = "more" if shift.effect > 0 else "less"
    return replace(
        blank,
        **shift.fields,
        if_found=(
            f"Seeing the condition makes the judge say target {more} often{under}: {effect_points(shift)} "
            f"from {twins.first} to {twins.second} on {rows.items} responses."
        ),
        sentence=(
            f"Seeing the condition is not shown to shift the judge{under}: {effect_points(shift)} on "
            f"{rows.items} responses."
        ),
    )


def label_order(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether turning the labels' order changes a judge's label more often than asking it the same again
    does."""
    name, test = "label order", "McNemar against retest"
    if not evidence.turned:
        yield Finding(
            name,
            ALL_JUDGES,
            test,
            too_little=(
                "no judge here has a twin that differs in label_order alone and answers that were repeated; "
                "add one, with repeats of 2."
            ),
        )
    for twins in evidence.turned:
        blank = Finding(name, f"{twins.first} and {twins.second}", test)
        rows = twins.patterns.complete()
        yield finding_or_why(blank, rows, partial(_turned, evidence, rows, twins))


def _turned(evidence: BiasEvidence, rows: Patterns, twins: Twins, blank: Finding) -> Finding:
    first, turned, again = rows.labels.T
    shift = Effect.shift(
        paired_shift(first != again, first != turned, rows.tasks, rows.counts, level=evidence.level)
    )
    noise, order = (whole_percent((rows.counts @ (first != other)) / rows.items) for other in (again, turned))
    rates = f"{order} of labels change with the order, {noise} when it is asked the same again"
    return replace(
        blank,
        **shift.fields,
        if_found=(
            f"The order of the labels sways {twins.first}: {rates} ({rows.items} responses; "
            f"{effect_points(shift)})."
        ),
        sentence=(
            f"The order of the labels is not shown to sway {twins.first} beyond its own noise: {rates} "
            f"({rows.items} responses; {effect_points(shift)})."
        ),
    )


def injection(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether a passage injected into a response, that addresses the judge, changes its label."""
    name, test = "injection", "McNemar"
    if not evidence.attacked:
        yield Finding(
            name,
            ALL_JUDGES,
            test,
            too_little="no response here has a copy under a condition with a factor named injection.",
        )
    for attack in evidence.attacked:
        blank = Finding(name, attack.judge, test, about=attack.attack)
        rows = attack.patterns.complete()
        yield finding_or_why(blank, rows, partial(_attack, evidence, rows))


def _attack(evidence: BiasEvidence, rows: Patterns, blank: Finding) -> Finding:
    before, after = rows.labels.T
    shift = _shift(evidence, rows)
    _, place = np.unique(rows.tasks, return_inverse=True)
    flips = np.bincount(place, weights=rows.counts * (before != after))
    rate = clustered_rate(flips, np.bincount(place, weights=rows.counts))
    assert rate.estimate is not None and rate.low is not None and rate.high is not None
    flipped = (
        f"{whole_percent(rate.estimate)} of {rows.items} labels flip ({whole_percent(rate.low)} to "
        f"{whole_percent(rate.high)})"
    )
    away = "away from target" if shift.effect < 0 else "toward target"
    return replace(
        blank,
        **shift.fields,
        if_found=(
            f"{blank.judge} is shaken by the injected passage “{blank.about}”: {flipped}, mostly {away} "
            f"({effect_points(shift)})."
        ),
        sentence=(
            f"{blank.judge} is not shown to follow the injected passage “{blank.about}”: {flipped}; the "
            f"target rate moves by {effect_points(shift)}."
        ),
    )

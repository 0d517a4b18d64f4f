"""The bias battery: every way in which a judge may lean, each with its field's test, an effect with an
interval, and one sentence.

Arrays in, findings out. What is too little to say anything is said to be so. The whole battery is adjusted
together, so that a study whose judges are clean has one of them accused in at most one case of twenty, also
where its gold errs at random.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from arbiter.analysis.biases.evidence import ALPHA, BiasEvidence, Bools, Floats, Ints, Patterns
from arbiter.analysis.biases.findings import (
    ALL_JUDGES,
    CORRELATION,
    LEAST_ERRORS,
    LEAST_EVENTS,
    LEAST_ITEMS,
    ODDS,
    Effect,
    Finding,
    effect_ratio,
    finding_or_why,
    require_tasks,
    whole_percent,
)
from arbiter.analysis.biases.golderrors import effect_under_all, possible_truths
from arbiter.analysis.biases.pairedtests import by_category, injection, label_order, leniency, sees_condition
from arbiter.statistics import (
    OddsRatio,
    Undefined,
    conditional_logit,
    effective_raters,
    error_correlation,
    even_errors,
    logit,
    position_preference,
    truth_weights,
)


def battery(evidence: BiasEvidence) -> list[Finding]:
    """Return every finding, adjusted together, the least likely to be chance first and what has too little
    data last.

    One procedure gives estimate, interval and verdict: with m tests, every interval is made at 1 - 5 % / m
    and a bias is found where it leaves out no effect (O. J. Dunn 1961, JASA 56:52-64). So all intervals hold
    at once, and no sentence contradicts its own.
    """
    tests = sum(one.p is not None for one in _all(replace(evidence, sure=True)))
    findings = _all(replace(evidence, level=1 - ALPHA / max(1, tests)))
    findings = [
        replace(one, adjusted=min(1.0, tests * one.p)) if one.p is not None else one for one in findings
    ]
    findings = [
        replace(one, sentence=one.if_found) if one.found and one.if_found else one for one in findings
    ]
    return sorted(findings, key=_order)


def _all(evidence: BiasEvidence) -> list[Finding]:
    looks = (
        leniency,
        by_category,
        sees_condition,
        own_family,
        length,
        label_order,
        label_position,
        injection,
        shared_errors,
    )
    return [one for look in looks for one in look(evidence)]


def _order(one: Finding) -> tuple[float, float, str, str]:
    missing = 2.0
    return (
        missing if one.adjusted is None else one.adjusted,
        missing if one.p is None else one.p,
        one.bias,
        one.judge,
    )


def own_family(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether a judge says target less often of its own family, beside the other judges of the same
    items and given gold."""
    name, test = "own family", "conditional logit"
    gold, voted = evidence.gold, (evidence.gold.votes >= 0)
    families = np.array([plain_family(one) for one in gold.families], dtype=object)
    own = [(families == plain_family(one)) & (one != "") for one in evidence.families]
    tested = [
        place
        for place, mine in enumerate(own)
        if (mine & voted[:, place]).any() and (~mine & voted[:, place] & (families != "")).any()
    ]
    if not tested or len(evidence.judges) < 2:
        yield Finding(name, ALL_JUDGES, test, too_little=_no_family(evidence))
        return
    truths = possible_truths(evidence)
    results: dict[int, list[OddsRatio | Undefined]] = {}  # by the truths they were made with, each test's

    def look(test: int, truth: Floats) -> Effect:
        if id(truth) not in results:
            results[id(truth)] = _own_family(evidence, own, tested, truth)
        result = results[id(truth)][test]
        if isinstance(result, Undefined):
            raise result
        return Effect.odds(result)

    for test_number, place in enumerate(tested):
        judge = evidence.judges[place]
        blank = Finding(name, judge, test, about=evidence.families[place], unit=ODDS)
        count = int((own[place] & voted[:, place]).sum())
        try:
            result = effect_under_all(truths, partial(look, test_number), 1.0)
        except Undefined as why:
            yield replace(blank, n=count, too_little=f"{why}.")
            continue
        lean = "spares" if result.effect < 1 else "is harder on"
        yield replace(
            blank,
            **result.fields,
            n=count,
            if_found=(
                f"{judge} {lean} its own family: the odds that it says target are multiplied by "
                f"{effect_ratio(result)} on {count} responses of {evidence.families[place]}, beside the "
                "other judges and given gold."
            ),
            sentence=(
                f"{judge} is not shown to treat its own family otherwise: odds multiplied by "
                f"{effect_ratio(result)} on {count} responses."
            ),
        )


def _no_family(evidence: BiasEvidence) -> str:
    if len(evidence.judges) < 2:
        return "there are fewer than two judges, so none to compare with."
    if not any(evidence.families):
        return "no judge's model family is given; write `family` in the study file."
    if not len(evidence.gold):
        return "no item has gold yet."
    return "no judge's family is that of one subject model among others on the items with gold."


def _own_family(
    evidence: BiasEvidence, own: Sequence[Bools], tested: Sequence[int], truth: Floats
) -> list[OddsRatio | Undefined]:
    """Return the odds ratio of each tested judge's own family, or why there is none. Each item stands twice,
    as target and as not, with the weights of either."""
    gold, judges = evidence.gold, len(evidence.judges)
    votes = np.where(gold.votes >= 0, evidence.is_target(gold.votes), -1).astype(np.int64)
    dummies = np.broadcast_to(np.eye(judges)[:, 1:], (len(gold), judges, judges - 1))
    covariates = np.concatenate([np.concatenate([dummies, dummies * given], axis=2) for given in (1.0, 0.0)])
    own_family = np.zeros((len(gold), judges, len(tested)))
    for test, place in enumerate(tested):
        own_family[:, place, test] = own[place]
    said, present = (votes == 1).sum(axis=1), (votes >= 0).sum(axis=1)
    differ, needed = (
        int(((said > 0) & (said < present)).sum()),
        LEAST_EVENTS * (covariates.shape[2] + len(tested)),
    )
    try:
        require_tasks(gold.tasks)
        if differ < needed:
            raise Undefined(
                f"judges differ on {differ} items with gold, and {needed} are needed for "
                f"{len(tested) + covariates.shape[2]} coefficients"
            )
        target = truth[:, evidence.target].sum(axis=1)
        weights = np.concatenate([target, 1 - target]) * np.tile(gold.weights / gold.weights.mean(), 2)
        kept = weights != 0
        return conditional_logit(
            np.tile(votes, (2, 1))[kept],
            np.tile(own_family, (2, 1, 1))[kept],
            covariates[kept],
            np.tile(gold.tasks, 2)[kept],
            weights[kept],
            evidence.level,
            signed=True,
        )
    except Undefined as why:
        return [why] * len(tested)


def length(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether the length of a response shifts a judge's label, given the gold label."""
    gold, truths = evidence.gold, possible_truths(evidence)
    for place, judge in enumerate(evidence.judges):
        voted = gold.votes[:, place] >= 0
        rows = Patterns(
            gold.votes[voted][:, [place]], np.ones(int(voted.sum()), dtype=np.int64), gold.tasks[voted]
        )
        blank = Finding("length", judge, "logit", unit=ODDS)
        yield finding_or_why(blank, rows, partial(_length, evidence, truths, place, voted))


def _length(
    evidence: BiasEvidence, truths: Sequence[Floats], place: int, voted: Bools, blank: Finding
) -> Finding:
    """Return what a logit says of one judge and length. Each item stands once as every label that may be its
    true one, with that one's weight."""
    gold = evidence.gold
    says_target = evidence.is_target(gold.votes[voted, place])
    roles = np.column_stack([evidence.target, evidence.excluded]).astype(np.float64)
    roles = roles[:, roles[gold.gold[voted]].any(axis=0)]
    rarer, needed = (
        min(int(says_target.sum()), int((~says_target).sum())),
        LEAST_EVENTS * (roles.shape[1] + 1),
    )
    if rarer < needed:
        raise Undefined(f"{rarer} of its labels are the rarer of target and not, and {needed} are needed")
    doublings = np.log2(np.maximum(gold.lengths[voted], 1))
    doublings = doublings - doublings.mean()
    worth = gold.weights[voted] / gold.weights[voted].mean()

    def look(truth: Floats) -> Effect:
        item, label = np.nonzero(truth[voted])
        weights = truth[voted][item, label] * worth[item]
        return Effect.odds(
            logit(
                says_target[item],
                doublings[item],
                roles[label],
                gold.tasks[voted][item],
                weights,
                evidence.level,
                signed=True,
            )
        )

    effect = effect_under_all(truths, look, 1.0)
    more = "more" if effect.effect > 1 else "less"
    return replace(
        blank,
        **effect.fields,
        n=len(says_target),
        if_found=(
            f"{blank.judge} says target {more} often of longer responses with the same gold label: the odds "
            f"are multiplied by {effect_ratio(effect)} as the length doubles."
        ),
        sentence=(
            f"{blank.judge} is not shown to mind length beyond gold: odds multiplied by "
            f"{effect_ratio(effect)} as it doubles, on {len(says_target)} items."
        ),
    )


def label_position(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether a judge, where the order is drawn for each item, takes labels from one place of it more
    often."""
    name, test = "label position", "chi-square of fit"
    if not evidence.places and not evidence.unplaced:
        yield Finding(
            name,
            ALL_JUDGES,
            test,
            too_little="no judge here is shown the labels in a drawn order (label_order: permuted).",
        )
    for judge, why in evidence.unplaced.items():
        yield Finding(name, judge, test, too_little=why)
    for judge, counts in evidence.places.items():
        blank = Finding(name, judge, test, n=int(counts.sum()))
        try:
            preference = position_preference(counts, evidence.level)
        except Undefined as why:
            yield replace(blank, too_little=f"{why}.")
            continue
        where = f"place {preference.place + 1} of {len(counts)}"
        share, fair = whole_percent(preference.excess + 1 / len(counts)), whole_percent(1 / len(counts))
        favours = "favours" if preference.excess > 0 else "avoids"
        yield replace(
            blank,
            effect=preference.excess,
            low=preference.low,
            high=preference.high,
            p=preference.p,
            about=where,
            if_found=(
                f"{judge} {favours} {where}: {share} of its {preference.n} labels stood there, where {fair} "
                "would by chance."
            ),
            sentence=(
                f"{judge} is not shown to favour a place: at most off is {where}, with {share} of "
                f"{preference.n} labels where {fair} would be by chance."
            ),
        )


def shared_errors(evidence: BiasEvidence) -> Iterator[Finding]:
    """Test whether judges err on the same items, and tell how many independent judges they are worth."""
    name, test = "shared errors", "phi, jackknife by task"
    gold, panel = evidence.gold, evidence.panel
    votes = gold.votes[:, panel]
    both: Bools = np.all(votes >= 0, axis=1)
    rows = Patterns(votes[both], np.ones(int(both.sum()), dtype=np.int64), gold.tasks[both])
    blank = Finding(name, ALL_JUDGES, test, unit=CORRELATION)
    if len(panel) < 2:
        yield replace(blank, too_little="there are fewer than two judges, so nothing is shared.")
        return
    truths = [one[both] for one in possible_truths(evidence)]
    yield finding_or_why(
        blank, rows, partial(_shared, evidence, rows, truths, gold.gold[both], gold.weights[both])
    )


def _shared(
    evidence: BiasEvidence,
    rows: Patterns,
    truths: Sequence[Floats],
    gold: Ints,
    weights: Floats,
    blank: Finding,
) -> Finding:
    """Return how judges' errors correlate. Each item stands once as every label that may be its true one:
    gold that errs makes all of them err at once."""
    wrong = rows.labels != gold[:, np.newaxis]
    fewest, n = int(wrong.sum(axis=0).min()), wrong.shape[1]
    if fewest < LEAST_ERRORS:
        raise Undefined(f"one of the judges errs {fewest} times, and {LEAST_ERRORS} errors each are needed")

    def look(truth: Floats) -> Effect:
        item, label = np.nonzero(truth)
        wrong, worth = rows.labels[item] != label[:, np.newaxis], truth[item, label] * weights[item]
        one = error_correlation(wrong, rows.tasks[item], worth, evidence.level, signed=True)
        return Effect(one.mean, one.low, one.high, one.p)

    effect = effect_under_all(truths, look, 0.0)
    most, least = effective_raters(n, effect.low), effective_raters(n, effect.high)
    worth = (
        f"{n} judges are worth {effective_raters(n, effect.effect):.1f} independent ones ({least:.1f} to "
        f"{most:.1f})"
    )
    numbers = f"{effect.effect:.2f} ({effect.low:.2f} to {effect.high:.2f})"
    alone = _gold_alone(evidence, gold, look) if effect.effect > 0 else ""
    return replace(
        blank,
        **effect.fields,
        n=rows.items,
        if_found=(
            f"The judges err on the same items: their errors correlate by {numbers}, so that {worth}.{alone}"
        ),
        sentence=(
            f"The judges are not shown to err on the same items: their errors correlate by {numbers}; "
            f"{worth}.{alone}"
        ),
    )


def _gold_alone(evidence: BiasEvidence, gold: Ints, look: Callable[[Floats], Effect]) -> str:
    """Say how often gold would have to err for judges that share nothing to look like this."""
    shares = np.bincount(gold, minlength=len(evidence.labels))
    for chance in (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2):
        try:
            left = look(truth_weights(gold, even_errors(shares, chance))).effect
        except Undefined:
            left = 0.0
        if left <= 0:
            return (
                f" Gold that errs at random in {whole_percent(chance)} of labels would look like this by "
                "itself."
            )
    return ""


def error_table(evidence: BiasEvidence) -> tuple[list[str], Floats] | None:
    """Return the judges, and how their errors correlate, two by two; None where that can't be told."""
    gold = evidence.gold
    both: Bools = np.all(gold.votes >= 0, axis=1)
    wrong = gold.votes[both] != gold.gold[both][:, np.newaxis]
    if len(evidence.judges) < 2 or len(wrong) < LEAST_ITEMS or wrong.sum(axis=0).min() < LEAST_ERRORS:
        return None
    try:
        return list(evidence.judges), error_correlation(wrong, gold.tasks[both], gold.weights[both]).phi
    except Undefined:
        return None


def plain_family(name: object) -> str:
    return str(name).strip().casefold()

"""The bias battery: every way in which a judge may lean, each with its field's test, an effect with an interval, and one sentence.

Arrays in, findings out. What is too little to say anything is said to be so. The p values of the whole battery are adjusted
together (Holm), so that a study whose judges are clean has one of them accused in at most one case of twenty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from judging.biases.data import (
    ALL_JUDGES,
    CORRELATION,
    LEAST_ERRORS,
    LEAST_EVENTS,
    LEAST_ITEMS,
    ODDS,
    Bools,
    Evidence,
    Finding,
    Floats,
    Ints,
    Patterns,
    attempt,
    family,
    odds_of,
    percent,
    ratio,
    require_tasks,
)
from judging.biases.pairs import by_category, injection, label_order, leniency, sees_condition
from judging.statistics import (
    OddsRatio,
    Undefined,
    conditional_logit,
    error_correlation,
    holm,
    logit,
    position_preference,
)


def battery(evidence: Evidence) -> list[Finding]:
    """Every finding, adjusted together, the least likely to be chance first and what has too little data last."""
    found: list[Finding] = []
    for look in (
        leniency, by_category, sees_condition, own_family, length, label_order, label_position, injection, shared_errors,
    ):  # fmt: skip
        found += look(evidence)
    computed = [place for place, one in enumerate(found) if one.p is not None]
    adjusted = holm([p for one in found if (p := one.p) is not None])
    for place, value in zip(computed, adjusted, strict=True):
        found[place] = replace(found[place], adjusted=value)
    found = [replace(one, sentence=one.if_found) if one.found and one.if_found else one for one in found]
    return sorted(found, key=_order)


def _order(one: Finding) -> tuple[float, float, str, str]:
    missing = 2.0
    return (
        missing if one.adjusted is None else one.adjusted, missing if one.p is None else one.p, one.bias, one.judge,
    )  # fmt: skip


def own_family(evidence: Evidence) -> Iterator[Finding]:
    """Does a judge say target less often of its own family, beside the other judges of the same items and given gold?"""
    name, test = "own family", "conditional logit"
    gold, voted = evidence.gold, (evidence.gold.votes >= 0)
    families = np.array([family(one) for one in gold.families], dtype=object)
    own = [(families == family(one)) & (one != "") for one in evidence.families]
    tested = [
        place for place, mine in enumerate(own)
        if (mine & voted[:, place]).any() and (~mine & voted[:, place] & (families != "")).any()
    ]  # fmt: skip
    if not tested or len(evidence.judges) < 2:
        yield Finding(name, ALL_JUDGES, test, too_little=_no_family(evidence))
        return
    try:
        results = _own_family(evidence, own, tested)
    except Undefined as why:
        results = [why] * len(tested)
    for place, result in zip(tested, results, strict=True):
        judge = evidence.judges[place]
        blank = Finding(name, judge, test, about=evidence.families[place], unit=ODDS)
        count = int((own[place] & voted[:, place]).sum())
        if isinstance(result, Undefined):
            yield replace(blank, n=count, too_little=f"{result}.")
            continue
        lean = "spares" if result.ratio < 1 else "is harder on"
        yield replace(
            blank, **odds_of(result), n=count,
            if_found=f"{judge} {lean} its own family: the odds that it says target are multiplied by {ratio(result)} on {count} responses of {evidence.families[place]}, beside the other judges and given gold.",
            sentence=f"{judge} is not shown to treat its own family otherwise: odds multiplied by {ratio(result)} on {count} responses.",
        )  # fmt: skip


def _no_family(evidence: Evidence) -> str:
    if len(evidence.judges) < 2:
        return "there are fewer than two judges, so none to compare with."
    if not any(evidence.families):
        return "no judge's model family is given; write `family` in the study file."
    if not len(evidence.gold):
        return "no item has gold yet."
    return "no judge's family is that of one subject model among others on the items with gold."


def _own_family(
    evidence: Evidence, own: Sequence[Bools], tested: Sequence[int]
) -> Sequence[OddsRatio | Undefined]:
    gold, judges = evidence.gold, len(evidence.judges)
    votes = np.where(gold.votes >= 0, evidence.is_target(gold.votes), -1).astype(np.int64)
    dummies = np.broadcast_to(np.eye(judges)[:, 1:], (len(gold), judges, judges - 1))
    truth = evidence.is_target(gold.gold)[:, np.newaxis, np.newaxis]
    covariates = np.concatenate([dummies, dummies * truth], axis=2)
    asked = np.zeros((len(gold), judges, len(tested)))
    for test, place in enumerate(tested):
        asked[:, place, test] = own[place]
    said, present = (votes == 1).sum(axis=1), (votes >= 0).sum(axis=1)
    differ, needed = (
        int(((said > 0) & (said < present)).sum()),
        LEAST_EVENTS * (covariates.shape[2] + len(tested)),
    )
    require_tasks(gold.tasks)
    if differ < needed:
        raise Undefined(
            f"judges differ on {differ} items with gold, and {needed} are needed for {len(tested) + covariates.shape[2]} coefficients"
        )
    return conditional_logit(votes, asked, covariates, gold.tasks, gold.weights)


def length(evidence: Evidence) -> Iterator[Finding]:
    """Does the length of a response shift a judge's label, given the gold label?"""
    gold = evidence.gold
    for place, judge in enumerate(evidence.judges):
        voted = gold.votes[:, place] >= 0
        rows = Patterns(
            gold.votes[voted][:, [place]], np.ones(int(voted.sum()), dtype=np.int64), gold.tasks[voted]
        )
        blank = Finding("length", judge, "logit", unit=ODDS)
        yield attempt(
            blank, rows, partial(_length, evidence, place, voted)
        )  # fmt: skip


def _length(evidence: Evidence, place: int, voted: Bools, blank: Finding) -> Finding:
    gold = evidence.gold
    said = evidence.is_target(gold.votes[voted, place])
    truth = gold.gold[voted]
    roles = np.column_stack([evidence.target[truth], evidence.excluded[truth]]).astype(np.float64)
    roles = roles[:, roles.any(axis=0)]
    rarer, needed = min(int(said.sum()), int((~said).sum())), LEAST_EVENTS * (roles.shape[1] + 1)
    if rarer < needed:
        raise Undefined(f"{rarer} of its labels are the rarer of target and not, and {needed} are needed")
    doublings = np.log2(np.maximum(gold.lengths[voted], 1))
    found = logit(said, doublings - doublings.mean(), roles, gold.tasks[voted], gold.weights[voted])
    more = "more" if found.ratio > 1 else "less"
    return replace(
        blank, **odds_of(found), n=len(said),
        if_found=f"{blank.judge} says target {more} often of longer responses with the same gold label: the odds are multiplied by {ratio(found)} as the length doubles.",
        sentence=f"{blank.judge} is not shown to mind length beyond gold: odds multiplied by {ratio(found)} as it doubles, on {len(said)} items.",
    )  # fmt: skip


def label_position(evidence: Evidence) -> Iterator[Finding]:
    """Where the order is drawn for each item: does a judge take labels from one place of it more often?"""
    name, test = "label position", "chi-square of fit"
    if not evidence.places and not evidence.unplaced:
        yield Finding(
            name, ALL_JUDGES, test, too_little="no judge here is shown the labels in a drawn order (label_order: permuted).",
        )  # fmt: skip
    for judge, why in evidence.unplaced.items():
        yield Finding(name, judge, test, too_little=why)
    for judge, counts in evidence.places.items():
        blank = Finding(name, judge, test, n=int(counts.sum()))
        try:
            found = position_preference(counts)
        except Undefined as why:
            yield replace(blank, too_little=f"{why}.")
            continue
        where = f"place {found.place + 1} of {len(counts)}"
        share, fair = percent(found.excess + 1 / len(counts)), percent(1 / len(counts))
        favours = "favours" if found.excess > 0 else "avoids"
        yield replace(
            blank, effect=found.excess, low=found.low, high=found.high, p=found.p, about=where,
            if_found=f"{judge} {favours} {where}: {share} of its {found.n} labels stood there, where {fair} would by chance.",
            sentence=f"{judge} is not shown to favour a place: at most off is {where}, with {share} of {found.n} labels where {fair} would be by chance.",
        )  # fmt: skip


def shared_errors(evidence: Evidence) -> Iterator[Finding]:
    """Do judges err on the same items, and how many independent judges are they worth?"""
    name, test = "shared errors", "phi, jackknife by task"
    gold, panel = evidence.gold, evidence.panel
    votes = gold.votes[:, panel]
    both: Bools = np.all(votes >= 0, axis=1)
    rows = Patterns(votes[both], np.ones(int(both.sum()), dtype=np.int64), gold.tasks[both])
    blank = Finding(name, ALL_JUDGES, test, unit=CORRELATION)
    if len(panel) < 2:
        yield replace(blank, too_little="there are fewer than two judges, so nothing is shared.")
        return
    yield attempt(blank, rows, partial(_shared, rows, gold.gold[both], gold.weights[both]))


def _shared(rows: Patterns, gold: Ints, weights: Floats, blank: Finding) -> Finding:
    wrong = rows.labels != gold[:, np.newaxis]
    fewest, n = int(wrong.sum(axis=0).min()), wrong.shape[1]
    if fewest < LEAST_ERRORS:
        raise Undefined(f"one of the judges errs {fewest} times, and {LEAST_ERRORS} errors each are needed")
    found = error_correlation(wrong, rows.tasks, weights)
    worth = f"{n} judges are worth {found.effective:.1f} independent ones ({found.fewest:.1f} to {found.most:.1f})"
    numbers = f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"
    return replace(
        blank, effect=found.mean, low=found.low, high=found.high, p=found.p, n=found.items,
        if_found=f"The judges err on the same items: their errors correlate by {numbers}, so that {worth}.",
        sentence=f"The judges are not shown to err on the same items: their errors correlate by {numbers}; {worth}.",
    )  # fmt: skip


def error_table(evidence: Evidence) -> tuple[list[str], Floats] | None:
    """The judges, and how their errors correlate, two by two; None where that can't be told."""
    gold = evidence.gold
    both: Bools = np.all(gold.votes >= 0, axis=1)
    wrong = gold.votes[both] != gold.gold[both][:, np.newaxis]
    if len(evidence.judges) < 2 or len(wrong) < LEAST_ITEMS or wrong.sum(axis=0).min() < LEAST_ERRORS:
        return None
    try:
        return list(evidence.judges), error_correlation(wrong, gold.tasks[both], gold.weights[both]).phi
    except Undefined:
        return None

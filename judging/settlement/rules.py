"""The rules of settlement: from an item's votes to a label, or to why it stays open. Decided once for each distinct pattern."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from annotation.golding import current
from annotation.models import Draw, Gold, Label, Rater, Study
from benchmark.errors import UserError
from judging.calibration.goldsample import GoldSample, gold_sample
from judging.counting import Votes, group_names, votes_of
from judging.models import Settlement
from judging.settlement.scores import by_arm, scores
from judging.statistics import Undefined, majority
from judging.statistics.settlement import Calibrated, calibrate, vote_weights, weighted_share, weighted_votes

Rule = Settlement.Rule
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
RULES = (Rule.UNANIMOUS, Rule.MAJORITY, Rule.WEIGHTED, Rule.MODEL)
ACCEPTED = frozenset(RULES)  # settled by votes alone
OPEN = (Rule.TIE, Rule.SPLIT, Rule.UNSURE, Rule.UNLABELLED)
SUPPORT = (
    5  # items with gold that gave each label as often; a pattern with fewer is not accepted by the model
)
THRESHOLDS = (0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)  # that the page compares
NOTHING = {"items": 0, "claimed": None, "right": None, "low": None, "high": None}
DIGITS = 6
CLOSE = 1e-9
Pattern = tuple[tuple[int, int], ...]  # rater and label, by their keys in the database


@dataclass(frozen=True)
class Decision:
    rule: str
    label: int | None  # its key in the database
    posterior: Mapping[str, float]  # by label key


Decide = Callable[[Pattern], Decision]


@dataclass(frozen=True)
class Fitted:
    """A rule made ready for one study: what it decides, what that depends on beside the votes, and what was estimated."""

    rule: str
    decide: Decide
    given: Any = None  # goes into the hash of what a settlement was made from
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """What rules are fitted on: the voters' patterns, and the tuning part of the gold with its weights."""

    votes: Votes
    gold: GoldSample
    rows: Ints  # which pattern the votes on each of its items are
    weights: Floats
    sealed: int  # items with gold that are left out, as they lie in the sealed part
    names: Mapping[str, Mapping[int, str]]  # of subject models and conditions
    left_out: tuple[Rater, ...] = ()  # people whose votes became gold


def evidence_of(study: Study, voters: Sequence[Rater]) -> Evidence:
    """People whose votes became gold are no evidence beside it: they would be right by definition."""
    people = tuple(rater for rater in voters if rater.kind == Rater.Kind.HUMAN)
    made = current(study).filter(origin__in=[Gold.Origin.CONSENSUS, Gold.Origin.ADJUDICATED])
    left_out = people if people and made.exclude(draw__purpose=Draw.Purpose.GOLD).exists() else ()
    kept = [rater for rater in voters if rater not in left_out]
    sample, votes = gold_sample(study, raters=kept), votes_of(study, raters=kept)
    tuning = sample.part(~sample.sealed)
    rows = places(votes.patterns, tuning.votes)
    here = rows >= 0  # else somebody voted on it between the two readings
    tuning, rows = tuning.part(here), rows[here]
    counts = np.maximum(votes.counts, np.bincount(rows, minlength=len(votes.counts)))
    return Evidence(
        replace(votes, counts=counts), tuning, rows, np.where(np.isnan(tuning.weight), 1.0, tuning.weight),
        int(sample.sealed.sum()), {word: group_names(study, word) for word in ("subject", "condition")}, left_out,
    )  # fmt: skip


def fitted(
    study: Study, voters: Sequence[Rater], labels: Sequence[Label], rule: str, threshold: float
) -> Fitted:
    """The rule, ready to decide. UserError where it needs gold and there is none."""
    if rule not in RULES:
        raise UserError(f"There is no rule {rule!r} to settle by; there are {', '.join(RULES)}.")
    if not 0.5 <= threshold < 1:
        raise UserError(f"The threshold is a posterior from 0.5 and below 1, not {threshold:g}.")
    keys = {label.pk: label.key for label in labels}
    if rule == Rule.MAJORITY:
        return Fitted(rule, lambda pattern: by_majority(pattern, keys))
    if rule == Rule.UNANIMOUS:
        return Fitted(rule, lambda pattern: by_unanimity(pattern, keys), given=rule)
    evidence = evidence_of(study, voters)
    return _weighted(evidence) if rule == Rule.WEIGHTED else _model(evidence, threshold)


# Counting votes


def shares(pattern: Pattern, keys: Mapping[int, str]) -> dict[str, float]:
    """Of the votes, by the keys of the labels that have any."""
    given = sorted(keys[label] for _, label in pattern)
    return {key: round(given.count(key) / len(given), DIGITS) for key in dict.fromkeys(given)}


def by_majority(pattern: Pattern, keys: Mapping[int, str]) -> Decision:
    if not pattern:
        return Decision(Rule.UNLABELLED, None, {})
    labels = [label for _, label in pattern]
    distinct = sorted(set(labels))
    winner = majority([labels.count(label) for label in distinct])
    posterior = shares(pattern, keys)
    if winner is None:
        return Decision(Rule.TIE, None, posterior)
    return Decision(Rule.MAJORITY, distinct[winner], posterior)


def by_unanimity(pattern: Pattern, keys: Mapping[int, str]) -> Decision:
    if not pattern:
        return Decision(Rule.UNLABELLED, None, {})
    labels = {label for _, label in pattern}
    if len(labels) > 1:
        return Decision(Rule.SPLIT, None, shares(pattern, keys))
    return Decision(Rule.UNANIMOUS, labels.pop(), shares(pattern, keys))


# Weighted by what raters are worth on gold


def _weighted(evidence: Evidence) -> Fitted:
    sample, votes = evidence.gold, evidence.votes
    if not len(sample):
        raise UserError(
            "Votes can't be weighted: no item has gold outside the sealed part, so nobody knows what each voter's vote is worth. "
            "Write or import gold first, or settle by majority."
        )
    try:
        weights = vote_weights(sample.votes, sample.gold, evidence.weights, len(votes.labels))
    except Undefined as why:
        raise UserError(f"Votes can't be weighted: {why}.") from why
    worth = {rater.pk: float(weight) for rater, weight in zip(votes.raters, weights, strict=True)}
    posteriors = weighted_votes(sample.votes, weights, len(votes.labels))
    facts = _facts(evidence) | {
        "weights": {str(rater): round(worth[rater.pk], 4) for rater in votes.raters},
        **judged(evidence, posteriors, in_sample=True),
    }
    labels = votes.labels

    def decide(pattern: Pattern) -> Decision:
        known = [(worth[rater], label) for rater, label in pattern if rater in worth]
        if not known:
            return Decision(Rule.UNLABELLED, None, {})
        place = {label.pk: n for n, label in enumerate(labels)}
        row = np.asarray([[place[label] for _, label in known]])
        found = weighted_votes(row, np.asarray([weight for weight, _ in known]), len(labels))[0]
        posterior = _named(found, labels)
        best = np.flatnonzero(found >= found.max() - CLOSE)
        if len(best) > 1:
            return Decision(Rule.TIE, None, posterior)
        return Decision(Rule.WEIGHTED, labels[int(best[0])].pk, posterior)

    return Fitted(Rule.WEIGHTED, decide, given=[Rule.WEIGHTED, facts["weights"]], facts=facts)


def _named(posterior: Floats, labels: Sequence[Label]) -> dict[str, float]:
    """Over all labels, whether anybody gave them or not."""
    return {label.key: round(float(value), DIGITS) for label, value in zip(labels, posterior, strict=True)}


# The model


def _model(evidence: Evidence, threshold: float) -> Fitted:
    """Accepts a label whose calibrated posterior reaches the threshold, on patterns like those of enough gold. Where posteriors
    can't be calibrated, or turn out too sure, it accepts nothing and says why."""
    votes = evidence.votes
    facts = _facts(evidence)
    if not votes.raters or not (votes.patterns >= 0).any():
        return Fitted(
            Rule.MODEL, lambda _: Decision(Rule.UNLABELLED, None, {}), given=Rule.MODEL, facts=facts
        )
    found, reason = _calibrated(evidence)
    posteriors, supported = _plain(votes), np.zeros(len(votes.patterns), dtype=bool)
    if found is not None:
        posteriors, supported = found.posteriors, _supported(evidence)
        facts |= _fit_facts(evidence, found) | judged(evidence, found.out, threshold=threshold)
        facts["error_plain"] = judged(evidence, found.plain_out)["error"]
        facts["curve"] = curve(evidence, found, supported)
        reason = reason or too_sure(facts, threshold)
    facts |= {"calibrated": not reason, "reason": reason}
    table = dict(
        zip(map(tuple, votes.patterns.tolist()), zip(posteriors, supported, strict=True), strict=True)
    )
    column = {rater.pk: n for n, rater in enumerate(votes.raters)}
    place = {label.pk: n for n, label in enumerate(votes.labels)}

    def decide(pattern: Pattern) -> Decision:
        row = [-1] * len(column)
        for rater, label in pattern:
            if rater in column:
                row[column[rater]] = place[label]
        if max(row) < 0:  # nobody voted, or only people whose votes were made gold
            return Decision(Rule.UNSURE if pattern else Rule.UNLABELLED, None, {})
        if tuple(row) not in table:  # voted on while we settle: the next settling knows it
            return Decision(Rule.UNSURE, None, {})
        posterior, known = table[tuple(row)]
        best = int(posterior.argmax())
        if reason or not known or posterior[best] < threshold:
            return Decision(Rule.UNSURE, None, _named(posterior, votes.labels))
        return Decision(Rule.MODEL, votes.labels[best].pk, _named(posterior, votes.labels))

    return Fitted(Rule.MODEL, decide, given=[Rule.MODEL, threshold, bool(reason)], facts=facts)


def _plain(votes: Votes) -> Floats:
    from judging.statistics.dawid_skene import dawid_skene
    from judging.statistics.settlement import SMOOTHING

    return dawid_skene(votes.patterns, votes.counts, len(votes.labels), smoothing=SMOOTHING).posteriors


def _calibrated(evidence: Evidence) -> tuple[Calibrated | None, str]:
    """The fit, and why its posteriors are not to be relied on; with too little gold there is no fit."""
    votes, sample = evidence.votes, evidence.gold
    try:
        found = calibrate(
            votes.patterns, votes.counts, evidence.rows, sample.gold, sample.groups["task"], evidence.weights,
            len(votes.labels),
        )  # fmt: skip
    except Undefined as why:
        sealed = f" ({evidence.sealed} more lie in the sealed part)" if evidence.sealed else ""
        return None, f"Posteriors are not calibrated, so nothing is accepted: {why}{sealed}."
    if sample.design.refusal:
        return found, f"Posteriors are not calibrated, so nothing is accepted. {sample.design.refusal}"
    return found, ""


def places(patterns: Ints, rows: Ints) -> Ints:
    """Which of the distinct patterns each row is; -1 where it is none of them."""
    place = {pattern: n for n, pattern in enumerate(map(tuple, patterns.tolist()))}
    return np.asarray([place.get(row, -1) for row in map(tuple, rows.tolist())], dtype=np.int64)


def _supported(evidence: Evidence) -> npt.NDArray[np.bool_]:
    """Patterns whose labels were each given as often on enough items with gold."""
    votes, sample = evidence.votes, evidence.gold
    counts = votes.label_counts()
    like = np.stack([(sample.votes == label).sum(axis=1) for label in range(len(votes.labels))], axis=1)
    often: dict[tuple[int, ...], int] = {}
    for row in map(tuple, like.tolist()):
        often[row] = often.get(row, 0) + 1
    return np.asarray([often.get(row, 0) >= SUPPORT for row in map(tuple, counts.tolist())])


# What was estimated, and how well it does on gold


def _facts(evidence: Evidence) -> dict[str, Any]:
    design = evidence.gold.design
    return {
        "voters": [str(rater) for rater in evidence.votes.raters],
        "left_out": len(evidence.left_out),
        "gold": len(evidence.gold), "sealed": evidence.sealed,
        "design": design.kind, "draw": design.draw, "refusal": design.refusal,
    }  # fmt: skip


def _fit_facts(evidence: Evidence, found: Calibrated) -> dict[str, Any]:
    model = found.model
    return {
        "temperature": round(found.temperature, 4),
        "strengths": [None if strength == float("inf") else strength for strength in found.strengths],
        "prior": {
            label.key: round(float(value), DIGITS)
            for label, value in zip(evidence.votes.labels, model.prior, strict=True)
        },
        "errors": {
            str(rater): [[round(float(value), DIGITS) for value in row] for row in matrix]
            for rater, matrix in zip(evidence.votes.raters, model.errors, strict=True)
        },
        "log_likelihood": round(model.log_likelihood, DIGITS),
        "steps": model.steps, "converged": model.converged, "switched": model.switched,
    }  # fmt: skip


def judged(
    evidence: Evidence, posteriors: Floats, *, threshold: float = 0.0, in_sample: bool = False
) -> dict[str, Any]:
    """How the posteriors of gold items do: by confidence, in all, by arm, and of those that would be accepted."""
    sample, weights = evidence.gold, evidence.weights
    confidence = np.minimum(posteriors.max(axis=1), 1.0)
    right = posteriors.argmax(axis=1) == sample.gold
    bins, error = scores(confidence, right, weights, sample.groups["task"])
    found: dict[str, Any] = {
        "bins": bins, "error": error, "in_sample": in_sample,
        "arms": by_arm(sample.groups, evidence.names, confidence, right, weights),
    }  # fmt: skip
    sure = confidence >= threshold
    if threshold and sure.any():
        share = weighted_share(right[sure], weights[sure], sample.groups["task"][sure])
        found["accepted"] = {
            "items": share.n, "claimed": round(float(weights[sure] @ confidence[sure] / weights[sure].sum()), DIGITS),
            "right": round(share.estimate, DIGITS), "low": round(share.interval.low, DIGITS),
            "high": round(share.interval.high, DIGITS),
        }  # fmt: skip
    return found


def curve(evidence: Evidence, found: Calibrated, supported: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """What each threshold would accept, and how often that is right on gold left out."""
    votes, rows = evidence.votes, []
    reach = np.where(supported & (votes.patterns >= 0).any(axis=1), found.posteriors.max(axis=1), 0.0)
    for threshold in THRESHOLDS:
        scored = judged(evidence, found.out, threshold=threshold).get("accepted")
        rows.append(
            {"threshold": threshold, "accepted": int(votes.counts[reach >= threshold].sum()), **(scored or NOTHING)}
        )  # fmt: skip
    return rows


def too_sure(facts: Mapping[str, Any], threshold: float) -> str:
    """Why nothing may be accepted although there is a fit; empty where it holds what it promises on gold left out."""
    accepted = facts.get("accepted")
    if accepted is None or accepted["claimed"] <= accepted["high"]:
        return ""
    return (
        f"Posteriors are too sure, so nothing is accepted: of gold left out of the fit with a posterior from {threshold:g}, "
        f"{100 * accepted['right']:.1f} % are right (at most {100 * accepted['high']:.1f} % with 95 % confidence), where "
        f"{100 * accepted['claimed']:.1f} % are claimed."
    )

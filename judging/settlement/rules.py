"""The rules of settlement: from all that is known of an item to its label, or to why it stays open. Nothing
is read here, and nothing written; who settles decides once for all items of which the same is known."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from annotation.models import Label
from annotation.votes import Vote
from arbiter.core.errors import UserError
from arbiter.statistics import Undefined, majority
from arbiter.statistics.posteriors import Calibrated, calibrate, vote_weights, weighted_votes
from judging.models import Settlement
from judging.settlement.scores import GoldEvidence, facts_of, held_to_gold, scored_on_gold
from judging.settlement.settledinputs import Deciders, hash_of_inputs
from judging.votes.counting import Votes

Rule = Settlement.Rule
Floats = npt.NDArray[np.float64]
RULES = (Rule.UNANIMOUS, Rule.MAJORITY, Rule.WEIGHTED, Rule.MODEL)
ON_GOLD = frozenset([Rule.WEIGHTED, Rule.MODEL])  # fitted on it
ACCEPTED = frozenset(RULES)  # settled by votes alone
OPEN = (Rule.TIE, Rule.SPLIT, Rule.UNSURE, Rule.UNLABELLED)
DIGITS = 6
CLOSE = 1e-9
Pattern = tuple[Vote, ...]


@dataclass(frozen=True)
class Decision:
    rule: str
    label: int | None  # its key in the database
    posterior: Mapping[str, float]  # by label key


Decide = Callable[[Pattern], Decision]


@dataclass(frozen=True)
class FittedRule:
    """A rule made ready for one study: what it decides,
    what that depends on beside the votes, and what was estimated."""

    rule: str
    decide: Decide
    hashed: Any = None  # goes into the hash of what a settlement was made from
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SettlementInputs:
    """All an item's settlement may depend on, beside the rule."""

    pattern: Pattern = ()
    gold: int | None = None
    adjudication: int | None = None
    simulated: bool = False

    def by_people(self) -> tuple[str, int] | None:
        if self.adjudication:
            return Rule.ADJUDICATED, self.adjudication
        return (Rule.GOLD, self.gold) if self.gold else None


@dataclass(frozen=True)
class SettlementDraft:
    """A settlement but for its item."""

    rule: str
    label: int | None
    posterior: dict[str, float]
    votes: dict[str, list[str]]
    inputs_hash: str
    simulated: bool


def fitted_rule(
    rule: str, threshold: float, keys: Mapping[int, str], evidence: GoldEvidence | None
) -> FittedRule:
    """Make a rule ready to decide. UserError where there is none such, or it needs gold and there is none."""
    if rule not in RULES:
        raise UserError(f"There is no rule {rule!r} to settle by; there are {', '.join(RULES)}.")
    if not 0.5 <= threshold < 1:
        raise UserError(f"The threshold is a posterior from 0.5 and below 1, not {threshold:g}.")
    if rule == Rule.MAJORITY:
        return FittedRule(rule, lambda pattern: by_majority(pattern, keys))
    if rule == Rule.UNANIMOUS:
        return FittedRule(rule, lambda pattern: by_unanimity(pattern, keys), hashed=rule)
    assert evidence is not None
    return _weighted(evidence) if rule == Rule.WEIGHTED else _model(evidence, threshold)


def draft_settlement(
    inputs: SettlementInputs, rule: FittedRule, keys: Mapping[int, str], names: Mapping[int, str]
) -> SettlementDraft:
    """Decide an item by the first there is: the adjudicator's decision; gold, where it was given to decide;
    the rule. `keys` are those of labels, `names` those of voters."""
    decision = rule.decide(inputs.pattern)
    named: dict[str, list[str]] = defaultdict(list)
    for rater, label_given in inputs.pattern:
        named[keys[label_given]].append(names[rater])
    votes = {key: sorted(raters) for key, raters in sorted(named.items())}
    depends = [] if rule.hashed is None else [rule.hashed, decision.posterior]
    by, label = inputs.by_people() or (decision.rule, decision.label)
    decided = Deciders(inputs.gold, inputs.adjudication)
    inputs_hash = hash_of_inputs(votes, decided, inputs.simulated, depends)
    return SettlementDraft(str(by), label, dict(decision.posterior), votes, inputs_hash, inputs.simulated)


# Counting votes


def shares(pattern: Pattern, keys: Mapping[int, str]) -> dict[str, float]:
    """Return the shares of the votes, by the keys of the labels that have any."""
    keys_given = sorted(keys[label] for _, label in pattern)
    return {key: round(keys_given.count(key) / len(keys_given), DIGITS) for key in dict.fromkeys(keys_given)}


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


def _weighted(evidence: GoldEvidence) -> FittedRule:
    sample, votes = evidence.gold, evidence.votes
    if not len(sample):
        raise UserError(
            "Votes can't be weighted: no item has gold outside the sealed part, so nobody knows what each "
            "voter's vote is worth. Write or import gold first, or settle by majority."
        )
    try:
        weights = vote_weights(sample.votes, sample.gold, evidence.weights, len(votes.labels))
    except Undefined as why:
        raise UserError(f"Votes can't be weighted: {why}.") from why
    worth = {rater.pk: float(weight) for rater, weight in zip(votes.raters, weights, strict=True)}
    posteriors = weighted_votes(sample.votes, weights, len(votes.labels))
    facts = facts_of(evidence) | {
        "weights": {str(rater): round(worth[rater.pk], 4) for rater in votes.raters},
        **scored_on_gold(evidence, posteriors, in_sample=True),
    }
    labels = votes.labels

    def decide(pattern: Pattern) -> Decision:
        known = [(worth[rater], label) for rater, label in pattern if rater in worth]
        if not known:
            return Decision(Rule.UNLABELLED, None, {})
        place = {label.pk: n for n, label in enumerate(labels)}
        row = np.asarray([[place[label] for _, label in known]])
        chances = weighted_votes(row, np.asarray([weight for weight, _ in known]), len(labels))[0]
        posterior = _named(chances, labels)
        best = np.flatnonzero(chances >= chances.max() - CLOSE)
        if len(best) > 1:
            return Decision(Rule.TIE, None, posterior)
        return Decision(Rule.WEIGHTED, labels[int(best[0])].pk, posterior)

    return FittedRule(Rule.WEIGHTED, decide, hashed=[Rule.WEIGHTED, facts["weights"]], facts=facts)


def _named(posterior: Floats, labels: Sequence[Label]) -> dict[str, float]:
    """Return a posterior by the keys of all labels, whether anybody gave them or not."""
    return {label.key: round(float(value), DIGITS) for label, value in zip(labels, posterior, strict=True)}


# The model


def _model(evidence: GoldEvidence, threshold: float) -> FittedRule:
    """Fit the model's rule. It accepts a label whose calibrated posterior reaches the threshold and lies in a
    bin that gold backs, on patterns like those of enough gold. Where posteriors can't be calibrated, turn out
    too sure, or no bin is backed, it accepts nothing and says why."""
    votes = evidence.votes
    facts = facts_of(evidence)
    if not votes.raters or not (votes.patterns >= 0).any():
        return FittedRule(
            Rule.MODEL, lambda _: Decision(Rule.UNLABELLED, None, {}), hashed=Rule.MODEL, facts=facts
        )
    fit, reason = _calibrated(evidence)
    posteriors, supported = _plain(votes), np.zeros(len(votes.patterns), dtype=bool)
    if fit is not None:
        on_gold = held_to_gold(evidence, fit, threshold)
        posteriors, supported, reason = fit.posteriors, on_gold.patterns, reason or on_gold.reason
        facts |= on_gold.facts
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

    return FittedRule(Rule.MODEL, decide, hashed=[Rule.MODEL, threshold, bool(reason)], facts=facts)


def _plain(votes: Votes) -> Floats:
    from arbiter.statistics.dawid_skene import dawid_skene
    from arbiter.statistics.posteriors import SMOOTHING

    return dawid_skene(votes.patterns, votes.counts, len(votes.labels), smoothing=SMOOTHING).posteriors


def _calibrated(evidence: GoldEvidence) -> tuple[Calibrated | None, str]:
    """Return the fit, and why its posteriors are not to be relied on;
    with too little gold there is no fit."""
    votes, sample = evidence.votes, evidence.gold
    try:
        fit = calibrate(
            votes.patterns,
            votes.counts,
            evidence.rows,
            sample.gold,
            sample.groups["task"],
            evidence.weights,
            len(votes.labels),
        )
    except Undefined as why:
        sealed = f" ({evidence.sealed} more lie in the sealed part)" if evidence.sealed else ""
        return None, f"Posteriors are not calibrated, so nothing is accepted: {why}{sealed}."
    if sample.design.refusal:
        return fit, f"Posteriors are not calibrated, so nothing is accepted. {sample.design.refusal}"
    return fit, ""

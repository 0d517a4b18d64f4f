"""Settling a final label for every item. A settlement is versioned: a new one is written only where its inputs changed.

In order: the newest adjudication; gold, where the study says gold decides; the rule asked for (judging.settlement.rules); else it
is open. Each settling of a study is a version of its own, which says by which rule, from what, and what it changed.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Max

from annotation.draws import one_at_a_time
from annotation.keeping import lock
from annotation.models import Adjudication, DrawnItem, Gold, Item, Label, Rater, Rating, Study, newest
from annotation.raters import voters_of
from benchmark.batching import pages
from benchmark.bulk import insert
from benchmark.text import digest
from judging.models import Settlement, SettlementVersion
from judging.settlement.rules import OPEN, Fitted, Pattern, fitted
from judging.sources import votes

BATCH = 1000
Rule = Settlement.Rule
LEDGERS = (Rating, Gold, Adjudication, Item, DrawnItem)
FIRST = 20  # items named for each change of label


@dataclass(frozen=True)
class Inputs:
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
class Made:
    """A settlement but for its item."""

    rule: str
    label: int | None
    posterior: dict[str, float]
    votes: dict[str, list[str]]
    inputs_hash: str
    simulated: bool

    def row(self, item: int, revision: int, version: SettlementVersion | None) -> Settlement:
        return Settlement(
            item_id=item, revision=revision, rule=self.rule, label_id=self.label, version=version, votes=self.votes,
            posterior=self.posterior, inputs_hash=self.inputs_hash, simulated=self.simulated,
        )  # fmt: skip


@dataclass
class Settler:
    """One settling: its rule, its version, and what it came to so far. Of each pattern of votes it decides once."""

    study: Study
    voters: Sequence[Rater]
    rule: Fitted
    version: SettlementVersion | None
    by_rule: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    new: int = 0
    simulated: bool = False  # any of its settlements is
    moved: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    hashes: list[str] = field(default_factory=list)
    _made: dict[Inputs, Made] = field(default_factory=dict)
    _read: dict[str, Pattern] = field(default_factory=dict)

    @cached_property
    def keys(self) -> dict[int, str]:
        return dict(Label.objects.filter(scheme=self.study.scheme_id).values_list("pk", "key"))

    @cached_property
    def names(self) -> dict[int, str]:
        return {rater.pk: str(rater) for rater in self.voters}

    @cached_property
    def any_simulated(self) -> bool:
        return Rating.objects.filter(item__study=self.study, simulated=True, rater__in=self.names).exists()

    def made(self, inputs: Inputs) -> "Made":
        """What the settlement of such an item is. Many items share one, so that it is worked out once."""
        if inputs not in self._made:
            decision = self.rule.decide(inputs.pattern)
            named: dict[str, list[str]] = defaultdict(list)
            for rater, given in inputs.pattern:
                named[self.keys[given]].append(self.names[rater])
            votes = {key: sorted(raters) for key, raters in sorted(named.items())}
            depends: list[Any] = [votes, inputs.gold, inputs.adjudication, inputs.simulated]
            if self.rule.given is not None:  # a count of votes depends on nothing else
                depends += [self.rule.given, decision.posterior]
            rule, label = inputs.by_people() or (decision.rule, decision.label)
            found = digest(json.dumps(depends, sort_keys=True))
            self._made[inputs] = Made(
                str(rule), label, dict(decision.posterior), votes, found, inputs.simulated
            )
        return self._made[inputs]

    def batch(self, item_ids: Sequence[int], only: Callable[[Inputs], bool] = lambda _: True) -> None:
        # Locked, so that of two settlings at once the second sees what the first wrote.
        lock(item_ids)
        inputs, before = self.gather(item_ids), _newest(item_ids)
        new = []
        for item, key, given in inputs:
            if not only(given):
                continue
            made, old = self.made(given), before.get(item)
            self.by_rule[made.rule] += 1
            self.hashes.append(made.inputs_hash)
            self.simulated |= made.simulated
            if old is None or old[1:] != (made.rule, made.label, made.inputs_hash):
                new.append(made.row(item, old[0] + 1 if old else 1, self.version))
                self.note(key, old is None, old[2] if old else None, made.label)
        self.write(new)
        self.changed += len(new)

    def write(self, new: Sequence[Settlement]) -> None:
        insert(new)
        keep_finals([_final(one, one.item_id) for one in new])

    def gather(self, item_ids: Sequence[int]) -> list[tuple[int, str, Inputs]]:
        """What each item's settlement is made from: its kept votes, gold where it decides, the newest decision. With the item's
        key, in the order given."""
        rows = Item.objects.filter(pk__in=item_ids).order_by().values_list("pk", "key", "votes")
        kept = {pk: (key, self.read(votes)) for pk, key, votes in rows}
        golds = (
            newest(Gold.objects.filter(item__in=item_ids)) if self.study.gold_decides else Gold.objects.none()
        )
        gold = dict(golds.order_by().values_list("item", "label"))
        decisions = newest(Adjudication.objects.filter(item__in=item_ids)).order_by()
        decided = dict(decisions.values_list("item", "label"))
        simulated: set[int] = set()
        if self.any_simulated:
            given = votes(self.study, list(self.names)).filter(item__in=item_ids, simulated=True)
            simulated = set(given.order_by().values_list("item", flat=True))
        return [
            (pk, kept[pk][0], Inputs(kept[pk][1], gold.get(pk), decided.get(pk), pk in simulated))
            for pk in item_ids
        ]

    def read(self, kept: str) -> Pattern:
        """The voters' votes, as an item keeps them."""
        if kept not in self._read:
            cast = (tuple(map(int, word.split(":"))) for word in kept.split())
            self._read[kept] = tuple((rater, label) for rater, label in cast if rater in self.names)
        return self._read[kept]

    def note(self, key: str, new: bool, was: int | None, now: int | None) -> None:
        """What moved, for the version to show."""
        if new:
            self.new += 1
        elif was != now:
            move = self.word(was), self.word(now)
            self.counts[move] += 1
            if len(self.moved[move]) < FIRST:
                self.moved[move].append(key)

    def word(self, label: int | None) -> str:
        """A label's key; empty for open."""
        return self.keys.get(label, "") if label else ""


def _newest(item_ids: Sequence[int]) -> dict[int, tuple[int, str, int | None, str]]:
    """Of each item's newest settlement: revision, rule, label, what it was made from."""
    rows = newest(Settlement.objects.filter(item__in=item_ids)).order_by()
    fields = rows.values_list("item", "revision", "rule", "label", "inputs_hash")
    return {item: (revision, rule, label, found) for item, revision, rule, label, found in fields}


def settle(
    study: Study,
    rule: str = Rule.MAJORITY,
    *,
    threshold: float = 0.9,
    audit_share: float = 0.0,
    by: User | None = None,
) -> dict[str, Any]:
    """Settle every item; returns how many have a label, how many are open, and by which rule.

    (1) The rule is fitted; (2) the settling gets its version; (3) items are settled a batch at a time, each in a transaction;
    (4) the version is told what changed; (5) a share of what was accepted by votes alone is drawn for people. What dies after
    (2) is finished by the next settling: batches that are done stay, and nothing is written twice.
    """
    from judging.settlement.auditing import check_audit, draw_audit

    check_audit(study, audit_share)
    voters = voters_of(study)
    labels = list(study.scheme.labels.all())
    ready = fitted(study, voters, labels, rule, threshold)
    options = {"threshold": threshold} if rule == Rule.MODEL else {}
    work = Settler(study, voters, ready, _begin(study, ready, options, by))
    for item_ids in pages(study.items.all(), BATCH):
        with transaction.atomic():
            work.batch(item_ids)
    version = _finish(work)
    result = _told(work, version)
    if audit_share:
        result["audit"] = draw_audit(study, version, audit_share)
    return result


def _told(work: Settler, version: SettlementVersion) -> dict[str, Any]:
    still_open = sum(work.by_rule[rule] for rule in OPEN)
    told = {
        "version": version.number,
        "rule": str(version.rule),
        "settled": work.by_rule.total() - still_open,
        "open": still_open,
        "by_rule": dict(sorted(work.by_rule.items())),
        "changed": work.changed,
        "relabelled": sum(work.counts.values()),
        "simulated": newest(Settlement.objects.filter(item__study=work.study))
        .filter(simulated=True)
        .exists(),
    }
    facts = work.rule.facts
    if work.rule.rule == Rule.MODEL:
        told |= {
            "calibrated": facts.get("calibrated", False), "reason": facts.get("reason", ""),
            "calibration_error": facts.get("error"),
        }  # fmt: skip
    return told


# Versions


@transaction.atomic
def _begin(study: Study, rule: Fitted, options: dict[str, Any], by: User | None) -> SettlementVersion:
    """The settling's version: that of the one before, where it is by the same rule from the same ledger, so that of two at once
    both write one version, and one that was stopped is gone on with."""
    one_at_a_time(study)
    last = study.settlement_versions.order_by("-number").first()
    state = _state(study)
    if last and (last.rule, last.options, last.fit.get("state")) == (rule.rule, options, state):
        return last
    return SettlementVersion.objects.create(
        study=study, number=last.number + 1 if last else 1, rule=rule.rule, options=options,
        fit={**rule.facts, "state": state, "newest": newest_rows()}, by=by,
    )  # fmt: skip


def newest_rows() -> dict[str, int | None]:
    """Of ledgers that settling reads: what is added later has a higher key."""
    return {str(model._meta.model_name): model.objects.aggregate(top=Max("pk"))["top"] for model in LEDGERS}


def _state(study: Study) -> str:
    """Of all that decides. Ledgers only grow, so that their newest rows tell them apart."""
    split = getattr(study, "gold_split", None)
    return digest(
        repr([newest_rows(), study.voters, study.gold_decides, study.scheme_id, split and split.pk])
    )


def _finish(work: Settler) -> SettlementVersion:
    """What it was made from and what it changed. One that found all as the version before left it is not kept."""
    version = work.version
    assert version is not None
    found = digest(*work.hashes)
    before = work.study.settlement_versions.filter(number__lt=version.number).order_by("-number").first()
    same = before and (before.rule, before.options, before.inputs_hash) == (
        version.rule,
        version.options,
        found,
    )
    if before and same and not version.settlements.exists():
        # By key: of two settlings at once, the other may have taken it away already.
        SettlementVersion.objects.filter(pk=version.pk, settlements=None).delete()
        before.fit |= {key: version.fit[key] for key in ("state", "newest")}  # it has seen what came since
        before.save(update_fields=["fit"])
        return before
    changes = _added(version.changes, work, before)
    SettlementVersion.objects.filter(pk=version.pk).update(inputs_hash=found, changes=changes)
    version.inputs_hash, version.changes = found, changes
    return version


def _added(changes: Mapping[str, Any], work: Settler, before: SettlementVersion | None) -> dict[str, Any]:
    """To what an earlier, unfinished go of this version has noted."""
    counts, first = Counter(work.counts), {move: list(keys) for move, keys in work.moved.items()}
    for row in changes.get("moved", []):
        move = row["from"], row["to"]
        counts[move] += row["items"]
        first[move] = (row["first"] + first.get(move, []))[:FIRST]
    return {
        "since": before.number if before else None,
        "new": changes.get("new", 0) + work.new,
        "written": changes.get("written", 0) + work.changed,
        "by_rule": dict(sorted(work.by_rule.items())),
        "simulated": work.simulated,
        "moved": [
            {"from": move[0], "to": move[1], "items": counts[move], "first": first.get(move, [])}
            for move in sorted(counts)
        ],
    }


# A few items


def settle_items(study: Study, item_ids: list[int]) -> None:
    """Settle a few items anew, after a decision on them. By the rule of the last settling where that only counts votes; else
    their posterior stays what it was, and one that nobody decided stays as it is until the study is settled again."""
    last = study.settlement_versions.order_by("-number").first()
    counting = last is None or last.rule in (Rule.MAJORITY, Rule.UNANIMOUS)
    voters, labels = voters_of(study), list(study.scheme.labels.all())
    rule = fitted(study, voters, labels, last.rule if last and counting else Rule.MAJORITY, 0.9)
    work = Settler(study, voters, rule, None)
    with transaction.atomic():
        if counting:
            work.batch(item_ids)
        else:
            lock(item_ids)
            latest = dict(
                newest(Settlement.objects.filter(item__in=item_ids)).values_list("item", "posterior")
            )
            keeping = _Keeping(study, voters, rule, None, posteriors=latest)
            keeping.batch(item_ids, only=lambda given: given.by_people() is not None)


@dataclass
class _Keeping(Settler):
    """Writes decisions by people, with the posterior that the last settling gave the item."""

    posteriors: dict[int, dict[str, float]] = field(default_factory=dict)

    def write(self, new: Sequence[Settlement]) -> None:
        for one in new:
            one.posterior = self.posteriors.get(one.item_id, one.posterior)
        super().write(new)


# What items keep


def keep_finals(rows: Sequence[tuple[int | None, str, float | None, int]]) -> None:
    """Label, rule, posterior of the leading label, and item: what pages filter by, on the items themselves."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE annotation_item SET final_id = %s, final_rule = %s, final_chance = %s WHERE id = %s",
            [(label, str(rule), chance, item) for label, rule, chance, item in rows],
        )


def rebuild_finals(study: Study) -> None:
    """Anew from the newest settlements; of items that have none, nothing is kept."""
    for ids in pages(study.items.all(), BATCH):
        with transaction.atomic():
            lock(ids)
            latest = {one.item_id: one for one in newest(Settlement.objects.filter(item__in=ids))}
            keep_finals([_final(latest.get(item), item) for item in ids])


def _final(settlement: Settlement | None, item: int) -> tuple[int | None, str, float | None, int]:
    if settlement is None:
        return None, "", None, item
    chance = max(settlement.posterior.values(), default=None)
    return settlement.label_id, settlement.rule, chance, item

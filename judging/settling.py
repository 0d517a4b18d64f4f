"""Settling a final label for every item. A settlement is versioned: a new one is written only where its inputs changed.

In order: the newest adjudication; gold, where the study says gold decides; the majority of the voters; else it is open.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from annotation.keeping import lock
from annotation.models import Adjudication, Gold, Item, Label, Rater, Study, newest
from annotation.raters import voters_of
from benchmark.batching import pages
from benchmark.text import digest
from judging.models import Settlement
from judging.sources import majority_label, votes

BATCH = 1000
Rule = Settlement.Rule
OPEN = {Rule.TIE, Rule.UNLABELLED}


@dataclass
class Inputs:
    """All an item's settlement may depend on."""

    votes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # label key to rater names
    label_ids: list[int] = field(default_factory=list)
    gold: int | None = None
    adjudication: int | None = None
    simulated: bool = False

    def decide(self) -> tuple[str, int | None]:
        if self.adjudication:
            return Rule.ADJUDICATED, self.adjudication
        if self.gold:
            return Rule.GOLD, self.gold
        if not self.label_ids:
            return Rule.UNLABELLED, None
        winner = majority_label(self.label_ids)
        return (Rule.MAJORITY, winner) if winner else (Rule.TIE, None)

    def hash(self) -> str:
        named = {label: sorted(raters) for label, raters in self.votes.items()}
        return digest(json.dumps([named, self.gold, self.adjudication, self.simulated], sort_keys=True))

    def settlement(self, item_id: int, revision: int) -> Settlement:
        rule, label_id = self.decide()
        total = len(self.label_ids)
        return Settlement(
            item_id=item_id, revision=revision, rule=rule, label_id=label_id, inputs_hash=self.hash(), simulated=self.simulated,
            votes={label: sorted(raters) for label, raters in sorted(self.votes.items())},
            posterior={label: round(len(raters) / total, 6) for label, raters in sorted(self.votes.items())},
        )  # fmt: skip


def settle(study: Study) -> dict[str, Any]:
    """Settle every item; returns how many have a label, how many are open, and by which rule."""
    voters = voters_of(study)
    keys = dict(Label.objects.filter(scheme=study.scheme_id).values_list("pk", "key"))
    by_rule: Counter[str] = Counter()
    changed = 0
    for item_ids in pages(study.items.all(), BATCH):
        with transaction.atomic():
            rules, new = _settle_batch(study, voters, keys, item_ids)
        by_rule.update(rules)
        changed += new
    still_open = sum(by_rule[rule] for rule in OPEN)
    return {
        "settled": by_rule.total() - still_open,
        "open": still_open,
        "by_rule": dict(sorted(by_rule.items())),
        "changed": changed,
        "simulated": newest(Settlement.objects.filter(item__study=study)).filter(simulated=True).exists(),
    }


def settle_items(study: Study, item_ids: list[int]) -> None:
    """Settle a few items anew, after a decision on them."""
    keys = dict(Label.objects.filter(scheme=study.scheme_id).values_list("pk", "key"))
    with transaction.atomic():
        _settle_batch(study, voters_of(study), keys, item_ids)


def _settle_batch(
    study: Study, voters: Sequence[Rater], keys: dict[int, str], item_ids: list[int]
) -> tuple[list[str], int]:
    # Locked, so that of two settlings at once the second sees what the first wrote.
    list(Item.objects.select_for_update(no_key=True).filter(pk__in=item_ids).values_list("pk"))
    inputs = gather(study, voters, keys, item_ids)
    before = {
        settlement.item_id: settlement for settlement in newest(Settlement.objects.filter(item__in=item_ids))
    }
    new, rules = [], []
    for item_id in item_ids:
        old = before.get(item_id)
        settlement = inputs[item_id].settlement(item_id, old.revision + 1 if old else 1)
        rules.append(str(settlement.rule))
        if (
            old is None
            or old.inputs_hash != settlement.inputs_hash
            or (old.rule, old.label_id) != (settlement.rule, settlement.label_id)
        ):
            new.append(settlement)
    Settlement.objects.bulk_create(new)
    keep_finals([(settlement.label_id, settlement.rule, settlement.item_id) for settlement in new])
    return rules, len(new)


def keep_finals(rows: Sequence[tuple[int | None, str, int]]) -> None:
    """Label, rule and item: what pages filter by, on the items themselves."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE annotation_item SET final_id = %s, final_rule = %s WHERE id = %s",
            [(label, str(rule), item) for label, rule, item in rows],
        )


def rebuild_finals(study: Study) -> None:
    """Anew from the newest settlements; of items that have none, nothing is kept."""
    for ids in pages(study.items.all(), BATCH):
        with transaction.atomic():
            lock(ids)
            latest = {one.item_id: one for one in newest(Settlement.objects.filter(item__in=ids))}
            keep_finals([_final(latest.get(item), item) for item in ids])


def _final(settlement: Settlement | None, item: int) -> tuple[int | None, str, int]:
    return (settlement.label_id, settlement.rule, item) if settlement else (None, "", item)


def gather(
    study: Study, voters: Sequence[Rater], keys: dict[int, str], item_ids: list[int]
) -> dict[int, Inputs]:
    names = {rater.pk: str(rater) for rater in voters}
    inputs: dict[int, Inputs] = defaultdict(Inputs)
    cast = (
        votes(study, list(names))
        .filter(item__in=item_ids)
        .values_list("item_id", "rater_id", "label_id", "simulated")
    )
    for item_id, rater_id, label_id, simulated in cast:
        inputs[item_id].votes[keys[label_id]].append(names[rater_id])
        inputs[item_id].label_ids.append(label_id)
        inputs[item_id].simulated |= simulated
    if study.gold_decides:
        for gold in newest(Gold.objects.filter(item__in=item_ids)):
            inputs[gold.item_id].gold = gold.label_id
    for decision in newest(Adjudication.objects.filter(item__in=item_ids)):
        inputs[decision.item_id].adjudication = decision.label_id
    return inputs

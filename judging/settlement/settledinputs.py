"""The hash of what a settlement was made from, and whether one still says what it did."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from annotation.models import Adjudication, Gold
from arbiter.core.text import digest
from judging.models import Settlement

Rule = Settlement.Rule
Votes = Mapping[str, Sequence[str]]


class Deciders(NamedTuple):
    """What people said of an item, by the keys of labels in the database; None for nothing."""

    gold: int | None
    adjudication: int | None


def hash_of_inputs(votes: Votes, decided: Deciders, simulated: bool, rule: Sequence[Any]) -> str:
    """Hash what a settlement depends on. `rule` is empty for one that counts votes and depends on no more."""
    return digest(json.dumps([votes, *decided, simulated, *rule], sort_keys=True))


def deciders_of(settlement: Settlement, said: Iterable[Deciders]) -> tuple[Deciders, Sequence[Any]] | None:
    """Return which of what people ever said, and of what rules depend on, a settlement was made from, by its
    hash; None where it is of no such inputs."""
    for decided, rule in product(said, _rules(settlement)):
        if hash_of_inputs(settlement.votes, decided, settlement.simulated, rule) == settlement.inputs_hash:
            return decided, rule
    return None


def _rules(settlement: Settlement) -> Iterator[Sequence[Any]]:
    """Yield what a settlement's rule may depend on beside the votes: the settling's, whose version says which
    that was; without a version, one that counts."""
    yield []
    yield [Rule.UNANIMOUS, settlement.posterior]
    if (version := settlement.version) is None:
        return
    if version.rule == Rule.WEIGHTED:
        yield [[Rule.WEIGHTED, version.fit.get("weights")], settlement.posterior]
    elif version.rule == Rule.MODEL:
        yield [Rule.MODEL, settlement.posterior]
        for unsure in (False, True):
            yield [[Rule.MODEL, version.options.get("threshold"), unsure], settlement.posterior]


def ever_said(items: Sequence[int]) -> dict[int, list[Deciders]]:
    """Return of each item every gold label with every decision that it may have been settled by, in any
    revision, and none of each."""
    golds, decisions = (_labels(model, items) for model in (Gold, Adjudication))
    return {
        item: [Deciders(*one) for one in product(golds.get(item, [None]), decisions.get(item, [None]))]
        for item in items
    }


def _labels(model: Any, items: Sequence[int]) -> dict[int, list[int | None]]:
    labels: dict[int, list[int | None]] = {}
    rows = model.objects.filter(item__in=items).order_by("item", "-revision")
    for item, label in rows.values_list("item", "label"):
        labels.setdefault(item, [None]).append(label)
    return labels

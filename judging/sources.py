"""Where an item's label may be taken from: a rater, the voters' majority, gold, or the settlement."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from django.db.models import QuerySet

from annotation.models import Gold, Rating, Study, newest
from annotation.raters import find_raters, voters_of
from judging.models import Settlement
from judging.statistics import majority


def votes(study: Study, rater_ids: list[int]) -> QuerySet[Rating]:
    """Current votes of these raters in the study."""
    return Rating.objects.votes().filter(item__study=study, rater__in=rater_ids)


def labels(study: Study, source: str) -> QuerySet[Any]:
    """Rows with a label for all sources kept as rows: a rater NAME or NAME@VERSION, gold, settled."""
    if source == "settled":
        return newest(Settlement.objects.filter(item__study=study, label__isnull=False))
    if source == "gold":
        return newest(Gold.objects.filter(item__study=study))
    return votes(study, [find_raters(study, [source])[0].pk])


def is_simulated(study: Study, source: str) -> bool:
    """Whether a simulated rater is behind any of the source's labels."""
    if source == "gold":
        return False
    kept = (
        votes(study, [rater.pk for rater in voters_of(study)])
        if source == "majority"
        else labels(study, source)
    )
    return kept.filter(simulated=True).exists()


def majorities(study: Study, *fields: str) -> Iterator[tuple[int, int | None, tuple[Any, ...]]]:
    """Item id, label id (None on a tie) and the asked-for fields, of every item with a vote; streamed by item."""
    rows = (
        votes(study, [rater.pk for rater in voters_of(study)])
        .order_by("item_id")
        .values_list("item_id", "label_id", *fields)
        .iterator(chunk_size=5000)
    )
    for item_id, group in groupby(rows, key=lambda row: row[0]):
        given = list(group)
        yield item_id, majority_label([row[1] for row in given]), given[0][2:]


def majority_label(label_ids: list[int]) -> int | None:
    """The label most votes are for; None where two or more share the lead."""
    distinct = sorted(set(label_ids))
    winner = majority([label_ids.count(label) for label in distinct])
    return None if winner is None else distinct[winner]

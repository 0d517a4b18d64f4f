"""Where an item's label may be taken from: a rater, the voters' majority, gold, or the settlement."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from annotation.models import Gold, Rater, Rating, Study
from annotation.raters import find_raters, voters_of
from judging.models import Settlement


def votes(study: Study, rater_ids: list[int]) -> QuerySet[Rating]:
    """Return the current votes of these raters in the study."""
    return Rating.objects.votes().filter(item__study=study, rater__in=rater_ids)


def labels(study: Study, source: str) -> QuerySet[Any]:
    """Return the rows with a label of a source that is kept as rows:
    a rater NAME or NAME@VERSION, gold, settled."""
    if source == "settled":
        return Settlement.objects.filter(item__study=study, label__isnull=False).newest()
    if source == "gold":
        return Gold.objects.current_in(study)
    return votes(study, [find_raters(study, [source])[0].pk])


def is_simulated(study: Study, source: str) -> bool:
    """Tell whether a simulated rater is behind any of the source's labels."""
    if source == "gold":
        return False
    if source == "majority":
        return any_simulated(study, voters_of(study))
    return bool(labels(study, source).filter(simulated=True).exists())


def any_simulated(study: Study, raters: Iterable[Rater]) -> bool:
    """Tell whether a current vote of any of the raters is simulated."""
    return votes(study, [rater.pk for rater in raters]).filter(simulated=True).exists()

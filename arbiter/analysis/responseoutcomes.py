"""What became of the responses that a study asked its models for. One that failed is no item, as there is
nothing to label; it was asked for all the same, and counts where all responses do. One that was refused or
cut off is an item like others."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet

from annotation.models import Item, Study
from benchmark.models import Response, Run, Suite
from benchmark.suites import slug_there

ENDINGS = [ending for ending in Response.Ending.values if ending]
ENDED = ("failed", *map(str, ENDINGS))
WORDS = {
    "failed": "failed and are no items, but count where all responses do",
    "refused": "were refused",
    "cut_off": "were cut off",
    "empty": "were empty",
}


def runs_of(study: Study) -> QuerySet[Run]:
    """Return the runs from which the study's items are."""
    here = Item.objects.filter(study=study, response__run=OuterRef("pk"))
    return Run.objects.filter(Exists(here)).order_by()


def failed_responses(study: Study) -> QuerySet[Response]:
    """Return the responses that the study's file chooses, and that failed: of whole runs too of which nothing
    came. Where no file says what is chosen, those of the runs that its items are from."""
    open_or_failed = Response.objects.exclude(state=Response.State.DONE)  # along the index of those
    failed = open_or_failed.filter(state=Response.State.FAILED, task__training=False)
    wanted: Mapping[str, Any] = study.config.get("responses") or {}
    if not study.config:
        return failed.filter(run__in=runs_of(study))
    for field, chosen in (
        ("run__subject__name__in", wanted.get("subjects")),
        ("run__condition__name__in", wanted.get("conditions")),
        ("task__category__title__in", wanted.get("categories")),
        ("epoch__in", wanted.get("epochs")),
    ):
        failed = failed.filter(**{field: chosen}) if chosen else failed
    failed = failed if wanted.get("controls", True) else failed.filter(task__control=False)
    return failed.filter(run__suite__in=_suites(study))


def _suites(study: Study) -> list[int]:
    """Return the suite of the study's items; where it has none, the newest of the name that its file
    gives."""
    keys = list(runs_of(study).values_list("suite", flat=True).distinct())
    slug, _, version = str(study.config.get("suite", "")).partition("@")
    if not keys and slug:
        suites = Suite.objects.filter(
            slug=slug_there(slug), **({"version": int(version)} if version.isdecimal() else {})
        )
        keys = list(suites.order_by("-version").values_list("pk", flat=True)[:1])
    return keys


def ending_counts(study: Study) -> dict[str, int]:
    """Count the responses of a study's items by how they ended, and those that failed. Control tasks are
    counted."""
    there = study.items.filter(response__ending__in=ENDINGS).order_by()
    counts = dict(there.values_list("response__ending").annotate(Count("pk")))
    return {
        "failed": failed_responses(study).count(),
        **{str(ending): counts.get(ending, 0) for ending in ENDINGS},
    }


def endings_by_cell(study: Study, paths: Sequence[str]) -> dict[tuple[Any, ...], dict[str, int]]:
    """Count the same without control tasks, by paths from an item (`response__run__subject`)."""
    endings: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(ENDED, 0))
    there = study.items.filter(response__ending__in=ENDINGS, response__task__control=False).order_by()
    for *cell, ending, count in there.values_list(*paths, "response__ending").annotate(Count("pk")):
        endings[tuple(cell)][ending] = count
    gone = failed_responses(study).filter(task__control=False).order_by()
    of_response = [path.removeprefix("response__") for path in paths]
    for *cell, count in gone.values_list(*of_response).annotate(Count("pk")):
        endings[tuple(cell)]["failed"] = count
    return endings


def endings_said(ended: Mapping[str, int]) -> str:
    """Say how many responses ended in which way; empty where all were answered whole."""
    return ", ".join(f"{ended[key]:,} {words}" for key, words in WORDS.items() if ended.get(key))

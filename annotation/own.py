"""What a rater sees of their own work. It never tells which items were checks, nor lets it be worked out.

How far they agree with gold and with themselves is shown over whole tens of comparisons, and of those days only that are
over: so no single label's figure can be had by looking before and after it.
"""

from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotation.desk import Desk
from annotation.models import Draw, Gold, Purpose, Rating, Serving
from annotation.progress import pace

FEWEST = 10  # comparisons, below which nothing is said
DAYS = 14
Place = tuple[int, str]  # item, purpose


@dataclass(frozen=True)
class Share:
    """So many of so many agreed; of fewer than ten nothing is said."""

    agreed: int
    compared: int

    @property
    def known(self) -> bool:
        return self.compared >= FEWEST

    @property
    def percent(self) -> int:
        return round(100 * self.agreed / self.compared)


def own_figures(desk: Desk) -> dict[str, Any]:
    desk.enrolment.refresh_from_db()
    see = desk.plan.raters_see
    labels = _labels(desk) if see else {}
    return {
        "done": desk.enrolment.done,
        "skipped": desk.enrolment.skipped,
        "seconds": _median_seconds(desk),
        "pace": pace(desk),
        "days": days(desk),
        "accuracy": accuracy(desk, labels) if "accuracy" in see else None,
        "consistency": consistency(labels) if "consistency" in see else None,
    }


def days(desk: Desk) -> list[dict[str, Any]]:
    """The last days with a label, the newest first, each with the width of its bar out of a hundred."""
    labelled = Serving.objects.filter(study=desk.study, rater=desk.rater, revision__gt=0)
    rows = labelled.annotate(day=TruncDate("answered_at")).order_by("-day").values("day")
    found = list(rows.annotate(labelled=Count("pk"))[:DAYS])
    most = max((row["labelled"] for row in found), default=1)
    return [row | {"width": max(round(100 * row["labelled"] / most), 1)} for row in found]


def _median_seconds(desk: Desk) -> float | None:
    times = Rating.objects.filter(
        rater=desk.rater, item__study=desk.study, question="", active_seconds__isnull=False
    )
    found = [
        float(seconds) for seconds in times.values_list("active_seconds", flat=True) if seconds is not None
    ]
    return median(found) if found else None


# Compared


def _labels(desk: Desk) -> dict[Place, tuple[datetime, str]]:
    """Their present label in every place, and when it came; of days that are over, without what was too many."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    given = Rating.objects.filter(
        rater=desk.rater, item__study=desk.study, question="", surplus=False, created_at__lt=today
    )
    rows = given.order_by("pk").values_list("item", "purpose", "created_at", "label__key")
    return {(item, purpose): (when, label) for item, purpose, when, label in rows}


def accuracy(desk: Desk, labels: dict[Place, tuple[datetime, str]]) -> Share:
    """Against the newest gold, save where the rater's own vote helped to make it."""
    of_raters = Gold.Origin.CONSENSUS
    rated = Rating.objects.filter(rater=desk.rater, item__study=desk.study).order_by().values("item")
    golds = Gold.objects.filter(item__in=rated).order_by("revision")
    rows = golds.values_list("item", "label__key", "origin", "draw__purpose", "author")
    newest = {item: gold for item, *gold in rows}
    compared = []
    for (item, purpose), (when, label) in labels.items():
        gold, origin, drawn_for, author = newest.get(item, (None, "", "", None))
        own = purpose == Purpose.SLOT and origin == of_raters and drawn_for != Draw.Purpose.GOLD
        if gold and purpose in (Purpose.SLOT, Purpose.GOLD_CHECK) and not own and author != desk.rater.pk:
            compared.append((when, label == gold))
    return _share(compared)


def consistency(labels: dict[Place, tuple[datetime, str]]) -> Share:
    """Of what they were asked about again, how often they said the same."""
    compared = [
        (when, labels[item, Purpose.SLOT][1] == label)
        for (item, purpose), (when, label) in labels.items()
        if purpose == Purpose.REPEAT and (item, Purpose.SLOT) in labels
    ]
    return _share(compared)


def _share(compared: list[tuple[datetime, bool]]) -> Share:
    """In whole tens, in the order they came: what the next single one adds is not seen."""
    whole = sorted(compared, key=lambda one: one[0])[: len(compared) // FEWEST * FEWEST]
    return Share(sum(agreed for _, agreed in whole), len(whole))

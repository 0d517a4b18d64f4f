"""What a rater sees of their own work. It never tells which items were checks, nor lets it be worked out.

How far they agree with gold and with themselves is shown over whole tens of comparisons, and of those days
only that are over: so no single label's figure can be had by looking before and after it.
"""

from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotation.desk import Desk
from annotation.models import Draw, Gold, PlacePurpose, Rating, Serving
from annotation.raterprogress import rater_pace

FEWEST = 10  # comparisons, below which nothing is said
DAYS = 14
Place = tuple[int, str]  # item, purpose


@dataclass(frozen=True)
class AgreementShare:
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
        "pace": rater_pace(desk),
        "days": labelling_days(desk),
        "accuracy": accuracy(desk, labels) if "accuracy" in see else None,
        "consistency": consistency(labels) if "consistency" in see else None,
    }


def labelling_days(desk: Desk) -> list[dict[str, Any]]:
    """Return the last days with a label, the newest first, each with the width of its bar out of a
    hundred."""
    labelled = Serving.objects.filter(study=desk.study, rater=desk.rater, revision__gt=0)
    rows = labelled.annotate(day=TruncDate("answered_at")).order_by("-day").values("day")
    counts = list(rows.annotate(labelled=Count("pk"))[:DAYS])
    most = max((row["labelled"] for row in counts), default=1)
    return [row | {"width": max(round(100 * row["labelled"] / most), 1)} for row in counts]


def _median_seconds(desk: Desk) -> float | None:
    times = Rating.objects.primary().filter(
        rater=desk.rater, item__study=desk.study, active_seconds__isnull=False
    )
    seconds = [float(one) for one in times.values_list("active_seconds", flat=True) if one is not None]
    return median(seconds) if seconds else None


# Compared


def _labels(desk: Desk) -> dict[Place, tuple[datetime, str]]:
    """Return what the rater said first in every place, and when; of days that are over, without what was too
    many. A label changed later would let somebody try out what the gold is."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    given = (
        Rating.objects.primary()
        .counting()
        .filter(rater=desk.rater, item__study=desk.study, created_at__lt=today)
    )
    rows = given.order_by("pk").values_list("item", "purpose", "created_at", "label__key")
    first: dict[Place, tuple[datetime, str]] = {}
    for item, purpose, when, label in rows:
        first.setdefault((item, purpose), (when, label))
    return first


def accuracy(desk: Desk, labels: dict[Place, tuple[datetime, str]]) -> AgreementShare:
    """Compare the rater's labels with the gold, save where their own vote helped to make it."""
    of_raters = Gold.Origin.CONSENSUS
    rated = Rating.objects.filter(rater=desk.rater, item__study=desk.study).order_by().values("item")
    golds = Gold.objects.filter(item__in=rated).current()
    rows = golds.values_list("item", "label__key", "origin", "draw__purpose", "author")
    said = {item: gold for item, *gold in rows}
    compared = []
    for (item, purpose), (when, label) in labels.items():
        gold, origin, drawn_for, author = said.get(item, (None, "", "", None))
        own = purpose == PlacePurpose.SLOT and origin == of_raters and drawn_for != Draw.Purpose.GOLD
        if (
            gold
            and purpose in (PlacePurpose.SLOT, PlacePurpose.GOLD_CHECK)
            and not own
            and author != desk.rater.pk
        ):
            compared.append((when, label == gold))
    return _share(compared)


def consistency(labels: dict[Place, tuple[datetime, str]]) -> AgreementShare:
    """Count how often the rater said the same of what they were asked about again."""
    compared = [
        (when, labels[item, PlacePurpose.SLOT][1] == label)
        for (item, purpose), (when, label) in labels.items()
        if purpose == PlacePurpose.REPEAT and (item, PlacePurpose.SLOT) in labels
    ]
    return _share(compared)


def _share(compared: list[tuple[datetime, bool]]) -> AgreementShare:
    """Count the labels that agreed in whole tens of those compared, in the order they came: what the next
    single one adds is not seen."""
    whole = sorted(compared, key=lambda one: one[0])[: len(compared) // FEWEST * FEWEST]
    return AgreementShare(sum(agreed for _, agreed in whole), len(whole))

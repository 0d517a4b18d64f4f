"""How far a rater is, and what is left, told so that no single step of the count shows which items were checks."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from annotation.desk import Desk
from annotation.models import Assignment, Enrolment, Gold, Rating, Serving, Skip, Study
from annotation.routing import State, held
from benchmark.remembering import remembered
from benchmark.statements import rows

NOW = """
    SELECT done, skipped, left_base, left_at, paused,
        (SELECT MAX(version) FROM annotation_guideline g WHERE g.study_id = e.study_id)
    FROM annotation_enrolment e WHERE e.id = %s
"""
COUNT_AGAIN = 25  # answers, after which what is left is counted anew
KEPT_FOR = 30  # seconds, for all raters of a process


@dataclass(frozen=True)
class Progress:
    done: int
    left: int


def progress(desk: Desk) -> Progress:
    """As of now."""
    refresh(desk)
    return told(desk)


def refresh(desk: Desk) -> None:
    """What a label or an owner may have changed since the desk was set up: the rater's own counts, the guidelines."""
    mine = desk.enrolment
    [(mine.done, mine.skipped, mine.left_base, mine.left_at, paused, desk.guidelines)] = rows(NOW, [mine.pk])
    mine.paused = bool(paused)


def told(desk: Desk) -> Progress:
    """What is left falls by one with every answer, of whatever purpose, and is counted anew every so often."""
    mine = desk.enrolment
    answered = mine.done + mine.skipped
    left = mine.left_base - (answered - mine.left_at)
    if mine.left_base < 0 or left < 1 or answered - mine.left_at >= COUNT_AGAIN:
        left = count_left(desk)
        Enrolment.objects.filter(pk=mine.pk).update(left_base=left, left_at=answered)
    return Progress(mine.done, left)


def count_left(desk: Desk) -> int:
    """Items the rater may still be given, with those they hold."""
    mine, plan = desk.enrolment, desk.plan
    open_items = sum(
        count
        for (language, category), count in _open_items(desk.study, desk.purpose).items()
        if (not mine.languages or language in mine.languages)
        and (not mine.categories or category in mine.categories)
    )
    holding = len(held(desk))
    left = max(open_items - _not_for(desk), 0) + holding
    cap = mine.cap or plan.per_rater
    if mine.paused:
        return holding
    return left if cap is None else min(left, max(cap - mine.done, holding))


def _open_items(study: Study, purpose: str) -> Counter[tuple[str, str]]:
    """Items with an open slot by language and category. In a large study counted once in a while for all, when a few more
    or less don't show."""
    slots = Assignment.objects.filter(study=study, purpose=purpose, state=State.OPEN, slot__isnull=False)
    rows = slots.order_by().values_list(
        "item__response__task__language", "item__response__task__category__key"
    )
    counted = rows.annotate(Count("item", distinct=True))
    return remembered(
        f"open-items:{study.pk}:{purpose}",
        lambda: Counter({(row[0], row[1]): row[2] for row in counted}),
        seconds=KEPT_FOR,
    )


def _not_for(desk: Desk) -> int:
    """Open items that this rater has had already."""
    wanting = Assignment.objects.filter(
        item=OuterRef("item"), purpose=desk.purpose, state=State.OPEN, slot__isnull=False
    )
    placed = Assignment.objects.filter(rater=desk.rater, study=desk.study).filter(Exists(wanting))
    skipped = Skip.objects.filter(rater=desk.rater, item__study=desk.study).filter(Exists(wanting))
    rated = Rating.objects.filter(rater=desk.rater, item__study=desk.study).filter(Exists(wanting))
    golden = Gold.objects.filter(author=desk.rater, item__study=desk.study).filter(Exists(wanting))
    return len(
        {item for rows in (placed, skipped, rated, golden) for item in rows.values_list("item", flat=True)}
    )


def pace(desk: Desk) -> dict[str, Any]:
    """What the rater has labelled in the last day's worth of work: how many, and how many an hour lately."""
    now = timezone.now()
    labelled = Serving.objects.filter(study=desk.study, rater=desk.rater, revision__gt=0)
    today = labelled.filter(answered_at__gte=now.replace(hour=0, minute=0, second=0, microsecond=0)).count()
    lately = labelled.filter(answered_at__gte=now - timedelta(hours=1)).count()
    return {"today": today, "last_hour": lately}

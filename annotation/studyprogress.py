"""How far people are with a study: by stratum and category, how fast, and how long it will take.

What a page shows is counted in the database, in a few passes over the draw's items and slots, and kept for
some seconds: many look, and nothing hangs on the last label.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import Count, F, FilteredRelation, Q
from django.utils import timezone

from annotation.draws import waits_for
from annotation.humanplan import humans_of
from annotation.models import (
    Adjudication,
    Assignment,
    Draw,
    DrawnItem,
    Gold,
    PlacePurpose,
    Rating,
    Serving,
    Skip,
    Study,
)
from arbiter.core.batching import batches
from arbiter.core.countcache import remembered
from benchmark.models import Task

KEPT_FOR = 15  # seconds
PACE_DAYS = 7
PAGE = 25
State = Assignment.State
T = TypeVar("T")


def remembered_of(study: Study, name: str, count: Callable[[], T]) -> T:
    return remembered(f"monitoring:{name}:{study.pk}", count, seconds=KEPT_FOR)


def main_draw(study: Study) -> Draw | None:
    return study.draws.filter(name="main").first()


# In all


@dataclass(frozen=True)
class SlotTotals:
    slots: int
    filled: int
    held: int  # under a lease that runs

    @property
    def open(self) -> int:
        return self.slots - self.filled - self.held


def slot_totals(study: Study) -> SlotTotals:
    slots = Assignment.objects.filter(study=study, purpose=PlacePurpose.SLOT)
    states = dict(slots.order_by().values_list("state").annotate(Count("pk")))
    lapsed = slots.lapsed().count()
    return SlotTotals(sum(states.values()), states.get(State.DONE, 0), states.get(State.LEASED, 0) - lapsed)


# By stratum and category


@dataclass
class GroupProgress:
    """How far the items of a stratum or a category are. Of those `done` every slot is filled."""

    name: str
    frame: int = 0
    drawn: int = 0
    slots: int = 0
    filled: int = 0
    done: int = 0
    held: int = 0
    gold: int = 0
    probability: float | None = None


def by_stratum(draw: Draw) -> list[GroupProgress]:
    rows_by_stratum = {
        name: GroupProgress(name, probability=probability)
        for name, probability in draw.strata.order_by("position").values_list("name", "probability")
    }
    drawn = Count("pk", filter=Q(number__lt=F("probability")))
    framed = draw.framed.order_by().values_list("stratum")
    for name, *counts in framed.annotate(frame=Count("pk"), drawn=drawn):
        row = rows_by_stratum.setdefault(name, GroupProgress(name))
        row.frame, row.drawn = counts
    for name, *counts in _slots_by_stratum(draw):
        row = rows_by_stratum[name]
        row.slots, row.filled, row.done = counts
    held, golden = _held(draw), _golden(draw)
    strata = strata_of(draw, {*held, *golden})
    for item in held:
        if item in strata:
            rows_by_stratum[strata[item]].held += 1
    for item in golden:
        if item in strata:
            rows_by_stratum[strata[item]].gold += 1
    return list(rows_by_stratum.values())


def _slots_by_stratum(draw: Draw) -> list[tuple[str, int, int, int]]:
    """Count the slots on the items of each stratum, those filled, and the items all of whose slots are
    filled."""
    slot = Q(item__assignments__purpose=draw.purpose, item__assignments__slot__isnull=False)
    slots = draw.framed.annotate(place=FilteredRelation("item__assignments", condition=slot))
    filled = Q(place__state=State.DONE)
    counts = (
        slots.filter(place__isnull=False)
        .order_by()
        .values_list("stratum")
        .annotate(
            slots=Count("pk"),
            filled=Count("pk", filter=filled),
            items=Count("item", distinct=True),
            unfinished=Count("item", distinct=True, filter=~filled),
        )
    )
    return [(name, slots, done, items - unfinished) for name, slots, done, items, unfinished in counts]


def _held(draw: Draw) -> list[int]:
    """Return the items of places under a lease that runs, an item once for each."""
    held = Assignment.objects.filter(study=draw.study_id, purpose=draw.purpose).under_lease()
    return list(held.values_list("item_id", flat=True))


def _golden(draw: Draw) -> list[int]:
    return list(Gold.objects.current_in(draw.study_id).values_list("item_id", flat=True))


def strata_of(draw: Draw, items: Iterable[int]) -> dict[int, str]:
    """Return the strata of those items that lie in the draw's frame. They are asked for by key: joined, a
    database may begin with the whole frame."""
    strata: dict[int, str] = {}
    for part in batches(sorted(set(items)), 500):
        rows = DrawnItem.objects.filter(draw=draw, item__in=part).order_by()
        strata |= dict(rows.values_list("item_id", "stratum"))
    return strata


def by_category(draw: Draw) -> list[GroupProgress]:
    """Count the draw's items by category. Here `filled` counts items' human votes, as they keep them, and
    `done` items with as many as the draw asks for."""
    # An expression, not the column: to group by that, SQLite walks an index of all responses there are.
    task = F("item__response__task_id") + 0
    framed = DrawnItem.objects.filter(draw=draw).order_by().annotate(task=task).values("task")
    drawn = Q(number__lt=F("probability"))
    tasks = framed.annotate(
        frame=Count("pk"),
        drawn=Count("pk", filter=drawn),
        done=Count("pk", filter=drawn & Q(item__human_votes__gte=draw.raters_per_item)),
    )
    rows: dict[str, GroupProgress] = {}
    titles = _titles()
    for of, frame, count, done in tasks.values_list("task", "frame", "drawn", "done"):
        row = rows.setdefault(titles[of], GroupProgress(titles[of]))
        row.frame, row.drawn, row.done = row.frame + frame, row.drawn + count, row.done + done
    for part in batches(_golden(draw), 500):
        golden = draw.framed.filter(item__in=part).order_by()
        for of in golden.values_list("item__response__task", flat=True):
            rows[titles[of]].gold += 1
    return [rows[title] for title in sorted(rows)]


def _titles() -> dict[int, str]:
    """Return the titles of tasks' categories by task. Grouped by task, the items' pass needs no further
    table."""
    return dict(Task.objects.order_by().values_list("pk", "category__title"))


# Pace


@dataclass(frozen=True)
class LabellingPace:
    hour: int  # labels in the last hour
    today: int
    days: float  # that the pace is told from; 0: nothing was labelled in them
    a_day: float  # labels, in those days
    left: int  # slots to fill

    @property
    def days_left(self) -> float | None:
        return self.left / self.a_day if self.a_day else None

    @property
    def hours_left(self) -> int | None:
        return None if self.days_left is None else max(1, round(24 * self.days_left))

    @property
    def rounded(self) -> int:
        return max(1, round(self.a_day))


def study_pace(study: Study, left: int) -> LabellingPace:
    """Return the study's pace, from what was labelled in the last week, or since the first label where that
    is less long ago."""
    now = timezone.now()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    began = max(now - timedelta(days=PACE_DAYS), _first_label(study) or now)
    days = (now - began).total_seconds() / 86400
    count = _labelled(study, began)
    return LabellingPace(
        hour=_labelled(study, now - timedelta(hours=1)),
        today=_labelled(study, midnight),
        days=days if count else 0.0,
        a_day=count / max(days, 1 / 24) if count else 0.0,
        left=left,
    )


def _first_label(study: Study) -> datetime | None:
    answered = Serving.objects.filter(study=study, answered_at__isnull=False).order_by("answered_at")
    return answered.values_list("answered_at", flat=True).first()


def _labelled(study: Study, since: datetime) -> int:
    """Count the labels since a moment: answers, counted along their index, less what was skipped."""
    answered = Serving.objects.filter(study=study, answered_at__gte=since).count()
    return max(0, answered - Skip.objects.filter(item__study=study, created_at__gte=since).count())


# What raters want somebody to see


def flagged_ratings(study: Study, before: int = 0) -> list[Rating]:
    """Return ratings whose rater wants the owner to look, the latest first, one more than a page shows."""
    ratings = Rating.objects.newest().primary().filter(flagged=True, item__study=study)
    if before:
        ratings = ratings.filter(pk__lt=before)
    return list(ratings.select_related("item", "rater", "label").order_by("-pk")[: PAGE + 1])


def unclear_decisions(study: Study) -> list[Adjudication]:
    """Return decisions that say the guidelines should say more, the latest first."""
    decisions = Adjudication.objects.filter(item__study=study).newest().filter(guideline_unclear=True)
    return list(decisions.select_related("item", "label").order_by("-pk")[:PAGE])


# Draws


@dataclass(frozen=True)
class DrawCounts:
    draw: Draw
    frame: int
    drawn: int


def draw_counts(study: Study) -> list[DrawCounts]:
    counted = DrawnItem.objects.filter(draw__study=study).order_by().values("draw")
    drawn = Count("pk", filter=Q(number__lt=F("probability")))
    counts = {
        draw: (frame, count)
        for draw, frame, count in counted.annotate(frame=Count("pk"), drawn=drawn).values_list(
            "draw", "frame", "drawn"
        )
    }
    return [DrawCounts(draw, *counts.get(draw.pk, (0, 0))) for draw in study.draws.order_by("pk")]


def draw_waits(study: Study) -> list[str]:
    """Return what draws of the study's plan wait for, in sentences."""
    plan = humans_of(study)
    if not study.humans:
        return []
    there = {draw.name: draw for draw in study.draws.all()}
    wanted = [("main", plan), ("gold", plan.gold)]
    reasons = [waits_for(study, spec, there.get(name), name) for name, spec in wanted if spec]
    return [reason for reason in reasons if reason]

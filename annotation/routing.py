"""Who labels what: draws of items for humans, and the slots raters claim.

A slot is a row, made with its item's draw and claimed by a conditional UPDATE whose row count says who won. So an item
never gets more raters than it has slots, however many raters ask at once, and a rater who vanishes gives the slot back
when the lease runs out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.ledger import Entry, record
from annotation.models import Assignment, Draw, DrawnItem, Item, Purpose, Rater, Rating, Skip, Study
from benchmark.errors import UserError
from benchmark.text import digest, storable

State = Assignment.State
TRIES = 50  # how many slots a rater may lose to others in a row before being told to come back


# Draws


def permanent_number(seed: int, item: Item) -> float:
    """The item's place in [0, 1): from the seed and what the item is, so that any machine draws the same sample."""
    response = item.response
    run = response.run
    parts = (
        str(seed),
        str(run.suite),
        run.subject.name,
        run.condition.content_hash,
        run.name,
        response.task.key,
        str(response.epoch),
    )
    return (int(digest(*parts)[:16], 16) >> 11) / 2**53


@transaction.atomic
def plan_draw(study: Study, *, share: float, raters_per_item: int, seed: int) -> Draw:
    """Make the study's draw, or grow it. Nobody drawn is undrawn: the share and the raters an item needs only rise."""
    if not 0 < share <= 1:
        raise UserError(
            f"humans.share should be above 0 and at most 1, it is {share:g}: with 0 no rate can be estimated."
        )
    draw, made = Draw.objects.get_or_create(
        study=study,
        name="main",
        defaults={
            "share": share,
            "raters_per_item": raters_per_item,
            "seed": seed,
            "frame": "every item of the study",
        },
    )
    if not made:
        _refuse_shrinking(draw, share, raters_per_item, seed)
        Draw.objects.filter(pk=draw.pk).update(share=share, raters_per_item=raters_per_item)
        draw.refresh_from_db()
        draw.drawn.update(probability=share)
    extend_draws(study)
    return draw


def _refuse_shrinking(draw: Draw, share: float, raters_per_item: int, seed: int) -> None:
    for key, now, wanted in [
        ("share", draw.share, share),
        ("per_item", draw.raters_per_item, raters_per_item),
    ]:
        if wanted < now:
            raise UserError(
                f"humans.{key} can only grow: the draw has {now:g}, the file says {wanted:g}; items already handed out can't be taken back."
            )
    if seed != draw.seed:
        raise UserError(
            f"humans.seed can't change once items are drawn: the draw has {draw.seed}, the file says {seed}."
        )


def extend_draws(study: Study) -> None:
    """Draw among items that came later, and make the slots that are missing."""
    for draw in study.draws.all():
        undrawn = study.items.filter(~Exists(DrawnItem.objects.filter(draw=draw, item=OuterRef("pk"))))
        rows = undrawn.select_related(
            "response__run__suite", "response__run__subject", "response__run__condition", "response__task"
        )
        for batch in _pages(rows.defer("response__text", "response__reasoning", "response__task__text")):
            numbered = [(item, permanent_number(draw.seed, item)) for item in batch]
            DrawnItem.objects.bulk_create(
                DrawnItem(draw=draw, item=item, number=number, probability=draw.share)
                for item, number in numbered
                if number < draw.share
            )
        _add_slots(draw)


def _add_slots(draw: Draw) -> None:
    for slot in range(1, draw.raters_per_item + 1):
        lacking = draw.drawn.filter(~Exists(Assignment.objects.filter(item=OuterRef("item"), slot=slot)))
        for batch in _pages(lacking.order_by("id")):
            Assignment.objects.bulk_create(
                Assignment(item_id=drawn.item_id, slot=slot, number=drawn.number) for drawn in batch
            )


def _pages(queryset: QuerySet[Any], size: int = 1000) -> Iterator[list[Any]]:
    """By key, so that rows written meanwhile don't shift the pages."""
    last = 0
    while batch := list(queryset.filter(pk__gt=last).order_by("pk")[:size]):
        yield batch
        last = batch[-1].pk


# Slots


def free(rater: Rater, now: datetime) -> Q:
    """Slots this rater may take: open or abandoned, on items the rater has no place on, no rating of and has not skipped."""
    mine = Assignment.objects.filter(item=OuterRef("item"), rater=rater)
    rated = Rating.objects.filter(item=OuterRef("item"), rater=rater)
    skipped = Skip.objects.filter(item=OuterRef("item"), rater=rater)
    available = Q(state=State.OPEN) | Q(state=State.LEASED, leased_until__lt=now)
    return available & Q(purpose=Purpose.SLOT) & Q(~Exists(mine), ~Exists(rated), ~Exists(skipped))


def held(study: Study, rater: Rater) -> Assignment | None:
    """The place this rater holds in the study, if its lease is alive."""
    return (
        Assignment.objects.filter(
            item__study=study, rater=rater, state=State.LEASED, leased_until__gte=timezone.now()
        )
        .order_by("id")
        .first()
    )


def next_assignment(study: Study, rater: Rater) -> Assignment | None:
    """The place the rater holds, with its lease renewed, or the next free one; None where nothing is left."""
    own = Assignment.objects.filter(item__study=study, rater=rater, state=State.LEASED).order_by("id").first()
    if own and renew(own, rater):
        return own
    for _ in range(TRIES):
        now = timezone.now()
        slots = Assignment.objects.filter(free(rater, now), item__study=study).order_by("number", "id")
        candidate = slots.first()
        if candidate is None:
            return None
        if _claim(candidate, rater, now):
            candidate.refresh_from_db()
            return candidate
    raise UserError("Too many raters are asking at once; try again.")


def _claim(slot: Assignment, rater: Rater, now: datetime) -> bool:
    """Take the slot if it is still free; somebody else may have, between our look and this UPDATE."""
    try:
        with transaction.atomic():
            taken = Assignment.objects.filter(free(rater, now), pk=slot.pk).update(
                rater=rater, state=State.LEASED, leased_until=now + lease_time()
            )
    except IntegrityError:  # the same rater, in another window, took another slot of this item
        return False
    return taken == 1


def renew(assignment: Assignment, rater: Rater) -> bool:
    """Prolong the lease; False where the slot has gone to somebody else."""
    return (
        Assignment.objects.filter(pk=assignment.pk, rater=rater, state=State.LEASED).update(
            leased_until=timezone.now() + lease_time()
        )
        == 1
    )


def lease_time() -> timedelta:
    return timedelta(minutes=settings.ASSIGNMENT_LEASE_MINUTES)


@dataclass(frozen=True)
class Submission:
    """What a rater sends for an item. The key makes sending it again harmless."""

    key: str
    label: str
    confidence: float | None = None
    rationale: str = ""
    active_seconds: float | None = None


@transaction.atomic
def submit(item: Item, rater: Rater, sent: Submission, shown: dict[str, Any]) -> Rating:
    """Write a rater's label to the ledger; it is never lost and never counted twice.

    1. The rater's slot is closed, if it is still the rater's (even past its lease, while nobody else took it).
    2. Otherwise a slot of the item that is still open is taken.
    3. Otherwise the label is surplus: kept in the ledger, shown as such, not counted.
    All of it is one transaction, so a crash leaves either nothing or everything.
    """
    before = Rating.objects.filter(submission=sent.key).first()
    if before:
        return before
    counted = _close_own(item, rater) or _close_open(item, rater)
    scale = "steps3" if sent.confidence is not None else ""
    entry = Entry(
        item_id=item.pk, rater=rater, label=sent.label, rationale=sent.rationale, confidence=sent.confidence, confidence_scale=scale,
        active_seconds=sent.active_seconds, shown=shown, surplus=not counted, submission=sent.key,
    )  # fmt: skip
    return record(item.study.scheme, [entry])[0]


def _close_own(item: Item, rater: Rater) -> bool:
    """Also true for a slot the rater finished before: a second submission is a revision in the same slot."""
    own = Assignment.objects.filter(item=item, rater=rater, purpose=Purpose.SLOT)
    return own.filter(state__in=[State.LEASED, State.DONE]).update(state=State.DONE, leased_until=None) == 1


def _close_open(item: Item, rater: Rater) -> bool:
    """Take and close any slot nobody holds; of two late submissions the row count says who got it."""
    available = Q(state=State.OPEN) | Q(state=State.LEASED, leased_until__lt=timezone.now())
    slots = Assignment.objects.filter(available, item=item, purpose=Purpose.SLOT)
    for pk in slots.order_by("slot").values_list("pk", flat=True):
        try:
            with transaction.atomic():
                taken = slots.filter(pk=pk).update(rater=rater, state=State.DONE, leased_until=None)
        except IntegrityError:  # sent twice at once: the rater has just taken another slot of this item
            return True
        if taken == 1:
            return True
    return False


@transaction.atomic
def skip(item: Item, rater: Rater, reason: str) -> None:
    """Give the place back and don't offer the item to this rater again."""
    if not reason.strip():
        raise UserError("Say in a word why you skip this response.")
    Skip.objects.get_or_create(item=item, rater=rater, defaults={"reason": storable(reason.strip())[0]})
    Assignment.objects.filter(item=item, rater=rater, state=State.LEASED).update(
        rater=None, state=State.OPEN, leased_until=None
    )


@dataclass(frozen=True)
class Progress:
    done: int
    left: int


def progress(study: Study, rater: Rater) -> Progress:
    done = Assignment.objects.filter(item__study=study, rater=rater, state=State.DONE).count()
    left = (
        Assignment.objects.filter(free(rater, timezone.now()), item__study=study)
        .values("item")
        .distinct()
        .count()
    )
    return Progress(done, left + (1 if held(study, rater) else 0))


def slot_counts(study: Study) -> dict[str, int]:
    slots = Assignment.objects.filter(item__study=study, purpose=Purpose.SLOT)
    return {
        "slots": slots.count(),
        "filled": slots.filter(state=State.DONE).count(),
        "drawn": DrawnItem.objects.filter(draw__study=study).count(),
    }

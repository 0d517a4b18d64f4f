"""Who labels what: slots claimed under a lease, checks slipped in between, places given back.

A slot is a row, made with its item's draw and claimed by a conditional UPDATE whose row count says who won.
So an item never gets more raters than it has slots, however many raters ask at once, and a rater who vanishes
gives the slot back when the lease runs out. What a rater is given is a Serving: its key is all that their
page knows the item by.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from annotation.desk import Desk, chance
from annotation.models import (
    Assignment,
    AssignmentQuerySet,
    Enrolment,
    Item,
    Rater,
    Serving,
    Skip,
    Study,
    opaque_key,
)
from annotation.raterchecks import Place, is_due, next_check
from arbiter.core.clock import Moment, moment
from arbiter.core.deadlocks import again_after_deadlock
from arbiter.core.errors import UserError
from arbiter.core.statements import adapted, changed_rows, column_names, columns, placeholders, rows
from arbiter.core.text import storable

State = Assignment.State
TRIES = 50  # looks in a row at which others were faster
BLOCK = 12  # items by which a rater's own order may depart from that of the random numbers
RECENT = 5  # how many of a rater's last tasks are not to come again at once
LOOK = 3 * BLOCK  # slots looked at for the next item
LAPSED_EVERY = 8  # items given
AHEAD = 6  # items a page may hold, so that labelling goes on without the network
TOP_UP = 3  # of them missing before more are looked for

# Put together anew each time, these three statements cost Django more than all the rest of a label, so they
# are written out. In a study of 20,000 items of which none was labelled, and one of 50,000 with 150,000
# labels, they took so many ms, written out and by Django:
#
#                                  SQLite         PostgreSQL
#   look for free slots            0.15    2.1    0.85    3.2
#   claim six of them              0.45    2.5    0.80    3.3
#   see what a rater holds         0.12    1.0    0.24    1.2
#
# Every label does the last, every third all of them. With these written out and the rest of a label by
# Django, 32 raters sent 145 labels a second; with the rest written out too, 232 (SQLite, two processors).
# Besides, no UPDATE of Django's says which rows it changed. Free is a slot on an item that the rater has no
# place on, no rating of, wrote no gold for and has not skipped.
NOT_HAD = """
    AND NOT EXISTS (SELECT 1 FROM annotation_assignment m WHERE m.item_id = a.item_id AND m.rater_id = %s)
    AND NOT EXISTS (SELECT 1 FROM annotation_rating m WHERE m.item_id = a.item_id AND m.rater_id = %s)
    AND NOT EXISTS (SELECT 1 FROM annotation_skip m WHERE m.item_id = a.item_id AND m.rater_id = %s)
    AND NOT EXISTS (SELECT 1 FROM annotation_gold m WHERE m.item_id = a.item_id AND m.author_id = %s)
"""
SLOTS = f"""
    SELECT a.id, a.item_id, a.number, a.slot, (
        SELECT r.task_id FROM annotation_item i JOIN benchmark_response r ON r.id = i.response_id
        WHERE i.id = a.item_id
    )
    FROM annotation_assignment a
    WHERE a.study_id = %s AND a.purpose = %s AND {{free}} AND a.number >= %s AND a.slot IS NOT NULL
    {NOT_HAD} {{only}} ORDER BY a.number, a.id LIMIT %s
"""  # noqa: S608
# A join of their own: with all in one, PostgreSQL takes longer to choose a plan than to find the slots.
OF_TASKS = """ AND EXISTS (
        SELECT 1 FROM annotation_item i JOIN benchmark_response r ON r.id = i.response_id
        JOIN benchmark_task t ON t.id = r.task_id JOIN benchmark_category c ON c.id = t.category_id
        WHERE i.id = a.item_id{conditions}
    )"""
CLAIM = f"""
    UPDATE annotation_assignment AS a SET rater_id = %s, state = %s, leased_until = {{until}}
    WHERE a.id IN ({{places}}) AND {{free}} {NOT_HAD}
    RETURNING item_id
"""  # noqa: S608
NEW = {"revision": 0, "draft": None, "answered_at": None}  # a serving that nobody has answered
_FIELDS = ("key", "study", "item", "rater", "purpose", "ordinal", "shown", "served_at", *NEW)
_COLUMNS = column_names(Serving)
_PLACE = ", ".join(_COLUMNS[name] for name in Serving.PLACE)
SERVE = f"""
    INSERT INTO annotation_serving ({", ".join(_COLUMNS[name] for name in _FIELDS)}) VALUES {{rows}}
    ON CONFLICT ({_PLACE})
    DO UPDATE SET served_at = excluded.served_at, shown = excluded.shown
    RETURNING *
"""  # noqa: S608
A_SERVING = f"({placeholders(_FIELDS)})"
COUNT = "UPDATE annotation_enrolment SET served = served + %s, position = %s WHERE id = %s"
HELD = f"""
    SELECT s.*, a.leased_until < {{half}} AS half_over
    FROM annotation_serving s JOIN annotation_assignment a
        ON ({columns(Assignment, "a", Serving.PLACE)}) = ({columns(Serving, "s", Serving.PLACE)})
    WHERE a.state = %s AND s.rater_id = %s AND s.study_id = %s AND s.answered_at IS NULL
    ORDER BY s.served_at, s.id
"""  # noqa: S608


# Serving


class Slot(NamedTuple):
    pk: int
    item: int
    number: float
    slot: int
    task: int


def serve(desk: Desk, want: int = 1) -> list[Serving]:
    """Return what the rater holds, its leases renewed, and then more until there are `want`; fewer where
    nothing is left.

    1. The leases of all they hold are renewed once half of one is over, also of those that ran out and nobody
       took.
    2. Of the missing, each is a check, by the study's rates, or the next slot. Its claim and its serving are
       one transaction.

    If the server dies between two of them, the next call goes on from there.
    """
    want = min(want, AHEAD)
    serving = held(desk)
    if any(one.half_over for one in serving):  # type: ignore[attr-defined]
        _renew_all(desk)
    if want == AHEAD and len(serving) > AHEAD - TOP_UP:
        return serving  # enough to go on with; to look for one at a time would cost as much as for several
    while len(serving) < want and desk.may_take_more(len(serving)):
        given = _some(desk, serving, want)
        if not given:
            break
        serving += given
    return serving


@again_after_deadlock
def _renew_all(desk: Desk) -> None:
    Assignment.objects.filter(study=desk.study).claimed_by(desk.rater).renew(_lease())


def held(desk: Desk) -> list[Serving]:
    """Return the places the rater holds and has not answered, in the order they were given, each with whether
    its lease is half over (`half_over`)."""
    statement = HELD.format(half=moment(_lease() / 2))
    return list(Serving.objects.raw(statement, [State.LEASED, desk.rater.pk, desk.study.pk]))


def _some(desk: Desk, held: Sequence[Serving], want: int) -> list[Serving]:
    """Give the rater a check, where one is due, or slots from one look at what is free; where others were
    faster at all of them, from another look."""
    for _ in range(TRIES):
        if not (free := _look(desk)):
            return []
        if (check := next_check(desk)) and (given := _give_check(desk, check)):
            return given
        if given := _give_slots(desk, _choose(desk, free, held, want - len(held))):
            return given
    # Others were faster each time; what was labelled in the same request is safe, and the page asks again.
    return []


@again_after_deadlock
def _give_slots(desk: Desk, slots: Sequence[Slot]) -> list[Serving]:
    """Take those that are still free; somebody else may have taken some between our look and this UPDATE."""
    claim = CLAIM.format(
        places=placeholders(slots), until=moment(_lease()), free=Assignment.claimable_sql("a")
    )
    _ = desk.shown  # put together before anybody has to wait
    values = [desk.rater.pk, State.LEASED, *(slot.pk for slot in slots), *[desk.rater.pk] * 4]
    try:
        with transaction.atomic():
            taken = {item for (item,) in rows(claim, values)}
            ours = [slot.item for slot in slots if slot.item in taken]
            return _served(desk, ours, (desk.purpose, 0)) if ours else []
    except IntegrityError:  # the same rater, in another window, took another slot of one of these items
        return []


def _give_check(desk: Desk, check: tuple[int, Place]) -> list[Serving]:
    item, (purpose, ordinal) = check
    try:
        with transaction.atomic():
            Assignment.objects.create(
                study=desk.study,
                item_id=item,
                rater=desk.rater,
                purpose=purpose,
                ordinal=ordinal,
                number=0,
                state=State.LEASED,
                leased_until=Moment(_lease()),
            )
            return _served(desk, [item], (purpose, ordinal))
    except IntegrityError:  # another window of theirs was given the same check
        return []


def _served(desk: Desk, items: Sequence[int], place: Place) -> list[Serving]:
    """Make the servings of places that were just taken, and return them in this order. One that was theirs
    before, and lapsed, goes on: its draft is there."""
    shown, now = json.dumps(desk.shown), timezone.now()
    values = [
        value
        for number, item in enumerate(items)  # each a moment after the other, so that this stays their order
        for value in (
            opaque_key(),
            desk.study.pk,
            item,
            desk.rater.pk,
            *place,
            shown,
            now + timedelta(microseconds=number),
            *NEW.values(),
        )
    ]
    servings = Serving.objects.raw(SERVE.format(rows=", ".join([A_SERVING] * len(items))), adapted(values))
    by_item = {serving.item_id: serving for serving in servings}
    desk.enrolment.served += len(items)
    changed_rows(COUNT, [len(items), desk.enrolment.position, desk.enrolment.pk])
    return [by_item[item] for item in items]


# The next slot


def _look(desk: Desk) -> list[Slot]:
    """Return the first slots that are free, in the order of random numbers. What is passed by was not free;
    now and then, and when the end is reached, a look is taken from the start, where places may have been
    given back or added."""
    start = 0 if desk.enrolment.served % LAPSED_EVERY == 0 else desk.enrolment.position
    free = _candidates(desk, start)
    if not free and desk.enrolment.position > 0:
        free = _candidates(desk, 0)
    if free:
        desk.enrolment.position = free[0].number
    return free


def _choose(desk: Desk, free: Sequence[Slot], held: Sequence[Serving], missing: int) -> list[Slot]:
    """Return the next slots to be given, of different items, up to where a check is due or the rater may take
    no more."""
    recent, chosen = _recent_tasks(desk, held), list[Slot]()
    while free and len(chosen) < missing:
        if chosen and (is_due(desk, len(chosen)) or not desk.may_take_more(len(held) + len(chosen))):
            break
        slot = _first(desk, free, recent)
        free = [other for other in free if other.item != slot.item]
        recent = [*recent, slot.task][-RECENT:]
        chosen.append(slot)
    return chosen


def _first(desk: Desk, free: Sequence[Slot], recent: Sequence[int]) -> Slot:
    """Return the slot to be given first. Each rater's own order departs from that of the random numbers by
    about a block of items, and a task that they have just seen waits if it can."""
    own = _own_order(desk, {slot.item: slot.number for slot in free})
    return min(free, key=lambda slot: (slot.task in recent, own[slot.item], slot.slot))


def _own_order(desk: Desk, numbers: Mapping[int, float]) -> dict[int, float]:
    """Return the items' numbers, which ascend, each moved back by up to what a block of items takes of the
    numbers.

    Not their ranks among the free: those of newcomers fall as items are served, and an item moved back far
    would be passed by until the end.
    """
    behind = list(numbers.values())[len(numbers) // 2 :]  # of those before, many may be late, and far apart
    block = BLOCK * (behind[-1] - behind[0]) / max(1, len(behind) - 1)
    return {
        item: number + block * chance(desk.study, desk.study.pk, desk.rater.pk, item)
        for item, number in numbers.items()
    }


def _candidates(desk: Desk, start: float) -> list[Slot]:
    """Return the first free slots from a number on: open ones, and those whose lease ran out, each along one
    index. While there are many open ones, the others are looked for only now and then."""
    free = _slots(desk, start, Assignment.open_sql("a"))
    if len(free) < LOOK or desk.enrolment.served % LAPSED_EVERY == 0:
        free += _slots(desk, start, Assignment.lapsed_sql("a"))
    return sorted(free, key=lambda slot: (slot.number, slot.pk))[:LOOK]


def _slots(desk: Desk, start: float, free: str) -> list[Slot]:
    only, values = _restriction(desk)
    of_rater = [desk.study.pk, desk.purpose, start, *[desk.rater.pk] * 4]
    return [Slot(*row) for row in rows(SLOTS.format(free=free, only=only), [*of_rater, *values, LOOK])]


def _restriction(desk: Desk) -> tuple[str, list[Any]]:
    """Return the condition that a slot's task is of the languages and categories a rater is restricted to,
    and its values; an empty one where they are restricted to none."""
    languages, categories = desk.enrolment.languages, desk.enrolment.categories
    conditions = ""
    if languages:
        conditions += f" AND t.language IN ({placeholders(languages)})"
    if categories:
        conditions += f" AND c.key IN ({placeholders(categories)})"
    return OF_TASKS.format(conditions=conditions) if conditions else "", [*languages, *categories]


def _recent_tasks(desk: Desk, held: Sequence[Serving]) -> list[int]:
    """Return the tasks of the last items the rater holds, else of the last they answered."""
    if held:
        last = Item.objects.filter(pk__in=[serving.item_id for serving in held[-RECENT:]])
        tasks = dict(last.values_list("pk", "response__task"))
        return [tasks[serving.item_id] for serving in held[-RECENT:]]
    answered = Serving.objects.filter(study=desk.study, rater=desk.rater, answered_at__isnull=False)
    return list(answered.order_by("-answered_at").values_list("item__response__task_id", flat=True)[:RECENT])


# Leases


def _lease() -> float:
    """Return how many seconds a place on an item is kept."""
    return settings.ASSIGNMENT_LEASE_MINUTES * 60


def renew(servings: QuerySet[Serving], rater: Rater) -> list[str]:
    """Prolong the leases of these servings' places; returns the keys of those that have gone to others."""
    lost = []
    for serving in servings:
        if serving.answered_at is None and not place_of(serving).renew(_lease()):
            lost.append(serving.key)
    return lost


def place_of(serving: Serving) -> AssignmentQuerySet:
    """Return the rater's own place, if it still is theirs."""
    return Assignment.objects.filter(
        item=serving.item_id, rater=serving.rater_id, purpose=serving.purpose, ordinal=serving.ordinal
    )


@again_after_deadlock
def release(study: Study, rater: Rater) -> int:
    """Give back all the rater holds; returns how many places. Their drafts stay, and a label that still comes
    is taken."""
    mine = Assignment.objects.filter(study=study).claimed_by(rater)
    with transaction.atomic():
        checks, _ = mine.filter(slot=None).delete()
        return checks + mine.release()


@again_after_deadlock
@transaction.atomic
def skip(serving: Serving, reason: str) -> None:
    """Give the place back and don't offer the item to this rater again. A label given before stays."""
    if not reason.strip():
        raise UserError("Say in a word why you skip this response.")
    Skip.objects.get_or_create(
        item_id=serving.item_id,
        rater_id=serving.rater_id,
        purpose=serving.purpose,
        ordinal=serving.ordinal,
        defaults={"reason": storable(reason.strip())[0]},
    )
    first = Serving.objects.filter(pk=serving.pk, answered_at=None).update(
        answered_at=timezone.now(), draft=None
    )
    if first:
        Enrolment.objects.filter(study=serving.study_id, rater=serving.rater_id).update(
            skipped=F("skipped") + 1
        )
    place = place_of(serving).claimed()
    place.filter(slot=None).delete()
    place.release()


def open_servings(study: Study, rater: Rater, keys: list[str]) -> QuerySet[Serving]:
    return Serving.objects.filter(study=study, rater=rater, key__in=keys[: 2 * AHEAD])

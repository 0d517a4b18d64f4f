"""Who labels what: slots claimed under a lease, checks slipped in between, places given back.

A slot is a row, made with its item's draw and claimed by a conditional UPDATE whose row count says who won. So an item
never gets more raters than it has slots, however many raters ask at once, and a rater who vanishes gives the slot back
when the lease runs out. What a rater is given is a Serving: its key is all that their page knows the item by.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from annotation.checks import Place, is_due, next_check
from annotation.desk import Desk, chance
from annotation.models import (
    Assignment,
    Enrolment,
    Item,
    Rater,
    Serving,
    Skip,
    Study,
    opaque_key,
)
from benchmark.deadlocks import again_after_deadlock
from benchmark.errors import UserError
from benchmark.statements import adapted, changed, places, rows
from benchmark.text import storable

State = Assignment.State
TRIES = 50  # looks in a row at which others were faster
BLOCK = 12  # items by which a rater's own order may depart from that of the random numbers
RECENT = 5  # how many of a rater's last tasks are not to come again at once
LOOK = 3 * BLOCK  # slots looked at for the next item
LAPSED_EVERY = 8  # items given
AHEAD = 6  # items a page may hold, so that labelling goes on without the network
TOP_UP = 3  # of them missing before more are looked for

# Labelling hundreds of items a minute, a server would spend most of its time on putting these together anew, so they are
# written out. Free is a slot on an item that the rater has no place on, no rating of, wrote no gold for and has not skipped.
NOT_HAD = """
    AND NOT EXISTS (SELECT 1 FROM annotation_assignment m WHERE m.item_id = a.item_id AND m.rater_id = %s)
    AND NOT EXISTS (SELECT 1 FROM annotation_rating m WHERE m.item_id = a.item_id AND m.rater_id = %s)
    AND NOT EXISTS (SELECT 1 FROM annotation_skip m WHERE m.item_id = a.item_id AND m.rater_id = %s)
    AND NOT EXISTS (SELECT 1 FROM annotation_gold m WHERE m.item_id = a.item_id AND m.author_id = %s)
"""
SLOTS = f"""
    SELECT a.id, a.item_id, a.number, a.slot, (
        SELECT r.task_id FROM annotation_item i JOIN benchmark_response r ON r.id = i.response_id WHERE i.id = a.item_id
    )
    FROM annotation_assignment a
    WHERE a.study_id = %s AND a.purpose = %s AND a.state = %s AND a.number >= %s AND a.slot IS NOT NULL
    {NOT_HAD} {{only}} ORDER BY a.number, a.id LIMIT %s
"""  # noqa: S608
# A join of their own: with all in one, PostgreSQL takes longer to choose a plan than to find the slots.
OF_TASKS = """ AND EXISTS (
        SELECT 1 FROM annotation_item i JOIN benchmark_response r ON r.id = i.response_id
        JOIN benchmark_task t ON t.id = r.task_id JOIN benchmark_category c ON c.id = t.category_id
        WHERE i.id = a.item_id{conditions}
    )"""
CLAIM = f"""
    UPDATE annotation_assignment AS a SET rater_id = %s, state = %s, leased_until = %s
    WHERE a.id IN ({{places}}) AND (a.state = %s OR (a.state = %s AND a.leased_until < %s)) {NOT_HAD}
    RETURNING item_id
"""  # noqa: S608
SERVE = """
    INSERT INTO annotation_serving
        (key, study_id, item_id, rater_id, purpose, ordinal, shown, served_at, revision, draft, answered_at)
    VALUES {rows}
    ON CONFLICT (item_id, rater_id, purpose, ordinal)
    DO UPDATE SET served_at = excluded.served_at, shown = excluded.shown
    RETURNING *
"""
COUNT = "UPDATE annotation_enrolment SET served = served + %s, position = %s WHERE id = %s"
A_SERVING = "(%s, %s, %s, %s, %s, %s, %s, %s, 0, NULL, NULL)"
HELD = """
    SELECT s.*, a.leased_until < %s AS fading
    FROM annotation_serving s
    JOIN annotation_assignment a
        ON a.item_id = s.item_id AND a.rater_id = s.rater_id AND a.purpose = s.purpose AND a.ordinal = s.ordinal
    WHERE a.state = %s AND s.rater_id = %s AND s.study_id = %s AND s.answered_at IS NULL
    ORDER BY s.served_at, s.id
"""


# Serving


class Slot(NamedTuple):
    pk: int
    item: int
    number: float
    slot: int
    task: int


def serve(desk: Desk, want: int = 1) -> list[Serving]:
    """What the rater holds, its leases renewed, and then more until there are `want`; fewer where nothing is left.

    1. The leases of all they hold are renewed once half of one is over, also of those that ran out and nobody took.
    2. Of the missing, each is a check, by the study's rates, or the next slot. Its claim and its serving are one transaction.
    If the server dies between two of them, the next call goes on from there.
    """
    want = min(want, AHEAD)
    serving = held(desk)
    if any(one.fading for one in serving):  # type: ignore[attr-defined]
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
    mine = Assignment.objects.filter(study=desk.study, rater=desk.rater, state=State.LEASED)
    mine.update(leased_until=_lease_end())


def held(desk: Desk) -> list[Serving]:
    """The places the rater holds and has not answered, in the order they were given, each with whether its lease is half over."""
    half = timezone.now() + _lease() / 2
    return list(Serving.objects.raw(HELD, adapted([half, State.LEASED, desk.rater.pk, desk.study.pk])))


def _some(desk: Desk, held: Sequence[Serving], want: int) -> list[Serving]:
    """A check, where one is due, or slots from one look at what is free; where others were faster at all of them, from
    another look."""
    now = timezone.now()
    for _ in range(TRIES):
        if not (found := _look(desk, now)):
            return []
        if (check := next_check(desk)) and (given := _give_check(desk, check)):
            return given
        if given := _give_slots(desk, _choose(desk, found, held, want - len(held)), now):
            return given
    return []  # others were faster each time; what was labelled in the same request is safe, and the page asks again


@again_after_deadlock
def _give_slots(desk: Desk, slots: Sequence[Slot], now: datetime) -> list[Serving]:
    """Take those that are still free; somebody else may have taken some between our look and this UPDATE."""
    _ = desk.shown  # put together before anybody has to wait
    values = [
        desk.rater.pk, State.LEASED, _lease_end(), *(slot.pk for slot in slots), State.OPEN, State.LEASED, now,
        *[desk.rater.pk] * 4,
    ]  # fmt: skip
    try:
        with transaction.atomic():
            taken = {item for (item,) in rows(CLAIM.format(places=places(slots)), values)}
            ours = [slot.item for slot in slots if slot.item in taken]
            return _served(desk, ours, (desk.purpose, 0)) if ours else []
    except IntegrityError:  # the same rater, in another window, took another slot of one of these items
        return []


def _give_check(desk: Desk, check: tuple[int, Place]) -> list[Serving]:
    item, (purpose, ordinal) = check
    try:
        with transaction.atomic():
            Assignment.objects.create(
                study=desk.study, item_id=item, rater=desk.rater, purpose=purpose, ordinal=ordinal, number=0,
                state=State.LEASED, leased_until=_lease_end(),
            )  # fmt: skip
            return _served(desk, [item], (purpose, ordinal))
    except IntegrityError:  # another window of theirs was given the same check
        return []


def _served(desk: Desk, items: Sequence[int], place: Place) -> list[Serving]:
    """The servings of places that were just taken, in this order. One that was theirs before, and lapsed, goes on: its draft
    is there."""
    shown, now = json.dumps(desk.shown), timezone.now()
    values = [
        value
        for number, item in enumerate(items)  # each a moment after the other, so that this stays their order
        for value in (
            opaque_key(), desk.study.pk, item, desk.rater.pk, *place, shown, now + timedelta(microseconds=number),
        )
    ]  # fmt: skip
    found = Serving.objects.raw(SERVE.format(rows=", ".join([A_SERVING] * len(items))), adapted(values))
    by_item = {serving.item_id: serving for serving in found}
    desk.enrolment.served += len(items)
    changed(COUNT, [len(items), desk.enrolment.position, desk.enrolment.pk])
    return [by_item[item] for item in items]


# The next slot


def _look(desk: Desk, now: datetime) -> list[Slot]:
    """The first slots that are free, in the order of random numbers. What is passed by was not free; now and then, and when
    the end is reached, a look is taken from the start, where places may have been given back or added."""
    start = 0 if desk.enrolment.served % LAPSED_EVERY == 0 else desk.enrolment.position
    found = _candidates(desk, now, start)
    if not found and desk.enrolment.position > 0:
        found = _candidates(desk, now, 0)
    if found:
        desk.enrolment.position = found[0].number
    return found


def _choose(desk: Desk, found: Sequence[Slot], held: Sequence[Serving], missing: int) -> list[Slot]:
    """The next ones to be given, of different items, up to where a check is due or the rater may take no more."""
    recent, chosen = _recent_tasks(desk, held), list[Slot]()
    while found and len(chosen) < missing:
        if chosen and (is_due(desk, len(chosen)) or not desk.may_take_more(len(held) + len(chosen))):
            break
        slot = _first(desk, found, recent)
        found = [other for other in found if other.item != slot.item]
        recent = [*recent, slot.task][-RECENT:]
        chosen.append(slot)
    return chosen


def _first(desk: Desk, found: Sequence[Slot], recent: Sequence[int]) -> Slot:
    """Each rater's own order departs from that of the random numbers by a block of items at most, and a task that they have
    just seen waits if it can."""
    block = dict.fromkeys(slot.item for slot in found)
    # Its rank among the free, moved back by up to a block: so nothing is passed by for longer than that.
    own = {item: rank + BLOCK * chance(desk.study.pk, desk.rater.pk, item) for rank, item in enumerate(block)}
    return min(found, key=lambda slot: (slot.task in recent, own[slot.item], slot.slot))


def _candidates(desk: Desk, now: datetime, start: float) -> list[Slot]:
    """The first free slots from a number on: open ones, and those whose lease ran out, each along one index. While there
    are many open ones, the others are looked for only now and then."""
    found = _slots(desk, start, State.OPEN)
    if len(found) < LOOK or desk.enrolment.served % LAPSED_EVERY == 0:
        found += _slots(desk, start, State.LEASED, now)
    return sorted(found, key=lambda slot: (slot.number, slot.pk))[:LOOK]


def _slots(desk: Desk, start: float, state: str, lapsed: datetime | None = None) -> list[Slot]:
    only, values = _restriction(desk)
    if lapsed:
        only, values = f"{only} AND a.leased_until < %s", [*values, lapsed]
    of_rater = [desk.study.pk, desk.purpose, state, start, *[desk.rater.pk] * 4]
    return [Slot(*row) for row in rows(SLOTS.format(only=only), [*of_rater, *values, LOOK])]


def _restriction(desk: Desk) -> tuple[str, list[Any]]:
    """The languages and categories a rater is restricted to, as conditions on the task."""
    languages, categories = desk.enrolment.languages, desk.enrolment.categories
    conditions = ""
    if languages:
        conditions += f" AND t.language IN ({places(languages)})"
    if categories:
        conditions += f" AND c.key IN ({places(categories)})"
    return OF_TASKS.format(conditions=conditions) if conditions else "", [*languages, *categories]


def _recent_tasks(desk: Desk, held: Sequence[Serving]) -> list[int]:
    """Of the last items they hold, else of the last they answered."""
    if held:
        last = Item.objects.filter(pk__in=[serving.item_id for serving in held[-RECENT:]])
        tasks = dict(last.values_list("pk", "response__task"))
        return [tasks[serving.item_id] for serving in held[-RECENT:]]
    answered = Serving.objects.filter(study=desk.study, rater=desk.rater, answered_at__isnull=False)
    return list(answered.order_by("-answered_at").values_list("item__response__task_id", flat=True)[:RECENT])


# Leases


def _lease() -> timedelta:
    return timedelta(minutes=settings.ASSIGNMENT_LEASE_MINUTES)


def _lease_end() -> datetime:
    return timezone.now() + _lease()


def renew(servings: QuerySet[Serving], rater: Rater) -> list[str]:
    """Prolong the leases of these servings' places; returns the keys of those that have gone to others."""
    lost = []
    for serving in servings:
        if serving.answered_at is None and not place_of(serving).filter(state=State.LEASED).update(
            leased_until=_lease_end()
        ):
            lost.append(serving.key)
    return lost


def place_of(serving: Serving) -> QuerySet[Assignment]:
    """The rater's own place, if it still is theirs."""
    return Assignment.objects.filter(
        item=serving.item_id, rater=serving.rater_id, purpose=serving.purpose, ordinal=serving.ordinal
    )


@again_after_deadlock
def release(study: Study, rater: Rater) -> int:
    """Give back all the rater holds; returns how many places. Their drafts stay, and a label that still comes is taken."""
    mine = Assignment.objects.filter(study=study, rater=rater, state=State.LEASED)
    with transaction.atomic():
        checks, _ = mine.filter(slot=None).delete()
        return checks + mine.update(rater=None, state=State.OPEN, leased_until=None)


@again_after_deadlock
@transaction.atomic
def skip(serving: Serving, reason: str) -> None:
    """Give the place back and don't offer the item to this rater again. A label given before stays."""
    if not reason.strip():
        raise UserError("Say in a word why you skip this response.")
    Skip.objects.get_or_create(
        item_id=serving.item_id, rater_id=serving.rater_id, purpose=serving.purpose, ordinal=serving.ordinal,
        defaults={"reason": storable(reason.strip())[0]},
    )  # fmt: skip
    first = Serving.objects.filter(pk=serving.pk, answered_at=None).update(
        answered_at=timezone.now(), draft=None
    )
    if first:
        Enrolment.objects.filter(study=serving.study_id, rater=serving.rater_id).update(
            skipped=F("skipped") + 1
        )
    place = place_of(serving).filter(state=State.LEASED)
    place.filter(slot=None).delete()
    place.update(rater=None, state=State.OPEN, leased_until=None)


def open_servings(study: Study, rater: Rater, keys: list[str]) -> QuerySet[Serving]:
    return Serving.objects.filter(study=study, rater=rater, key__in=keys[: 2 * AHEAD])

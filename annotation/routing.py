"""Who labels what: slots claimed under a lease, checks slipped in between, places given back.

A slot is a row, made with its item's draw and claimed by a conditional UPDATE whose row count says who won. So an item
never gets more raters than it has slots, however many raters ask at once, and a rater who vanishes gives the slot back
when the lease runs out. What a rater is given is a Serving: its key is all that their page knows the item by.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.humanplan import HumansSpec, humans_of
from annotation.models import (
    Assignment,
    Enrolment,
    Gold,
    Guideline,
    Membership,
    Purpose,
    Rater,
    Rating,
    Serving,
    Skip,
    Study,
    newest,
)
from benchmark.errors import UserError
from benchmark.text import digest, storable

State = Assignment.State
TRIES = 50  # how many slots a rater may lose to others in a row before being told to come back
BLOCK = 12  # items by which a rater's own order may depart from that of the random numbers
RECENT = 5  # how many of a rater's last tasks are not to come again at once
LOOK = 3 * BLOCK  # slots looked at for the next item
AHEAD = 6  # items a page may hold, so that labelling goes on without the network
Place = tuple[str, int]  # purpose, ordinal


def enrolment_of(study: Study, rater: Rater) -> Enrolment:
    return Enrolment.objects.get_or_create(study=study, rater=rater)[0]


def purpose_of(role: str) -> str:
    """Experts write gold; everybody else fills slots."""
    return Purpose.GOLD if role == Membership.Role.EXPERT else Purpose.SLOT


def chance(*parts: object) -> float:
    """In [0, 1), the same for the same parts on any machine."""
    return int(digest(*map(str, parts))[:13], 16) / 16**13


# Serving


@dataclass
class Desk:
    """A rater at work in a study: what decides what they are given next."""

    study: Study
    rater: Rater
    enrolment: Enrolment
    purpose: str = Purpose.SLOT
    plan: HumansSpec | None = None

    def __post_init__(self) -> None:
        self.plan = self.plan or humans_of(self.study)

    @property
    def checks(self) -> Any:
        assert self.plan is not None
        return self.plan.checks

    def may_take_more(self) -> bool:
        assert self.plan is not None
        cap = self.enrolment.cap or self.plan.per_rater
        return not self.enrolment.paused and (cap is None or self.enrolment.done < cap)


def serve(desk: Desk, want: int = 1) -> list[Serving]:
    """What the rater holds, its leases renewed, and then more until there are `want`; fewer where nothing is left.

    1. The leases of all they hold are renewed, also of those that ran out and that nobody took.
    2. Of the missing, each is a check, by the study's rates, or the next slot; its claim commits by itself.
    If the server dies between two claims, the next call goes on from there.
    """
    want = min(want, AHEAD)
    serving = held(desk)
    Assignment.objects.filter(study=desk.study, rater=desk.rater, state=State.LEASED).update(
        leased_until=_lease_end()
    )
    while len(serving) < want and desk.may_take_more():
        given = _next(desk, serving)
        if given is None:
            break
        serving.append(given)
    return serving


def held(desk: Desk) -> list[Serving]:
    """The places the rater holds and has not answered, in the order they were given."""
    mine = Assignment.objects.filter(
        study=desk.study, rater=desk.rater, state=State.LEASED, item=OuterRef("item"), purpose=OuterRef("purpose"),
        ordinal=OuterRef("ordinal"),
    )  # fmt: skip
    unanswered = Serving.objects.filter(study=desk.study, rater=desk.rater, answered_at=None)
    return list(unanswered.filter(Exists(mine)).order_by("served_at", "id"))


def _next(desk: Desk, held: list[Serving]) -> Serving | None:
    now = timezone.now()
    recent = _recent_tasks(desk)
    for _ in range(TRIES):
        slot = _choose(desk, recent, now)
        if slot is None:
            return None
        check = _check(desk, held)
        if check or _claim(slot, desk.rater, now):
            return _served(desk, check or slot)
    raise UserError("Too many raters are asking at once; try again.")


def _served(desk: Desk, place: Assignment) -> Serving:
    serving, made = Serving.objects.get_or_create(
        item_id=place.item_id, rater=desk.rater, purpose=place.purpose, ordinal=place.ordinal,
        defaults={"study": desk.study, "shown": shown_in(desk.study)},
    )  # fmt: skip
    if made:
        Enrolment.objects.filter(pk=desk.enrolment.pk).update(served=F("served") + 1)
        desk.enrolment.served += 1
    else:  # it was theirs before; it comes at the end of what they hold, as it is now
        Serving.objects.filter(pk=serving.pk).update(served_at=timezone.now(), shown=shown_in(desk.study))
        serving.refresh_from_db()
    return serving


def shown_in(study: Study) -> dict[str, Any]:
    """What a rater of the study is shown of an item, in order, and under which versions."""
    plan = humans_of(study)
    guideline = (
        Guideline.objects.filter(study=study).order_by("-version").values_list("version", flat=True).first()
    )
    return {
        "blind": "condition" not in plan.show,
        "fields": ["category", "category question", "task", "response", *plan.show],
        "scheme": str(study.scheme),
        "label_order": [label.key for label in study.scheme.labels.all()],
        "guidelines": guideline,
    }


# The next slot


def free(rater: Rater, now: datetime) -> Q:
    """Slots this rater may take: open or abandoned, on items the rater has no place on, no rating of, wrote no gold for
    and has not skipped."""
    mine = Assignment.objects.filter(item=OuterRef("item"), rater=rater)
    rated = Rating.objects.filter(item=OuterRef("item"), rater=rater)
    skipped = Skip.objects.filter(item=OuterRef("item"), rater=rater)
    golden = Gold.objects.filter(item=OuterRef("item"), author=rater)
    available = Q(state=State.OPEN) | Q(state=State.LEASED, leased_until__lt=now)
    return available & Q(~Exists(mine), ~Exists(rated), ~Exists(skipped), ~Exists(golden))


def allowed(desk: Desk) -> QuerySet[Assignment]:
    """Places in the languages and categories the rater is restricted to."""
    places = Assignment.objects.filter(study=desk.study, purpose=desk.purpose, slot__isnull=False)
    if desk.enrolment.languages:
        places = places.filter(item__response__task__language__in=desk.enrolment.languages)
    if desk.enrolment.categories:
        places = places.filter(item__response__task__category__key__in=desk.enrolment.categories)
    return places


def _choose(desk: Desk, recent: set[int], now: datetime) -> Assignment | None:
    """The next slot in the order of random numbers, from which each rater's own departs by a block of items at most, and
    a task that they have just seen waits if it can. What is passed by was not free; when the end is reached, one more look
    is taken from the start, where places may have been given back."""
    found = _candidates(desk, now, desk.enrolment.position)
    if not found and desk.enrolment.position > 0:
        found = _candidates(desk, now, 0)
    if not found:
        return None
    if found[0].number != desk.enrolment.position:
        desk.enrolment.position = found[0].number
        Enrolment.objects.filter(pk=desk.enrolment.pk).update(position=found[0].number)
    block = dict.fromkeys(slot.item_id for slot in found)
    # Its rank among the free, moved back by up to a block: so nothing is passed by for longer than that.
    own = {item: rank + BLOCK * chance(desk.study.pk, desk.rater.pk, item) for rank, item in enumerate(block)}
    return min(
        found,
        key=lambda slot: (slot.task in recent, own[slot.item_id], slot.slot),  # type: ignore[attr-defined]
    )


def _candidates(desk: Desk, now: datetime, start: float) -> list[Any]:
    """The first free slots from a number on. Two looks, each along one index: open ones, and leases that ran out."""
    places = (
        allowed(desk)
        .filter(free(desk.rater, now), number__gte=start)
        .annotate(task=F("item__response__task_id"))
    )
    order = ("number", "id")
    found = list(places.filter(state=State.OPEN).order_by(*order)[:LOOK])
    lapsed = places.filter(state=State.LEASED, leased_until__lt=now).order_by(*order)[:LOOK]
    return sorted([*found, *lapsed], key=lambda slot: (slot.number, slot.pk))[:LOOK]


def _recent_tasks(desk: Desk) -> set[int]:
    served = Serving.objects.filter(study=desk.study, rater=desk.rater).order_by("-id")
    return set(served.values_list("item__response__task_id", flat=True)[:RECENT])


def _claim(slot: Assignment, rater: Rater, now: datetime) -> bool:
    """Take the slot if it is still free; somebody else may have, between our look and this UPDATE."""
    try:
        with transaction.atomic():
            taken = Assignment.objects.filter(free(rater, now), pk=slot.pk).update(
                rater=rater, state=State.LEASED, leased_until=_lease_end()
            )
    except IntegrityError:  # the same rater, in another window, took another slot of this item
        return False
    return taken == 1


# Checks


def _check(desk: Desk, held: list[Serving]) -> Assignment | None:
    """A check in the slot's stead, at the study's rates. Which of a rater's items are checks is drawn from their number."""
    checks, drawn = desk.checks, chance("check", desk.study.pk, desk.rater.pk, desk.enrolment.served)
    if desk.purpose != Purpose.SLOT or drawn >= checks.gold + checks.repeats:
        return None
    if drawn < checks.gold:
        item, place = _gold_item(desk), (Purpose.GOLD_CHECK, 0)
    else:
        item, place = _item_to_repeat(desk, checks.repeat_after), (Purpose.REPEAT, 1)
    return _place_check(desk, item, place) if item else None


def _place_check(desk: Desk, item: int, place: Place) -> Assignment | None:
    try:
        with transaction.atomic():
            return Assignment.objects.create(
                study=desk.study, item_id=item, rater=desk.rater, purpose=place[0], ordinal=place[1], number=0,
                state=State.LEASED, leased_until=_lease_end(),
            )  # fmt: skip
    except IntegrityError:  # another window of theirs was given the same check
        return None


def _gold_item(desk: Desk) -> int | None:
    """A gold item the rater has not seen and that needs no more raters, so that a check takes nobody's slot away."""
    seen = Serving.objects.filter(item=OuterRef("item"), rater=desk.rater)
    rated = Rating.objects.filter(item=OuterRef("item"), rater=desk.rater)
    wanting = Assignment.objects.filter(item=OuterRef("item"), purpose=Purpose.SLOT).exclude(state=State.DONE)
    golds = newest(Gold.objects.filter(item__study=desk.study)).exclude(author=desk.rater)
    if desk.enrolment.languages:
        golds = golds.filter(item__response__task__language__in=desk.enrolment.languages)
    if desk.enrolment.categories:
        golds = golds.filter(item__response__task__category__key__in=desk.enrolment.categories)
    fresh = golds.filter(~Exists(seen), ~Exists(rated), ~Exists(wanting))
    return fresh.order_by("item__key").values_list("item_id", flat=True).first()


def _item_to_repeat(desk: Desk, after: int) -> int | None:
    """The item the rater labelled longest ago, at least so many items back, and was not asked about again."""
    again = Serving.objects.filter(item=OuterRef("item"), rater=desk.rater, purpose=Purpose.REPEAT)
    answered = Serving.objects.filter(study=desk.study, rater=desk.rater, answered_at__isnull=False)
    labelled = answered.filter(purpose=Purpose.SLOT, revision__gt=0)
    if answered.count() < after:
        return None
    border = answered.order_by("-answered_at").values_list("answered_at", flat=True)[after - 1]
    found = labelled.filter(~Exists(again), answered_at__lte=border)
    return found.order_by("answered_at").values_list("item_id", flat=True).first()


# Leases


def _lease_end() -> datetime:
    return timezone.now() + timedelta(minutes=settings.ASSIGNMENT_LEASE_MINUTES)


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


def release(study: Study, rater: Rater) -> int:
    """Give back all the rater holds; returns how many places. Their drafts stay, and a label that still comes is taken."""
    mine = Assignment.objects.filter(study=study, rater=rater, state=State.LEASED)
    with transaction.atomic():
        checks, _ = mine.filter(slot=None).delete()
        return checks + mine.update(rater=None, state=State.OPEN, leased_until=None)


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

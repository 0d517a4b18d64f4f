"""Hidden checks: items with gold, and items that a rater has labelled before, slipped in between at the
study's rates. What a rater's page is sent of them is what it is sent of any item."""

from django.db.models import Exists, OuterRef, QuerySet

from annotation.desk import Desk, chance
from annotation.models import Assignment, Gold, Item, PlacePurpose, Rating, Serving

LOOK_FOR_GOLD = 300  # items with gold looked at for a check
KEY_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"  # of items' keys
Place = tuple[str, int]  # purpose, ordinal


def next_check(desk: Desk) -> tuple[int, Place] | None:
    """Return a check to be given in the slot's stead, an item and its place, where the study's rates make one
    due. Which of a rater's items are checks is drawn from their number."""
    if not is_due(desk):
        return None
    checks = desk.checks
    if _drawn(desk, 0) < checks.gold:
        item, place = _gold_item(desk), (PlacePurpose.GOLD_CHECK, 0)
    else:
        item, place = _item_to_repeat(desk, checks.repeat_after), (PlacePurpose.REPEAT, 1)
    return (item, (str(place[0]), place[1])) if item else None


def is_due(desk: Desk, further: int = 0) -> bool:
    """Tell whether a check is to be given next, or after so many further items."""
    rate = desk.checks.gold + desk.checks.repeats
    return desk.purpose == PlacePurpose.SLOT and _drawn(desk, further) < rate


def _drawn(desk: Desk, further: int) -> float:
    return chance(desk.study, "check", desk.study.pk, desk.rater.pk, desk.enrolment.served + further)


def _gold_item(desk: Desk) -> int | None:
    """Return a gold item the rater has not seen and that needs no more raters, so that a check takes nobody's
    slot away.

    It is looked for in the order of keys, which are random, from a point drawn for the occasion: so raters
    get different ones, and those who compare notes learn nothing. Where gold is plentiful, what lies within
    `LOOK_FOR_GOLD` of the point has to do.
    """
    start = "".join(
        KEY_LETTERS[int(32 * chance(desk.study, "gold", desk.rater.pk, desk.enrolment.served, n))]
        for n in range(4)
    )
    golds = Gold.objects.current_in(desk.study).order_by("item__key").values_list("item_id", flat=True)
    near = list(golds.filter(item__key__gte=start)[:LOOK_FOR_GOLD])
    if len(near) < LOOK_FOR_GOLD:
        near += golds.filter(item__key__lt=start)[: LOOK_FOR_GOLD - len(near)]
    fit = set(_fit_for_check(desk, near))
    return next((item for item in near if item in fit), None)


def _fit_for_check(desk: Desk, items: list[int]) -> QuerySet[Item, int]:
    """Return those of these items that the rater has had nothing to do with, and may be given."""
    mine = {"item": OuterRef("pk"), "rater": desk.rater}
    touched = (
        Serving.objects.filter(**mine),
        Rating.objects.filter(**mine),
        Assignment.objects.filter(**mine),
        Gold.objects.filter(item=OuterRef("pk"), author=desk.rater),
    )
    wanting = Assignment.objects.filter(item=OuterRef("pk"), purpose=PlacePurpose.SLOT).unfinished()
    fit = Item.objects.filter(*[~Exists(rows) for rows in (*touched, wanting)], pk__in=items)
    if desk.enrolment.languages:
        fit = fit.filter(response__task__language__in=desk.enrolment.languages)
    if desk.enrolment.categories:
        fit = fit.filter(response__task__category__key__in=desk.enrolment.categories)
    return fit.values_list("pk", flat=True)


def _item_to_repeat(desk: Desk, after: int) -> int | None:
    """Return the item the rater labelled longest ago, at least so many items back, and was not asked about
    again."""
    again = Serving.objects.filter(item=OuterRef("item"), rater=desk.rater, purpose=PlacePurpose.REPEAT)
    answered = Serving.objects.filter(study=desk.study, rater=desk.rater, answered_at__isnull=False)
    labelled = answered.filter(purpose=PlacePurpose.SLOT, revision__gt=0)
    if answered.count() < after:
        return None
    border = answered.order_by("-answered_at").values_list("answered_at", flat=True)[after - 1]
    candidates = labelled.filter(~Exists(again), answered_at__lte=border)
    return candidates.order_by("answered_at").values_list("item_id", flat=True).first()

"""What an adjudicator does with a disputed item: decide it, or send it back for more raters. Each is a new
row; earlier ones stay."""

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from annotation.draws import ask_for_more
from annotation.humanplan import humans_of
from annotation.itemvotes import lock
from annotation.models import Adjudication, Assignment, Item, PlacePurpose, Rater, Referral
from arbiter.core.errors import UserError
from arbiter.core.text import storable

MOST_EXTRA = 9
OVERTAKEN = "Somebody else has just decided this item; look at their decision first."
WAITING = (
    "This item has been sent back already and waits for its raters; it returns to the queue when they have "
    "labelled it."
)


def adjudicate(
    item: Item,
    adjudicator: Rater,
    label_key: str,
    reason: str,
    *,
    guideline_unclear: bool = False,
    seen: int | None = None,
) -> Adjudication:
    """Write the decision. `seen` is the revision of the decision that the adjudicator knows of (0: none): one
    that came in between is not silently replaced."""
    refuse_own(item, adjudicator)
    label = next((one for one in item.study.scheme.labels.all() if one.key == label_key), None)
    if label is None:
        raise UserError("Choose a label first.")
    if not reason.strip():
        raise UserError("Give a reason: whoever reads the dataset will want it.")
    last = item.adjudications.history().last()
    known = last.revision if last else 0
    if seen is not None and seen != known:
        raise UserError(OVERTAKEN)
    try:
        with transaction.atomic():
            return Adjudication.objects.create(
                item=item,
                label=label,
                revision=known + 1,
                adjudicator=adjudicator,
                reason=storable(reason.strip())[0],
                guideline_unclear=guideline_unclear,
            )
    except IntegrityError as error:
        raise UserError(OVERTAKEN) from error


def refer(item: Item, by: Rater, reason: str, extra: int = 1) -> Referral:
    """Send the item back: `extra` more slots, whether or not a draw took it. Of two adjudicators at once the
    second is told. So is one who asks just when the study does, as its humans differ: both would add a slot
    of the same number."""
    refuse_own(item, by)
    if not reason.strip():
        raise UserError("Say why it needs another rater: the next adjudicator will want to know.")
    if not 1 <= extra <= MOST_EXTRA:
        raise UserError(f"Ask for 1 to {MOST_EXTRA} more raters.")
    if item.adjudications.exists():
        raise UserError("This item has been decided, so no more raters are asked; decide it again instead.")
    try:
        with transaction.atomic():
            lock([item.pk])  # of two at once, the second then sees the first's
            if Item.objects.filter(sent_back(), pk=item.pk).exists():
                raise UserError(WAITING)
            ask_for_more(item, extra)
            return Referral.objects.create(item=item, by=by, reason=storable(reason.strip())[0], extra=extra)
    except IntegrityError as error:
        raise UserError(
            "More raters have just been asked for this item; look at it again before you send it back."
        ) from error


def sent_back() -> Exists:
    """Return the condition that an item was sent back for more raters and has a slot that is still open or
    held."""
    slots = Assignment.objects.filter(item=OuterRef("item")).slots(PlacePurpose.SLOT).unfinished()
    return Exists(Referral.objects.filter(Exists(slots), item=OuterRef("pk")))


def may_settle(item: Item, rater: Rater) -> bool:
    """Tell whether this rater may decide the item. Nobody judges in their own case, unless the study says
    so."""
    return humans_of(item.study).adjudication.own_items or not rater.ratings.filter(item=item).exists()


def refuse_own(item: Item, rater: Rater) -> None:
    if not may_settle(item, rater):
        raise UserError(
            "You have labelled this item yourself, so somebody else has to settle it; an owner can allow it "
            "with "
            "`humans.adjudication.own_items: true` in the study file."
        )

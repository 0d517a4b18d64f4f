"""The one way a rating is written, for humans, judges and scorers alike.

`record` never updates or deletes. What makes two writers safe is in the database: a rating's revision is
unique for its item, rater, question, purpose and ordinal, and a submission's idempotency key is unique. Two
writers that race for the same revision collide there; the loser's transaction reads again and takes the next
number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.itemvotes import keep_votes, lock
from annotation.models import LabelScheme, PlacePurpose, Rater, Rating
from annotation.schemes import label_ids
from annotation.votes import given_as_vote
from arbiter.core.bulkinsert import insert, unsaved
from arbiter.core.errors import UserError
from arbiter.core.statements import placeholders
from arbiter.core.text import storable

COLLISIONS = 5
# Asked with every label, and so written out; see `arbiter.core.statements`.
THERE = "SELECT * FROM annotation_rating WHERE item_id {which} AND rater_id IN ({raters}) ORDER BY revision"
Place = tuple[int, int, str, str, int]  # item, rater, question, purpose, ordinal


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A rating to be written. `label` is a key of the scheme given to `record`."""

    item_id: int
    rater: Rater
    label: str
    question: str = ""
    purpose: str = PlacePurpose.SLOT
    ordinal: int = 0
    surplus: bool = False
    confidence: float | None = None
    confidence_scale: str = ""
    rationale: str = ""
    evidence: Sequence[dict[str, Any]] = ()
    active_seconds: float | None = None
    shown: dict[str, Any] = field(default_factory=dict)
    flagged: bool = False
    simulated: bool = False
    submission: str | None = None

    def place(self) -> Place:
        return (self.item_id, self.rater.pk, self.question, self.purpose, self.ordinal)

    @property
    def gives_way(self) -> bool:
        """Tell whether the entry came out of a file, so that what the person themselves typed here comes
        before it."""
        return self.rater.kind == Rater.Kind.HUMAN and bool(self.shown.get("imported"))


class UnknownLabel(UserError):
    pass


class Recorded(list[Rating]):
    """The ratings, one an entry; `new` says how many of them were written now, and `kept` for which entries
    of a file the rater's own label stays."""

    new: int = 0

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[int] = []


def record(
    scheme: LabelScheme,
    entries: Sequence[Entry],
    *,
    skip_equal: bool = False,
    locked: bool = False,
    first: bool = False,
) -> Recorded:
    """Write the entries, in order, as new revisions. Whoever has the items `locked` in a transaction of their
    own spares the database to do that again. Of items that were made there, with the votes that their `first`
    ratings are, nothing is looked up or kept.

    An entry whose submission key is in the ledger already gives the rating written then: sending twice writes
    once. With `skip_equal`, so does one that says what its rater's current rating says (repeating an import
    changes nothing). An entry out of a file gives way to what its rater typed here: their current rating
    stays, and the entry's number is in `kept`. Raises UnknownLabel, before anything is written, where a label
    is not the scheme's.
    """
    labels = label_ids(scheme)
    for entry in entries:
        if entry.label not in labels:
            raise UnknownLabel(
                f"{entry.label!r} is no label of scheme {scheme}; its labels: {', '.join(labels)}."
            )
    if first:
        return _write(labels, entries, [], skip_equal, keep=False)
    if locked:
        return _write(labels, entries, _there(entries), skip_equal)
    for attempt in range(COLLISIONS):
        try:
            with transaction.atomic():
                lock({entry.item_id for entry in entries})
                return _write(labels, entries, _there(entries), skip_equal, everywhere=attempt > 0)
        except IntegrityError:  # somebody else took this revision, or this submission arrived twice at once
            continue
    raise UserError("The ledger is too busy: the same rating is being written by several writers; try again.")


def _write(
    labels: dict[str, int],
    entries: Sequence[Entry],
    there: Sequence[Rating],
    skip_equal: bool,
    *,
    everywhere: bool = False,
    keep: bool = True,
) -> Recorded:
    """Write the entries that are new beside what is there, and keep their items' votes. A submission is
    looked for among the ratings of its rater on its item, and once it has collided, `everywhere`."""
    newest = {_place(rating): rating for rating in there}
    typed = {_place(rating) for rating in there if not rating.shown.get("imported")}
    sent = {rating.submission: rating for rating in there if rating.submission}
    if everywhere:
        keys = [entry.submission for entry in entries if entry.submission]
        elsewhere = Rating.objects.filter(submission__in=keys)
        sent |= {rating.submission: rating for rating in elsewhere if rating.submission}
    new: list[Rating] = []
    now = timezone.now()
    out = Recorded()
    for number, entry in enumerate(entries):
        before = newest.get(entry.place())
        if entry.submission and entry.submission in sent:
            out.append(sent[entry.submission])
        elif (
            skip_equal
            and before
            and (before.label_id, before.rationale) == (labels[entry.label], storable(entry.rationale)[0])
        ):
            out.append(before)
        elif before and entry.gives_way and entry.place() in typed:
            out.append(before)
            out.kept.append(number)
        else:
            rating = _rating(entry, labels[entry.label], before.revision + 1 if before else 1, now)
            newest[entry.place()] = rating
            new.append(rating)
            out.append(rating)
    # In one order for everybody: two batches that take the same places in different orders would deadlock.
    in_order = sorted(new, key=_place)
    insert(in_order)
    if keep:
        keep_votes(sorted({rating.item_id for rating in new if given_as_vote(rating)}))
    out.new = len(new)
    return out


def _there(entries: Sequence[Entry]) -> list[Rating]:
    """Return what the entries' raters have said of the items, oldest revision first; entries come in batches
    of at most a few hundred items."""
    items = sorted({entry.item_id for entry in entries})
    raters = sorted({entry.rater.pk for entry in entries})
    if not items:
        return []
    # An import's items follow one another, and a range is found much faster than so many ids.
    in_a_row = items[-1] - items[0] < 2 * len(items)
    which = "BETWEEN %s AND %s" if in_a_row else f"IN ({placeholders(items)})"
    statement = THERE.format(which=which, raters=placeholders(raters))
    return list(Rating.objects.raw(statement, [*([items[0], items[-1]] if in_a_row else items), *raters]))


def _place(rating: Rating) -> Place:
    return (rating.item_id, rating.rater_id, rating.question, rating.purpose, rating.ordinal)


def _rating(entry: Entry, label: int, revision: int, now: datetime) -> Rating:
    return unsaved(
        Rating,
        item_id=entry.item_id,
        rater=entry.rater,
        label_id=label,
        question=entry.question,
        purpose=entry.purpose,
        ordinal=entry.ordinal,
        revision=revision,
        surplus=entry.surplus,
        confidence=entry.confidence,
        confidence_scale=entry.confidence_scale,
        rationale=storable(entry.rationale)[0],
        evidence=list(entry.evidence),
        active_seconds=entry.active_seconds,
        shown=entry.shown,
        flagged=entry.flagged,
        simulated=entry.simulated,
        submission=entry.submission,
        created_at=now,
    )

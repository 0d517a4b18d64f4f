"""A rater's label on its way into the ledger: never lost, never counted twice, never over another
window's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.draws import ask_for_more
from annotation.earlierlabels import DECIDED, decided_since
from annotation.goldlabels import GoldCount, GoldEntry, of_experts, withdraw, write
from annotation.humanplan import humans_of
from annotation.itemvotes import lock
from annotation.ledger import Entry, record
from annotation.models import (
    Draw,
    Enrolment,
    Gold,
    Item,
    LabelScheme,
    PlacePurpose,
    Rater,
    Rating,
    Serving,
    Study,
)
from annotation.routing import State
from arbiter.core.deadlocks import again_after_deadlock
from arbiter.core.errors import UserError
from arbiter.core.statements import changed_rows

MOST_EVIDENCE = 100
LONGEST_NOTE = 20_000
# Each runs with every label, and so they are written out; see `arbiter.core.statements`.
MOVE_ON = """
    UPDATE annotation_serving SET revision = revision + 1, answered_at = %s, draft = NULL
    WHERE id = %s AND revision = %s
"""
CLOSE = """
    UPDATE annotation_assignment SET state = %s, leased_until = NULL
    WHERE item_id = %s AND rater_id = %s AND purpose = %s AND ordinal = %s AND state IN (%s, %s)
"""
COUNT = """
    UPDATE annotation_enrolment SET done = done + 1, last_seen_at = %s WHERE study_id = %s AND rater_id = %s
"""
Entries = dict[str, tuple[LabelScheme, Entry]]  # by question


class Conflict(UserError):
    """The place holds a newer label than the one this page knew of."""

    kind = "conflict"


@dataclass(frozen=True)
class Submission:
    """What a rater sends for an item. The key makes sending it again harmless; `base` is the revision the
    page knew."""

    key: str
    label: str
    base: int = 0
    confidence: float | None = None
    rationale: str = ""
    evidence: Sequence[Mapping[str, Any]] = ()
    answers: Mapping[str, str] = field(default_factory=dict)  # label by named question
    flagged: bool = False
    active_seconds: float | None = None


def submit(serving: Serving, sent: Submission) -> Rating:
    """Write a rater's label to the ledger.

    0. What can be refused is refused, and what can be looked up is, while nobody else has to wait. A change
       of what an adjudicator has decided since is refused in 1, so that one sent twice still gives the rating
       written before.
    1. The serving's revision moves on from `base`, by a conditional UPDATE. Where it has moved on before, a
       submission whose key is in the ledger was sent again, and gives the rating written then; else, of two
       windows that send different labels for one place, the row count says who was first, and the other is
       told (Conflict).
    2. The rater's slot is closed, if it is still the rater's (even past its lease, while nobody else took
       it). Otherwise a slot of the item that is still open is taken. Otherwise the label is surplus: kept,
       not counted.
    3. The rating is written, and those of the named questions beside it.

    All from 1 on is one transaction, so a crash leaves either nothing or everything.
    """
    return _submit(serving, sent, _entries(serving.study, serving.item, serving, sent))


@again_after_deadlock
@transaction.atomic
def _submit(serving: Serving, sent: Submission, entries: Entries) -> Rating:
    study, item = serving.study, serving.item
    now = timezone.now()
    if not changed_rows(MOVE_ON, [now, serving.pk, sent.base]):
        before = Rating.objects.filter(submission=sent.key).select_related("label").first()
        if before:
            return before
        raise Conflict("You have labelled this response in another window meanwhile.")
    if sent.base > 0 and decided_since(serving):  # as it was answered before
        raise UserError(DECIDED)
    # Before its places: looking at them one after the other, two who are late would wait for each other.
    lock([item.pk])
    surplus = not _take_place(serving, item)
    rating = _record(study, entries, surplus)
    if sent.base == 0:
        changed_rows(COUNT, [now, study.pk, serving.rater_id])
    if serving.shown.get("by"):
        Enrolment.objects.filter(study=study, rater=serving.rater_id, as_owner=False).update(as_owner=True)
    if serving.purpose == PlacePurpose.GOLD:
        _write_gold(item, rating)
    elif serving.purpose == PlacePurpose.SLOT and not surplus:
        _widen_if_split(study, item)
    return rating


def _entries(study: Study, item: Item, serving: Serving, sent: Submission) -> Entries:
    """Return what goes into the ledger, by question; refuse it whole before anything is written."""
    questions = _questions(study) if sent.answers else {}
    if strange := set(sent.answers) - set(questions):
        raise UserError(f"This study asks no question {sorted(strange)[0]!r}.")
    evidence = checked_evidence(item, sent.evidence)
    _require_evidence(study.scheme, sent.label, evidence)
    made = {}
    for name, scheme, label in [
        ("", study.scheme, sent.label),
        *((name, questions[name], label) for name, label in sent.answers.items()),
    ]:
        primary = name == ""
        made[name] = (
            scheme,
            Entry(
                item_id=item.pk,
                rater=serving.rater,
                label=label,
                question=name,
                purpose=serving.purpose,
                ordinal=serving.ordinal,
                submission=sent.key if primary else f"{sent.key}.{list(questions).index(name)}",
                confidence=sent.confidence if primary else None,
                confidence_scale="steps3" if primary and sent.confidence is not None else "",
                rationale=sent.rationale[:LONGEST_NOTE] if primary else "",
                evidence=evidence if primary else (),
                active_seconds=sent.active_seconds if primary else None,
                flagged=sent.flagged and primary,
                shown=serving.shown | {"served_at": serving.served_at.isoformat()},
            ),
        )
    return made


def _questions(study: Study) -> dict[str, LabelScheme]:
    return {question.name: question.scheme for question in study.questions.select_related("scheme")}


def checked_evidence(item: Item, spans: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the spans with the text they cover: character offsets into the response's stored text."""
    text = item.response.text
    if len(spans) > MOST_EVIDENCE:
        raise UserError(f"At most {MOST_EVIDENCE} passages can be marked; there are {len(spans)}.")
    evidence = []
    for span in spans:
        start, end = span.get("start"), span.get("end")
        if not (type(start) is int and type(end) is int and 0 <= start < end <= len(text)):
            raise UserError(f"A marked passage lies outside the response ({start} to {end} of {len(text)}).")
        evidence.append({"start": start, "end": end, "quote": text[start:end]})
    return evidence


def _require_evidence(scheme: LabelScheme, label: str, evidence: Sequence[Any]) -> None:
    if (
        scheme.evidence_for_target
        and not evidence
        and scheme.labels.filter(key=label, role="target").exists()
    ):
        raise UserError("This label needs evidence: mark the passage that shows it.")


def _record(study: Study, entries: Entries, surplus: bool) -> Rating:
    written = {
        name: record(scheme, [replace(entry, surplus=surplus)], locked=True)[0]
        for name, (scheme, entry) in entries.items()
    }
    return written[""]


# Places


def _take_place(serving: Serving, item: Item) -> bool:
    """Take the place that the label fills, and tell whether the label counts. A check's place is the rater's
    own and nobody else's."""
    if _close_own(serving):
        return True
    if serving.purpose not in (PlacePurpose.SLOT, PlacePurpose.GOLD):
        return True
    return _close_open(item, serving)


def _close_own(serving: Serving) -> bool:
    """Close the rater's own place, and tell whether it was theirs. So was a slot the rater finished before: a
    second submission is a revision in the same slot."""
    place = [serving.item_id, serving.rater_id, serving.purpose, serving.ordinal]
    return changed_rows(CLOSE, [State.DONE, *place, State.LEASED, State.DONE]) == 1


def _close_open(item: Item, serving: Serving) -> bool:
    """Take and close any slot nobody holds; of two late submissions the row count says who got it."""
    slots = item.assignments.slots(serving.purpose).claimable()
    for pk in slots.order_by("slot").values_list("pk", flat=True):
        try:
            with transaction.atomic():
                taken = slots.filter(pk=pk).conclude(State.DONE, rater=serving.rater_id)
        except IntegrityError:  # sent twice at once: the rater has just taken another slot of this item
            return True
        if taken == 1:
            return True
    return False


# What follows from a label


def _widen_if_split(study: Study, item: Item) -> None:
    """Give an item the further slots the plan asks for, once all raters it needs have labelled it and
    differ."""
    extra = humans_of(study).extra_when_split
    draw = (
        Draw.objects.filter(study=study, purpose=PlacePurpose.SLOT, framed__item=item).first()
        if extra
        else None
    )
    if draw is None:
        return
    # Locked by the ledger in this very transaction, so of the last two raters the second sees both labels.
    item.refresh_from_db(fields=["humans_split"])
    slots = item.assignments.slots(PlacePurpose.SLOT)
    if item.humans_split and slots.count() <= draw.raters_per_item and not slots.unfinished().exists():
        ask_for_more(item, extra)


def _write_gold(item: Item, rating: Rating) -> None:
    """Write the gold that an expert's label makes. One expert's label is gold by itself; where the draw asks
    for more, gold is what all of them agree on. Experts who come to differ, as one of them thinks again,
    withdraw what they wrote."""
    if rating.surplus:
        return
    current = Rating.objects.newest().primary().counting().filter(item=item, purpose=PlacePurpose.GOLD)
    if len(set(current.values_list("label", flat=True))) > 1:
        last = item.golds.select_related("draw").history().last()
        if last and of_experts(last):
            withdraw(item.pk)
        return
    places = item.assignments.slots(PlacePurpose.GOLD)
    if places.unfinished().exists():
        return
    draw = Draw.objects.filter(study=item.study_id, purpose=PlacePurpose.GOLD, framed__item=item).first()
    alone = places.count() <= 1
    gold = GoldEntry(
        item=item.pk,
        label=rating.label_id,
        origin=Gold.Origin.SINGLE if alone else Gold.Origin.CONSENSUS,
        draw=draw.pk if draw else None,
        author=rating.rater_id if alone else None,
        rationale=rating.rationale,
        evidence=rating.evidence,
    )
    write([gold], lambda _: True, GoldCount())


# Drafts and undoing


def keep_draft(serving: Serving, draft: Mapping[str, Any]) -> None:
    """Store what the page would lose with its browser; it is gone once the label is in the ledger."""
    Serving.objects.filter(pk=serving.pk).update(draft=dict(draft))


def last_answered(study: Study, rater: Rater) -> Serving | None:
    """Return the rater's last label, which `undo` reopens."""
    labelled = Serving.objects.filter(study=study, rater=rater, answered_at__isnull=False, revision__gt=0)
    return labelled.order_by("-answered_at", "-id").first()


def answer_in(serving: Serving) -> dict[str, Any]:
    """Return the rater's current label in this place, as the page fills it in."""
    place = Rating.objects.filter(
        item=serving.item_id, rater=serving.rater_id, purpose=serving.purpose, ordinal=serving.ordinal
    )
    current = {rating.question: rating for rating in place.newest().select_related("label")}
    own = current.pop("", None)
    if own is None:
        return {}
    return {
        "label": own.label.key,
        "confidence": own.confidence,
        "note": own.rationale,
        "flagged": own.flagged,
        "evidence": [{"start": span["start"], "end": span["end"]} for span in own.evidence],
        "answers": {name: rating.label.key for name, rating in current.items()},
    }

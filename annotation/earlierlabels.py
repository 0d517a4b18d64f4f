"""A rater's own earlier labels: finding them, and opening one for change, which writes a new revision.

Nothing here tells which items were checks. An item asked about twice stands there once, as it was answered
last; while it is asked about again its first answer is not there, so that nobody can look up what they said.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Substr
from django.utils.dateparse import parse_datetime

from annotation.desk import Desk
from annotation.models import Adjudication, Label, PlacePurpose, Rating, Serving

PAGE = 50
BEGINNING = 280  # characters of a response
LONGEST_SEARCH = 200
PAUSED = "Your work in this study is paused, so its labels stay as they are for now."
DECIDED = "An adjudicator has decided this response since you labelled it, so your label stays as it was."
GONE = "You have no label there that could be opened now."


@dataclass(frozen=True)
class LabelFilters:
    search: str = ""
    label: str = ""
    flagged: bool = False
    noted: bool = False

    def given(self) -> dict[str, str]:
        """Return those filters that ask for something, as an address holds them."""
        ticks = {name: "on" for name in ("flagged", "noted") if getattr(self, name)}
        texts = {"search": self.search, "label": self.label}
        return {name: text for name, text in texts.items() if text} | ticks


def earlier(desk: Desk) -> QuerySet[Serving]:
    """Return the servings that the rater has labelled, an item once, the newest first."""
    mine = Serving.objects.filter(study=desk.study, rater=desk.rater)
    # By item and rater alone, along that index: with the study too, SQLite goes through all of the rater's
    # for each of them.
    of_item = Serving.objects.filter(item=OuterRef("item"), rater=desk.rater)
    gold = Q(purpose=PlacePurpose.GOLD)
    again = of_item.filter(purpose=PlacePurpose.REPEAT, answered_at=None)
    later = Q(answered_at__gt=OuterRef("answered_at")) | Q(
        answered_at=OuterRef("answered_at"), pk__gt=OuterRef("pk")
    )
    newer = of_item.filter(later, revision__gt=0)
    if desk.purpose == PlacePurpose.GOLD:
        mine, newer = mine.filter(gold), newer.filter(gold)
    else:
        mine, newer = mine.exclude(gold), newer.exclude(gold)
    labelled = mine.filter(~Exists(again), ~Exists(newer), revision__gt=0, answered_at__isnull=False)
    return labelled.order_by("-answered_at", "-pk")


def page_of(desk: Desk, filters: LabelFilters, after: str = "") -> tuple[list[dict[str, Any]], str]:
    """Return a page of the rater's earlier labels as rows, and from where the next page goes on: by key, so
    that each costs the same."""
    labelled = _filtered(earlier(desk), filters)
    if at := _place(after):
        answered, pk = at
        labelled = labelled.filter(Q(answered_at__lt=answered) | Q(answered_at=answered, pk__lt=pk))
    rows = list(labelled.annotate(**_shown()).values(*SHOWN, *_shown())[: PAGE + 1])
    on = f"{rows[PAGE - 1]['answered_at'].isoformat()}~{rows[PAGE - 1]['pk']}" if len(rows) > PAGE else ""
    return _told(desk, rows[:PAGE]), on


SHOWN = ("pk", "key", "answered_at", "revision", "category", "label", "flagged", "note")


def _current(field: str) -> Subquery:
    """Return a subquery of one field of the rater's present label in a serving's place."""
    place = {name: OuterRef(name) for name in Serving.PLACE}
    return Subquery(Rating.objects.primary().filter(**place).newest().values(field))


def _shown() -> dict[str, Any]:
    return {
        "decided": Exists(
            Adjudication.objects.filter(item=OuterRef("item"), created_at__gt=OuterRef("answered_at"))
        ),
        "beginning": Substr("item__response__text", 1, BEGINNING),
    }


def _filtered(servings: QuerySet[Serving], filters: LabelFilters) -> QuerySet[Serving]:
    servings = servings.annotate(
        label=_current("label"),
        flagged=_current("flagged"),
        note=_current("rationale"),
        category=F("item__response__task__category__title"),
    )
    if filters.label:
        servings = servings.filter(label__in=Label.objects.filter(key=filters.label).values("pk"))
    if filters.flagged:
        servings = servings.filter(flagged=True)
    if filters.noted:
        servings = servings.exclude(note="")
    if filters.search:
        texts = ("item__response__text", "item__response__task__text", "note")
        wanted = Q()
        for path in texts:
            wanted |= Q(**{f"{path}__icontains": filters.search})
        servings = servings.filter(wanted)
    return servings


def _told(desk: Desk, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with their labels, and with why a label can't be changed where it can't."""
    labels = Label.objects.in_bulk({row["label"] for row in rows})
    why = PAUSED if desk.enrolment.paused else ""
    return [
        row | {"label": labels[row["label"]], "why_not": why or (DECIDED if row["decided"] else "")}
        for row in rows
    ]


def _place(after: str) -> tuple[datetime, int] | None:
    when, _, pk = after.partition("~")
    try:
        at = parse_datetime(when)
    except ValueError:
        return None
    known = at is not None and at.tzinfo is not None and pk.isdecimal() and len(pk) < 19
    return (at, int(pk)) if known and at else None


# Changing one


def why_not(desk: Desk, serving: Serving) -> str:
    """Return why this label can't be opened for change; empty where it can."""
    if desk.enrolment.paused:
        return PAUSED
    if decided_since(serving):
        return DECIDED
    return "" if earlier(desk).filter(pk=serving.pk).exists() else GONE


def decided_since(serving: Serving) -> bool:
    """Tell whether an adjudicator decided the item after the rater labelled it. A decision from before says
    nothing here: items decided already are given as checks."""
    decisions = Adjudication.objects.filter(item=serving.item_id, created_at__gt=serving.answered_at)
    return serving.answered_at is not None and decisions.exists()

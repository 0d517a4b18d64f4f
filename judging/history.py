"""Everything that happened to one item, in the order it happened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from annotation.access import Role
from annotation.models import Assignment, Gold, Item, Purpose, Rater, Rating
from annotation.raters import pseudonym
from judging.models import Verdict
from judging.panel.record import LONGEST, Piece, Quote, confidence, marked

STATE = Assignment.State
KINDS = {Rater.Kind.HUMAN: "Label", Rater.Kind.JUDGE: "Judge's label", Rater.Kind.SCORER: "Scorer's label"}
PURPOSES = {Purpose.GOLD_CHECK: "gold check", Purpose.REPEAT: "repeat", Purpose.GOLD: "gold"}


@dataclass
class Event:
    at: datetime
    what: str
    who: str = ""
    label: str = ""
    text: str = ""
    tags: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    verdict: Verdict | None = None


@dataclass
class Place:
    """A slot, or a check's place: whose it is, and how far."""

    what: str
    state: str
    who: str = ""
    until: datetime | None = None


@dataclass
class History:
    events: list[Event]
    places: list[Place]
    open_verdicts: list[Verdict]
    pieces: list[Piece]  # of the response, with every rating's evidence marked
    draws: list[Any]


class Names:
    """Raters as the reader may know them: people by name for the study's owner alone."""

    def __init__(self, item: Item, role: str) -> None:
        self.study, self.told = item.study, role == Role.OWNER

    def of(self, rater: Rater | None) -> str:
        if rater is None:
            return ""
        return str(rater) if self.told else pseudonym(self.study, rater)


def history(item: Item, role: str) -> History:
    names = Names(item, role)
    ratings = list(item.ratings.select_related("rater", "label", "verdict").order_by("pk"))
    pieces, quotes = _evidence(item.response.text, ratings)
    verdicts = list(
        item.verdicts.select_related("study_judge__judge__rater").prefetch_related("attempts").order_by("pk")
    )
    events = [
        *_ratings(ratings, quotes, names), *_servings(item, names), *_skips(item, names), *_decisions(item, names),
        *_golds(item, names), *_settlements(item), *_without_label(item, verdicts),
    ]  # fmt: skip
    return History(
        sorted(events, key=lambda event: event.at), _places(item, names),
        [one for one in verdicts if one.finished_at is None and one.rating_id is None], pieces,
        list(item.drawn.select_related("draw").order_by("draw_id")),
    )  # fmt: skip


def _evidence(text: str, ratings: Sequence[Rating]) -> tuple[list[Piece], dict[int, list[Quote]]]:
    """All passages laid over the response, and by rating the quotes that lead to them."""
    spans = [(rating.pk, span) for rating in ratings for span in rating.evidence]
    pieces, quotes = marked(text, [span for _, span in spans])
    of: dict[int, list[Quote]] = {}
    for (pk, _), quote in zip(spans, quotes, strict=True):
        of.setdefault(pk, []).append(quote)
    return [*pieces, Piece(text[LONGEST:])], of


def _ratings(ratings: Sequence[Rating], quotes: dict[int, list[Quote]], names: Names) -> Iterator[Event]:
    for rating in ratings:
        what = KINDS[Rater.Kind(rating.rater.kind)]
        tags = [f"revision {rating.revision}"] if rating.revision > 1 else []
        tags += [PURPOSES[Purpose(rating.purpose)]] if rating.purpose in PURPOSES else []
        tags += [word for word in ("surplus", "flagged", "simulated") if getattr(rating, word)]
        tags += [f"question: {rating.question}"] if rating.question else []
        yield Event(
            rating.created_at, what, names.of(rating.rater), rating.label.title, rating.rationale, tags,
            list(_facts(rating)), quotes.get(rating.pk, []), getattr(rating, "verdict", None),
        )  # fmt: skip


def _facts(rating: Rating) -> Iterator[str]:
    if rating.confidence is not None:
        yield f"confidence {confidence(rating)}"
    if rating.active_seconds is not None:
        yield f"{rating.active_seconds:.0f} s at it"
    yield from _shown(rating.shown)


def _shown(shown: dict[str, Any]) -> Iterator[str]:
    """What a rater had before them, where that was kept."""
    if fields := shown.get("fields"):
        blind = "" if shown.get("blind", True) else ", with the condition"
        yield f"shown {', '.join(map(str, fields))}{blind}"
    if shown.get("guidelines"):
        yield f"guidelines version {shown['guidelines']}"


def _servings(item: Item, names: Names) -> Iterator[Event]:
    for one in item.servings.select_related("rater"):
        tags = [PURPOSES[Purpose(one.purpose)]] if one.purpose in PURPOSES else []
        facts = [] if one.revision else list(_shown(one.shown))
        draft = ["a draft is kept"] if one.draft else []
        yield Event(one.served_at, "Given to", names.of(one.rater), tags=tags, facts=[*facts, *draft])


def _skips(item: Item, names: Names) -> Iterator[Event]:
    for one in item.skips.select_related("rater"):
        yield Event(one.created_at, "Passed by", names.of(one.rater), text=one.reason)


def _decisions(item: Item, names: Names) -> Iterator[Event]:
    for referral in item.referrals.select_related("by"):
        count = f"{referral.extra} more rater{'s' * (referral.extra != 1)}"
        yield Event(
            referral.created_at, f"Sent back for {count}", names.of(referral.by), text=referral.reason
        )
    for one in item.adjudications.select_related("adjudicator", "label"):
        tags = [f"revision {one.revision}"] if one.revision > 1 else []
        tags += ["guidelines unclear"] if one.guideline_unclear else []
        yield Event(
            one.created_at, "Adjudicated", names.of(one.adjudicator), one.label.title, one.reason, tags
        )


def _golds(item: Item, names: Names) -> Iterator[Event]:
    for one in item.golds.select_related("author", "label", "draw"):
        withdrawn = one.origin == Gold.Origin.WITHDRAWN
        tags = [f"revision {one.revision}"] if one.revision > 1 else []
        facts = [f"draw {one.draw.name}"] if one.draw else []
        what = "Gold withdrawn" if withdrawn else f"Gold, {one.origin}"
        label = "" if withdrawn else one.label.title
        yield Event(one.created_at, what, names.of(one.author), label, one.rationale, tags, facts)


def _settlements(item: Item) -> Iterator[Event]:
    for one in item.settlements.select_related("label"):
        tags = [f"version {one.revision}"] + ["simulated"] * one.simulated
        label = one.label.title if one.label else "open"
        yield Event(one.created_at, "Settled", label=label, facts=[one.get_rule_display()], tags=tags)


def _without_label(item: Item, verdicts: Sequence[Verdict]) -> Iterator[Event]:
    """Answers of judges and scorers that came to no label."""
    for one in verdicts:
        if one.finished_at and one.rating_id is None:
            calls = len(one.attempts.all())
            repeat = [f"repeat {one.repeat}"] if one.repeat else []
            facts = [f"{calls} call{'s' * (calls != 1)}"]
            yield Event(
                one.finished_at, f"Verdict {one.state}", str(one.study_judge.judge), text=one.reason, tags=repeat, facts=facts, verdict=one
            )  # fmt: skip
    for failure in item.scorer_failures.select_related("scorer__rater"):
        yield Event(failure.created_at, "No label from", str(failure.scorer), text=failure.reason)


def _places(item: Item, names: Names) -> list[Place]:
    now, found = timezone.now(), []
    for one in item.assignments.select_related("rater").order_by("purpose", "slot", "pk"):
        what = PURPOSES.get(Purpose(one.purpose), "")
        what = f"{what or 'place'} {one.slot}" if one.slot else what
        if one.state == STATE.LEASED and one.leased_until and one.leased_until < now:
            found.append(Place(what, "abandoned", names.of(one.rater), one.leased_until))
        elif one.state == STATE.LEASED:
            found.append(Place(what, "held", names.of(one.rater), one.leased_until))
        else:
            found.append(Place(what, "filled" if one.state == STATE.DONE else "free", names.of(one.rater)))
    order = {"place": 0}
    return sorted(found, key=lambda place: order.get(place.what.split()[0], 1))

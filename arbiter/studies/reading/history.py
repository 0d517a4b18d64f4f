"""Everything that happened to one item, in the order it happened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from annotation.access import Role
from annotation.models import Assignment, Gold, Item, PlacePurpose, Rater, Rating
from annotation.raters import pseudonym
from arbiter.calls.record_texts import LONGEST
from arbiter.core.leases import lapsed
from judging.models import Verdict
from judging.panel.verdict_record import MarkedQuote, TextPiece, confidence, marked

STATE = Assignment.State
KINDS = {Rater.Kind.HUMAN: "Label", Rater.Kind.JUDGE: "Judge's label", Rater.Kind.SCORER: "Scorer's label"}
PURPOSES = {PlacePurpose.GOLD_CHECK: "gold check", PlacePurpose.REPEAT: "repeat", PlacePurpose.GOLD: "gold"}


@dataclass
class Event:
    at: datetime
    what: str
    who: str = ""
    label: str = ""
    text: str = ""
    tags: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    quotes: list[MarkedQuote] = field(default_factory=list)
    verdict: Verdict | None = None


@dataclass
class PlaceState:
    """A slot, or the place of a check: whose it is, and how far they are."""

    what: str
    state: str
    who: str = ""
    until: datetime | None = None


@dataclass
class History:
    events: list[Event]
    places: list[PlaceState]
    open_verdicts: list[Verdict]
    pieces: list[TextPiece]  # of the response, with every rating's evidence marked
    draws: list[Any]


class RaterNames:
    """Raters as the reader may know them: people by name for the study's owner alone."""

    def __init__(self, item: Item, role: str) -> None:
        self.study, self.by_name = item.study, role == Role.OWNER

    def of(self, rater: Rater | None) -> str:
        """Return the name of a rater, empty where there is none."""
        if rater is None:
            return ""
        return str(rater) if self.by_name else pseudonym(self.study, rater)


def history(item: Item, role: str) -> History:
    """Return everything that happened to an item, as a reader in this role may see it."""
    names = RaterNames(item, role)
    ratings = list(item.ratings.select_related("rater", "label", "verdict").order_by("pk"))
    pieces, quotes = _evidence(item.response.text, ratings)
    verdicts = list(
        item.verdicts.select_related("study_judge__judge__rater").prefetch_related("attempts").order_by("pk")
    )
    events = [
        *_ratings(ratings, quotes, names),
        *_servings(item, names),
        *_skips(item, names),
        *_decisions(item, names),
        *_golds(item, names),
        *_settlements(item),
        *_without_label(item, verdicts),
    ]
    return History(
        sorted(events, key=lambda event: event.at),
        _places(item, names),
        [verdict for verdict in verdicts if verdict.finished_at is None and verdict.rating_id is None],
        pieces,
        list(item.drawn.select_related("draw").order_by("draw_id")),
    )


def _evidence(text: str, ratings: Sequence[Rating]) -> tuple[list[TextPiece], dict[int, list[MarkedQuote]]]:
    """Return the response in pieces with all passages marked, and by rating the quotes that lead to them."""
    spans = [(rating.pk, span) for rating in ratings for span in rating.evidence]
    pieces, quotes = marked(text, [span for _, span in spans])
    of: dict[int, list[MarkedQuote]] = {}
    for (pk, _), quote in zip(spans, quotes, strict=True):
        of.setdefault(pk, []).append(quote)
    return [*pieces, TextPiece(text[LONGEST:])], of


def _ratings(
    ratings: Sequence[Rating], quotes: dict[int, list[MarkedQuote]], names: RaterNames
) -> Iterator[Event]:
    for rating in ratings:
        what = KINDS[Rater.Kind(rating.rater.kind)]
        tags = [f"revision {rating.revision}"] if rating.revision > 1 else []
        tags += [PURPOSES[PlacePurpose(rating.purpose)]] if rating.purpose in PURPOSES else []
        tags += [word for word in ("surplus", "flagged", "simulated") if getattr(rating, word)]
        tags += [f"question: {rating.question}"] if rating.question else []
        yield Event(
            rating.created_at,
            what,
            names.of(rating.rater),
            rating.label.title,
            rating.rationale,
            tags,
            list(_facts(rating)),
            quotes.get(rating.pk, []),
            getattr(rating, "verdict", None),
        )


def _facts(rating: Rating) -> Iterator[str]:
    if rating.confidence is not None:
        yield f"confidence {confidence(rating)}"
    if rating.active_seconds is not None:
        yield f"{rating.active_seconds:.0f} s at it"
    yield from _shown(rating.shown)


def _shown(shown: dict[str, Any]) -> Iterator[str]:
    """Yield what a rater had before them, where that was kept."""
    if fields := shown.get("fields"):
        blind = "" if shown.get("blind", True) else ", with the condition"
        yield f"shown {', '.join(map(str, fields))}{blind}"
    if shown.get("by") == "owner":
        yield "as the study's owner, who can see other labels"
    if shown.get("guidelines"):
        yield f"guidelines version {shown['guidelines']}"


def _servings(item: Item, names: RaterNames) -> Iterator[Event]:
    for serving in item.servings.select_related("rater"):
        tags = [PURPOSES[PlacePurpose(serving.purpose)]] if serving.purpose in PURPOSES else []
        facts = [] if serving.revision else list(_shown(serving.shown))
        draft = ["a draft is kept"] if serving.draft else []
        yield Event(serving.served_at, "Given to", names.of(serving.rater), tags=tags, facts=[*facts, *draft])


def _skips(item: Item, names: RaterNames) -> Iterator[Event]:
    for skip in item.skips.select_related("rater"):
        yield Event(skip.created_at, "Passed by", names.of(skip.rater), text=skip.reason)


def _decisions(item: Item, names: RaterNames) -> Iterator[Event]:
    for referral in item.referrals.select_related("by"):
        count = f"{referral.extra} more rater{'s' * (referral.extra != 1)}"
        yield Event(
            referral.created_at, f"Sent back for {count}", names.of(referral.by), text=referral.reason
        )
    for adjudication in item.adjudications.select_related("adjudicator", "label"):
        tags = [f"revision {adjudication.revision}"] if adjudication.revision > 1 else []
        tags += ["guidelines unclear"] if adjudication.guideline_unclear else []
        yield Event(
            adjudication.created_at,
            "Adjudicated",
            names.of(adjudication.adjudicator),
            adjudication.label.title,
            adjudication.reason,
            tags,
        )


def _golds(item: Item, names: RaterNames) -> Iterator[Event]:
    for gold in item.golds.select_related("author", "label", "draw"):
        withdrawn = gold.origin == Gold.Origin.WITHDRAWN
        tags = [f"revision {gold.revision}"] if gold.revision > 1 else []
        facts = [f"draw {gold.draw.name}"] if gold.draw else []
        what = "Gold withdrawn" if withdrawn else f"Gold, {gold.origin}"
        label = "" if withdrawn else gold.label.title
        yield Event(gold.created_at, what, names.of(gold.author), label, gold.rationale, tags, facts)


def _settlements(item: Item) -> Iterator[Event]:
    for settlement in item.settlements.select_related("label"):
        tags = [f"version {settlement.revision}"] + ["simulated"] * settlement.simulated
        label = settlement.label.title if settlement.label else "open"
        yield Event(
            settlement.created_at, "Settled", label=label, facts=[settlement.get_rule_display()], tags=tags
        )


def _without_label(item: Item, verdicts: Sequence[Verdict]) -> Iterator[Event]:
    """Yield the answers of judges and scorers that came to no label."""
    for verdict in verdicts:
        if verdict.finished_at and verdict.rating_id is None:
            calls = len(verdict.attempts.all())
            repeat = [f"repeat {verdict.repeat}"] if verdict.repeat else []
            facts = [f"{calls} call{'s' * (calls != 1)}"]
            yield Event(
                verdict.finished_at,
                f"Verdict {verdict.state}",
                str(verdict.study_judge.judge),
                text=verdict.reason,
                tags=repeat,
                facts=facts,
                verdict=verdict,
            )
    for failure in item.scorer_failures.select_related("scorer__rater"):
        yield Event(failure.created_at, "No label from", str(failure.scorer), text=failure.reason)


def _places(item: Item, names: RaterNames) -> list[PlaceState]:
    places = []
    assignments = item.assignments.select_related("rater").annotate(lapsed=lapsed())
    for assignment in assignments.order_by("purpose", "slot", "pk"):
        what = PURPOSES.get(PlacePurpose(assignment.purpose), "")
        what = f"{what or 'place'} {assignment.slot}" if assignment.slot else what
        if assignment.lapsed:  # type: ignore[attr-defined]
            places.append(PlaceState(what, "abandoned", names.of(assignment.rater), assignment.leased_until))
        elif assignment.state == STATE.LEASED:
            places.append(PlaceState(what, "held", names.of(assignment.rater), assignment.leased_until))
        else:
            places.append(
                PlaceState(
                    what, "filled" if assignment.state == STATE.DONE else "free", names.of(assignment.rater)
                )
            )
    order = {"place": 0}
    return sorted(places, key=lambda place: order.get(place.what.split()[0], 1))

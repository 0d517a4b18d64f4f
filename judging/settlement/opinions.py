"""All that raters said about one item, side by side: who under which name, and their passages laid over the response."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from annotation.humanplan import humans_of
from annotation.models import Item, Purpose, Rater, Rating
from benchmark.text import digest
from judging.panel.record import Quote, confidence, marked

HUES = 6  # colours there are before they begin again; the badge always tells raters apart
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass
class Opinion:
    """One rater's current rating: a vote, or an answer to a named question."""

    name: str
    badge: str
    place: int
    rating: Rating
    quotes: list[Quote] = field(default_factory=list)

    @property
    def hue(self) -> int:
        return self.place % HUES + 1

    @property
    def confidence(self) -> str:
        return "" if self.rating.confidence is None else confidence(self.rating)


@dataclass(frozen=True)
class Overlay:
    """A piece of the response, and whose passages it belongs to, the outermost first."""

    text: str
    by: tuple[Opinion, ...] = ()
    begins: tuple[tuple[int, Opinion], ...] = ()  # quotes by number


@dataclass(frozen=True)
class SideBySide:
    votes: list[Opinion]
    questions: dict[str, list[Opinion]]
    pieces: list[Overlay]


class Mask(NamedTuple):
    name: str
    badge: str
    place: int


def side_by_side(item: Item) -> SideBySide:
    """Current ratings alone: no earlier revision, surplus, check or gold; of each judge the latest version."""
    found = item.ratings.current().filter(purpose=Purpose.SLOT, ordinal=0, surplus=False)
    ratings = _latest(list(found.select_related("rater", "label")))
    masks = _masks(item, {rating.rater for rating in ratings})
    ratings.sort(key=lambda rating: masks[rating.rater_id].place)
    votes = [Opinion(*masks[one.rater_id], one) for one in ratings if not one.question]
    questions: dict[str, list[Opinion]] = {}
    for one in sorted(ratings, key=lambda rating: rating.question):
        if one.question:
            questions.setdefault(one.question, []).append(Opinion(*masks[one.rater_id], one))
    return SideBySide(votes, questions, _overlay(item.response.text, votes))


def _latest(ratings: Sequence[Rating]) -> list[Rating]:
    newest: dict[tuple[str, str], Rating] = {}
    for rating in ratings:
        place = (rating.question, rating.rater.name)
        if place not in newest or newest[place].rater.version < rating.rater.version:
            newest[place] = rating
    return list(newest.values())


def _masks(item: Item, raters: set[Rater]) -> dict[int, Mask]:
    """Names that tell nothing, people first. Their order differs from item to item, so nobody is known by their letter."""
    names = humans_of(item.study).adjudication.names
    order = sorted(raters, key=lambda rater: (rater.kind, digest(item.key, str(rater.pk))))
    counts = dict.fromkeys(Rater.Kind.values, 0)
    masks = {}
    for place, rater in enumerate(order):
        number = counts[rater.kind]
        counts[rater.kind] += 1
        badge = _letters(number) if rater.kind == Rater.Kind.HUMAN else str(number + 1)
        if rater.kind == Rater.Kind.SCORER:
            badge = f"S{badge}"
        word = {"human": "Rater", "judge": "Judge", "scorer": "Scorer"}[rater.kind]
        masks[rater.pk] = Mask(str(rater) if names else f"{word} {badge.lstrip('S')}", badge, place)
    return masks


def _letters(number: int) -> str:
    """A to Z, then AA."""
    return ("" if number < len(LETTERS) else _letters(number // len(LETTERS) - 1)) + LETTERS[
        number % len(LETTERS)
    ]


def _overlay(text: str, votes: Sequence[Opinion]) -> list[Overlay]:
    owners = [one for one in votes for _ in one.rating.evidence]
    pieces, quotes = marked(text, [quote for one in votes for quote in one.rating.evidence])
    for owner, quote in zip(owners, quotes, strict=True):
        owner.quotes.append(quote)
    return [
        Overlay(
            piece.text,
            tuple({owners[number - 1].place: owners[number - 1] for number in piece.quotes}.values()),
            tuple((number, owners[number - 1]) for number in piece.begins),
        )
        for piece in pieces
    ]

"""All that raters said about one item: who, under which name, and their passages laid over the response."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from annotation.humanplan import humans_of
from annotation.models import Item, Rater, Rating
from annotation.votes import latest
from arbiter.core.text import digest
from judging.panel.verdict_record import MarkedQuote, confidence, marked

HUES = 6  # colours there are before they begin again; the badge always tells raters apart
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass
class Opinion:
    """One rater's current rating: a vote, or an answer to a named question."""

    name: str
    badge: str
    place: int
    rating: Rating
    quotes: list[MarkedQuote] = field(default_factory=list)

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
    """Return what each rater says of an item now, of each judge the latest version.

    Left out are earlier revisions, surplus, checks and gold.
    """
    current = item.ratings.side_votes().select_related("rater", "label")
    ratings = latest(current, lambda rating: ((rating.question, rating.rater.name), rating.rater.version))
    masks = _masks(item, {rating.rater for rating in ratings})
    ratings.sort(key=lambda rating: masks[rating.rater_id].place)
    votes = [Opinion(*masks[rating.rater_id], rating) for rating in ratings if not rating.question]
    questions: dict[str, list[Opinion]] = {}
    for rating in sorted(ratings, key=lambda rating: rating.question):
        if rating.question:
            questions.setdefault(rating.question, []).append(Opinion(*masks[rating.rater_id], rating))
    return SideBySide(votes, questions, _overlay(item.response.text, votes))


def _masks(item: Item, raters: set[Rater]) -> dict[int, Mask]:
    """Return the names under which raters are shown, which tell nothing, people first. Their order differs
    from item to item, so nobody is known by their letter.
    """
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
    """Return a letter for the number, A to Z, then AA."""
    before, letter = divmod(number, len(LETTERS))
    return (_letters(before - 1) if before else "") + LETTERS[letter]


def _overlay(text: str, votes: Sequence[Opinion]) -> list[Overlay]:
    owners = [vote for vote in votes for _ in vote.rating.evidence]
    pieces, quotes = marked(text, [quote for vote in votes for quote in vote.rating.evidence])
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

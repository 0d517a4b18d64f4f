"""What counts as a vote, and the key that items keep of their votes: defined here alone.

A rater's vote on an item is what they say now to the primary question, the first time they are asked, in a
slot: no check, gold, training or repeat. Who changes their mind votes anew; whose last label was surplus has
no vote. Of a judge's or a scorer's versions each votes; where one voice a name is wanted, that is its latest
version's.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from django.db import models
from django.db.models import Q

from arbiter.core.revisions import RevisedQuerySet

if TYPE_CHECKING:
    from annotation.models import Item, Rater, Rating  # noqa: F401 - ruff takes a base of QuerySet["Item"] for text

T = TypeVar("T")


class PlacePurpose(models.TextChoices):
    """What a human's place on an item is for. Only a slot counts toward the raters an item needs."""

    SLOT = "slot"
    GOLD_CHECK = "gold_check"
    REPEAT = "repeat"
    TRAINING = "training"
    GOLD = "gold"


PLACE: Mapping[str, Any] = {
    "question": "",
    "purpose": PlacePurpose.SLOT.value,
    "ordinal": 0,
}  # where votes lie


# In SQL


class RatingQuerySet(RevisedQuerySet["Rating"]):
    def primary(self) -> "RatingQuerySet":
        """Return answers to the study's primary question, whatever they were asked for."""
        return self.filter(question="")

    def counting(self) -> "RatingQuerySet":
        """Return those that didn't come when their slot was taken."""
        return self.filter(surplus=False)

    def given_as_votes(self) -> "RatingQuerySet":
        """Return ratings where votes lie, of every revision, surplus ones too."""
        return self.filter(**PLACE)

    def votes(self) -> "RatingQuerySet":
        return self.given_as_votes().newest().counting()

    def side_votes(self) -> "RatingQuerySet":
        """Return votes, and what would be one on a named question."""
        return self.filter(purpose=PlacePurpose.SLOT, ordinal=0).newest().counting()

    def repeated(self) -> "RatingQuerySet":
        """Return what programs say now where they were asked again."""
        return self.primary().filter(purpose=PlacePurpose.SLOT, ordinal__gt=0).newest().counting()


class ItemQuerySet(models.QuerySet["Item"]):
    def voted_on(self) -> "ItemQuerySet":
        return self.exclude(votes="")

    def with_vote_for(self, label: int) -> "ItemQuerySet":
        """Return items with a vote for this label, of whoever gave it, of whichever version."""
        return self.filter(Q(votes__contains=f":{label} ") | Q(votes__endswith=f":{label}"))


def given_as_vote(rating: "Rating") -> bool:
    """Tell whether a rating lies where votes do, so that what its item keeps of them may change with it."""
    return all(getattr(rating, name) == value for name, value in PLACE.items())


# The key


class Vote(NamedTuple):
    rater: int
    label: int


def packed(votes: Iterable[tuple[int, int]]) -> str:
    """Return the key of votes, each a rater and a label by their own keys, in the order of raters."""
    return " ".join([f"{rater}:{label}" for rater, label in votes])


def unpacked(key: str) -> tuple[Vote, ...]:
    return tuple(map(_vote, key.split()))


@lru_cache(maxsize=1 << 16)
def _vote(word: str) -> Vote:
    rater, _, label = word.partition(":")
    return Vote(int(rater), int(label))


# One voice a name


def latest(ones: Iterable[T], named: Callable[[T], tuple[Hashable, int]]) -> list[T]:
    """Return of each name the one of the highest version; `named` tells both."""
    newest: dict[Hashable, tuple[int, T]] = {}
    for one in ones:
        name, version = named(one)
        if name not in newest or newest[name][0] < version:
            newest[name] = version, one
    return [one for _, one in newest.values()]


def latest_versions(raters: Iterable["Rater"]) -> "list[Rater]":
    return latest(raters, lambda rater: (rater.name, rater.version))

"""Items on which raters disagree, in the order of how much is at stake.

Found and ranked by what items keep of their votes, so that no rating is read. An item's stake is between 0 and 1. It is high
where people are divided, where all votes are, where one vote more would change whether the item counts as convergent, and
where its category has few tasks, so that each weighs more in the category's rate.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from annotation.adjudicating import own, sent_back
from annotation.humanplan import humans_of
from annotation.models import Adjudication, Item, Label, Rater, Study, newest
from benchmark.models import Task
from judging.models import Settlement
from judging.statistics import majority

MOST = 20_000  # disputes that are ranked; those beyond come up as these are decided
PEOPLE, EVERYONE, NEARNESS, CATEGORY = 0.45, 0.2, 0.25, 0.1  # what makes up a stake
FEW_TASKS = 5  # a category with no more than these has all of its part
FIELDS = (
    "pk", "key", "votes", "humans_split", "final_rule", "response__task__category", "response__task__category__title",
    "response__task__language", "response__task__control",
)  # fmt: skip
Votes = Counter[int]  # by label


def disputes(study: Study) -> QuerySet[Item]:
    """Items without a decision whose humans disagree, or whose voters tied when last settled. One that was sent back for more
    raters comes when they have labelled it."""
    divided = Q(humans_split=True) | Q(final_rule=Settlement.Rule.TIE)
    return study.items.filter(divided).filter(~decided(), ~sent_back()).order_by("pk")


def decided() -> Exists:
    return Exists(Adjudication.objects.filter(item=OuterRef("pk")))


# One dispute


@dataclass(frozen=True, slots=True)
class Dispute:
    pk: int
    key: str
    category: int
    category_title: str
    language: str
    control: bool
    tied: bool
    divided: bool
    humans: Votes
    judges: Votes
    others: Votes
    tasks: int  # in its category
    labels: dict[int, Label] = field(repr=False)

    @property
    def everyone(self) -> Votes:
        return self.humans + self.judges + self.others

    def counted(self) -> tuple[int, int]:
        """Votes for target labels and for the other ones; excluded labels count for neither."""
        roles = Counter[str]()
        for label, count in self.everyone.items():
            roles[self.labels[label].role] += count
        return roles[Label.Role.TARGET], roles[Label.Role.OTHER]

    @property
    def stake(self) -> float:
        category = 0.0 if self.control else min(1.0, FEW_TASKS / max(self.tasks, 1))
        return (
            PEOPLE * division(self.humans)
            + EVERYONE * division(self.everyone)
            + NEARNESS * nearness(*self.counted())
            + CATEGORY * category
        )

    @property
    def percent(self) -> int:
        return round(100 * self.stake)

    def leaders(self) -> tuple[Label, Label] | None:
        """What most people say and what most judges say, where those differ."""
        found = leading(self.humans), leading(self.judges)
        if found[0] is None or found[1] is None or found[0] == found[1]:
            return None
        return self.labels[found[0]], self.labels[found[1]]

    def why(self) -> list[str]:
        """Why so much is at stake, in plain words, the weightiest first."""
        target, other = self.counted()
        words = []
        if self.divided:
            words.append(f"raters are divided {' to '.join(str(n) for _, n in self.humans.most_common())}")
        if self.tied:
            words.append("the votes are tied")
        if target and other and abs(target - other) <= 1:
            words.append("one vote decides whether it counts as convergent")
        elif not (target and other):
            words.append("whichever way it goes, it counts the same in the share of convergent responses")
        if leaders := self.leaders():
            words.append(f"people lean to {leaders[0].title}, judges to {leaders[1].title}")
        if self.control:
            words.append("a control task, which stays out of the rates")
        elif 0 < self.tasks <= FEW_TASKS:
            words.append("its category has few tasks")
        return words

    def sentence(self) -> str:
        words = "; ".join(self.why())
        return words[:1].upper() + words[1:] + "." if words else ""

    def tally(self) -> list[tuple[str, str]]:
        """Who, and how often they gave each label."""
        kinds = (("Raters", self.humans), ("Judges", self.judges), ("Scorers", self.others))
        return [
            (who, ", ".join(f"{count} {self.labels[label].title}" for label, count in votes.most_common()))
            for who, votes in kinds
            if votes
        ]


def division(votes: Votes) -> float:
    """0 where all agree, 1 where half or more are not for the leading label."""
    total = votes.total()
    return min(1.0, 2 * (1 - max(votes.values()) / total)) if total else 0.0


def nearness(target: int, other: int) -> float:
    """1 where the votes are even between target labels and others, 0 where they are all on one side."""
    return 1 - abs(target - other) / (target + other) if target and other else 0.0


def leading(votes: Votes) -> int | None:
    labels = list(votes)
    first = majority([votes[label] for label in labels])
    return None if first is None else labels[first]


# Reading them


def read(items: QuerySet[Item]) -> list[Dispute]:
    rows = list(items.values_list(*FIELDS)[:MOST])
    cast = [[_vote(word) for word in row[2].split()] for row in rows]
    raters = Rater.objects.in_bulk({rater for votes in cast for rater, _ in votes})
    labels = Label.objects.in_bulk({label for votes in cast for _, label in votes})
    tasks = _tasks({row[5] for row in rows})
    return [_dispute(row, votes, raters, labels, tasks) for row, votes in zip(rows, cast, strict=True)]


def _vote(word: str) -> tuple[int, int]:
    rater, _, label = word.partition(":")
    return int(rater), int(label)


def _tasks(categories: Iterable[int]) -> dict[int, int]:
    """How many tasks a category has whose responses count in its rate."""
    counted = Task.objects.filter(category__in=categories, control=False, training=False).order_by()
    return dict(counted.values_list("category").annotate(Count("pk")))


def _dispute(
    row: tuple[Any, ...],
    votes: Sequence[tuple[int, int]],
    raters: dict[int, Rater],
    labels: dict[int, Label],
    tasks: dict[int, int],
) -> Dispute:
    pk, key, _, divided, rule, category, title, language, control = row
    kinds: dict[str, Votes] = {kind: Counter() for kind in Rater.Kind.values}
    for rater, label in latest(votes, raters):
        kinds[raters[rater].kind][label] += 1
    return Dispute(
        pk, key, category, title, language, control, rule == Settlement.Rule.TIE, divided,
        kinds[Rater.Kind.HUMAN], kinds[Rater.Kind.JUDGE], kinds[Rater.Kind.SCORER], tasks.get(category, 0), labels,
    )  # fmt: skip


def latest(votes: Sequence[tuple[int, int]], raters: dict[int, Rater]) -> list[tuple[int, int]]:
    """Of each judge's name the latest version, as it is for voting."""
    newest_of: dict[str, tuple[int, int]] = {}
    for vote in votes:
        rater = raters[vote[0]]
        before = newest_of.get(rater.name)
        if before is None or raters[before[0]].version < rater.version:
            newest_of[rater.name] = vote
    return list(newest_of.values())


# The queue

KINDS: dict[str, tuple[str, Callable[[Dispute], bool]]] = {
    "": ("every dispute", lambda one: True),
    "humans": ("raters differ", lambda one: one.divided),
    "tie": ("the votes are tied", lambda one: one.tied),
    "judges": ("raters against judges", lambda one: one.leaders() is not None),
    "waiting": ("sent back, waiting for raters", lambda one: True),
    "unclear": ("decided, guideline unclear", lambda one: True),
}


@dataclass(frozen=True)
class Filters:
    kind: str = ""
    category: int = 0
    language: str = ""

    def given(self) -> dict[str, str]:
        found = {"kind": self.kind, "category": str(self.category or ""), "language": self.language}
        return {name: value for name, value in found.items() if value}

    def keep(self, one: Dispute) -> bool:
        return (
            KINDS[self.kind][1](one)
            and self.category in (0, one.category)
            and self.language in ("", one.language)
        )


@dataclass(frozen=True)
class Queue:
    """Those that meet the filters, by stake; and what there is to filter by, with how many each."""

    rows: list[Dispute]
    categories: list[tuple[int, str, int]]
    languages: list[tuple[str, int]]
    cut: bool  # there are more than are ranked

    def after(self, one: Dispute) -> Dispute | None:
        """The next one below it, whether or not it is still in the queue itself; at the end the first."""
        others = [row for row in self.rows if row.pk != one.pk]
        return next((row for row in others if place(row) > place(one)), others[0] if others else None)


def place(one: Dispute) -> tuple[float, int]:
    return -one.stake, one.pk


def queue(study: Study, by: Rater, filters: Filters = Filters()) -> Queue:
    """What the adjudicator may settle. Items they have labelled themselves are not in it, unless the study says so."""
    items = _items(study, filters.kind)
    if not humans_of(study).adjudication.own_items:
        items = items.filter(~own(by))
    found = read(items)
    titles = {one.category: one.category_title for one in found}
    categories = Counter(one.category for one in found)
    languages = Counter(one.language for one in found)
    return Queue(
        rows=sorted(filter(filters.keep, found), key=place),
        categories=sorted(
            ((pk, titles[pk], count) for pk, count in categories.items()), key=lambda row: (row[1], row[0])
        ),
        languages=sorted(languages.items()),
        cut=len(found) == MOST,
    )


def _items(study: Study, kind: str) -> QuerySet[Item]:
    if kind == "waiting":
        return study.items.filter(sent_back(), ~decided()).order_by("pk")
    if kind == "unclear":
        last = newest(Adjudication.objects.filter(item=OuterRef("pk")))
        return study.items.filter(Exists(last.filter(guideline_unclear=True))).order_by("pk")
    return disputes(study)


def waiting(study: Study) -> int:
    return _items(study, "waiting").count()

"""Items on which raters disagree, or that settling left open, in the order of how much is at stake.

Found and ranked by what items keep of their votes, so that no rating is read. An item's stake is between 0
and 1. It is high where people are divided, where all votes are, where one vote more would change whether the
item counts as convergent, and where its category has few tasks, so that each weighs more in the category's
rate. Where the model gave a posterior, what a decision is worth is read from that instead
(judging.settlement.stakes).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from annotation.adjudication import sent_back
from annotation.goldlabels import DISPUTED
from annotation.humanplan import humans_of
from annotation.models import Adjudication, Item, Label, Rater, Referral, Study
from annotation.votes import Vote, latest, unpacked
from arbiter.statistics import majority
from benchmark.models import Task
from judging.models import Settlement
from judging.settlement.stakes import Chances, arm_weights, chances_of

MOST = 10_000  # disputes that are ranked; those beyond come up as these are decided
PEOPLE, EVERYONE, NEARNESS, CATEGORY = 0.45, 0.2, 0.25, 0.1  # what makes up a stake
FEW_TASKS = 5  # a category with no more than these has all of its part
# Its task by key alone: there are few tasks,
# and joining them to each of many items takes longer than all the rest.
FIELDS = (
    "pk",
    "key",
    "votes",
    "humans_split",
    "final_rule",
    "response__task_id",
    "response__run_id",
    "study_id",
)
Rule = Settlement.Rule
Votes = Counter[int]  # by label


def disputes(study: Study) -> QuerySet[Item]:
    """Return items without a decision whose humans disagree, or which settling left open though they have
    votes. One that was sent back for more raters comes when they have labelled it."""
    divided = Q(humans_split=True) | Q(final_rule__in=DISPUTED)
    return study.items.filter(divided).filter(~decided()).exclude(pk__in=waiting_items(study)).order_by("pk")


def waiting_items(study: Study) -> QuerySet[Any]:
    """Return the keys of items that were sent back and not labelled since;
    few, so they are read once instead of looking at each dispute."""
    referred = Referral.objects.filter(item__study=study).values("item")
    return study.items.filter(sent_back(), pk__in=referred).order_by().values("pk")


def decided() -> Exists:
    return Exists(Adjudication.objects.filter(item=OuterRef("pk")))


# One dispute


@dataclass(frozen=True)
class Tally:
    """Who gave which label how often. Many items share one,
    so that what follows from it is worked out once."""

    humans: Votes
    judges: Votes
    others: Votes
    labels: Mapping[int, Label] = field(repr=False)

    @cached_property
    def everyone(self) -> Votes:
        return self.humans + self.judges + self.others

    @cached_property
    def counted(self) -> tuple[int, int]:
        """Count the votes for target labels and for the other ones; excluded labels count for neither."""
        roles = Counter[str]()
        for label, count in self.everyone.items():
            roles[self.labels[label].role] += count
        return roles[Label.Role.TARGET], roles[Label.Role.OTHER]

    @cached_property
    def stake(self) -> float:
        """Return all of a stake but what the category adds."""
        return (
            PEOPLE * division(self.humans)
            + EVERYONE * division(self.everyone)
            + NEARNESS * nearness(*self.counted)
        )

    @cached_property
    def leaders(self) -> tuple[Label, Label] | None:
        """Return what most people say and what most judges say, where those differ; else None."""
        people, judges = leading(self.humans), leading(self.judges)
        if people is None or judges is None or people == judges:
            return None
        return self.labels[people], self.labels[judges]

    def words(self) -> list[tuple[str, str]]:
        """Say who voted, and how often they gave each label."""
        kinds = (("Raters", self.humans), ("Judges", self.judges), ("Scorers", self.others))
        return [
            (who, ", ".join(f"{count} {self.labels[label].title}" for label, count in votes.most_common()))
            for who, votes in kinds
            if votes
        ]


@dataclass(frozen=True, slots=True)
class Dispute:
    pk: int
    key: str
    task: Task
    rule: str  # of its newest settlement
    divided: bool
    votes: Tally
    stake: float
    weight: float  # what its category adds to the stake
    chances: Chances | None = None  # the model's, where it left the item open

    @property
    def tied(self) -> bool:
        return self.rule == Rule.TIE

    @property
    def category(self) -> int:
        return self.task.category_id

    @property
    def percent(self) -> int:
        return round(100 * self.stake)

    def why(self) -> list[str]:
        """Say why so much is at stake, in plain words, the weightiest first."""
        target, other = self.votes.counted
        words = []
        if self.divided:
            counts = [str(count) for _, count in self.votes.humans.most_common()]
            words.append(f"raters are divided {' to '.join(counts)}")
        if self.tied:
            words.append("the votes are tied")
        if self.chances:
            return words + self.chances.words() + self._of_task()
        if self.rule == Rule.SPLIT:
            words.append("not all voters agree")
        if target and other and abs(target - other) <= 1:
            words.append("one vote decides whether it counts as convergent")
        elif not (target and other):
            words.append("whichever way it goes, it counts the same in the share of convergent responses")
        if leaders := self.votes.leaders:
            words.append(f"people lean to {leaders[0].title}, judges to {leaders[1].title}")
        return words + self._of_task()

    def _of_task(self) -> list[str]:
        if self.task.control:
            return ["a control task, which stays out of the rates"]
        return ["its category has few tasks"] if self.weight == CATEGORY else []

    def sentence(self) -> str:
        words = "; ".join(self.why())
        return words[:1].upper() + words[1:] + "." if words else ""


def division(votes: Votes) -> float:
    """Return how divided votes are: 0 where all agree, 1 where half or more are not for the leading label."""
    total = votes.total()
    return min(1.0, 2 * (1 - max(votes.values()) / total)) if total else 0.0


def nearness(target: int, other: int) -> float:
    """Return how even votes are between target labels and others:
    1 where they are even, 0 where they are all on one side."""
    return 1 - abs(target - other) / (target + other) if target and other else 0.0


def leading(votes: Votes) -> int | None:
    labels = list(votes)
    first = majority([votes[label] for label in labels])
    return None if first is None else labels[first]


# Reading them


def read_disputes(items: QuerySet[Item]) -> list[Dispute]:
    """Read disputes; where there are more than are ranked, the most valuable of them,
    as far as their settlement tells."""
    rows = list(items.order_by(F("final_chance").asc(nulls_first=True), "pk").values_list(*FIELDS)[:MOST])
    tally = tallies(row[2] for row in rows)
    tasks = Task.objects.select_related("category").defer("text", "meta").in_bulk({row[5] for row in rows})
    sizes = _sizes({task.category_id for task in tasks.values()})
    weights = {task.pk: _weight(task, sizes) for task in tasks.values()}
    unsure = [row for row in rows if row[4] == Rule.UNSURE]
    chances = chances_of((row[0], row[2]) for row in unsure)
    arms = arm_weights(Study.objects.get(pk=unsure[0][7]), {row[6] for row in unsure}) if unsure else {}
    ranked = []
    for row in rows:
        task, of = tasks[row[5]], chances.get(row[2]) if row[4] == Rule.UNSURE else None
        ranked.append(_dispute(row, tally(row[2]), task, weights[task.pk], of, arms.get(row[6], 0.0)))
    return ranked


def _sizes(categories: Iterable[int]) -> dict[int, int]:
    """Count by category the tasks whose responses count in its rate."""
    counted = Task.objects.filter(category__in=categories, control=False, training=False).order_by()
    return dict(counted.values_list("category").annotate(Count("pk")))


def _weight(task: Task, sizes: Mapping[int, int]) -> float:
    return 0.0 if task.control else CATEGORY * min(1.0, FEW_TASKS / max(sizes.get(task.category_id, 0), 1))


def _dispute(
    row: tuple[Any, ...], votes: Tally, task: Task, weight: float, chances: Chances | None, arm: float
) -> Dispute:
    pk, key, _, divided, rule = row[:5]
    stake = votes.stake + weight
    if chances:
        worth = chances.stake + weight + (0.0 if task.control else arm)
        stake = max(stake, worth) if divided else worth
    return Dispute(pk, key, task, rule, divided, votes, stake, weight, chances)


def tallies(keys: Iterable[str]) -> Callable[[str], Tally]:
    """Return a function that makes tallies of what items keep of their votes, of which these are the keys. Of
    each name the latest version counts."""
    cast = {vote for key in set(keys) for vote in unpacked(key)}
    raters = Rater.objects.in_bulk({vote.rater for vote in cast})
    labels = Label.objects.in_bulk({vote.label for vote in cast})
    kinds = {pk: rater.kind for pk, rater in raters.items()}
    named = {pk: (rater.name, rater.version) for pk, rater in raters.items()}
    replaced = len({name for name, _ in named.values()}) < len(named)

    @cache
    def of_votes(votes: tuple[tuple[str, int], ...]) -> Tally:
        by_kind: dict[str, Votes] = {kind: Counter() for kind in Rater.Kind.values}
        for kind, label in votes:
            by_kind[kind][label] += 1
        return Tally(by_kind[Rater.Kind.HUMAN], by_kind[Rater.Kind.JUDGE], by_kind[Rater.Kind.SCORER], labels)

    def tally(key: str) -> Tally:
        votes: Sequence[Vote] = unpacked(key)
        if replaced:
            votes = latest(votes, lambda vote: named[vote.rater])
        return of_votes(tuple(sorted([(kinds[rater], label) for rater, label in votes])))

    return tally


# The queue

KINDS: dict[str, tuple[str, Callable[[Dispute], bool]]] = {
    "": ("every dispute", lambda one: True),
    "humans": ("raters differ", lambda one: one.divided),
    "tie": ("the votes are tied", lambda one: one.tied),
    "unsure": ("the model is unsure", lambda one: one.rule == Rule.UNSURE),
    "split": ("not all voters agree", lambda one: one.rule == Rule.SPLIT),
    "judges": ("raters against judges", lambda one: one.votes.leaders is not None),
    "waiting": ("sent back, waiting for raters", lambda one: True),
    "unclear": ("decided, guideline unclear", lambda one: True),
}


@dataclass(frozen=True)
class DisputeFilters:
    kind: str = ""
    category: int = 0
    language: str = ""

    def given(self) -> dict[str, str]:
        values = {"kind": self.kind, "category": str(self.category or ""), "language": self.language}
        return {name: value for name, value in values.items() if value}

    def keep(self, one: Dispute) -> bool:
        return (
            KINDS[self.kind][1](one)
            and self.category in (0, one.category)
            and self.language in ("", one.task.language)
        )


@dataclass(frozen=True)
class DisputeQueue:
    """Those that meet the filters, by stake; and what there is to filter by, with how many each."""

    rows: list[Dispute]
    categories: list[tuple[int, str, int]]
    languages: list[tuple[str, int]]
    cut: bool  # there are more than are ranked

    def after(self, one: Dispute) -> Dispute | None:
        """Return the next dispute below this one,
        whether or not this is still in the queue itself; at the end the first."""
        others = [row for row in self.rows if row.pk != one.pk]
        return next(
            (row for row in others if queue_order(row) > queue_order(one)), others[0] if others else None
        )


def queue_order(one: Dispute) -> tuple[float, int]:
    return -one.stake, one.pk


def queue(study: Study, by: Rater, filters: DisputeFilters = DisputeFilters()) -> DisputeQueue:
    """Return what the adjudicator may settle.
    Items they have labelled themselves are not in it, unless the study says so."""
    items = _items(study, filters.kind)
    if not humans_of(study).adjudication.own_items:
        items = items.exclude(pk__in=by.ratings.order_by().values("item"))
    ranked = read_disputes(items)
    titles = {one.category: one.task.category.title for one in ranked}
    categories = Counter(one.category for one in ranked)
    languages = Counter(one.task.language for one in ranked)
    return DisputeQueue(
        rows=sorted(filter(filters.keep, ranked), key=queue_order),
        categories=sorted(
            ((pk, titles[pk], count) for pk, count in categories.items()), key=lambda row: (row[1], row[0])
        ),
        languages=sorted(languages.items()),
        cut=len(ranked) == MOST,
    )


def _items(study: Study, kind: str) -> QuerySet[Item]:
    if kind == "waiting":
        return study.items.filter(~decided(), pk__in=waiting_items(study)).order_by("pk")
    if kind == "unclear":
        flagged = Adjudication.objects.filter(item__study=study, guideline_unclear=True)
        last = Adjudication.objects.newest().filter(item=OuterRef("pk"), guideline_unclear=True)
        return study.items.filter(Exists(last), pk__in=flagged.values("item")).order_by("pk")
    return disputes(study)


def count_waiting(study: Study) -> int:
    return _items(study, "waiting").count()

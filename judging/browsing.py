"""The items of a study, filtered and searched, a page at a time by key.

However rare what is looked for is, a look takes about as long: items are gone through by ranges of their keys until a page
is full or the time is up. What was found so far is shown then, and how far the search came; the next look goes on there.
What depends on words or on who voted is told in Python, so that both databases find the same.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, Q, QuerySet

from annotation.models import (
    Assignment,
    DrawnItem,
    Gold,
    Item,
    Rater,
    Rating,
    Stratum,
    Study,
    newest,
)
from benchmark.models import Category, Response, Run, Task
from benchmark.remembering import remembered
from judging.models import Settlement
from judging.settlement.disputes import disputes

PAGE = 50
LOOK_SECONDS = 0.12  # of looking, until what was found so far is shown
COUNT_SECONDS = 0.05  # spent on counting what lies beyond the page
COUNTED = 1000  # more are not counted
FIRST_RANGE, LONGEST_RANGE, LONGEST_READING = (
    2000,
    32_000,
    2000,
)  # items at a time; of those whose texts are read
QUICK = 0.015  # seconds for a range, after which the next may be twice as long
KEPT_FOR = 60  # seconds, of what the filters offer
SPLITS = {
    "humans": "people differ",
    "judges": "judges differ",
    "between": "people against judges",
}
STATUSES = {
    "unlabelled": "no human label yet",
    "in-work": "people at work on it",
    "labelled": "labelled by all its raters",
    "disputed": "waiting for an adjudicator",
    "settled": "settled",
    "adjudicated": "adjudicated",
    "gold": "has gold",
}
CONTROLS = {"only": "only these", "without": "left out"}


# What is asked for


@dataclass(frozen=True)
class Filters:
    """As the address has them; a filter that is empty asks nothing."""

    q: str = ""
    model: str = ""
    condition: str = ""
    category: str = ""
    stratum: str = ""
    status: str = ""
    label: str = ""  # `final:KEY` or `any:KEY`
    split: str = ""
    control: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Filters":
        return cls(**{name: given.get(name, "").strip()[:200] for name in cls.__dataclass_fields__})

    @property
    def chosen(self) -> dict[str, str]:
        return {name: value for name in self.__dataclass_fields__ if (value := getattr(self, name))}

    def query(self, **more: object) -> str:
        return urlencode(self.chosen | {name: value for name, value in more.items() if value})


@dataclass(frozen=True)
class Choices:
    """What the filters offer in a study."""

    models: list[str]
    conditions: list[str]
    categories: list[str]
    strata: list[str]
    labels: list[tuple[str, str]]


def choices(study: Study) -> Choices:
    """Kept for a minute: they change only as items come."""
    return remembered(f"item-filters:{study.pk}", lambda: _choices(study), seconds=KEPT_FOR)


def _choices(study: Study) -> Choices:
    runs = _runs(study)
    return Choices(
        sorted(set(runs.values_list("subject__name", flat=True))),
        sorted(set(runs.values_list("condition__name", flat=True))),
        sorted(set(_categories(study).values_list("title", flat=True))),
        list(_strata(study).order_by("position").values_list("name", flat=True)),
        list(study.scheme.labels.values_list("key", "title")),
    )


def _runs(study: Study) -> QuerySet[Run]:
    here = Item.objects.filter(study=study, response__run=OuterRef("pk"))
    return Run.objects.filter(Exists(here)).order_by()


def _categories(study: Study) -> QuerySet[Category]:
    """Through their tasks, each of which a look at its first response finds."""
    here = Response.objects.filter(task=OuterRef("pk"), items__study=study)
    return Category.objects.filter(pk__in=Task.objects.filter(Exists(here)).values("category")).order_by()


def _strata(study: Study) -> QuerySet[Stratum]:
    return Stratum.objects.filter(draw__study=study, draw__name="main")


# Filters as SQL, and those that are not


def matching(study: Study, asked: Filters) -> QuerySet[Item]:
    """The study's items by all that SQL can tell."""
    found = study.items.all()
    if asked.model or asked.condition:
        found = found.filter(response__run__in=_runs_of(study, asked))
    if asked.category:
        found = found.filter(response__task__category__title=asked.category)
    if asked.control:
        found = found.filter(response__task__control=asked.control == "only")
    if asked.stratum:
        drawn = DrawnItem.objects.filter(item=OuterRef("pk"), draw__study=study, draw__name="main")
        found = found.filter(Exists(drawn.filter(stratum=asked.stratum)))
    found = _with_split(found, asked.split)
    if asked.status:
        found = _with_status(study, found, asked.status)
    return _with_label(study, found, asked.label) if asked.label else found


def _runs_of(study: Study, asked: Filters) -> list[int]:
    """As keys: a study has few, and so no database is tempted to begin with all their responses."""
    runs = _runs(study)
    if asked.model:
        runs = runs.filter(subject__name=asked.model)
    if asked.condition:
        runs = runs.filter(condition__name=asked.condition)
    return list(runs.values_list("pk", flat=True))


def _with_split(found: QuerySet[Item], split: str) -> QuerySet[Item]:
    if split == "humans":
        return found.filter(humans_split=True)
    if split == "judges":
        return found.filter(judges_split=True)
    return found.filter(human_votes__gt=0, judge_votes__gt=0) if split == "between" else found


def _with_status(study: Study, found: QuerySet[Item], status: str) -> QuerySet[Item]:
    places = Assignment.objects.filter(item=OuterRef("pk"), purpose="slot", slot__isnull=False)
    unfinished = places.exclude(state=Assignment.State.DONE)
    if status == "in-work":
        held = places.filter(state=Assignment.State.LEASED)
        return found.filter(Exists(unfinished)).filter(Q(human_votes__gt=0) | Q(Exists(held)))
    if status == "labelled":
        return found.filter(~Exists(unfinished), human_votes__gt=0)
    if status == "disputed":
        return found & disputes(study).order_by()
    if status == "gold":
        return found.filter(Exists(newest(Gold.objects.filter(item=OuterRef("pk")))))
    kept = {
        "unlabelled": Q(human_votes=0),
        "settled": Q(final__isnull=False),
        "adjudicated": Q(final_rule=Settlement.Rule.ADJUDICATED),
    }
    return found.filter(kept[status]) if status in kept else found.none()


def _with_label(study: Study, found: QuerySet[Item], asked: str) -> QuerySet[Item]:
    where, _, key = asked.partition(":")
    label = study.scheme.labels.filter(key=key).values_list("pk", flat=True).first()
    if label is None:
        return found.none()
    if where == "final":
        return found.filter(final=label)
    return found.filter(Q(votes__contains=f":{label} ") | Q(votes__endswith=f":{label}"))


Test = Callable[[list[int]], list[int]]


def tests_of(asked: Filters) -> list[Test]:
    """What is told in Python, of a range's items that SQL let through."""
    found: list[Test] = []
    if asked.split == "between":
        found.append(_Against().among)
    if asked.q:
        found.append(_Words(asked.q).among)
    return found


class _Against:
    """Whether most people and most judges, of each name the latest version, say different things."""

    def __init__(self) -> None:
        self.raters = {str(rater.pk): rater for rater in Rater.objects.exclude(kind=Rater.Kind.SCORER)}

    def among(self, keys: list[int]) -> list[int]:
        rows = _range(keys).values_list("pk", "votes").order_by("pk")
        wanted = set(keys)
        return [pk for pk, votes in rows if pk in wanted and self.differ(votes)]

    def differ(self, votes: str) -> bool:
        people: list[str] = []
        judges: dict[str, tuple[int, str]] = {}
        for vote in votes.split():
            pk, _, label = vote.partition(":")
            rater = self.raters.get(pk)
            if rater and rater.kind == Rater.Kind.HUMAN:
                people.append(label)
            elif rater:
                judges[rater.name] = max(judges.get(rater.name, (0, "")), (rater.version, label))
        ours, theirs = _most(people), _most([label for _, label in judges.values()])
        return bool(ours and theirs and ours != theirs)


def _most(labels: Sequence[str]) -> str:
    ranked = Counter(labels).most_common(2)
    tied = len(ranked) > 1 and ranked[0][1] == ranked[1][1]
    return "" if tied or not ranked else ranked[0][0]


class _Words:
    """Whether the response, its task's text or the item's key contains the words, in upper or lower case."""

    def __init__(self, words: str) -> None:
        self.words = words.casefold()
        self.tasks: dict[int, bool] = {}

    def among(self, keys: list[int]) -> list[int]:
        wanted, found = set(keys), []
        rows = list(
            _range(keys).order_by("pk").values_list("pk", "key", "response__task_id", "response__text")
        )
        self._look_up({task for _, _, task, _ in rows})
        for pk, key, task, text in rows:
            if pk in wanted and (self.tasks[task] or self.words in key or self.words in text.casefold()):
                found.append(pk)
        return found

    def _look_up(self, tasks: set[int]) -> None:
        unknown = sorted(tasks - set(self.tasks))
        for start in range(0, len(unknown), 500):
            texts = Task.objects.filter(pk__in=unknown[start : start + 500]).values_list("pk", "text")
            self.tasks |= {pk: self.words in text.casefold() for pk, text in texts}


def _range(keys: list[int]) -> QuerySet[Item]:
    """Read by their keys where they are few, else with whatever lies between them."""
    if len(keys) <= 100:
        return Item.objects.filter(pk__in=keys)
    return Item.objects.filter(pk__gte=keys[0], pk__lte=keys[-1])


# Looking


@dataclass
class Look:
    """What one look found: the keys of a page's items, where it came to an end, and what is known of the rest."""

    keys: list[int] = field(default_factory=list)
    beyond: int = 0  # found after the page
    searched_to: int = 0  # key of the last item looked at
    ended: bool = False  # nothing is left to look at


def look(study: Study, asked: Filters, *, after: int = 0, room: int = PAGE, count: bool = False) -> Look:
    """Go on after an item until the room is filled or the time is up. With `count`, a little beyond."""
    found, tests, items = Look(searched_to=after), tests_of(asked), matching(study, asked)
    began, size = monotonic(), FIRST_RANGE // 4 if asked.q else FIRST_RANGE
    while True:
        start = monotonic()
        end = _end_of(study, found.searched_to, size)
        ahead = items.filter(pk__gt=found.searched_to)
        keys = list(
            (ahead if end is None else ahead.filter(pk__lte=end)).order_by("pk").values_list("pk", flat=True)
        )
        for test in tests:
            keys = test(keys) if keys else keys
        missing = room - len(found.keys)
        found.keys += keys[:missing]
        found.beyond += len(keys[missing:])
        found.ended = end is None
        found.searched_to = end or found.searched_to
        spent, now = monotonic() - began, monotonic()
        full = found.beyond > 0 and (not count or spent > COUNT_SECONDS or found.beyond + room > COUNTED)
        if found.ended or full or spent > LOOK_SECONDS:
            return found
        if now - start < QUICK:
            size = min(2 * size, LONGEST_READING if asked.q else LONGEST_RANGE)


def _end_of(study: Study, after: int, size: int) -> int | None:
    """The key of the last of the next so many items; None where no more follow it."""
    following = study.items.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    last = list(following[size - 1 : size + 1])
    return last[0] if len(last) > 1 else None


# A page


@dataclass
class Page:
    """What the browser shows: rows, how many there are as far as is known, and where to go on."""

    study: Study
    filters: Filters
    found: Look
    after: int
    room: int

    @cached_property
    def rows(self) -> list[Item]:
        return _rows(self.found.keys)

    @property
    def following(self) -> int | None:
        """After which item the next page begins; None where there is none, or where the search has to go on first."""
        return self.found.keys[-1] if self.found.beyond else None

    @property
    def unfinished(self) -> bool:
        return not self.found.ended and not self.found.beyond

    @property
    def counted(self) -> int | None:
        """How many there are, where the look told it by the way; above COUNTED it is no more than that."""
        if self.after or self.room != PAGE or self.unfinished:
            return None
        count = len(self.found.keys) + self.found.beyond
        return count if self.found.ended or count > COUNTED else None

    @property
    def more_than(self) -> bool:
        return bool(self.counted and self.counted > COUNTED and not self.found.ended)

    @cached_property
    def searched(self) -> int:
        return self.study.items.filter(pk__lte=self.found.searched_to).count()

    @cached_property
    def total(self) -> int:
        return self.study.items.count()

    @property
    def on(self) -> str:
        """The address of the search's continuation, into this page's room."""
        return self.filters.query(after=self.found.searched_to, room=self.room - len(self.found.keys))

    @property
    def next(self) -> str:
        return self.filters.query(after=self.following)

    @property
    def first(self) -> str:
        return self.filters.query()


def page(study: Study, filters: Filters, *, after: int = 0, room: int = 0) -> Page:
    room = room if 0 < room <= PAGE else PAGE
    found = look(study, filters, after=after, room=room, count=not after)
    return Page(study, filters, found, after, room)


def _rows(keys: list[int]) -> list[Item]:
    """The items with what their rows show; a few queries, however many there are."""
    related = ("final", "response__task__category", "response__run__subject", "response__run__condition")
    left_out = (
        "votes",
        "response__text",
        "response__reasoning",
        "response__transcript",
        "response__raw",
        "response__task__text",
    )
    items = list(Item.objects.filter(pk__in=keys).select_related(*related).defer(*left_out).order_by("pk"))
    golden = set(newest(Gold.objects.filter(item__in=keys)).values_list("item_id", flat=True))
    flagged = set(
        Rating.objects.current().filter(item__in=keys, flagged=True).values_list("item_id", flat=True)
    )
    for item in items:
        item.golden, item.flagged = item.pk in golden, item.pk in flagged  # type: ignore[attr-defined]
    return items

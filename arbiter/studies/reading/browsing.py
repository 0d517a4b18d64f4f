"""The items of a study, filtered and searched, a page at a time by key.

However rare what is searched for is, a search takes about as long: items are gone through by ranges of their
keys until a page is full or the time is up. What was found so far is shown then, and how far the search came;
the next search goes on there. What depends on words or on who voted is decided in Python, so that both
databases find the same.
"""

from collections.abc import Callable
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
    PlacePurpose,
    Rating,
    Stratum,
    Study,
)
from annotation.votes import ItemQuerySet
from arbiter.analysis.responseoutcomes import runs_of
from arbiter.core.countcache import remembered
from benchmark.models import Category, Response, Task
from judging.models import Settlement
from judging.settlement.disputes import disputes, tallies

PAGE = 50
SEARCH_SECONDS = 0.12  # of searching, until what was found so far is shown
COUNT_SECONDS = 0.05  # spent on counting what lies beyond the page
COUNTED = 1000  # more are not counted
FIRST_RANGE, LONGEST_RANGE = 2000, 32_000  # items at a time
LONGEST_READING = 2000  # items at a time whose texts are read
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
class ItemFilters:
    """What the items are to be like; a filter that is empty asks nothing."""

    q: str = ""
    model: str = ""
    condition: str = ""
    category: str = ""
    stratum: str = ""
    status: str = ""
    label: str = ""  # `final:KEY` or `any:KEY`
    split: str = ""
    control: str = ""

    @property
    def chosen(self) -> dict[str, str]:
        return {name: value for name in self.__dataclass_fields__ if (value := getattr(self, name))}

    def query(self, **more: object) -> str:
        return urlencode(self.chosen | {name: value for name, value in more.items() if value})


@dataclass(frozen=True)
class FilterChoices:
    """What the filters offer in a study."""

    models: list[str]
    conditions: list[str]
    categories: list[str]
    strata: list[str]
    labels: list[tuple[str, str]]


def filter_choices(study: Study) -> FilterChoices:
    """Return what the filters offer in a study, kept for a minute: it changes only as items come."""
    return remembered(f"item-filters:{study.pk}", lambda: _choices(study), seconds=KEPT_FOR)


def _choices(study: Study) -> FilterChoices:
    runs = runs_of(study)
    return FilterChoices(
        sorted(set(runs.values_list("subject__name", flat=True))),
        sorted(set(runs.values_list("condition__name", flat=True))),
        sorted(set(_categories(study).values_list("title", flat=True))),
        list(_strata(study).order_by("position").values_list("name", flat=True)),
        list(study.scheme.labels.values_list("key", "title")),
    )


def _categories(study: Study) -> QuerySet[Category]:
    """Return the categories of the study's items, found by a look at one response of each task."""
    here = Response.objects.filter(task=OuterRef("pk"), items__study=study)
    return Category.objects.filter(pk__in=Task.objects.filter(Exists(here)).values("category")).order_by()


def _strata(study: Study) -> QuerySet[Stratum]:
    return Stratum.objects.filter(draw__study=study, draw__name="main")


# Filters as SQL, and those that are not


def matching(study: Study, asked: ItemFilters) -> ItemQuerySet:
    """Return the study's items that match the filters, by all that SQL can decide."""
    items = study.items.all()
    if asked.model or asked.condition:
        items = items.filter(response__run__in=_runs_of(study, asked))
    if asked.category:
        items = items.filter(response__task__category__title=asked.category)
    if asked.control:
        items = items.filter(response__task__control=asked.control == "only")
    if asked.stratum:
        drawn = DrawnItem.objects.filter(item=OuterRef("pk"), draw__study=study, draw__name="main")
        items = items.filter(Exists(drawn.filter(stratum=asked.stratum)))
    items = _with_split(items, asked.split)
    if asked.status:
        items = _with_status(study, items, asked.status)
    return _with_label(study, items, asked.label) if asked.label else items


def _runs_of(study: Study, asked: ItemFilters) -> list[int]:
    """Return the keys of the runs asked for: a study has few, so no database begins with their responses."""
    runs = runs_of(study)
    if asked.model:
        runs = runs.filter(subject__name=asked.model)
    if asked.condition:
        runs = runs.filter(condition__name=asked.condition)
    return list(runs.values_list("pk", flat=True))


def _with_split(items: ItemQuerySet, split: str) -> ItemQuerySet:
    if split == "humans":
        return items.filter(humans_split=True)
    if split == "judges":
        return items.filter(judges_split=True)
    return items.filter(human_votes__gt=0, judge_votes__gt=0) if split == "between" else items


def _with_status(study: Study, items: ItemQuerySet, status: str) -> ItemQuerySet:
    slots = Assignment.objects.filter(item=OuterRef("pk")).slots(PlacePurpose.SLOT)
    unfinished = Exists(slots.unfinished())
    if status == "in-work":
        return items.filter(unfinished).filter(Q(human_votes__gt=0) | Q(Exists(slots.claimed())))
    if status == "labelled":
        return items.filter(~unfinished, human_votes__gt=0)
    if status == "disputed":
        return items & disputes(study).order_by()
    if status == "gold":
        return items.filter(Exists(Gold.objects.filter(item=OuterRef("pk")).current()))
    conditions = {
        "unlabelled": Q(human_votes=0),
        "settled": Q(final__isnull=False),
        "adjudicated": Q(final_rule=Settlement.Rule.ADJUDICATED),
    }
    return items.filter(conditions[status]) if status in conditions else items.none()


def _with_label(study: Study, items: ItemQuerySet, asked: str) -> ItemQuerySet:
    where, _, key = asked.partition(":")
    label = study.scheme.labels.filter(key=key).values_list("pk", flat=True).first()
    if label is None:
        return items.none()
    if where == "final":
        return items.filter(final=label)
    return items.with_vote_for(label)


KeyFilter = Callable[[list[int]], list[int]]


def key_filters(asked: ItemFilters) -> list[KeyFilter]:
    """Return the filters that are decided in Python, for the items of a range that SQL let through."""
    filters: list[KeyFilter] = []
    if asked.split == "between":
        filters.append(_divided)
    if asked.q:
        filters.append(_Words(asked.q).among)
    return filters


def _divided(keys: list[int]) -> list[int]:
    """Return the items on which most people and most judges, in their latest versions, differ."""
    wanted = set(keys)
    rows = [row for row in _range(keys).values_list("pk", "votes").order_by("pk") if row[0] in wanted]
    tally = tallies(votes for _, votes in rows)
    return [pk for pk, votes in rows if tally(votes).leaders]


class _Words:
    """The words searched for, in upper or lower case: in a response, its task's text or its item's key."""

    def __init__(self, words: str) -> None:
        self.words = words.casefold()
        self.tasks: dict[int, bool] = {}

    def among(self, keys: list[int]) -> list[int]:
        wanted, matches = set(keys), []
        columns = ("pk", "key", "response__task_id", "response__text")
        rows = list(_range(keys).order_by("pk").values_list(*columns))
        self._look_up({task for _, _, task, _ in rows})
        for pk, key, task, text in rows:
            if pk in wanted and (self.tasks[task] or self.words in key or self.words in text.casefold()):
                matches.append(pk)
        return matches

    def _look_up(self, tasks: set[int]) -> None:
        unknown = sorted(tasks - set(self.tasks))
        for start in range(0, len(unknown), 500):
            texts = Task.objects.filter(pk__in=unknown[start : start + 500]).values_list("pk", "text")
            self.tasks |= {pk: self.words in text.casefold() for pk, text in texts}


def _range(keys: list[int]) -> QuerySet[Item]:
    """Return a query of these items by their keys where they are few, else with all that lie between them."""
    if len(keys) <= 100:
        return Item.objects.filter(pk__in=keys)
    return Item.objects.filter(pk__gte=keys[0], pk__lte=keys[-1])


# Searching


@dataclass
class SearchResult:
    """What one search found: the keys of a page's items, where it ended, and what is known of the rest."""

    keys: list[int] = field(default_factory=list)
    beyond: int = 0  # found after the page
    searched_to: int = 0  # key of the last item gone through
    ended: bool = False  # nothing is left to search


def search_items(
    study: Study, asked: ItemFilters, *, after: int = 0, room: int = PAGE, count: bool = False
) -> SearchResult:
    """Search on after an item until the room is filled or the time is up; with `count`, a little beyond."""
    search, filters, items = SearchResult(searched_to=after), key_filters(asked), matching(study, asked)
    began, size = monotonic(), FIRST_RANGE // 4 if asked.q else FIRST_RANGE
    while True:
        start = monotonic()
        end = _end_of(study, search.searched_to, size)
        ahead = items.filter(pk__gt=search.searched_to)
        keys = list(
            (ahead if end is None else ahead.filter(pk__lte=end)).order_by("pk").values_list("pk", flat=True)
        )
        for key_filter in filters:
            keys = key_filter(keys) if keys else keys
        missing = room - len(search.keys)
        search.keys += keys[:missing]
        search.beyond += len(keys[missing:])
        search.ended = end is None
        search.searched_to = end or search.searched_to
        spent, now = monotonic() - began, monotonic()
        full = search.beyond > 0 and (not count or spent > COUNT_SECONDS or search.beyond + room > COUNTED)
        if search.ended or full or spent > SEARCH_SECONDS:
            return search
        if now - start < QUICK:
            size = min(2 * size, LONGEST_READING if asked.q else LONGEST_RANGE)


def _end_of(study: Study, after: int, size: int) -> int | None:
    """Return the key of the last of the next `size` items; None where no more follow it."""
    following = study.items.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    last = list(following[size - 1 : size + 1])
    return last[0] if len(last) > 1 else None


# A page


@dataclass
class ItemPage:
    """A page of items: rows, how many there are as far as is known, and where to go on."""

    study: Study
    filters: ItemFilters
    search: SearchResult
    after: int
    room: int

    @cached_property
    def rows(self) -> list[Item]:
        return _rows(self.search.keys)

    @property
    def following(self) -> int | None:
        """Return after which item the next page begins; None where none does, or the search goes on first."""
        return self.search.keys[-1] if self.search.beyond else None

    @property
    def unfinished(self) -> bool:
        return not self.search.ended and not self.search.beyond

    @property
    def counted(self) -> int | None:
        """Return how many items match, where the search told; above COUNTED it says no more than that."""
        if self.after or self.room != PAGE or self.unfinished:
            return None
        count = len(self.search.keys) + self.search.beyond
        return count if self.search.ended or count > COUNTED else None

    @property
    def more_than(self) -> bool:
        return bool(self.counted and self.counted > COUNTED and not self.search.ended)

    @cached_property
    def searched(self) -> int:
        return self.study.items.filter(pk__lte=self.search.searched_to).count()

    @cached_property
    def total(self) -> int:
        return self.study.items.count()

    @property
    def on(self) -> str:
        """Return the address where the search goes on into the room that is left on this page."""
        return self.filters.query(after=self.search.searched_to, room=self.room - len(self.search.keys))

    @property
    def next(self) -> str:
        return self.filters.query(after=self.following)

    @property
    def first(self) -> str:
        return self.filters.query()


def item_page(study: Study, filters: ItemFilters, *, after: int = 0, room: int = 0) -> ItemPage:
    room = room if 0 < room <= PAGE else PAGE
    search = search_items(study, filters, after=after, room=room, count=not after)
    return ItemPage(study, filters, search, after, room)


def _rows(keys: list[int]) -> list[Item]:
    """Return the items with what their rows show, in a few queries however many they are."""
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
    golden = set(Gold.objects.filter(item__in=keys).current().values_list("item_id", flat=True))
    flagged = set(
        Rating.objects.newest().filter(item__in=keys, flagged=True).values_list("item_id", flat=True)
    )
    for item in items:
        item.golden, item.flagged = item.pk in golden, item.pk in flagged  # type: ignore[attr-defined]
    return items

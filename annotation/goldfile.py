"""Gold from a CSV or JSONL file: an item a row, named by its key or by what its response is, with a label."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from annotation.goldlabels import AT_ONCE, GoldCount, GoldEntry, write
from annotation.models import Draw, DrawnItem, Gold, Item, Study
from arbiter.core.batching import batches
from arbiter.core.errors import UserError
from arbiter.core.naming import ByName, same_name
from arbiter.core.text import folded, storable
from benchmark.formats.csv_files import read_table
from benchmark.formats.names import task_key
from benchmark.formats.reading import excerpt, json_objects, refuse_unknown, suggestion
from benchmark.formats.records import FormatError
from benchmark.formats.response_tables import label_key
from benchmark.importunderway import refuse_while_importing
from benchmark.models import Run, Task

RESPONSE = ("task", "subject", "condition")
COLUMNS = ("item", *RESPONSE, "run", "epoch", "label", "rationale", "origin")
KEPT_TOLD = 5  # places named; the rest are counted
ORIGINS = [origin.value for origin in Gold.Origin if origin != Gold.Origin.WITHDRAWN]
Name = tuple[str, str, str, str, int]  # task, subject, condition, run, epoch


@dataclass(frozen=True)
class GoldRow:
    line: int
    values: Mapping[str, str]

    @property
    def item(self) -> str:
        return self.values.get("item", "")


def import_gold(study: Study, path: Path, draw: str = "") -> dict[str, Any]:
    """Write the file's labels as gold. All or nothing; a label that is the item's gold already is left as it
    is, and so is gold that people decided here (`kept`, and the first lines where)."""
    refuse_while_importing(study.pk)
    through = _draw(study, draw) if draw else None
    reader, count = _Reader(study, path, through), GoldCount()
    kept: list[int] = []
    with transaction.atomic():
        for rows in batches(_rows(path), AT_ONCE):
            kept += write(reader.wanted(rows), lambda _: True, count)
    if not reader.lines:
        raise FormatError(path, None, "at least one row", "none")
    return {
        "study": study.slug,
        "draw": draw or None,
        "written": count.written,
        "unchanged": count.unchanged,
        "kept": count.kept,
        "kept_at": [f"line {reader.lines[item]}" for item in kept[:KEPT_TOLD]],
    }


def _draw(study: Study, name: str) -> Draw:
    names = list(study.draws.order_by("name").values_list("name", flat=True))
    if name not in names:
        known = ", ".join(names) or "none yet"
        raise UserError(
            f"Study {study.slug!r} has no draw {name!r}; its draws: {known}. Leave --draw out where these "
            "items were not drawn by a design."
        )
    return study.draws.get(name=name)


# Rows


def _rows(path: Path) -> Iterator[GoldRow]:
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for line, values in json_objects(path):
            names = _known(path, line, values)
            yield GoldRow(
                line, {names[key]: _text(path, line, names[key], value) for key, value in values.items()}
            )
    elif path.suffix.lower() == ".csv":
        yield from _csv_rows(path)
    else:
        raise FormatError(path, None, "a file ending in .csv or .jsonl", f"one ending in {path.suffix!r}")


def _csv_rows(path: Path) -> Iterator[GoldRow]:
    table = read_table(path)
    names = _known(path, table.line, table.names)
    for line, row in table.rows:
        yield GoldRow(line, {names[column]: value.strip() for column, value in row.items()})


def _known(path: Path, line: int, columns: Iterable[str]) -> dict[str, str]:
    """Return each column's own name, in whatever case it is written."""
    names = {column: folded(column) for column in columns}
    refuse_unknown(
        path, line, "columns", [column for column, name in names.items() if name not in COLUMNS], COLUMNS
    )
    if twice := next((name for name in names.values() if list(names.values()).count(name) > 1), None):
        raise FormatError(path, line, "each column once", f"{excerpt(twice)} twice")
    return names


def _text(path: Path, line: int, name: str, value: Any) -> str:
    if value is None:
        return ""
    if name != "rationale" and type(value) in (int, float) and value == value // 1:
        return str(int(value))
    if type(value) is not str:
        raise FormatError(path, line, f"text in {name!r}", excerpt(value))
    return value.strip()


# From rows to gold


class ResponseNames:
    """The study's runs and tasks by their names, looked up where a file first names a response."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def runs(self, name: Name) -> list[int]:
        """Return the runs of the same subject, condition and run's name: by the letter, or else in any case
        and composition."""
        wanted = list(name[1:4])
        exact: list[int] = []
        same: list[int] = []
        for pk, _, *names in self.all_runs:
            if all(same_name(one, other) for one, other in zip(wanted, names, strict=True)):
                (exact if names == wanted else same).append(pk)
        return exact or same

    def tasks(self, key: str) -> list[int]:
        return self.all_tasks.find(task_key(key)) or self.all_tasks.find(task_key(folded(key)))

    @cached_property
    def all_runs(self) -> list[tuple[Any, ...]]:
        here = Item.objects.filter(study=self.study, response__run=OuterRef("pk"))
        runs = Run.objects.filter(Exists(here)).order_by("pk")
        return list(runs.values_list("pk", "suite", "subject__name", "condition__name", "name"))

    @cached_property
    def all_tasks(self) -> ByName[int]:
        tasks = Task.objects.filter(suite__in={suite for _, suite, *_ in self.all_runs})
        return ByName(tasks.order_by("pk").values_list("key", "pk"))


class _Reader:
    def __init__(self, study: Study, path: Path, draw: Draw | None) -> None:
        self.study, self.path, self.draw = study, path, draw
        self.labels = {label.key: label.pk for label in study.scheme.labels.all()}
        self.lines: dict[int, int] = {}  # by item
        self.names = ResponseNames(study)

    def wanted(self, rows: Sequence[GoldRow]) -> list[GoldEntry]:
        labels, origins = [self.label(row) for row in rows], [self.origin(row) for row in rows]
        items = self.items(rows)
        self.refuse_twice(rows, items)
        self.refuse_undrawn(rows, items)
        return [
            GoldEntry(
                item=item,
                label=label,
                origin=origin,
                draw=self.draw.pk if self.draw else None,
                rationale=storable(row.values.get("rationale", ""))[0],
                from_file=True,
            )
            for row, item, label, origin in zip(rows, items, labels, origins, strict=True)
        ]

    def label(self, row: GoldRow) -> int:
        key = label_key(row.values.get("label", ""))
        if key not in self.labels:
            expected = f"a label of scheme {self.study.scheme}: {', '.join(self.labels)}"
            raise FormatError(
                self.path, row.line, expected, excerpt(key) + suggestion(key, self.labels) if key else "none"
            )
        return self.labels[key]

    def origin(self, row: GoldRow) -> str:
        origin = row.values.get("origin", "").lower() or Gold.Origin.IMPORTED.value
        if origin not in ORIGINS:
            raise FormatError(self.path, row.line, f"an origin: {', '.join(ORIGINS)}", excerpt(origin))
        return origin

    def items(self, rows: Sequence[GoldRow]) -> list[int]:
        keys = [row.item for row in rows if row.item]
        by_key = dict(self.study.items.filter(key__in=keys).values_list("key", "pk"))
        by_name = self.by_name({name for row in rows if not row.item for name in [self.name(row)]})
        return [self.one(row, by_key, by_name) for row in rows]

    def by_name(self, names: set[Name]) -> dict[Name, list[int]]:
        """Return item ids by what their responses are called, in any case and composition."""
        ids: dict[Name, list[int]] = defaultdict(list)
        wanted = {name: (self.names.runs(name), self.names.tasks(name[0])) for name in names}
        items = self.study.items.filter(
            response__task__in={task for _, tasks in wanted.values() for task in tasks},
            response__run__in={run for runs, _ in wanted.values() for run in runs},
        )
        there: dict[tuple[int, int, int], int] = {}
        for pk, *place in items.values_list("pk", "response__run", "response__task", "response__epoch"):
            there[tuple(place)] = pk  # type: ignore[index]
        for name, (runs, tasks) in wanted.items():
            places = [(run, task, name[-1]) for run in runs for task in tasks]
            ids[name] = [there[place] for place in places if place in there]
        return ids

    def one(self, row: GoldRow, by_key: Mapping[str, int], by_name: Mapping[Name, list[int]]) -> int:
        where = f"an item of study {self.study.slug!r}"
        if row.item:
            if row.item not in by_key:
                raise FormatError(self.path, row.line, where, f"{excerpt(row.item)}, which is none")
            return by_key[row.item]
        name = self.name(row)
        ids = by_name.get(name, [])
        if len(ids) != 1:
            task, subject, condition, run, epoch = name
            in_run = f", run {run}" if run else ""
            what = f"{excerpt(task)} by {subject} under {condition}{in_run}, epoch {epoch}"
            raise FormatError(
                self.path,
                row.line,
                where,
                f"{len(ids)} of them for {what}; name it by its key" if ids else f"none for {what}",
            )
        return ids[0]

    def name(self, row: GoldRow) -> Name:
        get = row.values.get
        if missing := [name for name in RESPONSE if not get(name)]:
            raise FormatError(
                self.path,
                row.line,
                "an item's key, or task, subject and condition",
                f"no item and no {missing[0]}",
            )
        epoch = label_key(get("epoch") or "1")
        if not epoch.isdecimal() or len(epoch) > 9:
            raise FormatError(self.path, row.line, "a whole number from 1 in epoch", excerpt(epoch))
        return (get("task", ""), get("subject", ""), get("condition", ""), get("run", ""), int(epoch))

    def refuse_twice(self, rows: Sequence[GoldRow], items: Sequence[int]) -> None:
        for row, item in zip(rows, items, strict=True):
            if item in self.lines:
                raise FormatError(
                    self.path, row.line, "each item once", f"that of line {self.lines[item]} again"
                )
            self.lines[item] = row.line

    def refuse_undrawn(self, rows: Sequence[GoldRow], items: Sequence[int]) -> None:
        """Refuse an item that the draw did not take: gold that says it came through a draw must have been
        drawn by it."""
        if self.draw is None:
            return
        drawn = DrawnItem.objects.drawn().filter(draw=self.draw, item__in=items)
        there = set(drawn.values_list("item", flat=True))
        for row, item in zip(rows, items, strict=True):
            if item not in there:
                raise FormatError(
                    self.path, row.line, f"an item that {self.draw.name!r} drew", "one that it did not draw"
                )

"""Gold from a CSV or JSONL file: an item a row, named by its key or by what its response is, with a label."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from annotation.golding import AT_ONCE, Wanted, Written, write
from annotation.models import Draw, DrawnItem, Gold, Study
from benchmark.batching import batches
from benchmark.errors import UserError
from benchmark.formats.names import task_key
from benchmark.formats.reading import csv_records, excerpt, json_objects, refuse_unknown, suggestion
from benchmark.formats.records import FormatError
from benchmark.text import storable

RESPONSE = ("task", "subject", "condition")
COLUMNS = ("item", *RESPONSE, "run", "epoch", "label", "rationale", "origin")
ORIGINS = [origin.value for origin in Gold.Origin if origin != Gold.Origin.WITHDRAWN]
Name = tuple[str, str, str, str, int]  # task, subject, condition, run, epoch


@dataclass(frozen=True)
class Row:
    line: int
    values: Mapping[str, str]

    @property
    def item(self) -> str:
        return self.values.get("item", "")


def import_gold(study: Study, path: Path, draw: str = "") -> dict[str, Any]:
    """Write the file's labels as gold. All or nothing; a label that is the item's gold already is left as it is."""
    through = _draw(study, draw) if draw else None
    reader, count = _Reader(study, path, through), Written()
    with transaction.atomic():
        for rows in batches(_rows(path), AT_ONCE):
            write(reader.wanted(rows), lambda _: True, count)
    if not reader.lines:
        raise FormatError(path, None, "at least one row", "none")
    return {
        "study": study.slug, "draw": draw or None, "written": count.written, "unchanged": count.unchanged,
    }  # fmt: skip


def _draw(study: Study, name: str) -> Draw:
    names = list(study.draws.order_by("name").values_list("name", flat=True))
    if name not in names:
        known = ", ".join(names) or "none yet"
        raise UserError(
            f"Study {study.slug!r} has no draw {name!r}; its draws: {known}. Leave --draw out where these items were not drawn by a design."
        )
    return study.draws.get(name=name)


# Rows


def _rows(path: Path) -> Iterator[Row]:
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for line, found in json_objects(path):
            refuse_unknown(path, line, "keys", found, COLUMNS)
            yield Row(line, {name: _text(path, line, name, value) for name, value in found.items()})
    elif path.suffix.lower() == ".csv":
        yield from _csv_rows(path)
    else:
        raise FormatError(path, None, "a file ending in .csv or .jsonl", f"one ending in {path.suffix!r}")


def _csv_rows(path: Path) -> Iterator[Row]:
    header: list[str] = []
    for line, record in csv_records(path):
        if not header and record:
            header = [name.strip() for name in record]
            refuse_unknown(path, line, "columns", header, COLUMNS)
            if twice := next((name for name in header if header.count(name) > 1), None):
                raise FormatError(path, line, "each column once", f"{excerpt(twice)} twice")
        elif record:
            if len(record) != len(header):
                raise FormatError(path, line, f"{len(header)} fields as in the header", str(len(record)))
            yield Row(line, dict(zip(header, map(str.strip, record), strict=True)))


def _text(path: Path, line: int, name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "epoch" and type(value) is int:
        return str(value)
    if type(value) is not str:
        raise FormatError(path, line, f"text in {name!r}", excerpt(value))
    return value.strip()


# From rows to gold


class _Reader:
    def __init__(self, study: Study, path: Path, draw: Draw | None) -> None:
        self.study, self.path, self.draw = study, path, draw
        self.labels = {label.key: label.pk for label in study.scheme.labels.all()}
        self.lines: dict[int, int] = {}  # by item

    def wanted(self, rows: Sequence[Row]) -> list[Wanted]:
        labels, origins = [self.label(row) for row in rows], [self.origin(row) for row in rows]
        items = self.items(rows)
        self.refuse_twice(rows, items)
        self.refuse_undrawn(rows, items)
        return [
            Wanted(
                item=item, label=label, origin=origin, draw=self.draw.pk if self.draw else None,
                rationale=storable(row.values.get("rationale", ""))[0],
            )
            for row, item, label, origin in zip(rows, items, labels, origins, strict=True)
        ]  # fmt: skip

    def label(self, row: Row) -> int:
        found = row.values.get("label", "").lower()
        if found not in self.labels:
            expected = f"a label of scheme {self.study.scheme}: {', '.join(self.labels)}"
            raise FormatError(
                self.path, row.line, expected, excerpt(found) + suggestion(found, self.labels) if found else "none"
            )  # fmt: skip
        return self.labels[found]

    def origin(self, row: Row) -> str:
        found = row.values.get("origin", "").lower() or Gold.Origin.IMPORTED.value
        if found not in ORIGINS:
            raise FormatError(self.path, row.line, f"an origin: {', '.join(ORIGINS)}", excerpt(found))
        return found

    def items(self, rows: Sequence[Row]) -> list[int]:
        keys = [row.item for row in rows if row.item]
        by_key = dict(self.study.items.filter(key__in=keys).values_list("key", "pk"))
        by_name = self.by_name({name for row in rows if not row.item for name in [self.name(row)]})
        return [self.one(row, by_key, by_name) for row in rows]

    def by_name(self, names: set[Name]) -> dict[Name, list[int]]:
        found: dict[Name, list[int]] = defaultdict(list)
        if not names:
            return found
        tasks, subjects, conditions, *_ = zip(*names, strict=True)
        items = self.study.items.filter(
            response__task__key__in=set(tasks), response__run__subject__name__in=set(subjects),
            response__run__condition__name__in=set(conditions),
        )  # fmt: skip
        rows = items.values_list(
            "pk", "response__task__key", "response__run__subject__name", "response__run__condition__name",
            "response__run__name", "response__epoch",
        )  # fmt: skip
        for pk, *name in rows:
            found[tuple(name)].append(pk)  # type: ignore[index]
        return found

    def one(self, row: Row, by_key: Mapping[str, int], by_name: Mapping[Name, list[int]]) -> int:
        where = f"an item of study {self.study.slug!r}"
        if row.item:
            if row.item not in by_key:
                raise FormatError(self.path, row.line, where, f"{excerpt(row.item)}, which is none")
            return by_key[row.item]
        name = self.name(row)
        found = by_name.get(name, [])
        if len(found) != 1:
            task, subject, condition, run, epoch = name
            what = f"{excerpt(task)} by {subject} under {condition}{f', run {run}' if run else ''}, epoch {epoch}"
            raise FormatError(
                self.path, row.line, where, f"{len(found)} of them for {what}; name it by its key" if found else f"none for {what}"
            )  # fmt: skip
        return found[0]

    def name(self, row: Row) -> Name:
        get = row.values.get
        if missing := [name for name in RESPONSE if not get(name)]:
            raise FormatError(
                self.path, row.line, "an item's key, or task, subject and condition", f"no item and no {missing[0]}"
            )  # fmt: skip
        epoch = get("epoch") or "1"
        if not epoch.isdecimal() or len(epoch) > 9:
            raise FormatError(self.path, row.line, "a whole number from 1 in epoch", excerpt(epoch))
        return (
            task_key(get("task", "")), get("subject", ""), get("condition", ""), get("run", ""), int(epoch)
        )  # fmt: skip

    def refuse_twice(self, rows: Sequence[Row], items: Sequence[int]) -> None:
        for row, item in zip(rows, items, strict=True):
            if item in self.lines:
                raise FormatError(
                    self.path, row.line, "each item once", f"that of line {self.lines[item]} again"
                )
            self.lines[item] = row.line

    def refuse_undrawn(self, rows: Sequence[Row], items: Sequence[int]) -> None:
        """Gold that says it came through a draw must have been drawn by it."""
        if self.draw is None:
            return
        drawn = DrawnItem.objects.drawn().filter(draw=self.draw, item__in=items)
        there = set(drawn.values_list("item", flat=True))
        for row, item in zip(rows, items, strict=True):
            if item not in there:
                raise FormatError(
                    self.path, row.line, f"an item that {self.draw.name!r} drew", "one that it did not draw"
                )

"""Responses from a flat table with the same columns as JSONL or CSV (docs/importing.md lists them)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from arbiter.core.text import folded, storable, storable_json
from benchmark.formats.columns import ColumnMapping, Layout, layout_of, require_columns
from benchmark.formats.csv_files import read_table
from benchmark.formats.reading import excerpt, json_objects
from benchmark.formats.records import (
    FormatError,
    OnError,
    ParsedCondition,
    ParsedLabel,
    ParsedResponse,
    ParsedRun,
    ParsedSubject,
    raise_it,
)

_TO_THE_CHARACTER = frozenset(
    {"prompt", "response", "reasoning", "system_prompt", "prompt_suffix", "gold_reason"}
)
_EPOCH = re.compile(r"(0*[1-9][0-9]{0,8})(?:[.,]0+)?", re.ASCII)
_GRADE = re.compile(r"([0-9]+)[.,]0+", re.ASCII)
NOTHING: Mapping[str, Any] = {}
_LAYOUTS_KEPT = 1000
_INJECTED = re.compile(r"(.+)\+injection:(.+)")


def read_jsonl(
    paths: Sequence[Path], mapping: ColumnMapping | None = None, on_error: OnError = raise_it
) -> Iterator[ParsedResponse]:
    table, told = _Table(mapping or ColumnMapping()), _Told(on_error)
    for path in paths:
        empty, told.of_file = True, False
        for line, row in json_objects(path, told):
            empty = False
            try:
                response = table.response(path, line, table.layout(path, line, tuple(row)), row)
            except FormatError as error:
                told(error)
            else:
                yield response
        _refuse_empty(path, empty and not told.of_file)
    if not told.ever:
        table.mapping.refuse_unmet(paths[-1])


class _Told:
    """Tells of errors, and knows whether there were any, ever and in the file at hand."""

    def __init__(self, on_error: OnError) -> None:
        self.on_error, self.of_file, self.ever = on_error, False, False

    def __call__(self, error: FormatError) -> None:
        self.of_file = self.ever = True
        self.on_error(error)


def read_csv(
    paths: Sequence[Path], mapping: ColumnMapping | None = None, on_error: OnError = raise_it
) -> Iterator[ParsedResponse]:
    table = _Table(mapping or ColumnMapping())
    for path in paths:
        read = read_table(path)
        layout = table.layout(path, read.line, tuple(read.names))
        require_columns(path, read.line, layout)
        empty = True
        for line, row in read.rows:
            empty = False
            try:
                response = table.response(path, line, layout, row)
            except FormatError as error:
                on_error(error)
            else:
                yield response
        _refuse_empty(path, empty)
    table.mapping.refuse_unmet(paths[-1])


def _refuse_empty(path: Path, empty: bool) -> None:
    if empty:
        raise FormatError(path, None, "at least one response", "none")


class _Table:
    """Turns rows into responses. Equal subjects, conditions and runs are the same object throughout."""

    def __init__(self, mapping: ColumnMapping) -> None:
        self.mapping = mapping
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._subjects: dict[tuple[str, ...], ParsedSubject] = {}
        self._conditions: dict[tuple[str, ...], ParsedCondition] = {}
        self._runs: dict[str, ParsedRun] = {}

    def layout(self, path: Path, line: int, columns: tuple[str, ...]) -> Layout:
        layout = self._layouts.get(columns)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            layout = self._layouts[columns] = layout_of(path, line, columns, self.mapping)
        return layout

    def response(self, path: Path, line: int, layout: Layout, row: Mapping[str, Any]) -> ParsedResponse:
        values = _values(path, line, layout, row)
        get = values.get
        _require(path, line, values)
        gold = label_key(get("gold", "")) or None
        if gold is None and get("gold_reason"):
            raise FormatError(path, line, "a gold label beside its reason", "none")
        return ParsedResponse(
            path=str(path),
            line=line,
            subject=self._subject(values),
            condition=self._condition(values),
            run=self._run(get("run", "")),
            text=values["response"],
            task_key=get("task", ""),
            prompt=get("prompt", ""),
            category=get("category", ""),
            epoch=_epoch(path, line, row.get(layout.epoch)) if layout.epoch else 1,
            reasoning=get("reasoning", ""),
            finish_reason=get("finish_reason", ""),
            labels=_labels(path, line, layout, row) if layout.labels else (),
            gold=gold,
            gold_rationale=get("gold_reason", ""),
            meta=_meta(path, line, layout, row) if layout.meta else NOTHING,
        )

    def _subject(self, values: Mapping[str, str]) -> ParsedSubject:
        get = values.get
        key = (
            values["subject"],
            get("subject_family", ""),
            get("subject_training", ""),
            get("subject_size", ""),
        )
        subject = self._subjects.get(key)
        if subject is None:
            subject = self._subjects[key] = ParsedSubject(*key)
        return subject

    def _condition(self, values: Mapping[str, str]) -> ParsedCondition:
        get = values.get
        key = (
            get("condition") or "baseline",
            get("system_prompt", ""),
            get("prompt_suffix", ""),
            get("language") or "en",
        )
        condition = self._conditions.get(key)
        if condition is None:
            condition = self._conditions[key] = ParsedCondition(*key, factors=_factors(key[0]))
        return condition

    def _run(self, name: str) -> ParsedRun:
        run = self._runs.get(name)
        if run is None:
            run = self._runs[name] = ParsedRun(name)
        return run


def _factors(name: str) -> dict[str, str]:
    """Return a condition's factors by its name. The name is a factor, so that two names never share one
    content hash; what was injected is one by itself."""
    injected = _INJECTED.fullmatch(name)
    return {"condition": injected[1], "injection": injected[2]} if injected else {"condition": name}


def _values(path: Path, line: int, layout: Layout, row: Mapping[str, Any]) -> dict[str, str]:
    values = {}
    for column, name in layout.fields:
        value = row[column]
        if value is None:
            continue
        if type(value) is not str:
            value = _number(path, line, column, value, whole=name not in _TO_THE_CHARACTER)
        values[name] = value if name in _TO_THE_CHARACTER else value.strip()
    return values


def _number(path: Path, line: int, column: str | None, value: Any, *, whole: bool) -> str:
    """Return a whole number that stands for a name or a label as the text it is written as: 2 and 2.0 are
    `2`. Any other number is refused."""
    if whole and type(value) in (int, float) and value == value // 1 and abs(value) < 10**15:
        return str(int(value))
    hint = "; a label or name that is a word goes in quotes" if type(value) is bool else ""
    raise FormatError(path, line, f"text in {excerpt(column)}", f"{excerpt(value)}{hint}")


def label_key(text: str) -> str:
    """Return a label as it is compared: a grade that a spreadsheet wrote as 2.0, or 2,0, is `2`."""
    key = folded(text)
    grade = _GRADE.fullmatch(key)
    return grade[1] if grade else key


def _meta(path: Path, line: int, layout: Layout, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the row says in its `meta.` columns;
    in its texts, what a database can't hold is escaped."""
    said = {name: row[column] for column, name in layout.meta if row[column] not in (None, "")}
    meta = {name: storable(value)[0] if type(value) is str else value for name, value in said.items()}
    if not storable_json(meta):
        raise FormatError(
            path, line, "plain values in meta.*", "a NaN, or a NUL or lone surrogate inside of one"
        )
    return meta


def _require(path: Path, line: int, values: Mapping[str, str]) -> None:
    if not values.get("subject"):
        raise FormatError(path, line, "a value for subject", "none")
    if "response" not in values:
        raise FormatError(path, line, 'a value for response ("" for an empty one)', "none")
    if not values.get("task") and not values.get("prompt", "").strip():
        raise FormatError(path, line, "a value for task or prompt", "neither")


def _epoch(path: Path, line: int, value: Any) -> int:
    if value is None or value == "":
        return 1
    text = str(value).strip() if type(value) in (int, float, str) else ""
    epoch = _EPOCH.fullmatch(text)
    if not epoch:
        raise FormatError(path, line, "a whole number from 1 in epoch", excerpt(value))
    return int(epoch[1])


def _labels(path: Path, line: int, layout: Layout, row: Mapping[str, Any]) -> tuple[ParsedLabel, ...]:
    labels = []
    for label in layout.labels:
        text = label_key(_cell(path, line, row, label.column, whole=True))
        reason = _cell(path, line, row, label.reason, whole=False)
        if text:
            labels.append(ParsedLabel(label.rater, label.kind, text, reason))
        elif reason.strip():
            expected = f"a label beside the reason of {label.kind} {excerpt(label.rater)}"
            raise FormatError(path, line, expected, "none")
    return tuple(labels)


def _cell(path: Path, line: int, row: Mapping[str, Any], column: str | None, *, whole: bool) -> str:
    value = row[column] if column else None
    if value is None:
        return ""
    return value if type(value) is str else _number(path, line, column, value, whole=whole)

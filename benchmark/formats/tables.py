"""Responses from a flat table with the same columns as JSONL or CSV (docs/importing.md lists them)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.formats.columns import Layout, layout_of, require_columns
from benchmark.formats.reading import csv_records, excerpt, json_objects
from benchmark.formats.records import (
    FormatError,
    ParsedCondition,
    ParsedLabel,
    ParsedResponse,
    ParsedRun,
    ParsedSubject,
)

_TO_THE_CHARACTER = frozenset(
    {"prompt", "response", "reasoning", "system_prompt", "prompt_suffix", "gold_reason"}
)
_EPOCH = re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)
_LAYOUTS_KEPT = 1000
_INJECTED = re.compile(r"(.+)\+injection:(.+)")


def read_jsonl(paths: Sequence[Path]) -> Iterator[ParsedResponse]:
    table = _Table()
    for path in paths:
        empty = True
        for line, row in json_objects(path):
            empty = False
            yield table.response(path, line, table.layout(path, line, tuple(row)), row)
        _refuse_empty(path, empty)


def read_csv(paths: Sequence[Path]) -> Iterator[ParsedResponse]:
    table = _Table()
    for path in paths:
        records = csv_records(path)
        line, header = _header(path, records)
        layout = table.layout(path, line, tuple(header))
        require_columns(path, line, layout)
        empty = True
        for line, record in records:
            if record:  # an empty line is no record
                empty = False
                yield table.response(path, line, layout, _cells(path, line, header, record))
        _refuse_empty(path, empty)


def _header(path: Path, records: Iterator[tuple[int, list[str]]]) -> tuple[int, list[str]]:
    for line, record in records:
        if record:
            header = [name.strip() for name in record]
            if twice := next((name for name in header if header.count(name) > 1), None):
                raise FormatError(path, line, "each column once", f"{excerpt(twice)} twice")
            return line, header
    raise FormatError(path, 1, "a header row", "an empty file")


def _refuse_empty(path: Path, empty: bool) -> None:
    if empty:
        raise FormatError(path, None, "at least one response", "none")


def _cells(path: Path, line: int, header: list[str], record: list[str]) -> dict[str, str]:
    if len(record) != len(header):
        raise FormatError(path, line, f"{len(header)} fields as in the header", f"{len(record)}")
    return dict(zip(header, record, strict=True))


class _Table:
    """Turns rows into responses. Equal subjects, conditions and runs are the same object throughout."""

    def __init__(self) -> None:
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._subjects: dict[tuple[str, ...], ParsedSubject] = {}
        self._conditions: dict[tuple[str, ...], ParsedCondition] = {}
        self._runs: dict[str, ParsedRun] = {}

    def layout(self, path: Path, line: int, columns: tuple[str, ...]) -> Layout:
        found = self._layouts.get(columns)
        if found is None:
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            found = self._layouts[columns] = layout_of(path, line, columns)
        return found

    def response(self, path: Path, line: int, layout: Layout, row: Mapping[str, Any]) -> ParsedResponse:
        values = _values(path, line, layout, row)
        get = values.get
        _require(path, line, values)
        gold = get("gold", "").lower() or None
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
        )

    def _subject(self, values: Mapping[str, str]) -> ParsedSubject:
        get = values.get
        key = (
            values["subject"],
            get("subject_family", ""),
            get("subject_training", ""),
            get("subject_size", ""),
        )
        found = self._subjects.get(key)
        if found is None:
            found = self._subjects[key] = ParsedSubject(*key)
        return found

    def _condition(self, values: Mapping[str, str]) -> ParsedCondition:
        get = values.get
        key = (
            get("condition") or "baseline",
            get("system_prompt", ""),
            get("prompt_suffix", ""),
            get("language") or "en",
        )
        found = self._conditions.get(key)
        if found is None:
            found = self._conditions[key] = ParsedCondition(*key, factors=_factors(key[0]))
        return found

    def _run(self, name: str) -> ParsedRun:
        found = self._runs.get(name)
        if found is None:
            found = self._runs[name] = ParsedRun(name)
        return found


def _factors(name: str) -> dict[str, str]:
    """The name is a factor, so that two names never share one content hash; what was injected is one by itself."""
    injected = _INJECTED.fullmatch(name)
    return {"condition": injected[1], "injection": injected[2]} if injected else {"condition": name}


def _values(path: Path, line: int, layout: Layout, row: Mapping[str, Any]) -> dict[str, str]:
    values = {}
    for column, name in layout.fields:
        value = row[column]
        if value is None:
            continue
        if type(value) is not str:
            raise FormatError(path, line, f"text in {excerpt(column)}", excerpt(value))
        values[name] = value if name in _TO_THE_CHARACTER else value.strip()
    return values


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
    text = str(value).strip() if type(value) in (int, str) else ""
    if not _EPOCH.fullmatch(text):
        raise FormatError(path, line, "a whole number from 1 in epoch", excerpt(value))
    return int(text)


def _labels(path: Path, line: int, layout: Layout, row: Mapping[str, Any]) -> tuple[ParsedLabel, ...]:
    found = []
    for label in layout.labels:
        text = _cell(path, line, row, label.column).strip().lower()
        reason = _cell(path, line, row, label.reason)
        if text:
            found.append(ParsedLabel(label.rater, label.kind, text, reason))
        elif reason.strip():
            expected = f"a label beside the reason of {label.kind} {excerpt(label.rater)}"
            raise FormatError(path, line, expected, "none")
    return tuple(found)


def _cell(path: Path, line: int, row: Mapping[str, Any], column: str | None) -> str:
    value = row[column] if column else None
    if value is None:
        return ""
    if type(value) is not str:
        raise FormatError(path, line, f"text in {excerpt(column)}", excerpt(value))
    return value

"""Our YAML suite: a folder with one file a category, or a single file with all of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from arbiter.core.text import folded
from arbiter.core.yamlfile import NOT_YAML, Loader, YamlError, load
from benchmark.formats.reading import excerpt, refuse_unknown, whole_text
from benchmark.formats.records import FormatError, ParsedCategory, ParsedSuite, ParsedTask
from benchmark.formats.suite_checks import checked_suite, flag_value, meta_value, text_value

SUITE_KEYS = ("title", "description", "categories")
FILE_KEYS = ("category", "tasks")
CATEGORY_KEYS = ("key", "title", "context", "question")
META_KEYS = ("sector", "role", "temptation", "sample")
TASK_KEYS = ("key", "text", "language", "control", "training", *META_KEYS, "meta")
SUITE_FILES = ("suite.yaml", "suite.yml")  # in a folder: the suite's own title and description


class _Map(dict[str, Any]):
    line = 0


class _Loader(Loader):
    """Maps that know their line."""


def _construct_map(loader: Any, node: yaml.MappingNode) -> _Map:
    fields = _Map(loader.construct_mapping(node, deep=True))
    fields.line = node.start_mark.line + 1
    return fields


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)


def read_yaml_suite(path: Path) -> ParsedSuite:
    top = _load(path)
    refuse_unknown(path, top.line, "keys of a suite", top, SUITE_KEYS)
    title = _text(path, top, "title", required=True)
    parts = [
        _category(path, _map(path, top.line, "a category", entry)) for entry in _list(path, top, "categories")
    ]
    return _suite(path, title, _text(path, top, "description"), parts)


def read_yaml_folder(folder: Path) -> ParsedSuite:
    title, description = folder.resolve().name, ""
    parts = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        top = _load(path)
        if path.name in SUITE_FILES:
            refuse_unknown(path, top.line, f"keys of {path.name}", top, SUITE_KEYS[:2])
            title, description = _text(path, top, "title", required=True), _text(path, top, "description")
        else:
            parts.append(_category_file(path, top))
    return _suite(folder, title, description, parts)


def _category_file(path: Path, top: _Map) -> tuple[ParsedCategory, list[ParsedTask]]:
    refuse_unknown(path, top.line, "keys of a category's file", top, FILE_KEYS)
    header = _map(path, top.line, "a map in 'category'", top.get("category"))
    refuse_unknown(path, header.line, "keys of a category", header, CATEGORY_KEYS)
    return _category(path, _merge(header, {"tasks": top.get("tasks")}))


def _merge(header: _Map, more: dict[str, Any]) -> _Map:
    merged = _Map({**header, **more})
    merged.line = header.line
    return merged


def _suite(
    path: Path, title: str, description: str, parts: Sequence[tuple[ParsedCategory, list[ParsedTask]]]
) -> ParsedSuite:
    keys = [folded(category.key) for category, _ in parts]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise FormatError(path, None, "each category key once", f"{excerpt(twice)} twice")
    tasks = [task for _, its_tasks in parts for task in its_tasks]
    return checked_suite(path, title, description, [category for category, _ in parts], tasks)


def _category(path: Path, entry: _Map) -> tuple[ParsedCategory, list[ParsedTask]]:
    refuse_unknown(path, entry.line, "keys of a category", entry, (*CATEGORY_KEYS, "tasks"))
    category = ParsedCategory(
        key=_text(path, entry, "key", required=True),
        title=_text(path, entry, "title", required=True),
        context=_text(path, entry, "context"),
        question=_text(path, entry, "question"),
    )
    return category, [_task(path, entry.line, task, category.key) for task in _list(path, entry, "tasks")]


def _task(path: Path, line: int, value: Any, category: str) -> ParsedTask:
    entry = _map(path, line, "a task", value)
    refuse_unknown(path, entry.line, "keys of a task", entry, TASK_KEYS)
    return ParsedTask(
        key=_text(path, entry, "key", required=True),
        category=category,
        text=_text(path, entry, "text", required=True),
        language=_text(path, entry, "language") or "en",
        control=flag_value(path, entry.line, "control", entry.get("control")),
        training=flag_value(path, entry.line, "training", entry.get("training")),
        meta=_meta(path, entry),
        line=entry.line,
        path=str(path),
    )


def _meta(path: Path, entry: _Map) -> dict[str, Any]:
    meta = meta_value(path, entry.line, entry.get("meta"))
    for name in META_KEYS:
        if entry.get(name) is None:
            continue
        if name in meta:
            raise FormatError(path, entry.line, f"{name!r} once in a task", "it in 'meta' too")
        meta[name] = entry[name]
    try:
        # There and back: what is stored has text for keys, and is compared with what is read.
        return dict(json.loads(json.dumps(meta, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise FormatError(
            path, entry.line, "plain values (text, numbers, lists, maps) in a task", str(error)
        ) from None


def _text(path: Path, entry: _Map, name: str, *, required: bool = False) -> str:
    """Return the text under a key. A block scalar ends in a line break that is YAML's, not the text's."""
    return text_value(path, entry.line, name, entry.get(name), required=required).rstrip("\r\n")


def _list(path: Path, entry: _Map, name: str) -> list[Any]:
    value = entry.get(name)
    if not isinstance(value, list) or not value:
        raise FormatError(path, entry.line, f"a list in {name!r}", excerpt(value))
    return value


def _map(path: Path, line: int, what: str, value: Any) -> _Map:
    if not isinstance(value, _Map):
        raise FormatError(path, line, f"{what}{'' if ' in ' in what else ' as a map'}", excerpt(value))
    return value


def _load(path: Path) -> _Map:
    try:
        document = load(whole_text(path), _Loader)
    except YamlError as error:
        raise FormatError(path, error.line, "valid YAML", error.said.removeprefix(NOT_YAML)) from None
    return _map(path, 1, "a suite", document)

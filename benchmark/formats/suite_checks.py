"""What holds for a suite whatever layout it came in."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arbiter.core.text import digest, folded, storable, storable_json
from benchmark.formats.names import (
    LONGEST_CATEGORY_KEY,
    LONGEST_LANGUAGE,
    LONGEST_TASK_KEY,
    LONGEST_TITLE,
    SLUG,
)
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError, ParsedCategory, ParsedSuite, ParsedTask
from benchmark.formats.task_texts import task_text_key


def checked_suite(
    path: Path,
    title: str,
    description: str,
    categories: Sequence[ParsedCategory],
    tasks: Sequence[ParsedTask],
) -> ParsedSuite:
    if not tasks:
        raise FormatError(path, None, "at least one task", "none")
    _refuse_repeats(tasks)
    _require(path, None, "title", title, LONGEST_TITLE)
    _require(path, None, "description", description)
    for category in categories:
        _check_category(path, category)
    for task in tasks:
        _check(task)
    return ParsedSuite(title, tuple(categories), tuple(tasks), description)


def _refuse_repeats(tasks: Sequence[ParsedTask]) -> None:
    keys: dict[str, ParsedTask] = {}
    texts: dict[tuple[str, str], ParsedTask] = {}
    for task in tasks:
        first = keys.setdefault(folded(task.key), task)
        if first is not task:
            raise FormatError(
                task.path, task.line, "each task key once", f"{excerpt(task.key)} again{_since(first, task)}"
            )
        first = texts.setdefault((digest(task_text_key(task.text)), folded(task.language)), task)
        if first is not task:
            actual = f"the text of {excerpt(first.key)} again{_since(first, task)}"
            raise FormatError(task.path, task.line, "each text once in a language", actual)


def _since(first: ParsedTask, task: ParsedTask) -> str:
    where = "" if first.path == task.path else f" of {Path(first.path).name}"
    return f" (first on line {first.line}{where})" if first.line else ""


def _check_category(path: Path, category: ParsedCategory) -> None:
    if not SLUG.fullmatch(category.key) or len(category.key) > LONGEST_CATEGORY_KEY:
        raise FormatError(path, None, _key_rule("category", LONGEST_CATEGORY_KEY), excerpt(category.key))
    _require(path, None, "category's title", category.title, LONGEST_TITLE)
    _require(path, None, "category's context", category.context)
    _require(path, None, "category's question", category.question)


def _check(task: ParsedTask) -> None:
    if not SLUG.fullmatch(task.key) or len(task.key) > LONGEST_TASK_KEY:
        raise FormatError(task.path, task.line, _key_rule("task", LONGEST_TASK_KEY), excerpt(task.key))
    if not task.text.strip():
        raise FormatError(task.path, task.line, "a task with a text", f"an empty one, {excerpt(task.key)}")
    _require(task.path, task.line, "text", task.text)
    _require(task.path, task.line, "language", task.language, LONGEST_LANGUAGE)
    if not storable_json(task.meta):
        expected = "plain values (text, numbers, lists, maps) without NULs or lone surrogates in a task"
        raise FormatError(task.path, task.line, expected, excerpt(json.dumps(task.meta, default=str)))


def _require(path: Path | str, line: int | None, what: str, text: str, longest: int | None = None) -> None:
    if longest and len(text) > longest:
        raise FormatError(path, line, f"a {what} of at most {longest} characters", f"{len(text)}")
    if storable(text)[1]:
        raise FormatError(path, line, f"a {what} without NULs or lone surrogates", excerpt(text))


def _key_rule(what: str, longest: int) -> str:
    return f"a {what} key of at most {longest} letters, digits, - or _"


def text_value(path: Path, line: int | None, name: str, value: Any, *, required: bool = False) -> str:
    """Return the text under a key; null and a missing key are the same."""
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise FormatError(path, line, f"text in {name!r}", f"{excerpt(value)} (put it in quotes)")
    if required and not value.strip():
        raise FormatError(path, line, f"text in {name!r}", "none")
    return value


def flag_value(path: Path, line: int | None, name: str, value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise FormatError(path, line, f"true or false in {name!r}", excerpt(value))
    return value


def meta_value(path: Path, line: int | None, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError(path, line, "a map in 'meta'", excerpt(value))
    return dict(value)

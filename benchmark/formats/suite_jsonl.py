"""Our JSONL suite: one task a line, with its category's title."""

from pathlib import Path
from typing import Any

from arbiter.core.text import folded
from benchmark.formats.names import slug
from benchmark.formats.reading import excerpt, json_objects, refuse_unknown
from benchmark.formats.records import FormatError, ParsedCategory, ParsedSuite, ParsedTask
from benchmark.formats.suite_checks import checked_suite, flag_value, meta_value, text_value

KEYS = (
    "key",
    "category",
    "text",
    "category_context",
    "category_question",
    "language",
    "control",
    "training",
    "meta",
)


def read_jsonl_suite(path: Path) -> ParsedSuite:
    categories: dict[str, ParsedCategory] = {}
    tasks: list[ParsedTask] = []
    for line, row in json_objects(path):
        refuse_unknown(path, line, "keys of a task", row, KEYS)
        category = _category(path, line, row)
        categories[category.key] = _merged(path, line, categories.get(category.key), category)
        tasks.append(_task(path, line, row, category.key))
    return checked_suite(path, path.stem, "", tuple(categories.values()), tasks)


def _category(path: Path, line: int, row: dict[str, Any]) -> ParsedCategory:
    title = text_value(path, line, "category", row.get("category"), required=True).strip()
    context = text_value(path, line, "category_context", row.get("category_context"))
    question = text_value(path, line, "category_question", row.get("category_question"))
    return ParsedCategory(slug(title), title, context, question)


def _merged(path: Path, line: int, known: ParsedCategory | None, new: ParsedCategory) -> ParsedCategory:
    """Merge what two lines say of one category: its context and question may stand on any of its lines, but
    must not contradict each other."""
    if known is None:
        return new
    for name in ("title", "context", "question"):
        ours, theirs = getattr(known, name), getattr(new, name)
        same = folded(ours) == folded(theirs) if name == "title" else ours == theirs
        if ours and theirs and not same:
            actual = f"{excerpt(theirs)} where it was {excerpt(ours)}"
            raise FormatError(path, line, f"one {name} for category {known.key!r}", actual)
    return ParsedCategory(
        known.key, known.title, known.context or new.context, known.question or new.question
    )


def _task(path: Path, line: int, row: dict[str, Any], category: str) -> ParsedTask:
    return ParsedTask(
        key=text_value(path, line, "key", row.get("key"), required=True),
        category=category,
        text=text_value(path, line, "text", row.get("text"), required=True),
        language=text_value(path, line, "language", row.get("language")) or "en",
        control=flag_value(path, line, "control", row.get("control")),
        training=flag_value(path, line, "training", row.get("training")),
        meta=meta_value(path, line, row.get("meta")),
        line=line,
        path=str(path),
    )

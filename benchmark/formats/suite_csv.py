"""The published layout: a folder of CSV files, one a category. Row 1 is its context, each further row is one task."""

from pathlib import Path

from benchmark.formats.names import category_title, slug
from benchmark.formats.reading import csv_records, excerpt
from benchmark.formats.records import FormatError, ParsedCategory, ParsedSuite, ParsedTask
from benchmark.formats.suite_checks import checked_suite


def read_csv_suite(folder: Path) -> ParsedSuite:
    categories: dict[str, ParsedCategory] = {}
    tasks: list[ParsedTask] = []
    for path in sorted(folder.glob("*.csv")):
        category, its_tasks = _category(path)
        if category.key in categories:
            raise FormatError(path, None, "one file a category", f"a second one for {category.title!r}")
        categories[category.key] = category
        tasks += its_tasks
    return checked_suite(folder, folder.resolve().name, "", tuple(categories.values()), tasks)


def _category(path: Path) -> tuple[ParsedCategory, list[ParsedTask]]:
    rows = [(line, _field(path, line, row)) for line, row in csv_records(path)]
    if not rows:
        raise FormatError(path, 1, "the category's context in the first row", "an empty file")
    title = category_title(path.stem)
    key = slug(title)
    tasks = [
        ParsedTask(key=f"{key}-{number:02d}", category=key, text=text, line=line, path=str(path))
        for number, (line, text) in enumerate(rows[1:], start=1)
    ]
    # The white space around a context is its row's, a task's belongs to the prompt.
    return ParsedCategory(key=key, title=title, context=rows[0][1].strip()), tasks


def _field(path: Path, line: int, row: list[str]) -> str:
    if len(row) > 1:
        found = f"{len(row)} fields, the second {excerpt(row[1])} (quote a text that holds commas)"
        raise FormatError(path, line, "a row of one field, the text", found)
    if not row or not row[0].strip():
        raise FormatError(path, line, "a row of one field, the text", "an empty row")
    return row[0]

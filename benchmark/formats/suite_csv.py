"""The published layout: a folder of CSV files, one a category.
Row 1 is its context, each further row is one task."""

from pathlib import Path

from benchmark.formats.csv_files import DELIMITERS, csv_records
from benchmark.formats.names import category_title, slug
from benchmark.formats.reading import excerpt
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
    rows = [(line, _field(path, line, row)) for line, row in _records(path)]
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


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """Return the file's rows without the empty cells and rows that spreadsheets leave. Where commas part the
    texts themselves, another delimiter is taken if every row has it at the end of its one text."""
    rows, refused = _parted(path, ",")
    if refused or any(len(_filled(row)) > 1 for _, row in rows):
        for delimiter in DELIMITERS:
            parted = [(line, row) for line, row in _parted(path, delimiter)[0] if row]
            if parted and all(len(row) > 1 and not any(row[1:]) for _, row in parted):
                rows, refused = parted, None
    if refused:
        raise refused
    return [(line, cells) for line, row in rows if (cells := _filled(row)) or line == 1]


def _parted(path: Path, delimiter: str) -> tuple[list[tuple[int, list[str]]], FormatError | None]:
    try:
        return list(csv_records(path, delimiter=delimiter)), None
    except FormatError as error:
        return [], error


def _filled(row: list[str]) -> list[str]:
    """Return the row up to its last cell that holds something."""
    used = max((place for place, cell in enumerate(row, start=1) if cell.strip()), default=0)
    return row[:used]


def _field(path: Path, line: int, row: list[str]) -> str:
    if len(row) > 1:
        actual = f"{len(row)} fields, the second {excerpt(row[1])} (quote a text that holds commas)"
        raise FormatError(path, line, "a row of one field, the text", actual)
    if not row or not row[0].strip():
        raise FormatError(path, line, "a row of one field, the text", "an empty row")
    return row[0]

"""CSV as spreadsheets and others write it: parted by commas, semicolons, tabs or bars, with or without a
`sep=` line, a byte order mark, columns without a name and rows without a value. The encoding is
`reading.text_lines`' part.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from benchmark.formats.reading import excerpt, text_lines
from benchmark.formats.records import FormatError

LONGEST_FIELD = 64 * 1024 * 1024  # characters; without a limit an open quote would take in the whole file
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_SEP = re.compile(r'"?sep=(.)"?[,;\t|]*\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
Record = tuple[int, list[str]]


@dataclass(frozen=True)
class CsvTable:
    """A header and its rows. A column without a name holds nothing, and is none."""

    line: int
    names: list[str]
    rows: Iterator[tuple[int, dict[str, str]]]


def read_table(path: Path) -> CsvTable:
    """Read the table, its rows by the header's names and one at a time."""
    records = csv_records(path, guess=True)
    for line, record in records:
        if any(cell.strip() for cell in record):
            header = [name.strip() for name in record]
            names = [name for name in header if name]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise FormatError(path, line, "each column once", f"{excerpt(twice)} twice")
            return CsvTable(line, names, _rows(path, header, records))
    raise FormatError(path, 1, "a header row", "an empty file")


def _rows(path: Path, header: list[str], records: Iterator[Record]) -> Iterator[tuple[int, dict[str, str]]]:
    named = [place for place, name in enumerate(header) if name]
    plain = len(named) == len(header)
    for line, record in records:
        if not any(cell.strip() for cell in record):  # an empty line, or cells without a value
            continue
        if len(record) != len(header) or not plain:
            _require_shape(path, line, header, record)
        yield line, {header[place]: record[place] for place in named}


def _require_shape(path: Path, line: int, header: Sequence[str], record: Sequence[str]) -> None:
    """Refuse a row that doesn't have the header's shape. More fields than the header has are nothing where
    they are empty; fewer are a row that was cut off."""
    used = max(place for place, cell in enumerate(record) if cell) + 1
    if len(record) < len(header) or used > len(header):
        raise FormatError(path, line, f"{len(header)} fields as in the header", f"{len(record)}")
    for place, name in enumerate(header):
        if not name and record[place].strip():
            actual = f"{excerpt(record[place])} in column {place + 1}, whose heading is empty"
            raise FormatError(path, line, "a name above each column that holds something", actual)


def csv_records(path: Path, *, guess: bool = False, delimiter: str = ",") -> Iterator[Record]:
    """Yield records with the line each starts on; an empty line is an empty record. A `sep=` line names the
    delimiter; else it is guessed from the first line, where that is a header, or is the given one."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    lines = text_lines(path)
    first = next(lines, (1, ""))[1]
    if said := _SEP.fullmatch(first):
        delimiter, before, skipped = said[1], [], 1
    else:
        before, skipped = [first] if first else [], 0
        while guess and before and not before[-1].strip(',;\t| "\r\n') and (more := next(lines, None)):
            before.append(more[1])
        delimiter = _guessed(before[-1]) if guess and before else delimiter
    return _records(path, chain(before, (text for _, text in lines)), delimiter, skipped)


def _guessed(header: str) -> str:
    """Return the delimiter that stands most often between the header's names;
    what stands within quotes parts nothing."""
    between = _QUOTED.sub("", header)
    return max(DELIMITERS, key=between.count)


def _records(path: Path, texts: Iterator[str], delimiter: str, skipped: int) -> Iterator[Record]:
    rows = csv.reader(texts, delimiter=delimiter, strict=True)
    while True:
        start = rows.line_num + 1 + skipped
        try:
            record = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise _bad_csv(path, start, rows.line_num + skipped, str(error), delimiter) from None
        yield start, record


def _bad_csv(path: Path, start: int, line: int, message: str, delimiter: str) -> FormatError:
    if "unexpected end" in message:
        return FormatError(
            path, start, "a closing quote", "the end of the file in a quoted field of this row"
        )
    if "field limit" in message:
        actual = "a longer one in this row (a quote left open?)"
        return FormatError(path, start, f"fields of at most {LONGEST_FIELD} characters", actual)
    if "new-line character" in message:
        return FormatError(path, line, "lines that end in LF or CRLF", "a carriage return outside quotes")
    parts = DELIMITERS.get(delimiter, repr(delimiter))
    return FormatError(path, line, f"{parts} or a line's end after a closing quote", f"bad CSV: {message}")

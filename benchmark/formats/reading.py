"""Lines, JSON objects and CSV records out of files, one at a time, with the line each starts on."""

import csv
import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from benchmark.formats.records import FormatError

LONGEST_CSV_FIELD = 64 * 1024 * 1024  # characters; without an end an open quote would swallow the whole file
_EXCERPT = 60
_BOM = b"\xef\xbb\xbf"


def excerpt(found: object) -> str:
    """What was found, quoted, on one line, in at most 60 characters."""
    if found is None:
        return "null"
    if isinstance(found, dict | list | tuple):
        return f"{'an object' if isinstance(found, dict) else 'a list'} of {len(found)}"
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, str):
        return repr(found)[:_EXCERPT]
    shown = repr(found[: _EXCERPT + 1])
    return shown if len(shown) <= _EXCERPT else f"{shown[: _EXCERPT - 4]}...{shown[0]}"


def suggestion(found: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(found, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def refuse_unknown(
    path: Path, line: int | None, what: str, found: Iterable[str], known: Sequence[str]
) -> None:
    for name in found:
        if name not in known:
            expected = f"only known {what} ({', '.join(known)})"
            raise FormatError(path, line, expected, f"{excerpt(name)}{suggestion(str(name), known)}")


def open_file(path: Path) -> BinaryIO:
    if path.is_dir():
        raise FormatError(path, None, "a file", "a folder")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise FormatError(path, None, "a file", "nothing of that name") from None
    except OSError as error:
        raise FormatError(path, None, "a readable file", error.strerror or "an error") from error


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines with their line breaks. Only a line feed ends a line: texts hold stray carriage returns."""
    offset = 0
    with open_file(path) as file:
        for number, raw in enumerate(file, start=1):
            start = len(_BOM) if number == 1 and raw.startswith(_BOM) else 0
            try:
                # Lone surrogates come from writers that let them through; they are escaped when stored.
                text = str(raw[start:] if start else raw, "utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise _wrong_encoding(path, number, raw, offset, start + error.start) from error
            yield number, text
            offset += len(raw)


def _wrong_encoding(path: Path, line: int, raw: bytes, offset: int, index: int) -> FormatError:
    found = f"byte 0x{raw[index]:02x} at offset {offset + index}; convert the file to UTF-8"
    return FormatError(path, line, "UTF-8 text", found)


def whole_text(path: Path) -> str:
    """For the small files: settings and suites."""
    return "".join(text for _, text in text_lines(path))


class DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise DuplicateKey(next(name for name in names if names.count(name) > 1))
    return found


# Not strict: a raw tab or NUL inside a string is let through as the character it is.
_decoder = json.JSONDecoder(object_pairs_hook=_unique, strict=False)


def json_object(path: Path, line: int | None, text: str) -> dict[str, Any]:
    """The object on a line, or, where `line` is None, the one that is a whole file."""
    try:
        found = _decoder.decode(text)
    except DuplicateKey as error:
        raise FormatError(path, line, "each key once in an object", f"{excerpt(str(error))} twice") from None
    except json.JSONDecodeError as error:
        raise _bad_json(path, line, text, error) from None
    except (RecursionError, ValueError) as error:
        raise FormatError(path, line, "JSON of ordinary depth and numbers", type(error).__name__) from None
    if type(found) is not dict:
        raise FormatError(path, line, "a JSON object", excerpt(found))
    return found


def _bad_json(path: Path, line: int | None, text: str, error: json.JSONDecodeError) -> FormatError:
    problem = f"{error.msg.lower()} at character {error.pos + 1}"
    last_line = line is not None and not text.endswith("\n")
    if last_line or error.pos >= len(text.rstrip()) or "Unterminated" in error.msg:
        return FormatError(path, line or error.lineno, "a whole JSON object", f"a cut-off one ({problem})")
    found = f"bad JSON ({problem}): {excerpt(text[error.pos : error.pos + 30].strip())}"
    return FormatError(path, line or error.lineno, "a JSON object", found)


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """One object a line; blank lines are skipped."""
    for line, text in text_lines(path):
        if not text.isspace() and text:
            yield line, json_object(path, line, text)


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records with the line each starts on; an empty line is an empty record."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CSV_FIELD))
    rows = csv.reader((text for _, text in text_lines(path)), strict=True)
    while True:
        start = rows.line_num + 1
        try:
            record = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise _bad_csv(path, start, rows.line_num, str(error)) from None
        yield start, record


def _bad_csv(path: Path, start: int, line: int, message: str) -> FormatError:
    if "unexpected end" in message:
        return FormatError(
            path, start, "a closing quote", "the end of the file in a quoted field of this row"
        )
    if "field limit" in message:
        found = "a longer one in this row (a quote left open?)"
        return FormatError(path, start, f"fields of at most {LONGEST_CSV_FIELD} characters", found)
    if "new-line character" in message:
        return FormatError(path, line, "lines that end in LF or CRLF", "a carriage return outside quotes")
    return FormatError(path, line, "a comma or a line's end after a closing quote", f"bad CSV: {message}")

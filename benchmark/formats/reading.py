"""Lines and JSON objects out of files, one at a time, with the line each starts on."""

import difflib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from benchmark.formats.records import FormatError, OnError, raise_it

_EXCERPT = 60
_BOM = b"\xef\xbb\xbf"
_SNIFFED = 64  # bytes, an even number


def excerpt(value: object) -> str:
    """Quote a value that was found, on one line, in at most 60 characters."""
    if value is None:
        return "null"
    if isinstance(value, dict | list | tuple):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)[:_EXCERPT]
    shown = repr(value[: _EXCERPT + 1])
    return shown if len(shown) <= _EXCERPT else f"{shown[: _EXCERPT - 4]}...{shown[0]}"


def suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the closest of the known names, however far it is."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0)), "")


def refuse_unknown(
    path: Path, line: int | None, what: str, names: Iterable[str], known: Sequence[str]
) -> None:
    for name in names:
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
    """Yield numbered lines with their line breaks, of UTF-8 or UTF-16. Only a line feed ends a line: texts
    hold stray carriage returns."""
    with open_file(path) as file:
        start = file.read(_SNIFFED)
        file.seek(0)
        wide = _utf_16(start)
        yield from _wide_lines(path, file, wide) if wide else _utf_8_lines(path, file)


def _utf_8_lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    offset = 0
    for number, raw in enumerate(file, start=1):
        start = len(_BOM) if number == 1 and raw.startswith(_BOM) else 0
        try:
            # Lone surrogates come from writers that let them through; they are escaped when stored.
            text = str(raw[start:] if start else raw, "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise _wrong_encoding(path, number, raw, offset, start + error.start) from error
        yield number, text
        offset += len(raw)


def _utf_16(start: bytes) -> str:
    """Tell which UTF-16 a file is that begins so, as spreadsheets save "Unicode text"; empty for UTF-8.
    Without a byte order mark it shows by a NUL in every other byte of its first letters."""
    for mark, name in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if start.startswith(mark):
            return name
    even, odd = set(start[0:_SNIFFED:2]), set(start[1:_SNIFFED:2])
    if len(start) >= 4 and 0 in (even | odd) and (even == {0}) != (odd == {0}):
        return "utf-16-be" if even == {0} else "utf-16-le"
    return ""


def _wide_lines(path: Path, file: BinaryIO, encoding: str) -> Iterator[tuple[int, str]]:
    lines = io.TextIOWrapper(file, encoding=encoding, errors="surrogatepass", newline="\n")
    number = 0
    try:
        for number, text in enumerate(lines, start=1):
            yield number, text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeDecodeError as error:
        raise FormatError(path, number + 1, "UTF-16 text, as the file begins", error.reason) from error


def _wrong_encoding(path: Path, line: int, raw: bytes, offset: int, index: int) -> FormatError:
    actual = f"byte 0x{raw[index]:02x} at offset {offset + index}; convert the file to UTF-8"
    actual += ' (a spreadsheet saves it as "CSV UTF-8")' if path.suffix.lower() == ".csv" else ""
    return FormatError(path, line, "UTF-8 text", actual)


def whole_text(path: Path) -> str:
    """Read a small file at once: settings, or a suite."""
    return "".join(text for _, text in text_lines(path))


class DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise DuplicateKey(next(name for name in names if names.count(name) > 1))
    return fields


# Not strict: a raw tab or NUL inside a string is let through as the character it is.
_decoder = json.JSONDecoder(object_pairs_hook=_unique, strict=False)


def json_object(path: Path, line: int | None, text: str) -> dict[str, Any]:
    """Read the object on a line, or, where `line` is None, the one that is a whole file."""
    try:
        document = _decoder.decode(text)
    except DuplicateKey as error:
        raise FormatError(path, line, "each key once in an object", f"{excerpt(str(error))} twice") from None
    except json.JSONDecodeError as error:
        raise _bad_json(path, line, text, error) from None
    except (RecursionError, ValueError) as error:
        raise FormatError(path, line, "JSON of ordinary depth and numbers", type(error).__name__) from None
    if type(document) is not dict:
        raise FormatError(path, line, "a JSON object", excerpt(document))
    return document


def _bad_json(path: Path, line: int | None, text: str, error: json.JSONDecodeError) -> FormatError:
    problem = f"{error.msg.lower()} at character {error.pos + 1}"
    last_line = line is not None and not text.endswith("\n")
    if last_line or error.pos >= len(text.rstrip()) or "Unterminated" in error.msg:
        return FormatError(path, line or error.lineno, "a whole JSON object", f"a cut-off one ({problem})")
    actual = f"bad JSON ({problem}): {excerpt(text[error.pos : error.pos + 30].strip())}"
    return FormatError(path, line or error.lineno, "a JSON object", actual)


def json_objects(path: Path, on_error: OnError = raise_it) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield one object a line, with its line; blank lines are skipped."""
    for line, text in text_lines(path):
        if text.isspace() or not text:
            continue
        try:
            document = json_object(path, line, text)
        except FormatError as error:
            on_error(error)
        else:
            yield line, document

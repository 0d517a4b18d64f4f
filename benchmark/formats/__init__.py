"""Parsers of outside formats: files in, records out. No Django here."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmark.formats.columns import ColumnMapping
from benchmark.formats.records import FormatError, OnError, ParsedResponse, ParsedSuite, raise_it
from benchmark.formats.response_tables import read_csv, read_jsonl
from benchmark.formats.steering import read_steering
from benchmark.formats.suite_csv import read_csv_suite
from benchmark.formats.suite_jsonl import read_jsonl_suite
from benchmark.formats.suite_yaml import read_yaml_folder, read_yaml_suite

RESPONSE_FORMATS: dict[str, Callable[[Sequence[Path], ColumnMapping, OnError], Iterator[ParsedResponse]]] = {
    "steering": lambda paths, _, __: read_steering(paths),
    "jsonl": read_jsonl,
    "csv": read_csv,
}
TABLES = ("jsonl", "csv")  # whose columns have names
_SUITE_FILES: dict[str, Callable[[Path], ParsedSuite]] = {
    ".yaml": read_yaml_suite,
    ".yml": read_yaml_suite,
    ".jsonl": read_jsonl_suite,
}


def read_responses(
    format: str,
    paths: Sequence[Path],
    mapping: ColumnMapping | None = None,
    on_error: OnError = raise_it,
) -> Iterator[ParsedResponse]:
    """Stream the responses in `paths`; a FormatError may come at any point, also after the last response.
    Which columns of a table are read under which name can be mapped otherwise than they are called. A table's
    bad rows go to `on_error`, which may let the reading go on; what is wrong with a file is raised."""
    if format not in RESPONSE_FORMATS:
        raise FormatError("format", None, f"one of {', '.join(RESPONSE_FORMATS)}", repr(format))
    asked = mapping or ColumnMapping()
    if format not in TABLES and (asked.renamed or asked.ignored):
        raise FormatError("format", None, f"one of {', '.join(TABLES)} with --map and --ignore", repr(format))
    return RESPONSE_FORMATS[format](paths, asked, on_error)


def read_suite(path: Path) -> ParsedSuite:
    """Read a suite in whichever layout is found there."""
    if path.is_dir():
        return _suite_folder(path)
    if path.suffix.lower() in _SUITE_FILES:
        return _SUITE_FILES[path.suffix.lower()](path)
    expected = f"a folder, or a file ending in {', '.join(_SUITE_FILES)}"
    raise FormatError(
        path, None, expected, f"a file ending in {path.suffix!r}" if path.exists() else "nothing"
    )


def _suite_folder(folder: Path) -> ParsedSuite:
    kinds = {child.suffix.lower().replace(".yml", ".yaml") for child in folder.iterdir() if child.is_file()}
    match sorted(kinds & {".csv", ".yaml"}):
        case [".csv"]:
            return read_csv_suite(folder)
        case [".yaml"]:
            return read_yaml_folder(folder)
        case []:
            actual = "none of either"
        case _:
            actual = "both kinds"
    raise FormatError(folder, None, "a folder of CSV files, or of YAML files, one a category", actual)

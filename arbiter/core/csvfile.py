"""CSV as every file of Arbiter's is written: UTF-8, commas, lines that end in CR LF."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

BOM = "\ufeff"  # by which spreadsheets know UTF-8
# What begins a formula, in full width too, as East Asian spreadsheets take it.
RUN = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
BLANK = ("\t", "\r", "\n")
PARTING = re.compile('[,"\r\n]')


def csv_lines(
    names: Sequence[str], rows: Iterable[Sequence[Any]], *, guard: bool = True, quote_texts: bool = False
) -> Iterator[str]:
    """Yield the header, then a line a row.

    With `guard`, no cell is run as a formula by a spreadsheet; without, texts are exact. `quote_texts` quotes
    each text: a lone carriage return survives, and an empty text ("") is told apart from none.
    """
    write = _quoted if quote_texts else _plain
    yield ",".join(map(_plain, names)) + "\r\n"
    for row in rows:
        yield ",".join([write(guarded(cell) if guard else cell) for cell in row]) + "\r\n"


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value)


def _plain(value: Any) -> str:
    text = "" if value is None else str(value)
    return _quoted(text) if PARTING.search(text) else text


def guarded(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would run; all else is left as it is."""
    if not isinstance(value, str) or not value:
        return value
    risky = value[0] in BLANK or (value.lstrip()[:1] in RUN and bool(value.strip()))
    return f"'{value}" if risky else value

"""JSON objects in a judge's answer, alone, in a fence or among words;
mended only where what it says is not in doubt."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from judging.panel.decoration import INVISIBLE, SPACES

BEGINS = re.compile(rf"\{{[\s{INVISIBLE}{SPACES}]*(?=[\"}}]|\Z)")
TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+("|\\?\Z)|[{}\[\]]', re.DOTALL)
TEXT = re.compile(r'("(?:[^"\\]++|\\.)*+")', re.DOTALL)
ODD = str.maketrans({**dict.fromkeys(INVISIBLE), **dict.fromkeys(SPACES, " "), "：": ":", "，": ","})
ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|)')  # or a backslash that begins none
TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")


class Doubled(ValueError):
    """A key that is given twice gives two answers, of which none is to be preferred."""


@dataclass(frozen=True, slots=True)
class Region:
    """From a brace to the one that closes it, or to the text's end.
    `fields` where it is an object of JSON."""

    start: int
    end: int
    fields: Mapping[str, Any] | None = None
    closed: bool = True
    doubled: bool = False


def regions(text: str) -> Iterator[Region]:
    """Yield the regions of a text one after the other; what lies within another is not looked at by itself.
    One that is not closed is the last."""
    place = 0
    while begin := BEGINS.search(text, place):
        end = _end(text, begin.start())
        if end is None:
            yield Region(begin.start(), len(text), closed=False)
            return
        yield _region(text, begin.start(), end)
        place = end


def _end(text: str, start: int) -> int | None:
    """Return the place after the bracket that closes the one at the start; None where there is none."""
    depth = 0
    for token in TOKEN.finditer(text, start):
        if token[0][0] in "{[":
            depth += 1
        elif token[0][0] in "}]":
            depth -= 1
            if depth == 0:
                return token.end()
        elif token[1] != '"':  # a text that does not end
            return None
    return None


def _region(text: str, start: int, end: int) -> Region:
    said = text[start:end]
    for mend in (str, _mended):
        try:
            document = DECODER.decode(mend(said))
            return Region(start, end, document if isinstance(document, dict) else None)
        except Doubled:
            return Region(start, end, doubled=True)
        except (ValueError, RecursionError):
            continue
    return Region(start, end)


def _mended(said: str) -> str:
    """Mend an object's text: take out invisible characters between its texts, odd spaces and a comma before a
    closing bracket; and double a backslash in a text that escapes nothing, as in LaTeX or before an
    underscore."""
    parts = TEXT.split(said)
    for place in range(1, len(parts), 2):
        parts[place] = ESCAPE.sub(lambda match: match[0] if match[1] else r"\\", parts[place])
    for place in range(0, len(parts), 2):  # what stands between texts
        parts[place] = TRAILING_COMMA.sub("", parts[place].translate(ODD))
    return "".join(parts)


def key_of(name: str) -> str:
    """Return a field's name without capitals, blanks and what can't be seen:
    `Label` and `final_label` are the label's."""
    return " ".join(re.sub(r"[\W_]+", " ", name.translate(ODD)).split()).lower()


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = {key_of(name) or name: value for name, value in pairs}
    if len(fields) < len(pairs):
        raise Doubled
    return fields


DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_each_once)

"""An index that finds known texts in larger ones without keeping them: by the hash of a line, then of all."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

V = TypeVar("V")

_ANCHOR_LENGTH = 12  # a shorter line ("Sure!", "1.") says too little to look a text up by
_ANCHORS_TRIED = 8
_SPAN = 1 << 32  # packs (offset of the anchor in the text, length of the text) into one int

# What a template may put on the same line before or after a text: a tag, a heading, quotes.
_OPENING = re.compile(r"(?:<[^<>]{1,60}>|[A-Za-z][\w ]{0,30}:\s|[\"'`>|]+)\s*")
_CLOSING = re.compile(r"\s?(?:</[^<>]{1,60}>|[\"'`]+|\]\]>)$")
_CLOSING_REACH = 70
_OPENERS, _CLOSERS = frozenset("<\"'`>|"), frozenset(">\"'`")
_HEADING = 33  # characters in which a heading's colon stands


@dataclass(frozen=True, slots=True)
class Match(Generic[V]):
    start: int
    end: int
    text: str
    value: V


def plain(text: str) -> str:
    """Return text with one kind of line end; both what is known and what is searched go through it."""
    return text.replace("\r\n", "\n")


class TextIndex(Generic[V]):
    """Texts with their values; a text is held as some 300 bytes whatever its length.

    Python's own string hash serves: it is fast, 64 bits wide, and never leaves the process.
    """

    def __init__(self) -> None:
        self._spans: dict[int, tuple[int, ...]] = {}
        self._values: dict[int, V] = {}

    def __len__(self) -> int:
        return len(self._values)

    def add(self, text: str, value: V) -> None:
        """Add a text. One said twice takes the later value; a blank one is ignored."""
        text = plain(text).strip()
        if not text:
            return
        offset, line = self._anchor(text)
        spans = self._spans.get(hash(line), ())
        span = offset * _SPAN + len(text)
        if span not in spans:
            self._spans[hash(line)] = (*spans, span)
        self._values[hash(text)] = value

    def get(self, text: str) -> V | None:
        """Return the value of a known text, stripped and `plain`, that is given as a whole."""
        return self._values.get(hash(text))

    def find(self, text: str) -> list[Match[V]]:
        """Find the known texts in a `plain` text, in order, without those that are part of a longer one."""
        matches = [match for at, line in _readings(text) for match in self._matches(text, at, line)]
        matches.sort(key=lambda match: (match.start, -match.end))
        outer: list[Match[V]] = []
        for match in matches:
            if not outer or match.end > outer[-1].end:
                outer.append(match)
        return outer

    def _anchor(self, text: str) -> tuple[int, str]:
        """Return the line a text is looked up by: an early one that no other text has, where there is one.

        A thousand answers that open with the same sentence would else all be tried for each of them.
        """
        long = ((at, line) for at, line in _lines(text) if len(line) >= _ANCHOR_LENGTH)
        early = list(islice(long, _ANCHORS_TRIED)) or [next(_lines(text))]
        return next((anchor for anchor in early if hash(anchor[1]) not in self._spans), early[0])

    def _matches(self, text: str, at: int, line: str) -> Iterator[Match[V]]:
        for span in self._spans.get(hash(line), ()):
            offset, length = divmod(span, _SPAN)
            start, end = at - offset, at - offset + length
            if start < 0 or end > len(text) or _goes_on(text, end):
                continue
            whole = text[start:end]
            value = self._values.get(hash(whole))
            if value is not None:
                yield Match(start, end, whole, value)


def _goes_on(text: str, end: int) -> bool:
    """Tell whether a word runs across this point, so that what ends here is only part of something else."""
    return end < len(text) and text[end].isalnum() and text[end - 1].isalnum()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that isn't blank, stripped, and where it starts."""
    at = 0
    for line in text.split("\n"):
        bare = line.strip()
        if bare:
            yield at + line.index(bare), bare
        at += len(line) + 1


def _readings(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line, and what is left of it without what a template may have put around the text."""
    for at, line in _lines(text):
        yield at, line
        # The first or last character says for most lines that there is nothing to take away, at a tenth of
        # the cost.
        opens = line[0] in _OPENERS or ":" in line[:_HEADING]
        closes = line[-1] in _CLOSERS
        if not (opens or closes):
            continue
        opening = _OPENING.match(line) if opens else None
        closing = _CLOSING.search(line, max(0, len(line) - _CLOSING_REACH)) if closes else None
        first = opening.end() if opening else 0
        if opening:
            yield at + first, line[first:]
        if closing and closing.start() > first:
            yield at, line[: closing.start()]
            yield at + first, line[first : closing.start()]

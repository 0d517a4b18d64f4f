"""Where the quotes that a judge gives as evidence stand in the response."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from benchmark.text import storable
from judging.prompts.fence import neutralise

WORD = re.compile(r"\S+")


class Searched:
    """A text in which a quote is found though its white space, or the shape of its quotation marks, is another.

    Both are brought to single spaces and straight marks and searched by `str.find`, in time linear in their lengths.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.plain = _plain(text)

    @cached_property
    def starts(self) -> list[int]:
        return [match.start() for match in WORD.finditer(self.text)]

    def find(self, quote: str) -> tuple[int, int] | None:
        wanted = _plain(quote)
        at = self.plain.find(wanted)
        return (self._place(at), self._place(at + len(wanted) - 1) + 1) if at >= 0 else None

    def _place(self, index: int) -> int:
        """Where a character of a word in the plain text stands in the text: the words are the same, and as long."""
        word = self.plain.count(" ", 0, index)
        return self.starts[word] + index - (self.plain.rfind(" ", 0, index) + 1)


def _plain(text: str) -> str:
    for curly, straight in ('“"', '”"', "‘'", "’'"):
        text = text.replace(curly, straight)
    return " ".join(text.split())


def evidence(quotes: Sequence[str], text: str) -> list[dict[str, Any]]:
    """Each quote with its place in the text, or flagged where it isn't there. What was shown neutralised counts too."""
    searched, spans = Searched(text), []
    shown = neutralise(text)
    as_shown = Searched(shown.text) if shown.changes else searched
    for quote in (storable(quote)[0] for quote in quotes if quote.strip()):
        place = searched.find(quote)
        if place is None and shown.changes and (found := as_shown.find(quote)):
            place = shown.original(*found)
        spans.append(
            {"quote": quote, "start": place[0], "end": place[1]}
            if place
            else {"quote": quote, "missing": True}
        )
    return spans

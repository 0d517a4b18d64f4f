"""Where a quote stands in a text, though its white space or its quotation marks differ."""

import re
from functools import cached_property

WORD = re.compile(r"\S+")


class SearchedText:
    """A text in which a quote is found though its white space or its quotation marks are others.

    Both are brought to single spaces and straight marks and searched by `str.find`, in time
    linear in their lengths.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.plain = _plain(text)

    @cached_property
    def starts(self) -> list[int]:
        return [match.start() for match in WORD.finditer(self.text)]

    def find(self, quote: str) -> tuple[int, int] | None:
        """Return where the quote begins and ends in the text; None where it doesn't stand there."""
        wanted = _plain(quote)
        at = self.plain.find(wanted) if wanted else -1
        return (self._place(at), self._place(at + len(wanted) - 1) + 1) if at >= 0 else None

    def _place(self, index: int) -> int:
        """Return where a character of a word in the plain text stands in the text.

        The words are the same in both, and as long.
        """
        word = self.plain.count(" ", 0, index)
        return self.starts[word] + index - (self.plain.rfind(" ", 0, index) + 1)


def _plain(text: str) -> str:
    for curly, straight in ('“"', '”"', "‘'", "’'"):
        text = text.replace(curly, straight)
    return " ".join(text.split())

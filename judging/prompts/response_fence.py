"""The response as a judge is shown it: what imitates our markers,
or a chat template's own tokens, is made harmless."""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from unicodedata import normalize

INSTEAD = "[marker]"
# What nobody sees between two letters: soft hyphens, zero-width and bidirectional marks,
# combining accents, fillers, tags.
_UNSEEN = (
    "\u00ad\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff"
)
_IS_UNSEEN = re.compile(f"[{_UNSEEN}]")
_STYLED = [
    (0x2070, 0x209D),  # superscripts
    (0x2100, 0x2150),  # letterlike signs
    (0x2460, 0x2500),  # circled letters
    (0xFF01, 0xFF5F),  # full-width letters
    (0x1D400, 0x1D800),  # mathematical letters
    (0x1F130, 0x1F18A),  # squared letters
]
_LOOKALIKES = {  # of the Cyrillic and Greek alphabets, and small capitals
    "b": "вВβΒʙ",
    "d": "ԁᴅ",
    "e": "еЕεΕᴇ",
    "g": "ɡɢ",
    "i": "іІιΙɪ",
    "n": "Νɴ",
    "o": "оОοΟᴏ",
    "p": "рРρΡᴘ",
    "r": "гʀ",
    "s": "ѕЅꜱ",
}
_DASHES = "_\\-\u00af\u2010-\u2015\u2043\u207b\u2212\u2500\u2501\u30fc\ufe58\ufe63\uff0d\uff3f~:#"
_OPEN = "\\[\uff3b\u3010\u3014\u3016\u3018\u301a\u27e6\u2045\u2772\ufe5d"


def _spellings() -> dict[str, str]:
    """Return each letter and figure with all that is read as it."""
    lookalikes = defaultdict(str, _LOOKALIKES)
    for code in chain.from_iterable(range(*span) for span in _STYLED):
        lookalikes[normalize("NFKC", chr(code)).casefold()] += chr(code)
    return {sign: sign + sign.upper() + lookalikes[sign] for sign in "0123456789abcdefginoprs"}


_SPELLED = _spellings()


def _word(letters: str) -> str:
    return "".join(f"[{_SPELLED[letter]}][{_UNSEEN}]*+" for letter in letters)


# All repeats are possessive or bounded, so that a megabyte of almost-markers costs no more than its length.
# Each begins with one set of characters and without flags, which lets `re` skip quickly to where a match may
# begin.
_HEX = "".join(_SPELLED[figure] for figure in "0123456789abcdef")
_TAIL = re.compile(f"[{_DASHES}]{{1,3}}+[{_UNSEEN}]*+(?:[{_HEX}][{_UNSEEN}]*+){{8,}}+")
_BRACKETED = re.compile(
    rf"[{_OPEN}][\s{_UNSEEN}]*+/?[\s{_UNSEEN}]*+(?:{_word('begin')}|{_word('end')})[\s{_UNSEEN}]*+"
    rf"(?P<name>{_word('response')}(?:[{_DASHES}]{{1,3}}[\w{_UNSEEN}]{{0,64}}|(?=\d)\w{{1,64}}|(?!\w)))"
)
_TOKEN = r"[\w\-./:\u2581" + _UNSEEN + "]{1,64}"
_CONTROL = re.compile(
    rf"[<\uff1c\[\uff3b](?=[|\uff5c]{_TOKEN}[|\uff5c]?[>\uff1e]|{_TOKEN}[|\uff5c][>\uff1e]"
    r"|[<\uff1c]/?(?i:sys)[>\uff1e]{2}"
    r"|/?(?:s|bos|eos|(?i:(?:start|end)_of_turn|(?:extra_id|special|reserved)_\d{1,6}))[>\uff1e]"
    r"|/?(?i:inst|system_prompt|available_tools|tool_calls|tool_results)[\]\uff3d])"
)


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text as it is shown, with each place where it differs:
    start and end in the text, start and end as shown."""

    text: str
    changes: Sequence[tuple[int, int, int, int]] = ()

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return where a piece of what is shown stands in the text. A changed place counts as a whole."""
        before = bisect_right(self.changes, start, key=lambda change: change[2])
        within = bisect_left(self.changes, end, key=lambda change: change[2])
        return self._place(before, start, 0), self._place(within, end, 1)

    def _place(self, after: int, index: int, side: int) -> int:
        if not after:
            return index
        change = self.changes[after - 1]
        return change[side] if index < change[3] else change[1] + index - change[3]


def neutralise(text: str) -> ShownText:
    """Make a text harmless: a marker's name becomes `[marker]`; a control token gets a space after its first
    character. Nothing else changes."""
    spots = {match.end(): (match.end(), " ") for match in _CONTROL.finditer(text)}
    # Beyond ASCII there are too many ways to write the word.
    if not text.isascii() or "response" in text.lower():
        spots |= {start: (end, INSTEAD) for start, end in _names(text)}
    return (
        _changed(text, sorted((start, *rest) for start, rest in spots.items())) if spots else ShownText(text)
    )


def _names(text: str) -> Iterator[tuple[int, int]]:
    for match in _BRACKETED.finditer(text):
        yield match.span("name")
    for match in _TAIL.finditer(text):  # looked for by its end, as a dash is rarer than an "r"
        start = _begin_of_word(text, match.start())
        if start is not None:
            yield start, match.end()


def _begin_of_word(text: str, end: int) -> int | None:
    """Return where the word `response` that ends here begins; None where none does."""
    at = end
    for letter in reversed("response"):
        while at and _IS_UNSEEN.match(text, at - 1):
            at -= 1
        if not at or text[at - 1] not in _SPELLED[letter]:
            return None
        at -= 1
    return at


def _changed(text: str, spots: Sequence[tuple[int, int, str]]) -> ShownText:
    parts: list[str] = []
    changes: list[tuple[int, int, int, int]] = []
    done = length = 0
    for start, end, instead in spots:
        if start < done:  # a marker's name in what was taken for the end of another's
            continue
        length += start - done
        parts += [text[done:start], instead]
        changes.append((start, end, length, length + len(instead)))
        done, length = end, length + len(instead)
    return ShownText("".join([*parts, text[done:]]), changes)

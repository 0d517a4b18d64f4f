"""What a page shows of a call that was made: the model's words, and the body around them."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from arbiter.calls.answers import read_answer
from arbiter.calls.faults import Fault
from arbiter.core.callrecords import CallRecord
from arbiter.core.text import storable

LONGEST = 200_000  # characters of a text that a page shows


class CutText(NamedTuple):
    """What a page shows of a text, and how long it is."""

    shown: str
    length: int

    @property
    def is_cut(self) -> bool:
        return self.length > len(self.shown)


def cut(text: str) -> CutText:
    return CutText(text[:LONGEST], len(text))


@dataclass(frozen=True)
class AnswerTexts:
    """What an attempt brought: the model's words, then the body around them."""

    text: CutText
    reasoning: CutText
    body: str  # formatted, where it is JSON and not too long for that
    raw: CutText


def answer_texts(attempt: CallRecord) -> AnswerTexts:
    answer = read_answer(attempt.raw)
    if isinstance(answer, Fault):
        return AnswerTexts(cut(""), cut(""), formatted(attempt.raw), cut(attempt.raw))
    said = answer.text or answer.refusal or answer.notice
    return AnswerTexts(
        text=cut(formatted(said) or storable(said)[0]),
        reasoning=cut(storable(answer.reasoning)[0]),
        body=formatted(attempt.raw),
        raw=cut(attempt.raw),
    )


def formatted(text: str) -> str:
    """Spread JSON over lines; empty where the text is no object or list, or one too deep or too long."""
    if len(text) > LONGEST:
        return ""
    try:
        document = json.loads(text)
        return _spread(document) if isinstance(document, (dict, list)) else ""
    except (ValueError, RecursionError):
        return ""


def _spread(document: Any) -> str:
    """Spread a document over lines; empty where that is too long. An escape in it may stand for half a
    character, which no page could be sent with."""
    pieces, size = [], 0
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(document):
        pieces.append(piece)
        if (size := size + len(piece)) > LONGEST:  # where it is deep, the indents are most of it
            return ""
    return storable("".join(pieces))[0]

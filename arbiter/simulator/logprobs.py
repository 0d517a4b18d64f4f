"""The tokens of a simulated judge's answer, with probabilities: those of labels as sure as the judge is."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = 4  # characters
PLAIN, OTHER = 0.999, "~"  # the probability of a token that is no label's, and the token that has the rest
_BEFORE = r"(?:label|decision|grade|severity)[\"*]*\s*[:=]\s*[\"*]*"


@dataclass(frozen=True, slots=True)
class SimulatedToken:
    text: str
    probability: float
    top: tuple[tuple[str, float], ...]  # most likely first, itself among them


def tokens_of(content: str, chances: Mapping[str, float], top: int) -> tuple[SimulatedToken, ...]:
    """Cut an answer into tokens. Where it gives one of the labels, each of its tokens has the chance that the
    labels so far leave to it."""
    label, start = _label_in(content, chances)
    before, after = content[:start], content[start + len(label) :]
    return (*_plain(before), *_of_label(label, chances, top), *_plain(after))


def _label_in(content: str, chances: Mapping[str, float]) -> tuple[str, int]:
    longest_first = "|".join(re.escape(label) for label in sorted(chances, key=len, reverse=True))
    place = re.search(f"{_BEFORE}({longest_first})", content, re.IGNORECASE) if chances else None
    return (place[1], place.start(1)) if place else ("", len(content))


def _plain(text: str) -> list[SimulatedToken]:
    return [SimulatedToken(piece, PLAIN, ((piece, PLAIN), (OTHER, 1 - PLAIN))) for piece in _pieces(text)]


def _pieces(text: str) -> list[str]:
    return [text[at : at + TOKEN] for at in range(0, len(text), TOKEN)]


def _of_label(label: str, chances: Mapping[str, float], top: int) -> list[SimulatedToken]:
    made = []
    for at, piece in zip(range(0, len(label), TOKEN), _pieces(label), strict=True):
        left = {one: chance for one, chance in chances.items() if one.startswith(label[:at]) and one[at:]}
        of_piece: dict[str, float] = {}
        for one, chance in left.items():
            following = one[at : at + TOKEN]
            of_piece[following] = of_piece.get(following, 0.0) + chance / sum(left.values())
        ordered = sorted(of_piece.items(), key=lambda pair: (-pair[1], pair[0]))
        made.append(SimulatedToken(piece, of_piece[piece], tuple(ordered[:top])))
    return made


def logarithm(probability: float) -> float:
    return math.log(probability) if probability > 0 else -9999.0


def as_openai(tokens: tuple[SimulatedToken, ...], top: int) -> dict[str, Any]:
    """Return tokens as a choice of a chat completion has them."""

    def told(text: str, probability: float) -> dict[str, Any]:
        return {"token": text, "logprob": logarithm(probability), "bytes": list(text.encode())}

    content = [
        told(one.text, one.probability) | {"top_logprobs": [told(*other) for other in one.top[:top]]}
        for one in tokens
    ]
    return {"content": content, "refusal": None}


def as_gemini(tokens: tuple[SimulatedToken, ...], top: int) -> dict[str, Any]:
    """Return tokens as a candidate of generateContent has them."""

    def told(text: str, probability: float) -> dict[str, Any]:
        return {"token": text, "logProbability": logarithm(probability)}

    return {
        "topCandidates": [{"candidates": [told(*other) for other in one.top[:top]]} for one in tokens],
        "chosenCandidates": [told(one.text, one.probability) for one in tokens],
    }

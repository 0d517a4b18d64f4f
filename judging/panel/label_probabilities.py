"""A judge's probability over labels, from the logprobs of its answer's tokens. Pure.

The label's first token, and those after it until one label is left, tell how likely the judge was to begin
each other label there. docs/judges.md says what that leaves out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arbiter.calls.answers import Completion
from arbiter.calls.logprobs import Token, tokens_of

LEAST_COVERED = 0.5  # of the probability that has to be on labels
SEPARATORS = b" \t\r\n\"'`*:=[({"
BEFORE = r"""(?<![\w-])(?:final[ _])?(?:label|decision)["'`*_]*\s*[:=]\s*["'`*\[({]*"""
KEYS = ('label":', 'decision":', 'final_label":', 'final label":', 'label" :', 'decision" :')
GOES_ON = re.compile(rb"[\w-]|[\x80-\xff]")  # a label that ended would not


@dataclass(frozen=True, slots=True)
class LabelProbabilities:
    """How likely the judge was to give each label, of all that would have been one.

    With `shared`, which lies on beginnings that several labels have and is no single one's, they sum to 1.
    """

    labels: Mapping[str, float]  # by the scheme's key
    shared: float
    covered: float  # of the whole probability at the label's place, what was told of labels

    def as_json(self) -> dict[str, Any]:
        return {
            "labels": {key: round(value, 6) for key, value in self.labels.items()},
            "shared": round(self.shared, 6),
            "covered": round(self.covered, 6),
        }


@dataclass(frozen=True, slots=True)
class NoProbabilities:
    """Why there are none, in a clause."""

    why: str

    def as_json(self) -> dict[str, Any]:
        return {"why": self.why}


def label_probabilities(
    answer: Completion, given: str, meant: Mapping[str, str]
) -> LabelProbabilities | NoProbabilities:
    """Return the probabilities of the labels at the place where the answer gives its own.

    `given` is the scheme's key of its label, `meant` the words that labels are given by, with their keys.
    """
    tokens = tokens_of(answer.logprobs)
    if not tokens:
        return NoProbabilities("the service told no logprobs that can be read")
    spelled, text = b"".join(token.said for token in tokens), answer.text.encode(errors="replace")
    begins = spelled.rfind(text)
    if not text or begins < 0:
        return NoProbabilities("the tokens do not spell the answer")
    place = _place(answer.text, given, meant)
    if isinstance(place, NoProbabilities):
        return place
    return _told(tokens, begins + place, {word.lower().encode(): key for word, key in meant.items()})


def _place(text: str, given: str, meant: Mapping[str, str]) -> int | NoProbabilities:
    """Return how many bytes of the text stand before its label."""
    words = sorted((word for word, key in meant.items() if key == given), key=len, reverse=True)
    named = "|".join(re.escape(word) for word in words)
    found = list(re.finditer(rf"{BEFORE}({named})(?![\w-])", text, re.IGNORECASE)) if words else []
    if len(found) > 1:  # a rationale may name it too, and stands in a text of JSON
        found = [one for one in found if _is_key(text, one)] or found
    if len(found) != 1:
        often = "more than once" if found else "in no form that is looked for"
        return NoProbabilities(f"the answer names its label {often}")
    return len(text[: found[0].start(1)].encode(errors="replace"))


def _is_key(text: str, found: re.Match[str]) -> bool:
    """Tell whether what names the label is a key of a JSON object, and not part of a text in one."""
    before = text[: found.start()]
    return before.endswith('"') and not before.endswith('\\"') and found[0].lower().startswith(KEYS)


def _told(
    tokens: Sequence[Token], place: int, words: Mapping[bytes, str]
) -> LabelProbabilities | NoProbabilities:
    """Walk along the tokens from the one that holds the label's first byte, until one label is left."""
    masses, shared, path, said = dict.fromkeys(words.values(), 0.0), 0.0, 1.0, b""
    for token in _from_place(tokens, place):
        for other, probability in token.alternatives():
            left = _left(said + other, words)
            if len(left) == 1:
                masses[left.pop()] += path * probability
            elif left:
                shared += path * probability
        path, said = path * token.probability, said + token.said
        left = _left(said, words)
        if len(left) == 1:
            masses[left.pop()] += path
            return _over_labels(masses, shared)
        if not left:
            return NoProbabilities("the tokens do not spell one of the labels")
    return NoProbabilities("the answer ended before one label was left")


def _from_place(tokens: Sequence[Token], place: int) -> Sequence[Token]:
    end = 0
    for number, token in enumerate(tokens):
        end += len(token.said)
        if end > place:
            return tokens[number:]
    return ()


def _left(said: bytes, words: Mapping[bytes, str]) -> set[str]:
    """Return the labels that may still be said, or were, after these bytes. What stands around a label is not
    looked at: a quotation mark of JSON, a space."""
    begun = said.lower().lstrip(SEPARATORS)
    return {key for word, key in words.items() if word.startswith(begun) or _has_ended(begun, word)}


def _has_ended(begun: bytes, word: bytes) -> bool:
    return begun.startswith(word) and not GOES_ON.match(begun, len(word))


def _over_labels(masses: Mapping[str, float], shared: float) -> LabelProbabilities | NoProbabilities:
    covered = sum(masses.values()) + shared
    if covered < LEAST_COVERED:
        return NoProbabilities(f"only {100 * covered:.0f} % of the probability is on labels")
    over = {key: mass / covered for key, mass in masses.items()}
    return LabelProbabilities(over, shared / covered, min(1.0, covered))

"""The tokens of an answer with their probabilities, as chat completions and Gemini tell them. Pure.

Tokens are bytes: one may hold a part of a character.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was written, and those most likely in its place, itself among them or not."""

    said: bytes
    probability: float
    top: tuple[tuple[bytes, float], ...] = ()

    def alternatives(self) -> list[tuple[bytes, float]]:
        """Return the other tokens that are told, each with its probability."""
        others = list(self.top)
        own = next((one for one in others if one[0] == self.said), None)
        if own:
            others.remove(own)
        return others


def tokens_of(told: Any) -> tuple[Token, ...]:
    """Read the `logprobs` of a choice, or Gemini's `logprobsResult`; nothing where there are none in it that
    can be read."""
    if not isinstance(told, Mapping):
        return ()
    try:
        if isinstance(told.get("content"), list):
            return tuple(_token(one, one.get("top_logprobs") or ()) for one in told["content"])
        tops = [one.get("candidates") or () for one in told.get("topCandidates") or ()]
        chosen = told.get("chosenCandidates") or ()
        return tuple(_token(one, top) for one, top in zip(chosen, tops, strict=True))
    except (AttributeError, LookupError, TypeError, ValueError):
        return ()


def _token(one: Mapping[str, Any], top: Sequence[Mapping[str, Any]]) -> Token:
    return Token(_bytes(one), _probability(one), tuple((_bytes(other), _probability(other)) for other in top))


def _bytes(one: Mapping[str, Any]) -> bytes:
    spelled = one.get("bytes")
    return bytes(spelled) if isinstance(spelled, list) else str(one.get("token", "")).encode(errors="replace")


def _probability(one: Mapping[str, Any]) -> float:
    """Return a token's probability. A service says -9999 of one that is too unlikely for its list, and
    Gemini leaves out a logarithm of 0."""
    logprob = float(one.get("logprob", one.get("logProbability", 0.0)))
    if math.isnan(logprob) or logprob > 0.01:
        raise ValueError("no logarithm of a probability")
    return math.exp(min(0.0, logprob))

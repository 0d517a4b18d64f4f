"""Reasoning before the answer: how many tokens it takes, how it looks, and what a budget leaves of both."""

from arbiter.simulator.chat_request import ChatRequest
from arbiter.simulator.seeded_draws import SeededDraws

LEAST, MOST = 200, 600  # tokens, at medium effort
EFFORTS = {"none": 0.0, "minimal": 0.1, "low": 0.4, "medium": 1.0, "high": 2.5, "xhigh": 4.0, "max": 4.0}
CHARACTERS = 4  # to a token

_THOUGHT = (
    "Let me look at this once more: what was asked, what the response commits to, and which label says that. "
)


def tokens_of(text: str) -> int:
    return -(-len(text) // CHARACTERS)


def spent(chat: ChatRequest, about: str) -> int:
    """Return the tokens of reasoning, the same whenever one model is asked about one text with one seed."""
    drawn = SeededDraws("thinking", chat.model, about, chat.seed).between(LEAST, MOST)
    return round(drawn * EFFORTS[chat.effort or "medium"])


def thoughts(tokens: int) -> str:
    length = tokens * CHARACTERS
    return (_THOUGHT * (length // len(_THOUGHT) + 1))[:length]


def within(budget: int | None, thinking: int, content: str) -> tuple[int, str, bool]:
    """Return what a budget of tokens leaves of both, and whether it cut anything off."""
    if budget is None:
        return thinking, content, False
    if thinking >= budget:
        return budget, "", True
    room = (budget - thinking) * CHARACTERS
    return thinking, content[:room], len(content) > room

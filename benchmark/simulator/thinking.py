"""Reasoning before the answer: how many tokens it takes, what it looks like, and what a budget leaves of both."""

from benchmark.simulator.draws import Draws
from benchmark.simulator.question import Question

LEAST, MOST = 200, 600  # tokens, at medium effort
EFFORTS = {"none": 0.0, "minimal": 0.1, "low": 0.4, "medium": 1.0, "high": 2.5, "xhigh": 4.0, "max": 4.0}
CHARACTERS = 4  # to a token

_THOUGHT = (
    "Let me look at this once more: what was asked, what the response commits to, and which label says that. "
)


def tokens_of(text: str) -> int:
    return -(-len(text) // CHARACTERS)


def spent(question: Question, about: str) -> int:
    """Tokens of reasoning, the same whenever the same model is asked about the same text with the same seed."""
    drawn = Draws("thinking", question.model, about, question.seed).between(LEAST, MOST)
    return round(drawn * EFFORTS[question.effort or "medium"])


def thoughts(tokens: int) -> str:
    length = tokens * CHARACTERS
    return (_THOUGHT * (length // len(_THOUGHT) + 1))[:length]


def within(budget: int | None, thinking: int, content: str) -> tuple[int, str, bool]:
    """What a budget of tokens leaves of both, and whether it cut anything off."""
    if budget is None:
        return thinking, content, False
    if thinking >= budget:
        return budget, "", True
    room = (budget - thinking) * CHARACTERS
    return thinking, content[:room], len(content) > room

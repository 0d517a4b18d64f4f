"""What the simulated provider sent, as `GET /stats` tells it."""

from collections import Counter
from typing import Any

from arbiter.simulator.chat_request import ChatRequest
from arbiter.simulator.injected_faults import RequestOutcome


class Stats:
    """What became of every request for a completion, and how many were under way at once."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.models: dict[str, Counter[str]] = {}
        self.dialects: dict[str, Counter[str]] = {}
        self.tokens: Counter[str] = Counter()
        self.in_flight = self.peak_in_flight = self.answered_again = 0
        self._answered: set[int] = set()

    def arrive(self) -> None:
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def leave(self, outcome: RequestOutcome, model: str, dialect: str) -> None:
        self.in_flight -= 1
        self.outcomes[outcome] += 1
        self.models.setdefault(model, Counter())[outcome] += 1
        self.dialects.setdefault(dialect, Counter())[outcome] += 1

    def answered(self, chat: ChatRequest, prompt_tokens: int, completion_tokens: int) -> None:
        """Count a whole answer, sent without a fault."""
        self.tokens["prompt"] += prompt_tokens
        self.tokens["completion"] += completion_tokens
        same = hash((chat.model, chat.messages, chat.seed, chat.budget))
        self.answered_again += same in self._answered
        self._answered.add(same)

    def as_dict(self) -> dict[str, Any]:
        return {
            "requests": self.outcomes.total() + self.in_flight,
            "kinds": dict(self.outcomes),
            "models": _plain(self.models),
            "dialects": _plain(self.dialects),
            "tokens": {"prompt": self.tokens["prompt"], "completion": self.tokens["completion"]},
            "answered_again": self.answered_again,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
        }


def _plain(counters: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: dict(counts) for name, counts in counters.items()}

"""Messages of what failed, alike ones in one group."""

import re
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

NUMBERED = re.compile(r"\b[\w.-]*\d[\w.-]*")  # numbers, and ids made up for one call
GROUPS = 20
T = TypeVar("T")


def alike(message: str) -> str:
    """Return a form that is the same for messages that differ in numbers alone."""
    return NUMBERED.sub("#", message)[:200]


def most_frequent(keyed: Iterable[tuple[Hashable, T]], at_most: int = GROUPS) -> list[tuple[T, int]]:
    """Return the first of each group of what has one key, with the group's number, the largest first."""
    counts: Counter[Hashable] = Counter()
    examples: dict[Hashable, T] = {}
    for key, one in keyed:
        counts[key] += 1
        examples.setdefault(key, one)
    return [(examples[key], count) for key, count in counts.most_common(at_most)]


def grouped(messages: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the most frequent reasons, each with how often it was told, and its first message and place."""
    groups = most_frequent((alike(message), (message, place)) for message, place in messages)
    return [{"count": count, "reason": message, "task": place} for (message, place), count in groups]

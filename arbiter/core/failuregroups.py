"""Messages of what failed, alike ones in one group."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

NUMBERED = re.compile(r"\b[\w.-]*\d[\w.-]*")  # numbers, and ids made up for one call
GROUPS = 20


def alike(message: str) -> str:
    """Return a form that is the same for messages that differ in numbers alone."""
    return NUMBERED.sub("#", message)[:200]


def grouped(messages: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the most frequent reasons, each with how often it was told, and its first message and place."""
    counts: Counter[str] = Counter()
    examples: dict[str, tuple[str, str]] = {}
    for message, place in messages:
        counts[alike(message)] += 1
        examples.setdefault(alike(message), (message, place))
    return [
        {"count": count, "reason": examples[key][0], "task": examples[key][1]}
        for key, count in counts.most_common(GROUPS)
    ]

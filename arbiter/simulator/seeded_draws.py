"""Draws that depend on nothing but what they are for: same request, same answer, in any process."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from arbiter.core.text import digest

T = TypeVar("T")


class SeededDraws:
    """A stream of draws seeded by its parts.

    Everything is derived from `Random.random()`, the one method whose sequence Python promises to keep.
    """

    def __init__(self, *parts: str) -> None:
        self._random = random.Random(int(digest(*parts), 16))

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self._random.random() * len(options))]

    def weighted(self, weights: Mapping[str, float]) -> str:
        """Draw one key, each with a chance in proportion to its weight."""
        left = self._random.random() * sum(weights.values())
        for key, weight in weights.items():
            left -= weight
            if left < 0:
                return key
        return next(reversed([key for key, weight in weights.items() if weight > 0]))

    def hex(self, digits: int) -> str:
        return f"{int(self._random.random() * 16**digits):0{digits}x}"

"""What takes long to count and may be a little old: kept for a while in this process, and only if it did take long."""

from collections.abc import Callable
from time import monotonic
from typing import TypeVar, cast

from django.core.cache import cache

T = TypeVar("T")
SLOW = 0.02  # seconds


def remembered(key: str, count: Callable[[], T], *, seconds: float, slow: float = SLOW) -> T:
    """What was counted no longer than `seconds` ago, else counted now."""
    kept = cache.get(key)
    if kept is not None:
        return cast(T, kept[0])
    clock = monotonic()
    found = count()
    if monotonic() - clock >= slow:
        cache.set(key, (found,), seconds)
    return found

"""A cache in this process of what takes long to count and may be a little old."""

from collections.abc import Callable
from time import monotonic
from typing import TypeVar, cast

from django.core.cache import cache

T = TypeVar("T")
SLOW = 0.02  # seconds


def remembered(key: str, count: Callable[[], T], *, seconds: float, slow: float | None = None) -> T:
    """Return what was counted no longer than `seconds` ago, else count it now.

    It is kept where the counting took `slow` seconds (else SLOW) or more.
    """
    kept = cache.get(key)
    if kept is not None:
        return cast(T, kept[0])
    began = monotonic()
    counted = count()
    if monotonic() - began >= (SLOW if slow is None else slow):
        cache.set(key, (counted,), seconds)
    return counted

"""How many requests the simulated provider takes: at once, and a second."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Limits:
    """A token bucket that holds a second's worth of requests, and how many are under way; 0 is no limit."""

    def __init__(
        self,
        per_second: float = 0.0,
        at_once: int = 0,
        *,
        wait: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate, self._at_once, self._wait, self._clock = per_second, at_once, wait, clock
        self._size = max(1.0, per_second)
        self._left, self._looked = self._size, clock()
        self._under_way = 0

    def enter(self) -> float | None:
        """Let a request in, which has to `leave`, and return None; else return the seconds to wait."""
        if self._at_once and self._under_way >= self._at_once:
            return self._wait
        if self._rate:
            self._refill()
            if self._left < 1:
                return (1 - self._left) / self._rate
            self._left -= 1
        self._under_way += 1
        return None

    def leave(self) -> None:
        self._under_way -= 1

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._looked) * self._rate)
        self._looked = now

    def headers(self, *, like_openai: bool, like_anthropic: bool) -> dict[str, str]:
        """Return the state of the bucket, as these two services tell it with every answer."""
        if not self._rate:
            return {}
        self._refill()
        limit, left = str(int(self._size)), str(int(self._left))
        full_in = (self._size - self._left) / self._rate
        headers: dict[str, str] = {}
        if like_openai:
            headers |= _named("x-ratelimit-{}-requests", limit, left, duration(full_in))
        if like_anthropic:
            headers |= _named("anthropic-ratelimit-requests-{}", limit, left, _moment_in(full_in))
        return headers


def _named(pattern: str, limit: str, remaining: str, reset: str) -> dict[str, str]:
    return {
        pattern.format("limit"): limit,
        pattern.format("remaining"): remaining,
        pattern.format("reset"): reset,
    }


def duration(seconds: float) -> str:
    """Write seconds as OpenAI does: 120ms, 1s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _moment_in(seconds: float) -> str:
    """Write the moment in so many seconds, by RFC 3339, in whole seconds, never earlier than meant."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds + 1 if seconds else 0)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

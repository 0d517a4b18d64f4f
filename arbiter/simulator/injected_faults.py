"""The faults of answers, and when they come: drawn per request from generators of their own."""

import random
from collections.abc import Mapping
from enum import StrEnum


class RequestOutcome(StrEnum):
    """What became of a request; the keys of `GET /stats`."""

    OK = "ok"
    RATE_LIMIT = "429"
    ERROR = "500"  # whatever status the dialect has for it
    CUT = "cut"
    GARBAGE = "garbage"
    GARBLE = "garble"
    REFUSAL = "refusal"
    LENGTH = "length"  # by a fault, or by the request's own token limit
    HANG = "hang"
    BAD_REQUEST = "400"
    NOT_FOUND = "404"
    ABANDONED = "abandoned"  # the client went away before it was answered


class Faults:
    """The sequence of faults: the n-th request's fault depends on the shares and the seed alone."""

    def __init__(self, shares: Mapping[RequestOutcome, float], seed: int) -> None:
        self._shares = dict(shares)
        self._random = random.Random(f"faults {seed}")

    def next(self) -> RequestOutcome:
        left = self._random.random()
        for outcome, share in self._shares.items():
            left -= share
            if left < 0:
                return outcome
        return RequestOutcome.OK


class Latency:
    """Seconds until an answer. Its generator is not the faults', so a spread changes no fault."""

    def __init__(self, fixed: float, spread: float, seed: int) -> None:
        self._fixed, self._spread = fixed, spread
        self._random = random.Random(f"latency {seed}")

    def next(self) -> float:
        if not self._spread:
            return self._fixed
        return max(0.0, self._fixed + self._random.uniform(-self._spread, self._spread))

"""Signals that a command sends itself in the midst of its work: where a test sent them, the work might be
over by then on a machine that is busy with other things."""

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any


def after_calls(number: int, signal_number: int, seconds: float = 0.0) -> Callable[[], None]:
    """Return what has a process send itself the signal so long after it has stored so many calls; for
    `processes.start`."""
    return partial(_strike, number, signal_number, seconds)


def _strike(number: int, signal_number: int, seconds: float) -> None:
    from arbiter.calls.engine import Engine

    stored, left = Engine._stored, number

    def counting(engine: Engine, batch: list[Any]) -> None:
        nonlocal left
        stored(engine, batch)
        before, left = left, left - len(batch)
        if left <= 0 < before:
            threading.Timer(seconds, os.kill, (os.getpid(), signal_number)).start()

    Engine._stored = counting  # type: ignore[assignment, method-assign]

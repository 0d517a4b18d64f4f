"""Signals that a command sends itself in the midst of its work: where a test sent them, the work might be
over by then on a machine that is busy with other things."""

import os
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import django


def after_calls(number: int, signal_number: int, seconds: float = 0.0) -> Callable[[], None]:
    """Return what has a process send itself the signal so long after it has stored so many calls; for
    `processes.start`."""
    return partial(_strike, number, signal_number, seconds)


def at_call(place: str, number: int, signal_number: int, **numbers: int) -> Callable[[], None]:
    """Return what has a process send itself the signal as it comes to this call, by number, of a method:
    `module:Class.method`; for `processes.start`. Before, names of a module become other numbers:
    `module__NAME`, with __ for the dots too."""
    return partial(_once_set_up, partial(_strike_at, place, number, signal_number, numbers))


def _once_set_up(step: Callable[[], None]) -> None:
    """Take a step when Django is ready: what is to be struck may have models."""
    set_up = django.setup

    def setup(*arguments: Any, **named: Any) -> None:
        set_up(*arguments, **named)
        step()

    django.setup = setup


def _strike_at(place: str, number: int, signal_number: int, numbers: dict[str, int]) -> None:
    for name, value in numbers.items():
        in_module, _, constant = name.rpartition("__")
        setattr(import_module(in_module.replace("__", ".")), constant, value)
    module, _, method = place.partition(":")
    owner_name, _, name = method.partition(".")
    owner = getattr(import_module(module), owner_name)
    called, left = getattr(owner, name), number

    def counting(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal_number)
        return called(*arguments, **named)

    setattr(owner, name, counting)


def at_first_permit(signal_number: int) -> Callable[[], None]:
    """Return what has a process send itself the signal when calls were permitted for the first time: their
    rows are written, and none has set out."""
    return partial(_strike_permitted, signal_number)


def _strike_permitted(signal_number: int) -> None:
    from arbiter.calls.engine import Engine

    launch = Engine._launch

    def struck(engine: Engine, lane: Any) -> None:
        if any(job.metered for job in lane.ready):
            os.kill(os.getpid(), signal_number)
        launch(engine, lane)

    Engine._launch = struck  # type: ignore[method-assign]


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

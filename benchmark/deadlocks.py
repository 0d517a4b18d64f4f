"""Of transactions that wait for one another PostgreSQL ends one, and that may simply be tried again."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

DEADLOCK = "40P01"
TRIES = 5
Given = ParamSpec("Given")
Made = TypeVar("Made")


def again_after_deadlock(call: Callable[Given, Made]) -> Callable[Given, Made]:
    """For what is one transaction: nothing of it has happened when the database gives it up."""

    @wraps(call)
    def tried(*given: Given.args, **named: Given.kwargs) -> Made:
        for _ in range(TRIES - 1):
            try:
                return call(*given, **named)
            except OperationalError as error:
                if connection.in_atomic_block or getattr(error.__cause__, "sqlstate", "") != DEADLOCK:
                    raise
        return call(*given, **named)

    return tried

"""Of transactions that wait for one another PostgreSQL ends one, and that may simply be tried again."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

DEADLOCK = "40P01"
TRIES = 5
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def again_after_deadlock(call: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Try one transaction again after a deadlock: when the database ends it, nothing of it has happened."""

    @wraps(call)
    def tried(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        for _ in range(TRIES - 1):
            try:
                return call(*arguments, **named)
            except OperationalError as error:
                if connection.in_atomic_block or getattr(error.__cause__, "sqlstate", "") != DEADLOCK:
                    raise
        return call(*arguments, **named)

    return tried

"""Several callers at the same moment, each with a database connection of its own."""

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from tests.waiting import wait_until


def together(*calls: Callable[[], Any], connects: bool = True) -> list[Any]:
    """Return what each call returned, or the exception it ended with."""
    results: list[Any] = [None] * len(calls)
    ready = threading.Barrier(len(calls))

    def run(place: int) -> None:
        try:
            if connects:
                connection.ensure_connection()  # beforehand: it takes longer than what is to be raced
            ready.wait()
            results[place] = calls[place]()
        except Exception as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def expect_no_errors(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def wait_for_a_waiter() -> None:
    """Wait until another connection waits for a lock that this one has. SQLite doesn't tell who waits; there
    a moment has to do, and without one less would be tested, but nothing fail."""
    if connection.vendor != "postgresql":
        time.sleep(0.3)
        return
    asked = "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    with connection.cursor() as cursor:
        wait_until(lambda: cursor.execute(asked) and cursor.fetchone())

"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable


def wait_until(so: Callable[[], object], within: float = 600.0) -> None:
    """Wait until something is so. The time is what a slow machine may take, no measure."""
    deadline = time.monotonic() + within
    while not so():
        assert time.monotonic() < deadline, f"nothing came of it within {within:g} s"
        time.sleep(0.01)

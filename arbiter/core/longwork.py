"""How long work tells how far it is, and learns that it is to stop."""

from typing import Protocol


class WorkStopped(Exception):
    """Raised in work that was cancelled, or whose worker was told to stop."""


class WorkCancelled(Exception):
    """Raised in work that was taken back and has removed what it had written."""


class WorkPutOff(Exception):
    """Raised in work that may not end half-done and can't go on now; its text says why. It is tried again."""


class TellProgress(Protocol):
    """What long work calls now and then.

    It may raise WorkStopped, so not where something would be left half-done.
    """

    def __call__(self, done: int, total: int, doing: str = "") -> None:
        """Tell how much of how much is done, and what comes next."""


def tell_nobody(done: int, total: int, doing: str = "") -> None:
    """Stand in where nobody asks how far work is."""

"""An import seen through by a command, with a bar of how far it is."""

from collections.abc import Callable
from typing import Any

from annotation.importing.importjob import see_through
from arbiter.cli.commandline import progress_bar
from arbiter.core.models import Job


def seen_through(job: Job, stopping: Callable[[], bool]) -> dict[str, Any]:
    """Work on the import, or wait for whoever does, until it is over; return what it made."""
    with progress_bar(f"import {job.pk}", job.total) as advance:
        done = 0

        def show(now: Job) -> None:
            nonlocal done
            advance(now.done - done)
            done = now.done

        return see_through(job, stopping, show)

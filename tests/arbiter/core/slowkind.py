"""A kind of job that waits until it is let go, for tests that end its worker meanwhile; as a
program, a worker that does it.
"""

from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any


@dataclass(frozen=True)
class SlowArguments:
    gate: str  # a path: it goes on once there is something
    note: str  # a path: a line for each time that it began

    def __str__(self) -> str:
        return "slowly"


def work(asked: SlowArguments, running: Any) -> dict[str, Any]:
    out = running.folder / "slow.txt"
    out.write_text("half")
    with Path(asked.note).open("a") as note:
        note.write(f"{running.folder.name}\n")
    while not Path(asked.gate).exists():
        running(1, 2, "waiting")
        sleep(0.01)
    out.write_text("whole")
    return {"words": 1}


def add() -> None:
    from arbiter.core.jobkinds import JobKind, register_job_kind

    register_job_kind(JobKind("slow", "Slow", SlowArguments, work))


if __name__ == "__main__":
    import django

    django.setup()
    add()
    from arbiter.core.jobworkers import JobWorker
    from arbiter.core.stopsignal import StopSignal

    JobWorker(StopSignal(), wait_for_others=True).run()

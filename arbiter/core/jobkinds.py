"""Kinds of jobs, which rooms register, and asking for one.

A kind is registered when its room is ready, with a function that takes its arguments and what to call as it
goes on. The row is the job: whoever asks writes it, workers look for it by themselves, and a broker only
wakes them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.conf import settings
from django.db import transaction

from arbiter.core.clock import Moment
from arbiter.core.errors import UserError
from arbiter.core.jobfiles import data_folder_id
from arbiter.core.models import Job

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from arbiter.core.jobworkers import RunningJob

WAITING_AT_MOST = 10  # unfinished jobs of one person
A = TypeVar("A")
State = Job.State


@dataclass(frozen=True)
class JobKind(Generic[A]):
    """What can be asked for.

    Its arguments are a frozen dataclass of what JSON holds; as text, it says what was asked.
    """

    name: str
    title: str
    arguments: type[A]
    work: "Callable[[A, RunningJob], dict[str, Any]]"  # puts its file, if any, into the folder it is given
    makes_file: bool = True
    # What is asked of one before a worker takes it: an import waits for another into the same study.
    may_begin: Callable[[Job], bool] = lambda job: True
    # What may not end half-done: it is tried again until it ends, and takes itself back in its own way.
    cancel: Callable[[Job], bool] | None = None

    @property
    def keeps_on(self) -> bool:
        return self.cancel is not None

    def read(self, job: Job) -> A:
        """Return the job's arguments."""
        try:
            return self.arguments(**job.arguments)
        except TypeError as error:
            raise UserError("It was asked for in another version of Arbiter; ask again.") from error


JOB_KINDS: dict[str, JobKind[Any]] = {}


def register_job_kind(kind: JobKind[Any]) -> None:
    JOB_KINDS[kind.name] = kind


def ask_for_job(
    name: str, arguments: Any, *, study: int | None, by: "User | None" = None, owners_only: bool = False
) -> Job:
    """Return the job that does it: the very same that somebody asked for and waits for, else a new one. It is
    a study's, or with None the installation's."""
    kind, wanted = JOB_KINDS[name], asdict(arguments)
    waiting = list(Job.objects.unfinished().filter(by=by, place__in=["", data_folder_id()])) if by else []
    for job in waiting:
        if (job.kind, job.study, job.arguments) == (name, study, wanted):
            return job
    if len(waiting) >= WAITING_AT_MOST:
        raise UserError(f"{len(waiting)} jobs that you asked for are not done yet; wait, or cancel some.")
    job = Job.objects.create(
        kind=name,
        arguments=wanted,
        study=study,
        by=by,
        owners_only=owners_only,
        place=data_folder_id() if kind.makes_file else "",
    )
    _wake_workers()
    return job


def cancel_job(job: Job) -> bool:
    """Take back a job, and tell whether it was not over. A worker at it learns of it within two seconds."""
    kind = JOB_KINDS.get(job.kind)
    if kind and kind.cancel:
        return kind.cancel(job)
    unfinished = Job.objects.filter(pk=job.pk).unfinished()
    return bool(unfinished.conclude(State.CANCELLED, finished_at=Moment()))


def _wake_workers() -> None:
    """Tell workers, once the row is there. With no broker, `runworker` finds it by itself."""
    if settings.CELERY_BROKER_URL:
        from arbiter.core.tasks import wake_for_jobs  # loads Celery

        transaction.on_commit(wake_for_jobs)

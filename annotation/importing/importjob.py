"""The job that publishes an import, and asking for it, taking it back and seeing it through."""

from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import Any

from django.db import connection, transaction

from annotation.importing.publishing import publish
from annotation.importing.staging import Staging, is_staged
from annotation.importing.steps import REVERSIBLE, Checkpoint, ImportCount, Phase, Steps
from annotation.studyfinder import find_study
from arbiter.core import jobworkers
from arbiter.core.errors import UserError
from arbiter.core.jobfiles import data_folder_id
from arbiter.core.jobkinds import JobKind
from arbiter.core.jobworkers import RunningJob, claim_next_job, doable_jobs
from arbiter.core.models import Job
from arbiter.core.text import folded
from benchmark.importunderway import KIND, unfinished_imports

LOOK_SECONDS = 0.2
LOST = "Its staging folder is not here:"
# Of two that ask at one moment on PostgreSQL the one with the lower number is to be seen first.
ONE_ASKS = "SELECT pg_advisory_xact_lock(hashtext('arbiter import'))"


@dataclass(frozen=True)
class ImportArguments:
    folder: str  # in which it is staged
    suite: str
    study: str
    rows: int

    def __str__(self) -> str:
        return f"{self.rows:,} responses of suite {self.suite} into study {self.study}"


def run_import(asked: ImportArguments, running: RunningJob) -> dict[str, Any]:
    return publish(Steps(running, asked.folder, asked.rows))


def ask_for_import(folder: str) -> Job:
    """Return the job that will publish what is staged in this folder."""
    names = Staging(folder).names
    study = find_study(names.study)
    asked = ImportArguments(folder, names.suite, names.study, names.rows)
    begins = Checkpoint(count=ImportCount(holding_reasoning=names.holding_reasoning))
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(ONE_ASKS)
        return Job.objects.create(
            kind=KIND,
            arguments=vars(asked),
            study=study.pk if study else None,
            owners_only=True,
            place=data_folder_id(),
            total=2 * names.rows,
            checkpoint=begins.as_json(),
        )


def may_begin(job: Job) -> bool:
    """Tell whether no import that was asked for before goes to the same suite or study: they take turns."""
    before = unfinished_imports().filter(pk__lt=job.pk)
    return not any(_goes_together(job, other) for other in before)


def in_turn(job: Job) -> list[Job]:
    """Return the imports that are to be over before this one is, which is the last of them."""
    turn = [job]
    for other in unfinished_imports().filter(pk__lt=job.pk).order_by("-pk"):
        if any(_goes_together(one, other) for one in turn):
            turn.insert(0, other)
    return turn


def _goes_together(job: Job, other: Job) -> bool:
    return any(folded(job.arguments[what]) == folded(other.arguments[what]) for what in ("suite", "study"))


# Taking back


def take_back(job: Job) -> bool:
    """Have an import's rows taken out by whoever works on it next, and tell whether it was not over. A worker
    at it stops within a second. Items that have begun to enter the study stay, and so an import is not taken
    back then, but ended where nobody could go on with it."""
    with transaction.atomic():
        locked = Job.objects.select_for_update().filter(pk=job.pk).unfinished().first()
        if locked is None:
            return False
        state = Checkpoint.read(locked.checkpoint)
        if state.phase in REVERSIBLE:
            state.begin(Phase.LEAVING)
        elif state.phase == Phase.ENTERING and _is_lost(locked):
            state.end_early(LOST, locked.arguments["rows"])
        elif state.phase != Phase.LEAVING:
            _refuse_to_take_back(locked)
        Job.objects.filter(pk=job.pk).update(
            state=Job.State.OPEN, lease="", leased_until=None, place="", checkpoint=state.as_json()
        )
    return True


def _is_lost(job: Job) -> bool:
    """Tell whether nobody can go on with an import, as with one out of a backup: it is staged elsewhere, and
    no worker is at it."""
    at_work = Job.objects.filter(pk=job.pk).under_lease().exists()
    return not at_work and not is_staged(job.arguments["folder"])


def _refuse_to_take_back(job: Job) -> None:
    raise UserError(
        f"All responses of import {job.pk} are there and enter the study ({job.percent} %), where people and "
        f"judges may have met them; let it end, with `manage.py import resume {job.pk}` or a worker."
    )


# Seeing it through


class ImportStopped(UserError):
    """The command was told to stop before an import was over."""


def see_through(
    job: Job,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Job], None] = lambda job: None,
) -> dict[str, Any]:
    """Work on the import until it is over, on those before it whose turn is first, or wait for a worker who
    is at one; return what it made."""
    while True:
        job = Job.objects.get(pk=job.pk)
        on_progress(job)
        if not job.unfinished:
            return _outcome(job)
        if stopping():
            raise ImportStopped(_stopped(job))
        turn = in_turn(job)
        _refuse_elsewhere(turn[0])
        if claimed := claim_next_job(doable_jobs().filter(pk__in=[one.pk for one in turn])):
            _work_on(claimed, job, stopping, on_progress)
        else:
            sleep(LOOK_SECONDS)


def _refuse_elsewhere(first: Job) -> None:
    """Say so where the import whose turn it is can't go on from here, and nobody is at it."""
    staged_here = first.place in ("", data_folder_id())
    if not staged_here and not Job.objects.filter(pk=first.pk).under_lease().exists():
        raise UserError(
            f"Import {first.pk} is staged in another data folder, where no worker is at it. Go on with it "
            f"there, or end it with `manage.py import cancel {first.pk}`."
        )


def _work_on(
    claimed: Job, wanted: Job, stopping: Callable[[], bool], on_progress: Callable[[Job], None]
) -> None:
    def stops() -> bool:
        if claimed.pk == wanted.pk:
            on_progress(claimed)
        return stopping()

    jobworkers.run_job(claimed, stops)
    after = Job.objects.filter(pk=claimed.pk).claimed_by(claimed.lease).first()
    if after:
        raise UserError(
            f"Import {after.pk} failed at {after.percent} %: {after.message} A worker tries again, and "
            f"`manage.py import resume {after.pk}` does so here."
        )


def _outcome(job: Job) -> dict[str, Any]:
    if job.state == Job.State.FAILED:
        raise UserError(job.error)
    if job.state == Job.State.CANCELLED:
        raise UserError(f"Import {job.pk} was taken back; nothing of it was imported.")
    return dict(job.result)


def _stopped(job: Job) -> str:
    way = f"`manage.py import resume {job.pk}` goes on with it"
    return f"Stopped at {job.percent} % of import {job.pk}; {way}, and so does a worker."


IMPORT = JobKind(KIND, "Import", ImportArguments, run_import, may_begin=may_begin, cancel=take_back)

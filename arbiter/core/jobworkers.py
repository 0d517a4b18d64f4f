"""Running jobs: a worker claims one at a time, does it, and says how it ended.

1. claim: a conditional UPDATE takes the oldest that is open or whose lease ran out.
   Killed here: the lease runs out.
2. work: a thread of its own keeps the lease and writes how far it is. Killed here: the next
   worker takes it up anew, and removes the files that were begun. What a job writes to the
   database has to bear being begun again.
3. conclude: its state and its file are written at once, if it is still ours. Killed before: as in 2.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least

from arbiter.core.clock import Moment
from arbiter.core.errors import UserError
from arbiter.core.jobfiles import (
    attempt_folder,
    data_folder_id,
    file_left_in,
    make_attempt_folder,
    remove_old_jobs,
    remove_unless_kept,
)
from arbiter.core.jobkinds import JOB_KINDS, JobKind
from arbiter.core.longwork import WorkCancelled, WorkPutOff, WorkStopped
from arbiter.core.models import Job, JobQuerySet
from arbiter.core.outages import despite_outages

ATTEMPTS = 3
BEAT_SECONDS = 1.0
IDLE_SECONDS = 1.0
TIDY_SECONDS = 3600.0
DIED = f"{ATTEMPTS} workers in a row ended before it was done. Did they run out of memory?"
State = Job.State
logger = logging.getLogger(__name__)


@dataclass
class RunningJob:
    """A job under way, as its kind sees it; to be called with how far it is."""

    job: Job
    stopping: Callable[[], bool] = lambda: False
    seen: tuple[int, int, str] = (0, 0, "")
    # Set once it was cancelled, or another worker has it.
    lost: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    noted: float = 0.0  # when the work itself renewed the lease

    def __call__(self, done: int, total: int, doing: str = "") -> None:
        self.seen = (done, total, doing[:200])
        if self.lost.is_set() or self.stopping():
            raise WorkStopped

    @property
    def folder(self) -> Path:
        """Return the attempt's own folder, whose one file will be the result."""
        return attempt_folder(self.job, self.job.lease)

    def mine(self) -> JobQuerySet:
        return Job.objects.filter(pk=self.job.pk).claimed_by(self.job.lease)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the lease meanwhile, whatever takes long between two calls. In a transaction there is none to
        keep: nobody else sees the job."""
        if connection.in_atomic_block:
            yield
            return
        beats = threading.Thread(target=self._beat, name="arbiter-job-lease", daemon=True)
        beats.start()
        try:
            yield
        finally:
            self.over.set()
            beats.join()

    def _beat(self) -> None:
        while not (self.over.wait(min(BEAT_SECONDS, settings.LEASE_SECONDS / 3)) or self.lost.is_set()):
            try:
                if monotonic() - self.noted > BEAT_SECONDS:
                    self._write()
            except DatabaseError as error:
                logger.warning("The lease of a job could not be kept (%s); trying again.", str(error).strip())
                connections.close_all()
        connections.close_all()

    def _write(self) -> None:
        done, total, doing = self.seen
        mine = self.mine()
        if mine.renew(settings.LEASE_SECONDS):
            mine.update(done=done, total=total, message=doing)
        else:
            self.lost.set()

    def note(self, checkpoint: dict[str, Any], done: int, total: int, doing: str) -> None:
        """Keep where to go on from, in the transaction that writes the rows it speaks of. Of a job that was
        cancelled, or that another worker has, these rows go back."""
        self.seen = (done, total, doing[:200])
        self.job.done, self.job.total, self.job.message = self.seen
        mine = self.mine()
        kept = {"checkpoint": checkpoint, "done": done, "total": total, "message": doing[:200]}
        if not mine._write(attempts=1, leased_until=Moment(settings.LEASE_SECONDS), **kept):
            raise WorkStopped
        self.noted = monotonic()

    def conclude(self, state: str, **outcome: Any) -> None:
        despite_outages(lambda: self.mine().conclude(state, finished_at=Moment(), **outcome))

    def give_back(self) -> None:
        """Leave it to another worker; being told to stop is no fault of the job's."""
        despite_outages(lambda: self.mine().update(attempts=F("attempts") - 1))
        despite_outages(lambda: self.mine().release())

    def keep_trying(self, why: str) -> None:
        """Have work that may not end half-done tried again once the lease has run out, and say why."""
        despite_outages(lambda: self.mine().update(message=f"{why} It is tried again."[:200]))

    def put_off(self, what: str) -> None:
        """Have it tried again once the lease has run out, since what failed may be over then; at last no
        more."""
        if self.job.attempts < ATTEMPTS:
            doing = "It failed, and is tried again soon."
            despite_outages(lambda: self.mine().update(message=doing))
        else:
            said = f"It failed {ATTEMPTS} times, at last by {what}; the worker's log says more."
            self.conclude(State.FAILED, error=said)


def doable_jobs() -> JobQuerySet:
    """Return the jobs that a worker here can do."""
    return Job.objects.at(data_folder_id()).filter(kind__in=JOB_KINDS)


def claim_next_job(jobs: JobQuerySet | None = None) -> Job | None:
    """Claim the oldest job, or the oldest of these, that is open or whose worker is gone, may begin, and has
    not used up its attempts."""
    wanted = doable_jobs() if jobs is None else jobs
    for free in list(wanted.claimable().order_by("pk")[:20]):
        kind = JOB_KINDS[free.kind]
        job = _claim(free.pk) if kind.may_begin(free) else None
        if job and (job.attempts <= ATTEMPTS or kind.keeps_on):
            return job
        if job:
            RunningJob(job).conclude(State.FAILED, error=DIED)
    return None


@transaction.atomic
def _claim(pk: int) -> Job | None:
    """Take one job, if it is still free: another worker may have been quicker."""
    lease, row = uuid.uuid4().hex, Job.objects.filter(pk=pk)
    if not row.claim(lease, settings.LEASE_SECONDS):
        return None
    tried = Least(F("attempts") + 1, ATTEMPTS + 1)  # what may not end half-done is tried without end
    row.update(attempts=tried, started_at=Coalesce("started_at", Moment()), message="")
    return row.get()


def run_job(job: Job, stopping: Callable[[], bool] = lambda: False) -> None:
    """Do a job that was claimed, and say how it ended."""
    running, kind = RunningJob(job, stopping), JOB_KINDS[job.kind]
    try:
        make_attempt_folder(job, running.folder)
        arguments = _arguments(kind, job)
        with running.kept():
            result = kind.work(arguments, running)
        running.conclude(State.DONE, result=result, file=file_left_in(running.folder), done=running.seen[1])
    except WorkStopped:
        running.give_back()
    except WorkCancelled:
        running.conclude(State.CANCELLED)
    except UserError as error:
        running.conclude(State.FAILED, error=str(error))
    except WorkPutOff as error:
        running.keep_trying(str(error))
    except OSError as error:
        if kind.keeps_on:
            running.keep_trying(f"A file can't be written or read: {error.strerror}.")
        else:
            running.conclude(State.FAILED, error=f"Its file can't be written: {error.strerror}.")
    except Exception as error:
        logger.exception("Attempt %s at the job %s failed", job.attempts, job)
        if kind.keeps_on:
            running.keep_trying(f"It failed by {type(error).__name__}; the worker's log says more.")
        else:
            running.put_off(type(error).__name__)
    remove_unless_kept(running.folder)


def _arguments(kind: JobKind[Any], job: Job) -> Any:
    """Return a job's arguments. Work that may not end half-done waits for a version that can read them."""
    try:
        return kind.read(job)
    except UserError as error:
        if kind.keeps_on:
            raise WorkPutOff(str(error)) from error
        raise


@dataclass
class JobWorker:
    """Does jobs one after another until none is left, or until told to stop."""

    stopping: Callable[[], bool] = lambda: False
    wait_for_others: bool = False  # stay until jobs that other workers have are over or given back
    stay: bool = False  # more may come
    tidied: float | None = None

    def run(self) -> None:
        while not self.stopping():
            self._tidy()
            if job := despite_outages(claim_next_job):
                run_job(job, self.stopping)
            elif self.stay or (self.wait_for_others and despite_outages(doable_jobs().unfinished().exists)):
                sleep(IDLE_SECONDS)
            else:
                return

    def _tidy(self) -> None:
        if self.tidied is None or monotonic() - self.tidied > TIDY_SECONDS:
            despite_outages(remove_old_jobs)
            self.tidied = monotonic()


class JobWorkerThread(threading.Thread):
    """A worker beside other work in one process; it outlasts a database that is away."""

    def __init__(self, worker: JobWorker) -> None:
        super().__init__(name="arbiter-jobs", daemon=True)
        self.worker = worker

    def run(self) -> None:
        while not self.worker.stopping():
            try:
                self.worker.run()
                break
            except DatabaseError as error:
                logger.warning("Jobs: the database can't be used right now (%s).", str(error).strip())
                if not self.worker.stay:
                    break
            except Exception:
                logger.exception("Jobs: a step failed; going on")
            finally:
                connections.close_all()
            sleep(IDLE_SECONDS)

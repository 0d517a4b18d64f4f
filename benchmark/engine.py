"""The engine that makes model calls for rows that are jobs: verdicts wanted, responses to collect.

A row is claimed under a lease, the call is made outside any transaction, and what came of it is written in small
batches by one database thread:

1. claim: a conditional UPDATE takes rows that are open or whose lease ran out. Killed here: the lease runs out.
2. call: in flight, kept alive by a heartbeat. Killed here: the same; at most the calls in flight are repeated.
3. store: each call is written as it came, in a transaction of its own. Killed here: the next claim finds the stored
   answer and makes no call.
4. conclude: the row gets its outcome, if it is still ours. Killed here: all or nothing of the batch.

A call that lands starts the next one at once; rows are claimed a little ahead, so that no call waits for the database.
"""

import asyncio
import logging
import random
import uuid
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from time import monotonic, sleep
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.utils import timezone

from benchmark.client import Call, Client, kind_of, read_answer
from benchmark.errors import UserError
from benchmark.lanes import LONGEST_WAIT, Job, Lane, note_down
from benchmark.models import Endpoint

ATTEMPTS = 5  # calls for a row in a row, and those on top that the service answered with 429
COMPLAINTS = 10
BACKOFF_SECONDS = 0.5
FLUSH_SECONDS = 0.2
IDLE_SECONDS = 0.5
BATCH_SECONDS = 0.02  # that calls landing together are waited for
GRACE_SECONDS = 5.0
DATABASE_PATIENCE = 60.0  # seconds that a database may be away
GIVEN_UP = "given up before the answer came: the worker was stopped, or nobody answers there"
UNSTORABLE = "the database can't hold what came; the log says more"
CHECK_SECONDS = 1.0  # between two looks at whether what we hold is still wanted
T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """A call made for a job; `final` when none will follow it."""

    job: Job
    call: Call
    final: bool


class Work(Protocol):
    """Rows of one kind. Everything here runs in the database thread, each step in a transaction of its own, and may be
    run again where it is not known whether the first time counted."""

    def endpoints(self) -> Sequence[Endpoint]:
        """Those with open rows."""

    def claim(self, endpoint: Endpoint, lease: str, room: int) -> Sequence[Job]:
        """Take up to `room` open rows of the endpoint."""

    def permit(self, lease: str, jobs: Sequence[Job]) -> tuple[Sequence[Job], set[int]]:
        """The metered jobs whose next call may be made, paid for in advance; and the rows for which none will be."""

    def capped(self, lease: str, jobs: Sequence[Job]) -> bool:
        """Whether a cap came to stand over any of these since they were claimed. They have not set out."""

    def renew(self, lease: str) -> None:
        """Prolong the lease of the rows held under it."""

    def withdrawn(self, lease: str) -> set[int]:
        """Rows held under the lease that are not to be asked any more."""

    def again(self, job: Job, call: Call) -> Job | None:
        """Another call worth making after one that was answered."""

    def store(self, lease: str, made: Sequence[Made]) -> None:
        """Write the calls, as they came."""

    def conclude(self, lease: str, made: Sequence[Made]) -> None:
        """Give the rows of final calls their outcome, where they are still held under the lease."""

    def release(self, lease: str, *, only: Collection[int] | None = None, keep: Collection[int] = ()) -> None:
        """Give back what is still held under the lease: all, or those rows, or all but those."""

    def waiting(self) -> bool:
        """Whether rows are open or held by another worker."""


@dataclass
class Engine:
    work: Work
    stopping: Callable[[], bool] = lambda: False
    on_progress: Callable[[int], None] = lambda concluded: None
    wait_for_others: bool = False  # stay until rows held by other workers are concluded or given back
    stay: bool = False  # until told to stop: more rows may come
    lease: str = field(default_factory=lambda: uuid.uuid4().hex)
    lanes: dict[int, Lane] = field(default_factory=dict)  # by endpoint
    clients: list[Client] = field(default_factory=list)
    results: list[Made] = field(default_factory=list)
    broken: Exception | None = None
    unsure: bool = False  # whether the last claim counted
    closing: bool = False
    known: Sequence[Endpoint] = ()  # endpoints with open rows, to be looked up again by `look_at`
    look_at: float = 0.0

    def run(self) -> None:
        """Work until nothing is left, or until told to stop. Raises EndpointDown where what is left is left because an
        endpoint can't be reached."""
        asyncio.run(self._run())
        if self.broken:
            raise self.broken
        for lane in self.lanes.values():
            if lane.silence and lane.silence.error and not self.stopping():
                raise lane.silence.error

    async def _run(self) -> None:
        # One thread, so one connection, and claims and writes never race each other.
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="arbiter-database")
        self.news = asyncio.Event()
        beats = [asyncio.create_task(self._renew()), asyncio.create_task(self._check())]
        try:
            while not self.stopping():
                await self._write()
                if self.broken:
                    raise self.broken
                await self._take()
                if not self._busy() and not await self._more_to_come():
                    break
                await self._wait()
        finally:
            self.closing = True
            await self._let_land()
            for beat in beats:
                beat.cancel()
            await self._wind_up()

    def _busy(self) -> bool:
        return bool(self.results) or any(lane.busy for lane in self.lanes.values())

    async def _more_to_come(self) -> bool:
        """Rows that another worker was quicker to claim may have left more; rows it holds may come back; an endpoint
        that answered before may answer again."""
        if self.stay:
            await asyncio.sleep(IDLE_SECONDS)
            return True
        self.look_at = 0.0
        lanes = [self._lane(endpoint) for endpoint in await self._endpoints()]
        patient = self.wait_for_others
        if any(not lane.down() or (patient and lane.reached) for lane in lanes if lane):
            return True
        not_for_us = None in lanes or any(lane.down() for lane in self.lanes.values())
        return patient and not not_for_us and await self._database(self.work.waiting)

    async def _take(self) -> None:
        """Claim as many rows as there is room for at each endpoint, have them permitted, and start their calls."""
        for endpoint in await self._endpoints():
            lane = self._lane(endpoint)
            if lane and not lane.down() and (room := lane.room()) > 0:
                lane.landed = 0
                held = self._unwritten() | {job.pk for one in self.lanes.values() for job in one.jobs()}
                jobs = await self._database(self._claim, lane.endpoint, room, held)
                self.look_at = 0.0 if len(jobs) < room else self.look_at  # it may have no more
                for job in jobs:
                    self._take_up(lane, job)
        for lane in self.lanes.values():
            lane.take_due()
            await self._ask_permission(lane)
            self._launch(lane)

    async def _endpoints(self) -> Sequence[Endpoint]:
        """Those that had open rows a moment ago: a claim shows soon enough whether they still do."""
        if monotonic() >= self.look_at:
            self.known, self.look_at = await self._database(self.work.endpoints), monotonic() + IDLE_SECONDS
        return self.known

    def _claim(self, endpoint: Endpoint, room: int, held: set[int]) -> Sequence[Job]:
        """Where a claim was cut off it is not known whether it counted: what we may hold and don't know of goes back."""
        if self.unsure:
            self.work.release(self.lease, keep=held)
        self.unsure = True
        jobs = self.work.claim(endpoint, self.lease, room)
        self.unsure = False
        return jobs

    def _take_up(self, lane: Lane, job: Job) -> None:
        if job.cached is None:
            lane.add(job)
            return
        answer = read_answer(job.cached)
        kind = kind_of(answer) if answer else "not_json"
        call = Call(kind, timezone.now(), 0.0, raw=job.cached, answer=answer, cached=True)
        if following := self.work.again(job, call):  # the call that came after it was cut off with its worker
            lane.add(following)
        else:
            self.results.append(Made(job, call, final=True))

    async def _ask_permission(self, lane: Lane) -> None:
        """As many as may set out at once: what is reserved for a call on its way is lost if this process dies."""
        unwritten = self._unwritten()  # their last call has to be paid for first
        batch = [job for job in lane.asking if job.pk not in unwritten][
            : max(0, lane.free() - len(lane.ready))
        ]
        if not batch or lane.quiet():
            return
        permitted, over = await self._database(self.work.permit, self.lease, batch)
        # What was called off meanwhile stays so; its permission goes back with its row. Those refused go to the end: what
        # the ones behind them hold may come back.
        still = {job.pk for job in lane.asking}
        asked, done = {job.pk for job in batch}, {job.pk for job in permitted}
        refused = [job for job in lane.asking if job.pk in asked - done]
        lane.asking = deque([*(job for job in lane.asking if job.pk not in asked), *refused])
        lane.ready.extend(job for job in permitted if job.pk in still)
        if over:
            held = lane.drop(over)
            await self._database(lambda: self.work.release(self.lease, only=held))

    def _unwritten(self) -> set[int]:
        return {made.job.pk for made in self.results}

    def _launch(self, lane: Lane) -> None:
        if self.closing or self.stopping() or self.broken or lane.quiet() or lane.down():
            return
        while lane.ready and lane.free() > 0:
            job = lane.ready.popleft()
            task = asyncio.create_task(self._do(lane, job))
            lane.flying[task] = job
            task.add_done_callback(lambda done, lane=lane: self._landed(lane, done))  # type: ignore[misc]

    def _landed(self, lane: Lane, task: asyncio.Task[None]) -> None:
        lane.flying.pop(task, None)
        if not task.cancelled() and task.exception():
            self.broken = self.broken or task.exception()  # type: ignore[assignment]
        self._launch(lane)
        self.news.set()

    async def _do(self, lane: Lane, job: Job) -> None:
        """Make the job's call. Another, where one can succeed, is put off; each is a result of its own."""
        set_out, started_at = monotonic(), timezone.now()
        lane.unwritten += 1
        try:
            call = await lane.client.ask(job.request)
        except asyncio.CancelledError:  # it may have been sent, so it is told
            gone = lane.down() and lane.silent_since(set_out)
            given_up = Call("abandoned", started_at, monotonic() - set_out, error=GIVEN_UP, unreached=gone)
            self.results.append(Made(job, given_up, final=False))
            raise
        lane.heed(call, set_out)
        lane.landed += 1
        if lane.notice(call):
            lane.fallen.add(job.pk)
            self.results.append(Made(job, call, final=False))
            return
        following = self._following(job, call)
        self.results.append(Made(job, call, final=following is None))
        if following and job.pk not in lane.fallen:  # else it was withdrawn meanwhile
            lane.put_off(following, 0.0 if call.answered else wait_before(following, call.pause))

    def _following(self, job: Job, call: Call) -> Job | None:
        """The call to make after this one, if any."""
        if call.answered:
            return self.work.again(job, call)
        job = replace(
            job, failures=job.failures + 1, complaints=job.complaints + (call.outcome == "rate_limited")
        )
        tried_enough = job.failures - job.complaints >= ATTEMPTS or job.complaints >= COMPLAINTS
        return None if tried_enough or not call.worth_retrying else job

    def _lane(self, endpoint: Endpoint) -> Lane | None:
        """A worker that lacks an endpoint's key leaves its rows to others."""
        lane = self.lanes.get(endpoint.pk)
        if lane and lane.same_as(endpoint):
            return lane
        try:
            client = Client(endpoint)
        except UserError as error:
            _tell_once(str(error))
            return None
        self.clients.append(client)
        if lane:  # the study file was applied while we work: what sets out from now on goes by it
            lane.move(endpoint, client)
        else:
            self.lanes[endpoint.pk] = Lane(endpoint, client)
        return self.lanes[endpoint.pk]

    async def _wait(self) -> None:
        """Until a call lands, one is due or permission may come; and then for those that land together with it."""
        dues = [due for lane in self.lanes.values() if (due := lane.next_due()) is not None]
        with suppress(TimeoutError):
            if not self.results:
                await asyncio.wait_for(self.news.wait(), min([FLUSH_SECONDS, *dues]))
        self.news.clear()
        if any(lane.flying for lane in self.lanes.values()):
            await asyncio.sleep(BATCH_SECONDS)

    async def _write(self) -> None:
        if self.results:
            batch, self.results = self.results, []
            try:
                await self._database(self._store, [made for made in batch if not made.call.cached])
            except Exception:
                self.results = batch + self.results  # the last write tries again
                raise
            self._stored(batch)
            final = [made for made in batch if made.final]
            if final:
                await self._database(self.work.conclude, self.lease, final)
                self.on_progress(len(final))
        await self._heed_the_fallen()

    def _store(self, made: Sequence[Made]) -> None:
        """What no database takes must not keep the rest from being stored, and is told as well as it can be."""
        try:
            self.work.store(self.lease, made)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            if len(made) > 1:
                for one in made:
                    self._store([one])
                return
            logger.exception("a call for row %s could not be stored as it came", made[0].job.pk)
            call = made[0].call
            bare = Call(
                "not_json", call.started_at, call.latency, status=call.status, error=UNSTORABLE, uid=call.uid
            )
            self.work.store(self.lease, [replace(made[0], call=bare)])

    def _stored(self, batch: Sequence[Made]) -> None:
        for made in batch:
            if not made.call.cached:
                self.lanes[made.job.endpoint.pk].unwritten -= 1
        for lane in self.lanes.values():
            self._launch(lane)

    async def _heed_the_fallen(self) -> None:
        """Say once that an endpoint is down, or up again; give back what it was to answer, once its calls are written."""
        for lane in self.lanes.values():
            error = lane.silence.error if lane.silence else None
            if bool(error) != lane.told_down and (error or lane.reached):
                lane.told_down = bool(error)
                if (
                    lane.reached or self.stay or len(self.lanes) > 1
                ):  # else this is how the run ends, and it is told then
                    logger.warning("%s", error or f"Endpoint {lane.endpoint.name!r} answers again.")
                await self._database(note_down, lane.endpoint, str(error or ""))
            fallen = lane.fallen - {job.pk for job in lane.flying.values()} - self._unwritten()
            if fallen:
                lane.fallen -= fallen
                await self._database(lambda: self.work.release(self.lease, only=fallen))  # noqa: B023

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(settings.LEASE_SECONDS / 3)
            with suppress(DatabaseError):  # the next beat may reach it; if none does, the rows go to others
                await self._database(self.work.renew, self.lease)

    async def _check(self) -> None:
        """What was paused or cancelled since it was claimed does not set out any more; what a cap came over asks first."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            with suppress(DatabaseError):
                await self._heed_caps()
                gone = await self._database(self.work.withdrawn, self.lease)
                for lane in self.lanes.values() if gone else ():
                    # A call that is in flight or not written yet comes first; then its row goes back, without another.
                    flying = {job.pk for job in lane.flying.values()} & gone
                    lane.fallen |= lane.drop(gone) | flying

    async def _heed_caps(self) -> None:
        for lane in self.lanes.values():
            held = lane.hold_back()  # a call that set out while we look would be given back, and made
            if held and not await self._database(self.work.capped, self.lease, held):
                lane.let_go(held)
                self._launch(lane)

    async def _let_land(self) -> None:
        """Give calls in flight a moment more, and write them as they come. Nothing sets out any more."""
        flying = {task for lane in self.lanes.values() for task in lane.flying}
        until = monotonic() + GRACE_SECONDS
        while flying and self.broken is None and (left := until - monotonic()) > 0:
            _, flying = await asyncio.wait(flying, timeout=min(FLUSH_SECONDS, left))
            with suppress(DatabaseError):  # the last write tries again
                await self._write()

    async def _wind_up(self) -> None:
        """Call back what is in flight, write it, give back the rest."""
        flying = [task for lane in self.lanes.values() for task in lane.flying]
        for lane in self.lanes.values():
            lane.clear()
        await asyncio.gather(*flying, return_exceptions=True)
        try:
            await self._write()
            await self._database(lambda: self.work.release(self.lease))
        finally:
            for client in self.clients:
                await client.close()
            await self._database(connections.close_all)
            self.thread.shutdown()

    async def _database(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, self._patiently, function, args)

    def _patiently(self, function: Callable[..., T], args: Sequence[Any]) -> T:
        """Run a step in the database thread; again while the database is away. Whether a step that was cut off counted
        is not known, so each may be run twice."""
        began, wait = monotonic(), 0.1
        while True:
            try:
                return function(*args)
            except (OperationalError, InterfaceError) as error:
                connections.close_all()
                patience = GRACE_SECONDS if self.closing or self.stopping() else DATABASE_PATIENCE
                if monotonic() - began > patience:
                    raise
                logger.warning("The database can't be used right now (%s); trying again.", str(error).strip())
                sleep(wait)
                wait = min(2 * wait, 5.0)


@cache
def _tell_once(problem: str) -> None:
    """Once a process: a worker looks for work every other second."""
    logger.error(problem)


def wait_before(job: Job, pause: float | None) -> float:
    """Seconds before the next try: what the service asked for, else doubling, spread so that callers part."""
    wait = pause if pause is not None else BACKOFF_SECONDS * 2 ** (job.failures - 1)
    return min(wait, LONGEST_WAIT) * random.uniform(1.0, 1.3)

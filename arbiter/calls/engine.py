"""The engine that makes model calls for rows that want one: verdicts to be given, responses to be collected.

A row is claimed under a lease, the call is made outside any transaction, and what came of it is written in
small batches by one database thread:

1. claim: a conditional UPDATE takes rows that are open or whose lease ran out. Killed here: the lease runs
   out.
2. call: in flight, kept alive by a heartbeat. Killed here: the same; at most the calls in flight are
   repeated.
3. store: each call is written as it came, in a transaction of its own. Killed here: the next claim finds the
   stored answer and makes no call.
4. conclude: the row gets its outcome, if it is still ours. Killed here: all or nothing of the batch.

A call that lands starts the next one at once; rows are claimed a little ahead, so that no call waits for the
database.
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
from datetime import datetime, timedelta
from functools import cache
from time import monotonic
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.utils import timezone

from arbiter.calls.answers import read_answer
from arbiter.calls.client import Call, Client
from arbiter.calls.faults import Fault
from arbiter.calls.lanes import LONGEST_PAUSE, LONGEST_REST, LONGEST_WAIT, CallJob, Lane
from arbiter.calls.service import Service
from arbiter.core.errors import UserError
from arbiter.core.outages import LONGEST_OUTAGE, despite_outages

ATTEMPTS = 5  # calls for a row in a row, and those on top that the service answered with 429
COMPLAINTS = 10
BACKOFF_SECONDS = 0.5
FLUSH_SECONDS = 0.2
IDLE_SECONDS = 0.5
BATCH_SECONDS = 0.02  # that calls landing together are waited for
SHORT_BATCH_SECONDS = 0.004  # the same, where others can't set out before they are permitted
GRACE_SECONDS = 5.0
GIVEN_UP = "given up before the answer came: the worker was stopped, or nobody answers there"
UNSTORABLE = "the database can't hold what came; the log says more"
# Of an endpoint as a whole: it is somewhere else, or does not know the key.
TURNED_AWAY = frozenset({301, 302, 303, 307, 308, 401})
CHECK_SECONDS = 1.0  # between two looks at whether what we hold is still wanted
T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call made for a job; `final` when none will follow it."""

    job: CallJob
    call: Call
    final: bool


class Work(Protocol):
    """Rows of one kind.

    Everything here runs in the database thread, each step in a transaction of its own, and may be run again
    where it is not known whether the first time counted.
    """

    def endpoints(self) -> Sequence[Service]:
        """Return the endpoints with open rows."""

    def claim(self, endpoint: Service, lease: str, room: int) -> Sequence[CallJob]:
        """Take up to `room` open rows of the endpoint."""

    def permit(self, lease: str, jobs: Sequence[CallJob]) -> tuple[Sequence[CallJob], set[int]]:
        """Return the metered jobs that may make their next call, paid for in advance, and the rows that
        can't."""

    def capped(self, lease: str, jobs: Sequence[CallJob]) -> bool:
        """Tell whether a cap came over any of these since they were claimed. They have not set out."""

    def renew(self, lease: str) -> None:
        """Prolong the lease of the rows held under it."""

    def withdrawn(self, lease: str) -> set[int]:
        """Return the rows held under the lease that are not to be asked any more."""

    def again(self, job: CallJob, call: Call) -> CallJob | None:
        """Return another call worth making after one that was answered."""

    def store(self, lease: str, made: Sequence[MadeCall]) -> None:
        """Write the calls, as they came."""

    def conclude(self, lease: str, made: Sequence[MadeCall]) -> None:
        """Give the rows of final calls their outcome, where they are still held under the lease."""

    def release(self, lease: str, *, only: Collection[int] | None = None, keep: Collection[int] = ()) -> None:
        """Give back what is still held under the lease: all, or those rows, or all but those."""

    def note_rest(self, endpoint: Service, until: datetime) -> None:
        """Note, for every worker, that the endpoint is not asked before that time."""

    def note_down(self, endpoint: Service, error: str) -> None:
        """Note that nobody answers at the endpoint, and why; that somebody does again where that is empty."""

    def waiting(self) -> bool:
        """Tell whether rows are open or held by another worker."""


@dataclass
class Engine:
    work: Work
    stopping: Callable[[], bool] = lambda: False
    on_progress: Callable[[int], None] = lambda concluded: None
    wait_for_others: bool = False  # stay until rows held by other workers are concluded or given back
    stay: bool = False  # until told to stop: more rows may come
    # Statuses that are no row's fault where all first calls meet them.
    turned_away: Collection[int] = TURNED_AWAY
    lease: str = field(default_factory=lambda: uuid.uuid4().hex)
    lanes: dict[int, Lane] = field(default_factory=dict)  # by endpoint
    clients: list[Client] = field(default_factory=list)
    results: list[MadeCall] = field(default_factory=list)
    broken: Exception | None = None
    unsure: bool = False  # whether the last claim counted
    closing: bool = False
    known: Sequence[Service] = ()  # endpoints with open rows, to be looked up again by `look_at`
    look_at: float = 0.0

    def run(self) -> None:
        """Work until nothing is left, or until told to stop.

        Raises EndpointDown where what is left is left because an endpoint can't be reached.
        """
        asyncio.run(self._run())
        if self.broken:
            raise self.broken
        for lane in self.lanes.values():
            if lane.outage and lane.outage.error and not self.stopping():
                raise lane.outage.error

    async def _run(self) -> None:
        # One thread, so one connection, and claims and writes never race each other.
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="arbiter-database")
        self.news = asyncio.Event()
        beats = [asyncio.create_task(self._renew()), asyncio.create_task(self._check())]
        try:
            while not self.stopping():
                await self._set_out()
                await self._write()
                if self.broken:
                    raise self.broken
                await self._take()
                self._settle_turned_away()
                if not self._busy() and not await self._more_to_come():
                    break
                await self._wait()
        finally:
            self.closing = True
            await self._let_land()
            for beat in beats:
                beat.cancel()
            await self._finish()

    def _busy(self) -> bool:
        return bool(self.results) or any(lane.busy for lane in self.lanes.values())

    async def _more_to_come(self) -> bool:
        """Tell whether more rows may come, once nothing is in flight.

        Rows that another worker was quicker to claim may have left more; rows it holds may come back; an
        endpoint that answered before may answer again.
        """
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
        """Claim as many rows as each endpoint has room for, and start their calls."""
        for endpoint in await self._endpoints():
            lane = self._lane(endpoint)
            if lane and not (lane.down() or lane.resting) and (room := lane.room()) > 0:
                lane.landed = 0
                held = self._unwritten() | {job.pk for each in self.lanes.values() for job in each.jobs()}
                jobs = await self._database(self._claim, lane.endpoint, room, held)
                self.look_at = 0.0 if len(jobs) < room else self.look_at  # it may have no more
                for job in jobs:
                    self._take_up(lane, job)
        await self._set_out()

    async def _set_out(self) -> None:
        """Have permitted what waits for it, and start the calls that may set out.

        Between any two steps in the database: a place that a call left is empty until the next is permitted.
        """
        for lane in self.lanes.values():
            if lane.resting:
                lane.rest()  # what was claimed meanwhile goes back too
            lane.take_due()
            await self._ask_permission(lane)
            self._launch(lane)

    async def _endpoints(self) -> Sequence[Service]:
        """Return the endpoints that had open rows a moment ago: a claim shows whether they still do."""
        if monotonic() >= self.look_at:
            self.known, self.look_at = await self._database(self.work.endpoints), monotonic() + IDLE_SECONDS
            for lane in (self.lanes.get(endpoint.pk) for endpoint in self.known):
                if lane and lane.rest_noted:  # it has rested, or somebody said that it may be asked again
                    lane.resting = lane.rest_noted = False
        return self.known

    def _claim(self, endpoint: Service, room: int, held: set[int]) -> Sequence[CallJob]:
        """Claim rows. Where the last claim was cut off, rows we may hold unknown to us go back first."""
        if self.unsure:
            self.work.release(self.lease, keep=held)
        self.unsure = True
        jobs = self.work.claim(endpoint, self.lease, room)
        self.unsure = False
        return jobs

    def _take_up(self, lane: Lane, job: CallJob) -> None:
        if job.cached is None:
            lane.add(job)
            return
        answer = read_answer(job.cached)
        if isinstance(answer, Fault):
            call = Call(answer.outcome, timezone.now(), 0.0, raw=job.cached, error=answer.error, cached=True)
        else:
            call = Call(answer.outcome, timezone.now(), 0.0, raw=job.cached, answer=answer, cached=True)
        if following := self.work.again(job, call):  # the call that came after it was cut off with its worker
            lane.add(following)
        else:
            self.results.append(MadeCall(job, call, final=True))

    async def _ask_permission(self, lane: Lane) -> None:
        """Ask permission for as many calls as may set out: what is reserved is lost if this process dies."""
        unwritten = self._unwritten()  # their last call has to be paid for first
        room = max(0, lane.free() - len(lane.ready))
        batch = [job for job in lane.asking if job.pk not in unwritten][:room]
        if not batch or lane.quiet():
            return
        permitted, over = await self._database(self.work.permit, self.lease, batch)
        # What was called off meanwhile stays so; its permission goes back with its row. Those refused go to
        # the end: what the ones behind them hold may come back.
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
        if self.closing or self.stopping() or self.broken:
            return
        while lane.ready and lane.free() > 0 and not lane.closed():
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

    async def _do(self, lane: Lane, job: CallJob) -> None:
        """Make the job's call. Another, where one can succeed, is put off; each is a result of its own."""
        set_out, started_at = monotonic(), timezone.now()
        lane.unwritten += 1
        try:
            call = await lane.client.ask(job.request)
        except asyncio.CancelledError:  # it may have been sent, so it is told
            gone = lane.down() and lane.unreached_since(set_out)
            given_up = Call("abandoned", started_at, monotonic() - set_out, error=GIVEN_UP, unreached=gone)
            self.results.append(MadeCall(job, given_up, final=False))
            raise
        lane.adapt(call, set_out)
        lane.landed += 1
        if lane.hold_turned_away(job, call, self.turned_away):
            return
        if call.overloaded and (call.pause or 0.0) > LONGEST_PAUSE:
            await self._rest(lane, job, call)
            return
        if lane.notice(call):
            lane.to_give_back.add(job.pk)
            self.results.append(MadeCall(job, call, final=False))
            return
        following = self._following(job, call)
        self.results.append(MadeCall(job, call, final=following is None))
        if following and job.pk not in lane.to_give_back:  # else it was withdrawn meanwhile
            lane.put_off(following, 0.0 if call.answered else wait_before(following, call.pause))

    def _settle_turned_away(self) -> None:
        for lane in self.lanes.values():
            settled = lane.settle_turned_away()
            self.results += [MadeCall(job, call, final=lane.accepted) for job, call in settled]
            if settled and lane.accepted:
                self._launch(lane)

    async def _rest(self, lane: Lane, job: CallJob, call: Call) -> None:
        """Leave a service alone that asked for long to be: nobody asks it before, and no row fails for it."""
        until = timezone.now() + timedelta(seconds=min(call.pause or 0.0, LONGEST_REST))
        lane.rest()
        lane.to_give_back.add(job.pk)
        self.results.append(MadeCall(job, call, final=False))
        await self._database(self.work.note_rest, lane.endpoint, until)
        lane.rest_noted, self.look_at = True, 0.0
        logger.warning(
            "Endpoint %r asks to be left alone until %s.", lane.endpoint.name, f"{until:%H:%M} UTC"
        )

    def _following(self, job: CallJob, call: Call) -> CallJob | None:
        """Return the call to make after this one, if any."""
        if call.answered:
            return self.work.again(job, call)
        complaints = job.complaints + (call.outcome == "rate_limited")
        job = replace(job, failures=job.failures + 1, complaints=complaints)
        tried_enough = job.failures - job.complaints >= ATTEMPTS or job.complaints >= COMPLAINTS
        return None if tried_enough or not call.worth_retrying else job

    def _lane(self, endpoint: Service) -> Lane | None:
        """Return the endpoint's lane. A worker that lacks its key has none, and leaves its rows to others."""
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
        """Wait until a call lands, one is due or permission may come; then for what lands with it."""
        dues = [due for lane in self.lanes.values() if (due := lane.next_due()) is not None]
        with suppress(TimeoutError):
            if not self.results:
                await asyncio.wait_for(self.news.wait(), min([FLUSH_SECONDS, *dues]))
        self.news.clear()
        if any(lane.flying for lane in self.lanes.values()):
            waiting = any(lane.asking and lane.free() > 0 for lane in self.lanes.values())
            await asyncio.sleep(SHORT_BATCH_SECONDS if waiting else BATCH_SECONDS)

    async def _write(self) -> None:
        if self.results:
            batch, self.results = self.results, []
            try:
                await self._database(self._store, [made for made in batch if not made.call.cached])
            except Exception:
                self.results = batch + self.results  # the last write tries again
                raise
            self._stored(batch)
            await self._set_out()
            final = [made for made in batch if made.final]
            if final:
                await self._database(self.work.conclude, self.lease, final)
                self.on_progress(len(final))
        for lane in self.lanes.values():
            await self._note_outage(lane)
            await self._give_back(lane)

    def _store(self, batch: Sequence[MadeCall]) -> None:
        """Store the calls. What no database takes keeps no other from being stored, and is told as can be."""
        try:
            self.work.store(self.lease, batch)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            if len(batch) > 1:
                for made in batch:
                    self._store([made])
                return
            logger.exception("a call for row %s could not be stored as it came", batch[0].job.pk)
            call = batch[0].call
            bare = Call(
                "not_json", call.started_at, call.latency, status=call.status, error=UNSTORABLE, uid=call.uid
            )
            self.work.store(self.lease, [replace(batch[0], call=bare)])

    def _stored(self, batch: Sequence[MadeCall]) -> None:
        for made in batch:
            if not made.call.cached:
                self.lanes[made.job.endpoint.pk].unwritten -= 1
        for lane in self.lanes.values():
            self._launch(lane)

    async def _note_outage(self, lane: Lane) -> None:
        """Note and log, once, that the lane's endpoint is down, or up again."""
        error = lane.outage.error if lane.outage else None
        if bool(error) == lane.noted_down or not (error or lane.reached):
            return
        lane.noted_down = bool(error)
        # Else this is how the run ends, and it is told then.
        if lane.reached or self.stay or len(self.lanes) > 1:
            logger.warning("%s", error or f"Endpoint {lane.endpoint.name!r} answers again.")
        await self._database(self.work.note_down, lane.endpoint, str(error or ""))

    async def _give_back(self, lane: Lane) -> None:
        """Give back the rows that the lane won't ask any more, once their calls are written."""
        rows = lane.to_give_back - lane.called() - self._unwritten()
        if rows:
            lane.to_give_back -= rows
            await self._database(lambda: self.work.release(self.lease, only=rows))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(settings.LEASE_SECONDS / 3)
            with suppress(DatabaseError):  # the next beat may reach it; if none does, the rows go to others
                await self._database(self.work.renew, self.lease)

    async def _check(self) -> None:
        """Hold back what was withdrawn since it was claimed, and what a cap came over, till permitted."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            with suppress(DatabaseError):
                await self._check_caps()
                gone = await self._database(self.work.withdrawn, self.lease)
                for lane in self.lanes.values() if gone else ():
                    # A call that is in flight or not written yet comes first; then its row goes back, without
                    # another.
                    lane.to_give_back |= lane.drop(gone) | (lane.called() & gone)

    async def _check_caps(self) -> None:
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

    async def _finish(self) -> None:
        """Call back what is in flight, write it, give back the rest."""
        flying = [task for lane in self.lanes.values() for task in lane.flying]
        for lane in self.lanes.values():
            self.results += [MadeCall(job, call, final=lane.accepted) for job, call in lane.turned_away_calls]
            lane.turned_away_calls = []
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
        """Run a step in the database thread; again while the database is away."""
        return despite_outages(lambda: function(*args), self._patience)

    def _patience(self) -> float:
        return GRACE_SECONDS if self.closing or self.stopping() else LONGEST_OUTAGE


@cache
def _tell_once(problem: str) -> None:
    """Log the problem once a process: a worker looks for work every other second."""
    logger.error(problem)


def wait_before(job: CallJob, pause: float | None) -> float:
    """Return the seconds before the next try: those the service asked for, else doubling, and spread."""
    wait = pause if pause is not None else BACKOFF_SECONDS * 2 ** (job.failures - 1)
    return min(wait, LONGEST_WAIT) * random.uniform(1.0, 1.3)

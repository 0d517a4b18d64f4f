"""The engine that makes model calls for rows that are jobs: verdicts wanted, responses to collect.

A row is claimed under a lease, the call is made outside any transaction, and what came of it is written in small
batches by one database thread:

1. claim: a conditional UPDATE takes rows that are open or whose lease ran out. Killed here: the lease runs out.
2. call: in flight, kept alive by a heartbeat. Killed here: the same; at most the calls in flight are repeated.
3. store: each call is written as it came, in a transaction of its own. Killed here: the next claim finds the stored
   answer and makes no call.
4. conclude: the row gets its outcome, if it is still ours. Killed here: all or nothing of the batch.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from benchmark.client import ANSWER, Call, Client
from benchmark.errors import UserError
from benchmark.models import Endpoint

ATTEMPTS = 5
BACKOFF_SECONDS = 0.5
LONGEST_WAIT = 60.0
FLUSH_SECONDS = 0.2
GRACE_SECONDS = 5.0
# An endpoint is taken to be down after so many calls in a row that reached no server, over at least so many seconds:
# less than a job's own retries last, so that an outage fails nothing, and more than a server's restart.
DOWN_AFTER, DOWN_OVER_SECONDS = 6, 3.0
DOWN_FOR_SECONDS = 20.0  # until it is tried again, while other endpoints have work
T = TypeVar("T")
logger = logging.getLogger(__name__)


class EndpointDown(UserError):
    """An endpoint can't be reached. Its rows were given back: nothing has failed, and nothing is lost."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed row and the call it wants. `cached` is the raw answer to an equal question asked before."""

    pk: int
    endpoint: Endpoint
    request: Mapping[str, Any]
    request_hash: str
    cached: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A call made for a job; `final` when none will follow it."""

    job: Job
    call: Call
    final: bool


class Work(Protocol):
    """Rows of one kind. Everything here runs in the database thread, each step in a transaction of its own."""

    def endpoints(self) -> Sequence[Endpoint]:
        """Those with open rows."""

    def claim(self, endpoint: Endpoint, lease: str, room: int) -> Sequence[Job]:
        """Take up to `room` open rows of the endpoint."""

    def renew(self, lease: str) -> None:
        """Prolong the lease of the rows held under it."""

    def store(self, made: Sequence[Made]) -> None:
        """Write the calls, as they came."""

    def conclude(self, lease: str, made: Sequence[Made]) -> None:
        """Give the rows of final calls their outcome, where they are still held under the lease."""

    def release(self, lease: str, endpoint: Endpoint | None = None) -> None:
        """Give back what is still held under the lease, at one endpoint or at all."""

    def waiting(self) -> bool:
        """Whether rows are open or held by another worker."""


@dataclass
class Silence:
    """Calls in a row that found no server."""

    since: float
    calls: int = 0
    error: EndpointDown | None = None  # once it is taken to be down
    until: float = 0.0

    def noticed(self, endpoint: Endpoint, call: Call) -> bool:
        """Count the call; true when it is the one that shows the endpoint to be down."""
        self.calls += 1
        enough = self.calls >= max(DOWN_AFTER, 2 * endpoint.concurrency)
        if self.error or not enough or monotonic() - self.since < DOWN_OVER_SECONDS:
            return False
        self.until = monotonic() + DOWN_FOR_SECONDS
        self.error = EndpointDown(
            f"Endpoint {endpoint.name!r} can't be reached at {endpoint.base_url} ({call.error}); "
            "what it was to answer is still wanted: start it or mend its base_url, then run this again."
        )
        return True


@dataclass
class Engine:
    work: Work
    stopping: Callable[[], bool] = lambda: False
    on_progress: Callable[[int], None] = lambda concluded: None
    wait_for_others: bool = False  # stay until rows held by other workers are concluded or given back
    lease: str = field(default_factory=lambda: uuid.uuid4().hex)
    flying: dict[asyncio.Task[None], int] = field(default_factory=dict)  # task to endpoint
    results: list[Made] = field(default_factory=list)
    clients: dict[int, Client] = field(default_factory=dict)
    silent: dict[int, Silence] = field(default_factory=dict)  # by endpoint
    given_up: list[Endpoint] = field(default_factory=list)  # whose rows are to be given back
    broken: Exception | None = None

    def run(self) -> None:
        """Work until nothing is left. Raises EndpointDown, at the end, where an endpoint could not be reached."""
        asyncio.run(self._run())
        for silence in self.silent.values():
            if silence.error:
                raise silence.error

    async def _run(self) -> None:
        # One thread, so one connection, and claims and writes never race each other.
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="arbiter-database")
        beat = asyncio.create_task(self._heartbeat())
        try:
            while not self.stopping():
                claimed = await self._fill()
                idle = not (claimed or self.flying or self.results)
                if idle and not await self._more_to_come():
                    break
                # Written after the calls that take their place are on their way.
                landed = bool(self.results)
                await self._flush()
                if not landed:
                    await self._pause()
        finally:
            beat.cancel()
            await self._wind_up()

    async def _more_to_come(self) -> bool:
        """Rows that another worker was quicker to claim may have left more; rows it holds may come back."""
        if any(self._usable(endpoint) for endpoint in await self._database(self.work.endpoints)):
            return True
        down = any(silence.error for silence in self.silent.values())
        return self.wait_for_others and not down and await self._database(self.work.waiting)

    async def _fill(self) -> int:
        """Claim as many rows as there is room for at each endpoint, and start their calls."""
        claimed = 0
        for endpoint in await self._database(self.work.endpoints):
            busy = sum(pk == endpoint.pk for pk in self.flying.values())
            room = endpoint.concurrency - busy
            if room <= 0 or not self._usable(endpoint):
                continue
            jobs = await self._database(self.work.claim, endpoint, self.lease, room)
            for job in jobs:
                task = asyncio.create_task(self._do(job))
                self.flying[task] = endpoint.pk
                task.add_done_callback(self._landed)
            claimed += len(jobs)
        return claimed

    def _usable(self, endpoint: Endpoint) -> bool:
        """A worker that lacks an endpoint's key leaves its rows to others; one that is down is left alone for a while."""
        silence = self.silent.get(endpoint.pk)
        if silence and silence.error:
            if monotonic() < silence.until:
                return False
            del self.silent[endpoint.pk]
        try:
            self._client(endpoint)
        except UserError as error:
            _tell(str(error))
            return False
        return True

    def _landed(self, task: asyncio.Task[None]) -> None:
        self.flying.pop(task, None)
        if not task.cancelled() and task.exception():
            self.broken = self.broken or task.exception()  # type: ignore[assignment]

    async def _do(self, job: Job) -> None:
        """Make the job's call, again where a retry can succeed; each one is a result of its own."""
        if job.cached is not None:
            call = Call(outcome=ANSWER, started_at=timezone.now(), latency=0.0, raw=job.cached, cached=True)
            self.results.append(Made(job, call, final=True))
            return
        client = self._client(job.endpoint)
        for attempt in range(1, ATTEMPTS + 1):
            call = await client.ask(job.request)
            dropped = self._notice(job.endpoint, call)
            final = attempt == ATTEMPTS or not call.worth_retrying
            self.results.append(Made(job, call, final and not dropped))
            if final or dropped:
                return
            await asyncio.sleep(wait_before(attempt, call.retry_after))

    def _notice(self, endpoint: Endpoint, call: Call) -> bool:
        """Whether the endpoint is down; the call that shows it drops the endpoint's others, and their rows go back."""
        if not call.unreached:
            self.silent.pop(endpoint.pk, None)
            return False
        silence = self.silent.setdefault(endpoint.pk, Silence(since=monotonic()))
        if silence.noticed(endpoint, call):
            self.given_up.append(endpoint)
            for task, of in self.flying.items():
                if of == endpoint.pk and task is not asyncio.current_task():
                    task.cancel()
        return silence.error is not None

    def _client(self, endpoint: Endpoint) -> Client:
        if endpoint.pk not in self.clients:
            self.clients[endpoint.pk] = Client(endpoint)
        return self.clients[endpoint.pk]

    async def _pause(self) -> None:
        """Until a call lands, and long enough after it that others land in the same batch."""
        if self.flying:
            await asyncio.wait(self.flying, timeout=FLUSH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(FLUSH_SECONDS / 20)
        elif not self.results:
            await asyncio.sleep(FLUSH_SECONDS)

    async def _flush(self) -> None:
        if self.results:
            batch, self.results = self.results, []
            try:
                await self._database(self.work.store, [made for made in batch if not made.call.cached])
            except DatabaseError:
                self.results = batch + self.results  # the last flush tries again
                raise
            final = [made for made in batch if made.final]
            await self._database(self.work.conclude, self.lease, final)
            self.on_progress(len(final))
        for endpoint in [one for one in self.given_up if one.pk not in self.flying.values()]:
            self.given_up.remove(endpoint)
            await self._database(self.work.release, self.lease, endpoint)
        if self.broken:
            raise self.broken

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(settings.LEASE_SECONDS / 3)
            with suppress(DatabaseError):  # the next beat may reach it; if none does, the rows go to others
                await self._database(self.work.renew, self.lease)

    async def _wind_up(self) -> None:
        """Let calls in flight land for a moment, write them, give back the rest."""
        if self.flying and self.broken is None:
            await asyncio.wait(self.flying, timeout=GRACE_SECONDS)
        for task in list(self.flying):
            task.cancel()
        await asyncio.gather(*self.flying, return_exceptions=True)
        self.broken = None  # it is on its way up already
        try:
            await self._flush()
            await self._database(self.work.release, self.lease)
        finally:
            for client in self.clients.values():
                await client.close()
            await self._database(connections.close_all)
            self.thread.shutdown()

    async def _database(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, lambda: function(*args))


@cache
def _tell(problem: str) -> None:
    """Once a process: a worker looks for work every other second."""
    logger.error(problem)


def wait_before(attempt: int, retry_after: float | None) -> float:
    """Seconds before the next try: what the service asked for, else doubling, spread so that callers part."""
    wait = retry_after if retry_after is not None else BACKOFF_SECONDS * 2 ** (attempt - 1)
    return min(wait, LONGEST_WAIT) * random.uniform(1.0, 1.3)

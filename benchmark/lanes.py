"""One endpoint's calls: how many may be in flight, which wait for their turn, and whether anybody answers there.

How many may be in flight adapts. A round is as many calls as may be in flight: a round without a complaint raises the
number, a complaint (429, 503, 529) lowers it, by a tenth if it stands alone and by half if it is one of many. Calls that
were on their way when the number was last lowered say nothing new about it, but that it was more than one.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from django.utils import timezone

from benchmark.client import Call, Client
from benchmark.errors import UserError
from benchmark.models import Endpoint

LONGEST_WAIT = 60.0
MANY = 0.2  # share of the latest calls that complained, from which on the endpoint is left alone for a while
# An endpoint is taken to be down after so many calls in a row that reached no server, over at least so many seconds:
# less than one job's own tries, so that an outage fails nothing, and more than a server's restart.
DOWN_AFTER, DOWN_OVER_SECONDS = 4, 3.0
DOWN_FOR_SECONDS = (5.0, 60.0)  # until it is tried again: at first, at most
DESCRIBED = (
    "base_url",
    "key_variable",
    "concurrency",
    "concurrency_floor",
    "timeout",
    "connect_timeout",
    "read_timeout",
)


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed row and the call it wants.

    `cached` is the raw answer to an equal question asked before. `metered`: each call has to be permitted first, because
    a cap stands over it. `context` is the work's own.
    """

    pk: int
    endpoint: Endpoint
    request: Mapping[str, Any]
    cached: str | None = None
    metered: bool = False
    reserved: int = 0  # what the permission set aside
    failures: int = 0  # calls made for it that failed
    complaints: int = 0  # of which the service said that it was asked too often
    context: Any = None


class EndpointDown(UserError):
    """An endpoint can't be reached. Its rows were given back: nothing has failed, and nothing is lost."""


@dataclass
class Silence:
    """Calls in a row that found no server."""

    since: float = field(default_factory=monotonic)
    calls: int = 0
    times: int = 0  # that it was taken to be down
    until: float = 0.0  # it is to be tried again
    error: EndpointDown | None = None  # what it was told with last

    def noticed(self, endpoint: Endpoint, call: Call) -> bool:
        """Count the call; whether the endpoint is down. After the first time one call is enough to know."""
        self.calls += 1
        if self.times == 0 and (self.calls < DOWN_AFTER or monotonic() - self.since < DOWN_OVER_SECONDS):
            return False
        if monotonic() >= self.until:
            shortest, longest = DOWN_FOR_SECONDS
            self.until = monotonic() + min(longest, shortest * 2**self.times)
            self.times += 1
        self.error = EndpointDown(
            f"Endpoint {endpoint.name!r} can't be reached at {endpoint.base_url} ({call.error}); "
            "what it was to answer is still wanted: start it or mend its base_url, then run this again."
        )
        return True


class Lane:
    """What waits and what is on its way at one endpoint."""

    def __init__(self, endpoint: Endpoint, client: Client) -> None:
        self.endpoint, self.client = endpoint, client
        self.limit = float(min(endpoint.concurrency_start or endpoint.concurrency, endpoint.concurrency))
        self.ready: deque[Job] = deque()
        self.asking: deque[Job] = deque()  # metered, to be permitted
        self.flying: dict[asyncio.Task[None], Job] = {}
        self.unwritten = 0  # calls that have set out, and are not stored
        self.landed = 0  # since rows were claimed last
        self.reached = False  # somebody answered, once
        self.fallen: set[int] = set()  # rows to be given back, since it is down
        self.told_down = endpoint.down_since is not None  # what its row says
        # Where its row says that it is down, one call is enough to know that it still is.
        self.silence = Silence(times=1) if endpoint.down_since else None
        self.quiet_until = 0.0
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._lowered_at = 0.0
        self._climbs_slowly = self._halved = False
        self._clean = 0
        self._latest: deque[bool] = deque(maxlen=max(8, endpoint.concurrency))

    def same_as(self, endpoint: Endpoint) -> bool:
        return all(getattr(self.endpoint, name) == getattr(endpoint, name) for name in DESCRIBED)

    def move(self, endpoint: Endpoint, client: Client) -> None:
        self.reached &= endpoint.base_url == self.endpoint.base_url
        self.endpoint, self.client, self.silence = endpoint, client, None
        self.limit = float(min(self.limit, endpoint.concurrency))

    def jobs(self) -> Iterator[Job]:
        """All that it holds."""
        yield from self.ready
        yield from self.asking
        yield from self.flying.values()
        yield from (job for _, _, job in self._later)

    @property
    def busy(self) -> bool:
        return bool(self.ready or self.asking or self.flying or self._later)

    def free(self) -> int:
        """Calls that may set out now. What has landed and is not stored would be lost with this process, so where the
        database is slow that counts too."""
        probing = self.silence is not None and self.silence.times > 0  # one call is enough to know
        allowed = 1 if probing else int(self.limit)
        return min(allowed - len(self.flying), 2 * allowed - self.unwritten)

    def room(self) -> int:
        """Rows worth claiming: for the calls that may set out now, and for those that will before the next claim."""
        return self.free() + 2 * self.landed - len(self.ready) - len(self.asking)

    def quiet(self) -> bool:
        return monotonic() < self.quiet_until

    def add(self, job: Job) -> None:
        (self.asking if job.metered else self.ready).append(job)

    def hold_back(self) -> list[Job]:
        """What would set out unasked has to be permitted first, until it is let go: a cap may have come."""
        held = [job for job in self.ready if not job.metered]
        self.ready = deque(job for job in self.ready if job.metered)
        self.asking.extendleft(reversed(held))
        return held

    def let_go(self, held: list[Job]) -> None:
        pks = {job.pk for job in held}
        self.ready.extendleft(job for job in reversed(self.asking) if job.pk in pks)
        self.asking = deque(job for job in self.asking if job.pk not in pks)

    def put_off(self, job: Job, seconds: float) -> None:
        heapq.heappush(self._later, (monotonic() + seconds, next(self._numbers), job))

    def next_due(self) -> float | None:
        """Seconds until one that was put off is due, or until the endpoint may be asked again."""
        waits = [self._later[0][0] - monotonic()] if self._later else []
        if self.ready and self.quiet():
            waits.append(self.quiet_until - monotonic())
        return max(0.0, min(waits)) if waits else None

    def take_due(self) -> None:
        """Those whose time has come go first: a retry has waited longest. Each call of a metered job is permitted anew."""
        now = monotonic()
        while self._later and self._later[0][0] <= now:
            job = heapq.heappop(self._later)[2]
            # Also where no cap stood over it when it was claimed: one may by now.
            self.asking.appendleft(replace(job, reserved=0))

    def drop(self, pks: set[int]) -> set[int]:
        """Forget those of these that have not set out; which they were."""
        dropped = {job.pk for job in self.jobs() if job.pk in pks} - {job.pk for job in self.flying.values()}
        self.ready = deque(job for job in self.ready if job.pk not in dropped)
        self.asking = deque(job for job in self.asking if job.pk not in dropped)
        self._later = [entry for entry in self._later if entry[2].pk not in dropped]
        heapq.heapify(self._later)
        return dropped

    def clear(self) -> None:
        """Forget all that has not set out, and call back what has."""
        self.ready.clear()
        self.asking.clear()
        self._later.clear()
        for task in self.flying:
            if task is not asyncio.current_task():
                task.cancel()

    def heed(self, call: Call, set_out: float) -> None:
        """Learn from a call how many may be in flight."""
        if call.pause and call.answered:  # nothing is left of its allowance, it says
            self._hush(call.pause)
        self._latest.append(call.overloaded)
        if call.overloaded:
            self._lower(call, set_out)
        elif call.answered and set_out >= self._lowered_at:
            self._clean += 1
            if self._clean >= int(self.limit):
                self._raise()

    def _lower(self, call: Call, set_out: float) -> None:
        self._clean = 0
        many = sum(self._latest) > 1 and sum(self._latest) / len(self._latest) >= MANY
        if set_out < self._lowered_at and (self._halved or not many):
            return
        self.limit = max(float(self.endpoint.concurrency_floor), self.limit * (0.5 if many else 0.9))
        self._climbs_slowly, self._halved, self._lowered_at = True, many, monotonic()
        if many:
            self._hush(call.pause or 0.0)
            self._latest.clear()

    def _raise(self) -> None:
        self._clean = 0
        step = max(1.0, self.limit / 10) if self._climbs_slowly else self.limit
        self.limit = min(float(self.endpoint.concurrency), self.limit + step)

    def _hush(self, seconds: float) -> None:
        self.quiet_until = max(self.quiet_until, monotonic() + min(seconds, LONGEST_WAIT))

    def notice(self, call: Call) -> bool:
        """Whether the endpoint is down. If so, nothing sets out any more, and what has is called back."""
        if not call.unreached:
            self.silence, self.reached = None, True
            return False
        self.silence = self.silence or Silence()
        if not self.silence.noticed(self.endpoint, call):
            return False
        self.fallen |= {job.pk for job in self.jobs()}
        self.clear()
        return True

    def down(self) -> bool:
        return self.silence is not None and monotonic() < self.silence.until

    def silent_since(self, moment: float) -> bool:
        """Whether every call since then that ended has found no server."""
        return self.silence is not None and self.silence.since <= moment


def note_down(endpoint: Endpoint, error: str) -> None:
    """On its row, for the page to say."""
    found = Endpoint.objects.filter(pk=endpoint.pk)
    if error:
        found.filter(down_since=None).update(down_since=timezone.now())
        found.update(down_error=error)
    else:
        found.update(down_since=None, down_error="")

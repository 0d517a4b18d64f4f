"""One endpoint's calls: how many may be in flight, which wait for their turn, whether anybody answers there.

How many may be in flight adapts. A round is as many calls as may be in flight: a round without a complaint
raises the number, a complaint (429, 503, 529) lowers it, by a tenth if it stands alone and by half if it is
one of many. Calls that were on their way when the number was last lowered say nothing new about it, but that
it was more than one.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from arbiter.calls.client import Call, Client
from arbiter.calls.service import Service
from arbiter.core.errors import UserError

LONGEST_WAIT = 60.0
# A pause longer than this is no matter of trying again: the endpoint rests, for all workers, and for a day at
# most.
LONGEST_PAUSE, LONGEST_REST = 300.0, 86_400.0
# Calls, the first of a run, after which an endpoint that turned them all away is taken to be described
# wrongly.
FIRST_CALLS = 3
MANY = 0.2  # share of the latest calls that complained, from which on the endpoint is left alone for a while
# An endpoint is taken to be down after so many calls in a row that reached no server, over at least so many
# seconds: less than one job's own tries, so that an outage fails nothing, and more than a server's restart.
DOWN_AFTER, DOWN_OVER_SECONDS = 4, 3.0
DOWN_FOR_SECONDS = (5.0, 60.0)  # until it is tried again: at first, at most
DESCRIBED = (
    "base_url",
    "key_variable",
    "headers",
    "query",
    "ca_bundle",
    "proxy",
    "dialect",
    "concurrency",
    "concurrency_floor",
    "timeout",
    "connect_timeout",
    "read_timeout",
)


@dataclass(frozen=True, slots=True)
class CallJob:
    """A claimed row and the call it wants.

    `cached` is the raw answer to an equal question asked before. `metered`: each call has to be permitted
    first, because a cap stands over it. `context` is the work's own.
    """

    pk: int
    endpoint: Service
    request: Mapping[str, Any]
    cached: str | None = None
    metered: bool = False
    reserved: int = 0  # what the permission set aside
    failures: int = 0  # calls made for it that failed
    complaints: int = 0  # of which the service said that it was asked too often
    context: Any = None


class EndpointDown(UserError):
    """An endpoint can't be reached. Its rows were given back: nothing has failed, and nothing is lost."""


class TurnedAway(EndpointDown):
    """An endpoint turned all first calls away. Its rows were given back: what is wrong is no row's fault."""


@dataclass
class Outage:
    """Calls in a row that reached no server."""

    since: float = field(default_factory=monotonic)
    calls: int = 0
    times: int = 0  # that it was taken to be down
    until: float = 0.0  # it is to be tried again
    error: EndpointDown | None = None  # what it was told with last

    def noticed(self, endpoint: Service, call: Call) -> bool:
        """Count the call, and tell whether the endpoint is down; after the first time one call shows it."""
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
    """The calls that wait and that are on their way at one endpoint."""

    def __init__(self, endpoint: Service, client: Client) -> None:
        self.endpoint, self.client = endpoint, client
        self.limit = float(min(endpoint.concurrency_start or endpoint.concurrency, endpoint.concurrency))
        self.ready: deque[CallJob] = deque()
        self.asking: deque[CallJob] = deque()  # metered, to be permitted
        self.flying: dict[asyncio.Task[None], CallJob] = {}
        self.unwritten = 0  # calls that have set out, and are not stored
        self.landed = 0  # since rows were claimed last
        self.reached = False  # somebody answered, once
        self.to_give_back: set[int] = set()  # rows that won't be asked any more
        self.turned_away_calls: list[tuple[CallJob, Call]] = []  # while no other call has been answered
        self.accepted = False  # a call ended in another way than being turned away
        self.resting = self.rest_noted = False  # until a time that its row says, once that is noted there
        self.noted_down = endpoint.down_since is not None  # what its row says
        # Where its row says that it is down, one call is enough to know that it still is.
        self.outage = Outage(times=1) if endpoint.down_since else None
        self.quiet_until = 0.0
        self._later: list[tuple[float, int, CallJob]] = []
        self._numbers = itertools.count()
        self._lowered_at = 0.0
        self._climbs_slowly = self._halved = False
        self._clean = 0
        self._latest: deque[bool] = deque(maxlen=max(8, endpoint.concurrency))

    def same_as(self, endpoint: Service) -> bool:
        return all(getattr(self.endpoint, name) == getattr(endpoint, name) for name in DESCRIBED)

    def move(self, endpoint: Service, client: Client) -> None:
        self.reached &= endpoint.base_url == self.endpoint.base_url
        self.endpoint, self.client, self.outage, self.accepted = endpoint, client, None, False
        self.limit = float(min(self.limit, endpoint.concurrency))

    def jobs(self) -> Iterator[CallJob]:
        """Yield all jobs that the lane holds."""
        yield from self.ready
        yield from self.asking
        yield from self.flying.values()
        yield from (job for job, _ in self.turned_away_calls)
        yield from (job for _, _, job in self._later)

    @property
    def busy(self) -> bool:
        return bool(self.ready or self.asking or self.flying or self.turned_away_calls or self._later)

    def free(self) -> int:
        """Return how many calls may set out now.

        What has landed and is not stored would be lost with this process, so where the database is slow that
        counts too.
        """
        probing = self.outage is not None and self.outage.times > 0  # one call is enough to know
        allowed = 1 if probing else int(self.limit)
        # Those turned away wait for one another, not for the database.
        unwritten = self.unwritten - len(self.turned_away_calls)
        return min(allowed - len(self.flying), 2 * allowed - unwritten)

    def room(self) -> int:
        """Return how many rows to claim: for calls that may set out now, or before the next claim."""
        return self.free() + 2 * self.landed - len(self.ready) - len(self.asking)

    def quiet(self) -> bool:
        return monotonic() < self.quiet_until

    def closed(self) -> bool:
        """Tell whether nothing may set out."""
        return (
            self.quiet() or self.down() or self.resting or len(self.turned_away_calls) >= self._first_calls()
        )

    def add(self, job: CallJob) -> None:
        (self.asking if job.metered else self.ready).append(job)

    def hold_back(self) -> list[CallJob]:
        """Hold back what would set out unasked until it is let go, and return it: a cap may have come."""
        unmetered = [job for job in self.ready if not job.metered]
        self.ready = deque(job for job in self.ready if job.metered)
        self.asking.extendleft(reversed(unmetered))
        return unmetered

    def let_go(self, jobs: list[CallJob]) -> None:
        pks = {job.pk for job in jobs}
        self.ready.extendleft(job for job in reversed(self.asking) if job.pk in pks)
        self.asking = deque(job for job in self.asking if job.pk not in pks)

    def put_off(self, job: CallJob, seconds: float) -> None:
        heapq.heappush(self._later, (monotonic() + seconds, next(self._numbers), job))

    def next_due(self) -> float | None:
        """Return the seconds until one that was put off is due, or until the endpoint may be asked again."""
        waits = [self._later[0][0] - monotonic()] if self._later else []
        if self.ready and self.quiet():
            waits.append(self.quiet_until - monotonic())
        return max(0.0, min(waits)) if waits else None

    def take_due(self) -> None:
        """Have those permitted anew whose time has come. They go first: a retry has waited longest."""
        now = monotonic()
        while self._later and self._later[0][0] <= now:
            job = heapq.heappop(self._later)[2]
            # Also where no cap stood over it when it was claimed: one may by now.
            self.asking.appendleft(replace(job, reserved=0))

    def drop(self, pks: set[int]) -> set[int]:
        """Forget those of these rows that have not set out, and return them."""
        dropped = {job.pk for job in self.jobs() if job.pk in pks} - self.called()
        self.ready = deque(job for job in self.ready if job.pk not in dropped)
        self.asking = deque(job for job in self.asking if job.pk not in dropped)
        self._later = [entry for entry in self._later if entry[2].pk not in dropped]
        heapq.heapify(self._later)
        return dropped

    def called(self) -> set[int]:
        """Return the rows whose call has set out, and is not told of yet."""
        return {job.pk for job in (*self.flying.values(), *(job for job, _ in self.turned_away_calls))}

    def clear(self) -> None:
        """Forget all that has not set out, and call back what has."""
        self.ready.clear()
        self.asking.clear()
        self._later.clear()
        for task in self.flying:
            if task is not asyncio.current_task():
                task.cancel()

    def adapt(self, call: Call, set_out: float) -> None:
        """Learn from a call how many may be in flight."""
        if call.pause and call.answered:  # nothing is left of its allowance, it says
            self._pause(call.pause)
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
            self._pause(call.pause or 0.0)
            self._latest.clear()

    def _raise(self) -> None:
        self._clean = 0
        step = max(1.0, self.limit / 10) if self._climbs_slowly else self.limit
        self.limit = min(float(self.endpoint.concurrency), self.limit + step)

    def _pause(self, seconds: float) -> None:
        self.quiet_until = max(self.quiet_until, monotonic() + min(seconds, LONGEST_WAIT))

    def notice(self, call: Call) -> bool:
        """Tell whether the endpoint is down. Then nothing sets out, and what has is called back."""
        if not call.unreached:
            self.outage, self.reached = None, True
            return False
        self.outage = self.outage or Outage()
        if not self.outage.noticed(self.endpoint, call):
            return False
        self.to_give_back |= {job.pk for job in self.jobs()}
        self.clear()
        return True

    def _first_calls(self) -> int:
        """Return how many calls turned away say that all would be: where it was so before, one."""
        return 1 if self.outage and self.outage.times else FIRST_CALLS

    def hold_turned_away(self, job: CallJob, call: Call, statuses: Collection[int]) -> bool:
        """Tell whether the call was turned away, as every other so far: whose fault it is shows later."""
        turned_away = call.keyless or call.status in statuses
        if call.answered or (call.status is not None and not turned_away):
            self.accepted = True
        if self.accepted or call.status is None:
            return False
        self.turned_away_calls.append((job, call))
        return True

    def settle_turned_away(self) -> Sequence[tuple[CallJob, Call]]:
        """Return the calls that were turned away, once it shows whose fault that is.

        It is the rows' where others were accepted; the endpoint's, where enough were turned away and nothing
        else is on its way: then it is down, and tells so.
        """
        nothing_else = not (self.flying or self._later)
        # What asks for permission and has none waits for these, where they are all that a cap allows.
        enough = len(self.turned_away_calls) >= self._first_calls() or not self.ready
        if not self.turned_away_calls or not (self.accepted or (nothing_else and enough)):
            return ()
        settled, self.turned_away_calls = self.turned_away_calls, []
        if not self.accepted:
            self._take_down(settled)
        return settled

    def _take_down(self, calls: Sequence[tuple[CallJob, Call]]) -> None:
        self.to_give_back |= {job.pk for job in self.jobs()} | {job.pk for job, _ in calls}
        self.clear()
        first, many = calls[0][1], len(calls)
        outage = self.outage = self.outage or Outage()
        shortest, longest = DOWN_FOR_SECONDS
        outage.until = monotonic() + min(longest, shortest * 2**outage.times)
        outage.times += 1
        whose = f"the first {many} calls" if many > 1 else "the first call"
        outage.error = TurnedAway(
            f"Endpoint {self.endpoint.name!r} at {self.endpoint.base_url} turned away {whose} "
            f"({first.error.rstrip('.')}): {wrong_with(self.endpoint, first)}. "
            "What it was to answer is still wanted: mend that, then run this again."
        )

    def rest(self) -> None:
        """Give back what has not set out, and let what has land."""
        self.resting = True
        self.to_give_back |= {job.pk for job in self.jobs()}
        self.ready.clear()
        self.asking.clear()
        self._later.clear()

    def down(self) -> bool:
        return self.outage is not None and monotonic() < self.outage.until

    def unreached_since(self, moment: float) -> bool:
        """Tell whether every call since then that ended has reached no server."""
        return self.outage is not None and self.outage.since <= moment


def wrong_with(endpoint: Service, call: Call) -> str:
    """Tell what to look at where an endpoint turned every call away."""
    variable = endpoint.key_variable
    key = f"the key in {variable}" if variable else "the key, of which none is named"
    if call.keyless or call.status in (401, 403):
        return f"see whether {key} is one it knows and may be used for this model"
    if call.status == 404:
        return (
            f"see whether it knows the model by that name, and whether {endpoint.base_url} is right, "
            "up to and including /v1"
        )
    return "see whether its base_url is right"

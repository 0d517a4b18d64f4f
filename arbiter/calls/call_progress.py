"""How far calls are that rows want: counts by state, and the pace of the latest calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import ClassVar, NamedTuple

from arbiter.core.callrecords import CallRecord

TODO, LEASED = "todo", "leased"
PACE_CALLS = 400  # of the latest, that a pace is told from
WINDOW = 30.0  # seconds
ANSWERED = {CallRecord.Outcome.ANSWER, CallRecord.Outcome.REFUSAL, CallRecord.Outcome.LENGTH}
POLL_SECONDS = 2
CALM_SECONDS = 15  # between two looks while nothing that is open may move
STILL = 5  # looks in a row that saw nobody work, until the page says so


class RecentCall(NamedTuple):
    """One of the latest calls."""

    row: int  # that it was made for
    outcome: str
    started_at: datetime
    latency: float
    simulated: bool

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(seconds=self.latency)


@dataclass(frozen=True)
class CallPace:
    calls: float = 0.0  # a second
    rows: float = 0.0  # answered a second
    p50: float | None = None  # seconds, of the calls that were answered
    p95: float | None = None


def pace(calls: Sequence[RecentCall], now: datetime) -> CallPace:
    """Measure from the latest calls how fast they come now, and how long each takes.

    Where they come more often than so many can tell of, they are measured over the time that they span.
    """
    latencies = sorted(call.latency for call in calls if call.outcome in ANSWERED)
    late = [call for call in calls if (now - call.ended_at).total_seconds() <= WINDOW]
    if not late:
        return CallPace(0.0, 0.0, quantile(latencies, 0.5), quantile(latencies, 0.95))
    began = min(call.started_at for call in late)
    seconds = WINDOW if len(late) < len(calls) else min(WINDOW, (now - began).total_seconds())
    answered = {call.row for call in late if call.outcome in ANSWERED}
    seconds = max(seconds, 1.0)
    return CallPace(
        len(late) / seconds,
        len(answered) / seconds,
        quantile(latencies, 0.5),
        quantile(latencies, 0.95),
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that so large a share of the ordered values does not exceed; None of no
    values."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


class BarPart(NamedTuple):
    """A state's part of a bar, in hundredths of its length."""

    state: str
    start: float
    width: float


@dataclass
class RowCounts:
    """Rows that are work, by state."""

    FINAL: ClassVar[Sequence[str]] = ()  # the states in which nothing is wanted any more
    SHOWN: ClassVar[Sequence[str]] = ()  # all states, in the order of a bar

    states: dict[str, int]
    wanted: int
    alive: int = 0  # of those leased, held by a worker that lives
    pace: CallPace = field(default_factory=CallPace)

    @property
    def counts(self) -> list[tuple[str, int]]:
        return [(state, self.count(state)) for state in self.SHOWN]

    def count(self, state: str) -> int:
        """Count the rows in a state. A row whose worker died is as good as open:
        the next worker takes it."""
        count, dead = self.states.get(state, 0), self.states.get(LEASED, 0) - self.alive
        return count + {LEASED: -dead, TODO: dead}.get(str(state), 0)

    @property
    def finished(self) -> int:
        return sum(self.states.get(state, 0) for state in self.FINAL)

    @property
    def open(self) -> int:
        return self.states.get(TODO, 0) + self.states.get(LEASED, 0)

    @property
    def missing(self) -> int:
        """Return how many rows are not there yet."""
        return max(0, self.wanted - self.finished - self.open)

    @property
    def failed(self) -> int:
        return self.states.get("failed", 0)

    @property
    def parts(self) -> list[BarPart]:
        whole, start, parts = max(self.wanted, self.finished + self.open, 1), 0.0, []
        for state, count in self.counts:
            width = 100 * count / whole
            parts.append(BarPart(state, round(start, 3), round(width, 3)))
            start += width
        return parts

"""How far collections are, for a list of them and for a page that asks every two seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Count
from django.utils import timezone

from arbiter.calls.call_progress import (
    CALM_SECONDS,
    PACE_CALLS,
    POLL_SECONDS,
    STILL,
    CallPace,
    RecentCall,
    RowCounts,
    pace,
)
from benchmark.collection.collecting_run import reached
from benchmark.models import Collection, CollectionAttempt, Endpoint, Response

State = Response.State
Status = Collection.Status
LISTED = 200  # collections on one page


class ResponseCounts(RowCounts):
    """Responses by state, of one collection."""

    FINAL = (State.DONE, State.FAILED)
    SHOWN = (State.DONE, State.FAILED, State.LEASED, State.TODO)


@dataclass
class CollectionProgress(ResponseCounts):
    collection: Collection = field(kw_only=True)
    simulated: bool = False
    still: int = 0  # looks in a row that saw rows wait and nobody work

    @property
    def endpoint(self) -> Endpoint | None:
        return self.collection.run.endpoint

    @property
    def elsewhere(self) -> bool:
        """Tell whether the endpoint is at another address than the run's, so that nothing is asked there."""
        return bool(self.endpoint and self.endpoint.base_url != self.collection.run.base_url)

    @property
    def phase(self) -> str:
        if self.collection.status == Status.PAUSED and self.open:
            return "paused"
        if self.alive:
            return "working"
        if not self.open:
            return "cancelled" if self.collection.status == Status.CANCELLED else "finished"
        if self.collection.status == Status.CANCELLED:
            return "cancelled"
        return self._waits_for()

    def _waits_for(self) -> str:
        endpoint = self.endpoint
        if self.collection.reached:
            return "at the cap"
        if self.elsewhere or endpoint is None:
            return "endpoint moved"
        if endpoint.rests_until and endpoint.rests_until > timezone.now():
            return "resting"
        return "endpoint down" if endpoint.down_since else "waiting"

    @property
    def news(self) -> str:
        """Say where things stand, in words that change only when that does: they are read aloud."""
        return {
            "working": "Responses are coming in; this page keeps up by itself.",
            "paused": "Paused: what is wanted stays wanted, and is not asked for.",
            "cancelled": "Cancelled: nothing more is wanted of this run until it is collected again.",
            "at the cap": "Stopped at the cap.",
            "endpoint moved": "Waiting: its endpoint has another address now.",
            "resting": "Waiting until the endpoint may be asked again.",
            "endpoint down": "Waiting for the endpoint.",
            "waiting": "Waiting for a worker.",
        }.get(self.phase, self._finished)

    @property
    def _finished(self) -> str:
        failed = f", but {self.failed:,} that failed" if self.failed else ""
        return f"Every response that was wanted is in{failed}."

    @property
    def at_cap(self) -> str:
        """Say that the cap stands in the way of something, in a sentence; empty where it doesn't."""
        return reached(self.collection) if self.collection.reached and self.open else ""

    @property
    def unattended(self) -> bool:
        return self.phase == "waiting" and self.still >= STILL

    @property
    def poll(self) -> int | None:
        """Return the seconds until the page looks again; None where nothing can change by itself."""
        if self.phase in ("working", "waiting", "endpoint down"):
            return POLL_SECONDS
        return CALM_SECONDS if self.open else None

    @property
    def seconds_left(self) -> float | None:
        """Return how long the open responses take at the present pace; None where nothing moves."""
        return self.open / self.pace.rows if self.open and self.alive and self.pace.rows else None

    @property
    def unpriced(self) -> bool:
        return self.collection.output_price is None and not self.collection.cost


def collection_progress(collection: Collection, still: int = 0) -> CollectionProgress:
    """Return how far a collection is. `still`: how many looks before this one saw nobody work."""
    calls = _latest(collection.run_id)
    seen = _progress_of(collection, pace(calls, timezone.now()))
    seen.simulated = any(call.simulated for call in calls)
    seen.still = still + 1 if seen.phase == "waiting" else 0
    return seen


def _progress_of(collection: Collection, measured: CallPace) -> CollectionProgress:
    responses = Response.objects.filter(run=collection.run_id).order_by()
    states = dict(responses.values_list("state").annotate(Count("pk")))
    alive = Response.objects.under_lease().filter(run=collection.run_id).count()
    return CollectionProgress(states, sum(states.values()), alive, measured, collection=collection)


def _latest(run: int) -> list[RecentCall]:
    # Not `run=`: for that PostgreSQL may walk the primary key past all that other runs called since.
    calls = CollectionAttempt.objects.filter(run__lte=run).order_by("-run_id", "-pk")[:PACE_CALLS]
    fields = ("response", "outcome", "started_at", "latency", "simulated", "run")
    rows = [(RecentCall(*row), whose) for *row, whose in calls.values_list(*fields)]
    return [call for call, whose in rows if whose == run and call.outcome != CollectionAttempt.ASKED]


def collections_of(suites: Sequence[str]) -> list[CollectionProgress]:
    """Return how far the collections of these suites are, the latest first."""
    collections = Collection.objects.filter(run__suite__slug__in=suites).order_by("-pk")
    related = ("run__suite", "run__subject", "run__condition", "run__endpoint")
    return [_progress_of(one, CallPace()) for one in collections.select_related(*related)[:LISTED]]

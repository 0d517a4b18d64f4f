"""How far collections are, for a list of them and for a page that asks every two seconds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.db.models import Count, Exists, OuterRef, QuerySet
from django.utils import timezone

from arbiter.calls.call_progress import (
    CALM_SECONDS,
    PACE_CALLS,
    POLL_SECONDS,
    STILL,
    RecentCall,
    RowCounts,
    pace,
)
from benchmark.collection.collect_work import NOT_DONE
from benchmark.collection.collecting_run import reached
from benchmark.collection.wanted_responses import Collecting, collections_in
from benchmark.models import Collection, CollectionAttempt, CollectionPlan, Endpoint, Response

State = Response.State
Status = Collection.Status
LISTED = 200  # collections on one page
FEWEST = 40  # calls of a plan's arm that its pace is told from
SOONEST = ("waiting", "endpoint down", "resting", "endpoint moved", "at the cap")  # what passes first


class ResponseCounts(RowCounts):
    """Responses by state, of one collection."""

    FINAL = (State.DONE, State.FAILED)
    SHOWN = (State.DONE, State.FAILED, State.LEASED, State.TODO)


@dataclass
class CollectingProgress(ResponseCounts):
    """How far the responses are of what is collected as one."""

    of: Collecting = field(kw_only=True)
    simulated: bool = False
    still: int = 0  # looks in a row that saw rows wait and nobody work

    @property
    def status(self) -> str:
        return self.of.status

    @property
    def reached(self) -> bool:
        return self.of.reached

    @property
    def phase(self) -> str:
        if self.status == Status.PAUSED and self.open:
            return "paused"
        if self.alive:
            return "working"
        if self.status == Status.CANCELLED:
            return "cancelled"
        return self.waits_for() if self.open else "finished"

    def waits_for(self) -> str:
        """Return the phase of what is open, not held by anybody and neither paused nor cancelled."""
        raise NotImplementedError

    @property
    def news(self) -> str:
        """Say where things stand, in words that change only when that does: they are read aloud."""
        return {
            "working": "Responses are coming in; this page keeps up by itself.",
            "paused": "Paused: what is wanted stays wanted, and is not asked for.",
            "cancelled": "Cancelled: nothing more is wanted until it is collected again.",
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
        return reached(self.of) if self.of.reached and self.open else ""

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


@dataclass
class CollectionProgress(CollectingProgress):
    collection: Collection = field(kw_only=True)

    @property
    def title(self) -> str:
        return str(self.collection.run)

    @property
    def plan(self) -> CollectionPlan | None:
        """Return the plan that it is an arm of, and that is changed as one."""
        return self.collection.plan

    @property
    def status(self) -> str:
        return self.plan.status if self.plan else self.collection.status

    @property
    def reached(self) -> bool:
        return self.collection.reached or bool(self.plan and self.plan.reached)

    @property
    def endpoint(self) -> Endpoint | None:
        return self.collection.run.endpoint

    @property
    def endpoints(self) -> list[Endpoint]:
        return [self.endpoint] if self.endpoint else []

    @property
    def elsewhere(self) -> bool:
        """Tell whether the endpoint is at another address than the run's, so that nothing is asked there."""
        return bool(self.endpoint and self.endpoint.base_url != self.collection.run.base_url)

    def waits_for(self) -> str:
        endpoint = self.endpoint
        if self.reached:
            return "at the cap"
        if self.elsewhere or endpoint is None:
            return "endpoint moved"
        if endpoint.rests_until and endpoint.rests_until > timezone.now():
            return "resting"
        return "endpoint down" if endpoint.down_since else "waiting"

    @property
    def unpriced(self) -> bool:
        return self.collection.output_price is None and not self.collection.cost


@dataclass
class PlanProgress(CollectingProgress):
    arms: list[CollectionProgress] = field(kw_only=True)

    @property
    def title(self) -> str:
        """Say which models are asked under which conditions."""
        return title_of(self.of)

    @property
    def endpoints(self) -> list[Endpoint]:
        return list(dict.fromkeys(arm.endpoint for arm in self.arms if arm.endpoint))

    @property
    def unpriced(self) -> bool:
        return any(arm.unpriced for arm in self.arms)

    def waits_for(self) -> str:
        """Return what its arms wait for; that which passes soonest, where they differ."""
        if self.of.reached:
            return "at the cap"
        waits = {arm.waits_for() for arm in self.arms if arm.open}
        return next(phase for phase in SOONEST if phase in waits)


def collection_progress(collection: Collection, still: int = 0) -> CollectionProgress:
    """Return how far a collection is. `still`: how many looks before this one saw nobody work."""
    return _looked_at(_progress_of([collection])[0], still)


def plan_progress(plan: CollectionPlan, still: int = 0) -> PlanProgress:
    """Return how far a plan is, and each of its arms. `still`: as above."""
    return _looked_at(_progress_of_plan(plan, _progress_of(collections_in(plan))), still)


Seen = TypeVar("Seen", bound=CollectingProgress)


def _looked_at(seen: Seen, still: int) -> Seen:
    calls = _latest(seen.of.run_ids)
    seen.pace = pace(calls, timezone.now())
    seen.simulated = any(call.simulated for call in calls)
    seen.still = still + 1 if seen.phase == "waiting" else 0
    return seen


def _progress_of(collections: Sequence[Collection]) -> list[CollectionProgress]:
    """Return how far each collection is, but for its pace."""
    runs = [one.run_id for one in collections]
    states: dict[int, dict[str, int]] = {run: {} for run in runs}
    responses = Response.objects.filter(run__in=runs).order_by()
    for run, state, count in responses.values_list("run", "state").annotate(Count("pk")):
        states[run][state] = count
    held = Response.objects.under_lease().filter(run__in=runs).order_by()
    alive = dict(held.values_list("run").annotate(Count("pk")))
    return [
        CollectionProgress(states[run], sum(states[run].values()), alive.get(run, 0), of=one, collection=one)
        for run, one in zip(runs, collections, strict=True)
    ]


def _progress_of_plan(plan: CollectionPlan, arms: Sequence[CollectionProgress]) -> PlanProgress:
    states: Counter[str] = Counter()
    for arm in arms:
        states.update(arm.states)
    wanted, alive = sum(arm.wanted for arm in arms), sum(arm.alive for arm in arms)
    return PlanProgress(dict(states), wanted, alive, of=plan, arms=list(arms))


def _latest(runs: Sequence[int]) -> list[RecentCall]:
    each = max(
        FEWEST, 2 * PACE_CALLS // max(1, len(runs))
    )  # of one run: the arms of a plan come equally often
    calls = [call for run in runs for call in _latest_of(run, min(each, PACE_CALLS))]
    return sorted(calls, key=lambda call: call.started_at, reverse=True)[:PACE_CALLS]


def _latest_of(run: int, most: int) -> list[RecentCall]:
    # Not `run=`: for that PostgreSQL may walk the primary key past all that other runs called since.
    calls = CollectionAttempt.objects.filter(run__lte=run).order_by("-run_id", "-pk")[:most]
    fields = ("response", "outcome", "started_at", "latency", "simulated", "run")
    rows = [(RecentCall(*row), whose) for *row, whose in calls.values_list(*fields)]
    return [call for call, whose in rows if whose == run and call.outcome != CollectionAttempt.ASKED]


def collections_of(suites: Sequence[str]) -> list[CollectionProgress | PlanProgress]:
    """Return how far the collections of these suites are, the latest first; the arms of a plan as one."""
    seen = _progress_of(list(_collections(suites)[:LISTED]))
    shown: dict[Collecting, list[CollectionProgress]] = {}
    for one in seen:
        shown.setdefault(one.plan or one.collection, []).append(one)
    return [
        _progress_of_plan(of, arms[::-1]) if isinstance(of, CollectionPlan) else arms[0]
        for of, arms in shown.items()
    ]


def under_way(suites: Sequence[str]) -> list[CollectionProgress | PlanProgress]:
    """Return how far the collections and plans of these suites are of which responses are open, and how fast;
    the latest first."""
    return [
        plan_progress(one) if isinstance(one, CollectionPlan) else collection_progress(one)
        for one in _whole(_collections(suites).filter(Exists(_open_rows()))[:LISTED])
    ]


def over_lately(suites: Sequence[str], most: int) -> list[tuple[Collecting, int]]:
    """Return the latest collections and plans of which no response is open, and how many of each failed."""
    going = set(_whole(_collections(suites).filter(Exists(_open_rows()))))
    rows = _collections(suites).exclude(Exists(_open_rows()))
    over = [one for one in _whole(rows[:LISTED]) if one not in going][:most]
    failed = Response.objects.filter(NOT_DONE, state=State.FAILED)
    return [(one, failed.filter(run__in=one.run_ids).count()) for one in over]


def _collections(suites: Sequence[str]) -> QuerySet[Collection]:
    rows = Collection.objects.filter(run__suite__slug__in=suites).order_by("-pk")
    return rows.select_related("plan__suite", "run__suite", "run__subject", "run__condition", "run__endpoint")


def _open_rows() -> QuerySet[Response]:
    return Response.objects.unfinished().filter(NOT_DONE, run=OuterRef("run"))


def _whole(collections: Iterable[Collection]) -> list[Collecting]:
    """Return the collections, each plan once in place of its arms."""
    return list(dict.fromkeys(one.plan or one for one in collections))


def title_of(of: Collecting) -> str:
    """Say which models are asked under which conditions."""
    runs = [one.run for one in collections_in(of)]
    kinds = ([str(run.subject) for run in runs], [str(run.condition) for run in runs])
    name = f" · {runs[0].name}" if runs and runs[0].name else ""
    return " · ".join(", ".join(dict.fromkeys(kind)) for kind in kinds) + name

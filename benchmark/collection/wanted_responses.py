"""What is wanted of a run's collection, or of a plan of several: responses, pausing, cancelling, asking
again, caps and prices."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from arbiter.calls.dialects import limit_in
from arbiter.calls.prices import Price, listed_price, price_columns
from arbiter.core.batching import batches
from arbiter.core.errors import UserError
from arbiter.core.leases import LeasedQuerySet
from benchmark.collection.collected_runs import require_tasks
from benchmark.models import Collection, CollectionAttempt, CollectionPlan, Endpoint, Response, Run

State = Response.State
Status = Collection.Status
Collecting = Collection | CollectionPlan
AS_NEW: dict[str, Any] = {"state": State.TODO, "error": "", "attempts": 0}
CANCELLED = "cancelled before a call for it succeeded"


def collection_of(run: Run) -> Collection:
    """Return the run's collection, made where there is none; at its service's list price, where nobody gave
    it another."""
    collection, _ = Collection.objects.get_or_create(run=run)
    listed = listed_price(run.base_url, run.subject.name)
    if listed and collection.output_price is None:
        set_price(collection, listed)
    return collection


def set_price(collection: Collection, price: Price) -> None:
    Collection.objects.filter(pk=collection.pk).update(**price_columns(price))
    collection.refresh_from_db()


def set_caps(of: Collecting, max_calls: int | None, max_cost: int | None) -> None:
    """Cap the collection or plan from now on, in calls and picodollars; what it has spent until now counts.
    Refuse a cap in dollars that could not hold."""
    if max_cost is not None and (why := next(filter(None, map(_unbounded, collections_in(of))), "")):
        raise UserError(why)
    caps = {"max_calls": max_calls, "max_cost": max_cost, "reached": False}
    _rows(of).update(**caps)
    of.refresh_from_db()


def lift_caps(of: Collecting) -> None:
    """Cap the collection or plan no more; of a plan, nor any of its arms."""
    if isinstance(of, CollectionPlan):
        of.arms.update(max_calls=None, max_cost=None, reached=False)
    set_caps(of, None, None)


def collections_in(of: Collecting) -> list[Collection]:
    """Return the collection, or a plan's arms in the order of their runs."""
    rows = Collection.objects.filter(run__in=of.run_ids).order_by("run")
    return list(rows.select_related("plan", "run__suite", "run__subject", "run__condition", "run__endpoint"))


def _rows(of: Collecting) -> Any:
    return type(of)._default_manager.filter(pk=of.pk)


def _unbounded(collection: Collection) -> str:
    """Say why the worst case of a call is not known; empty where it is."""
    run = collection.run
    if collection.output_price is None:
        return (
            f"A cap in dollars needs a price, and none is known for {run.subject.name!r}; "
            "give --input-price and --output-price, in dollars for a million tokens."
        )
    if collection.output_price and (limit_in(run.condition.sampling) or 0) < 1:
        return "A cap in dollars needs a token limit, and the condition sets none; give --max-tokens."
    return ""


def want_responses(run: Run, epochs: int) -> None:
    """Make the rows that are missing, one a task and epoch."""
    tasks = require_tasks(run.suite, run.condition)
    for epoch in range(1, epochs + 1):
        rows = [Response(run=run, task=task, epoch=epoch, state=State.TODO) for task in tasks]
        Response.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


def retry_failed(of: Collecting) -> int:
    """Want failed responses again, and return how many; their attempts stay."""
    return Response.objects.filter(run__in=of.run_ids, state=State.FAILED).update(**AS_NEW)


def pause(of: Collecting) -> int:
    """Pause a collection or plan, and return whether it was running. What is in flight is finished, nothing
    else sets out; what is wanted stays wanted."""
    return _turn(of, [Status.RUNNING], Status.PAUSED)


def resume(of: Collecting) -> int:
    """Let a collection or plan that is paused or cancelled go on, and return whether it was; its endpoints,
    where they rest, are asked at once, whatever they said."""
    ids = [one.run.endpoint_id or 0 for one in collections_in(of)]
    Endpoint.objects.filter(pk__in=ids, rests_until__gt=timezone.now()).update(rests_until=None)
    return uncancel(of) + _turn(of, [Status.PAUSED], Status.RUNNING)


def uncancel(of: Collecting) -> int:
    """Let a cancelled collection or plan be asked for again, also what a call had failed for when it was
    cancelled; return whether it was cancelled."""
    changed = _turn(of, [Status.CANCELLED], Status.RUNNING)
    cancelled = Response.objects.filter(run__in=of.run_ids, state=State.FAILED, error=CANCELLED)
    cancelled.update(**AS_NEW)
    return changed


def _turn(of: Collecting, now: Sequence[str], then: str) -> int:
    changed = int(_rows(of).filter(status__in=now).update(status=then))
    of.refresh_from_db()
    return changed


def cancel(of: Collecting) -> int:
    """Cancel a collection or plan, and return how many responses are wanted no more. What is in flight is
    finished. Rows that no call was made for go, the others keep their attempts and are failed. Collecting
    again wants everything that is missing."""
    # Committed by itself: a worker gives back what it held ready within a second or two, and sees to the
    # rest.
    _turn(of, [Status.RUNNING, Status.PAUSED], Status.CANCELLED)
    return tidy_cancelled(of.run_ids)


def tidy_cancelled(runs: Sequence[int]) -> int:
    """Take back the open rows of those runs that are cancelled which no living worker holds; how many there
    were."""
    over = Q(status=Status.CANCELLED) | Q(plan__status=Status.CANCELLED)
    cancelled = Collection.objects.filter(over, run__in=list(runs))
    rows = Response.objects.claimable().filter(run__in=list(cancelled.values_list("run", flat=True)))
    return sum(_take_back(batch) for batch in batches(list(rows.values_list("pk", flat=True)), 500))


@transaction.atomic
def _take_back(rows: Sequence[int]) -> int:
    still = Response.objects.claimable().filter(pk__in=rows)
    # Not those whose lease ran out: a worker that only seemed dead may yet store a call for one.
    gone = remove_untried(still)
    return gone + still.conclude(State.FAILED, error=CANCELLED)


def untried(rows: LeasedQuerySet[Response]) -> LeasedQuerySet[Response]:
    """Return the open rows among these that no call was made for."""
    return rows.open().filter(~Exists(CollectionAttempt.objects.filter(response=OuterRef("pk"))))


def remove_untried(rows: LeasedQuerySet[Response]) -> int:
    """Delete the open rows among these that no call was made for; how many they were."""
    gone = untried(rows).order_by()
    return gone._raw_delete(using=gone.db)

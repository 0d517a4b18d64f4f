"""What is wanted of a run's collection: responses, pausing, cancelling, asking again, caps and prices."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from arbiter.calls.dialects import limit_in
from arbiter.calls.prices import Price, listed_price, price_columns
from arbiter.core.batching import batches
from arbiter.core.errors import UserError
from benchmark.collection.collected_runs import require_tasks
from benchmark.models import Collection, CollectionAttempt, Endpoint, Response, Run

State = Response.State
Status = Collection.Status
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


def set_caps(collection: Collection, max_calls: int | None, max_cost: int | None) -> None:
    """Cap the collection from now on, in calls and picodollars; what it has spent until now counts. Refuse a
    cap in dollars that could not hold."""
    if max_cost is not None and (why := _unbounded(collection)):
        raise UserError(why)
    caps = {"max_calls": max_calls, "max_cost": max_cost, "reached": False}
    Collection.objects.filter(pk=collection.pk).update(**caps)


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


def retry_failed(run: Run) -> int:
    """Want failed responses again, and return how many; their attempts stay."""
    return run.responses.filter(state=State.FAILED).update(**AS_NEW)


def pause(collection: Collection) -> int:
    """Pause a collection, and return whether it was running. What is in flight is finished, nothing else sets
    out; what is wanted stays wanted."""
    return _turn(collection, [Status.RUNNING], Status.PAUSED)


def resume(collection: Collection) -> int:
    """Let a collection that is paused or cancelled go on, and return whether it was; its endpoint, where that
    rests, is asked at once, whatever it said."""
    resting = Endpoint.objects.filter(pk=collection.run.endpoint_id or 0, rests_until__gt=timezone.now())
    resting.update(rests_until=None)
    return uncancel(collection) + _turn(collection, [Status.PAUSED], Status.RUNNING)


def uncancel(collection: Collection) -> int:
    """Let a cancelled collection be asked for again, also what a call had failed for when it was cancelled;
    return whether it was cancelled."""
    changed = _turn(collection, [Status.CANCELLED], Status.RUNNING)
    cancelled = Response.objects.filter(run=collection.run_id, state=State.FAILED, error=CANCELLED)
    cancelled.update(**AS_NEW)
    return changed


def _turn(collection: Collection, now: Sequence[str], then: str) -> int:
    changed = Collection.objects.filter(pk=collection.pk, status__in=now).update(status=then)
    collection.refresh_from_db()
    return changed


def cancel(collection: Collection) -> int:
    """Cancel a collection, and return how many responses are wanted no more. What is in flight is finished.
    Rows that no call was made for go, the others keep their attempts and are failed. Collecting again wants
    everything that is missing."""
    # Committed by itself: a worker gives back what it held ready within a second or two, and sees to the
    # rest.
    _turn(collection, [Status.RUNNING, Status.PAUSED], Status.CANCELLED)
    return tidy_cancelled(collection.run_id)


def tidy_cancelled(run: int) -> int:
    """Take back the open rows of a cancelled collection that no living worker holds; how many there were."""
    cancelled = Collection.objects.filter(run=run, status=Status.CANCELLED)
    rows = Response.objects.claimable().filter(run=run, run__in=cancelled.values("run"))
    return sum(_take_back(batch) for batch in batches(list(rows.values_list("pk", flat=True)), 500))


@transaction.atomic
def _take_back(rows: Sequence[int]) -> int:
    still = Response.objects.claimable().filter(pk__in=rows)
    # Not those whose lease ran out: a worker that only seemed dead may yet store a call for one.
    untried = still.open().filter(~Exists(CollectionAttempt.objects.filter(response=OuterRef("pk"))))
    gone = untried.order_by()._raw_delete(using=untried.db)
    return gone + still.conclude(State.FAILED, error=CANCELLED)

"""Collecting a run's responses, from a command; and what became of it."""

from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any

from django.db import connection
from django.db.models import Count

from arbiter.calls.caps import spent_under_caps
from arbiter.calls.engine import TURNED_AWAY, Engine
from arbiter.calls.prices import as_dollars
from arbiter.core.errors import UserError
from arbiter.core.failuregroups import grouped
from arbiter.core.outages import despite_outages
from benchmark.collection.call_permits import ASKED
from benchmark.collection.collect_work import CollectWork
from benchmark.collection.collected_runs import not_sent
from benchmark.collection.wanted_responses import (
    Status,
    collection_of,
    retry_failed,
    uncancel,
    want_responses,
)
from benchmark.endpoints import rests
from benchmark.models import Collection, CollectionAttempt, Endpoint, Response, Run

State = Response.State
# One model is asked, so one that is not there or not for us (404, 403) is the endpoint's fault and no task's.
NOT_FOR_US = TURNED_AWAY | {403, 404}


def collect(
    run: Run,
    epochs: int = 1,
    *,
    retry: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda concluded: None,
) -> dict[str, Any]:
    """Ask for every response of the run that is missing; run again after any stop, it goes on where it was.

    `responses`, `failed`, `calls` and `dollars` are of this time, `refused`, `cut_off`, `empty` and
    `failures` of all that the run holds. `dollars` is None where no price is known.
    """
    clock = monotonic()
    collection = _ready(run)
    if retry:
        retry_failed(run)
    before, spent = _count(run, epochs), collection
    want_responses(run, epochs)
    work = CollectWork(run, epochs)
    engine = Engine(
        work, stopping=stopping, on_progress=on_progress, wait_for_others=True, turned_away=NOT_FOR_US
    )
    engine.run()
    connection.close_if_unusable_or_obsolete()  # it may have been cut off meanwhile
    came = despite_outages(lambda: _came_of(run, epochs, before, spent))
    return {**came, "seconds": round(monotonic() - clock, 3)}


def _ready(run: Run) -> Collection:
    """Return the run's collection, refused where it is paused. What was cancelled is wanted again."""
    collection = collection_of(run)
    if collection.status == Status.PAUSED:
        raise UserError(f"The collection of run {run} is paused; to go on, say the same with --resume.")
    uncancel(collection)
    return collection


def _came_of(run: Run, epochs: int, before: Counter[str], spent: Collection) -> dict[str, Any]:
    after, now = _count(run, epochs), Collection.objects.get(pk=spent.pk)
    unpriced = now.output_price is None and not now.cost
    return {
        "responses": after[State.DONE] - before[State.DONE],
        "failed": after[State.FAILED] - before[State.FAILED],
        "unchanged": before[State.DONE] + before[State.FAILED],
        "open": after[State.TODO] + after[State.LEASED],
        "calls": now.calls - spent.calls,
        "dollars": None if unpriced else as_dollars(now.cost - spent.cost),
        **_endings(run, epochs),
        "not_sent": not_sent(run),
        "failures": _failures(run, epochs),
        "nothing_answered": not after[State.DONE] and after[State.FAILED] > 0,
        "stopped": stopped(now, after[State.TODO] + after[State.LEASED]),
    }


def stopped(collection: Collection, still_open: int) -> str:
    """Say why open responses are not asked for; empty where nothing stands in the way."""
    run, endpoint = collection.run, Endpoint.objects.filter(pk=collection.run.endpoint_id or 0).first()
    if endpoint is None or not still_open:
        return ""
    if collection.reached:
        return reached(collection)
    if collection.status != Status.RUNNING:
        return f"the collection is {collection.status}"
    if endpoint.base_url != run.base_url:
        return f"endpoint {endpoint.name!r} was given another address meanwhile, {endpoint.base_url}"
    return rests(endpoint)


def reached(collection: Collection) -> str:
    """Say that a cap was reached, and what was spent under it, in one sentence."""
    left = CollectionAttempt.objects.filter(run=collection.run_id, outcome=ASKED).count()
    lost = f" ({left:,} of the calls are of workers that died)" if left else ""
    return (
        f"the collection's cap is reached: {spent_under_caps(collection)} are spent, and the next call might "
        f"go past it{lost}"
    )


def _count(run: Run, epochs: int) -> Counter[str]:
    return Counter(run.responses.filter(epoch__lte=epochs).values_list("state", flat=True))


def _endings(run: Run, epochs: int) -> dict[str, int]:
    """Count the run's responses that are more or less than an answer, by their ending:
    each is a response like any other."""
    ended = run.responses.filter(epoch__lte=epochs, state=State.DONE).exclude(ending="")
    counts = dict(ended.order_by().values_list("ending").annotate(Count("pk")))
    return {str(ending): counts.get(ending, 0) for ending in Response.Ending.values if ending}


def _failures(run: Run, epochs: int) -> list[dict[str, Any]]:
    """Return why the run's responses failed, alike reasons together, the most frequent first."""
    failed = run.responses.filter(epoch__lte=epochs, state=State.FAILED).order_by("pk")
    return grouped(failed.values_list("error", "task__key").iterator(chunk_size=1000))

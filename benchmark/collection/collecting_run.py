"""Collecting the responses of a run, or of a plan of several, from a command; and what became of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from django.db import connection
from django.db.models import Count

from arbiter.calls.caps import spent_under_caps
from arbiter.calls.engine import TURNED_AWAY, Engine
from arbiter.calls.prices import as_dollars
from arbiter.core.errors import UserError
from arbiter.core.failuregroups import grouped
from arbiter.core.leases import LeasedQuerySet
from arbiter.core.outages import despite_outages
from benchmark.collection.call_permits import ASKED
from benchmark.collection.collect_work import CollectWork
from benchmark.collection.collected_runs import not_sent
from benchmark.collection.collection_plans import want_planned
from benchmark.collection.wanted_responses import (
    Collecting,
    Status,
    collections_in,
    retry_failed,
    uncancel,
    want_responses,
)
from benchmark.endpoints import rests
from benchmark.importunderway import refuse_while_importing_of
from benchmark.models import Collection, CollectionAttempt, CollectionPlan, Endpoint, Response

State = Response.State
# One model is asked, so one that is not there or not for us (404, 403) is the endpoint's fault and no task's.
NOT_FOR_US = TURNED_AWAY | {403, 404}
# What is told of an arm and summed up of a plan.
COUNTED = (
    "responses",
    "failed",
    "unchanged",
    "open",
    "calls",
    *(one for one in Response.Ending.values if one),
)


def collect(
    of: Collecting,
    epochs: int = 1,
    *,
    retry: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda concluded: None,
) -> dict[str, Any]:
    """Ask for every response of the collection, or of the plan's arms, that is missing; run again after any
    stop, it goes on where it was.

    `responses`, `failed`, `calls` and `dollars` are of this time, `refused`, `cut_off`, `empty` and
    `failures` of all that the runs hold. `dollars` is None where no price is known.
    """
    clock = monotonic()
    _make_ready(of)
    if retry:
        retry_failed(of)
    spent = collections_in(of)
    before = {one.run_id: _count(one, epochs) for one in spent}
    work = _want(of, epochs)
    engine = Engine(
        work, stopping=stopping, on_progress=on_progress, wait_for_others=True, turned_away=NOT_FOR_US
    )
    engine.run()
    connection.close_if_unusable_or_obsolete()  # it may have been cut off meanwhile
    came = despite_outages(lambda: _came_of(of, epochs, before, spent))
    return {**came, "seconds": round(monotonic() - clock, 3)}


def _make_ready(of: Collecting) -> None:
    """Refuse what is paused, and what an import is under way into. What was cancelled is wanted again."""
    refuse_while_importing_of((of.run.suite if isinstance(of, Collection) else of.suite).slug)
    if of.status == Status.PAUSED:
        what = f"The collection of run {of.run}" if isinstance(of, Collection) else f"The {of}"
        raise UserError(f"{what} is paused; to go on, say the same with --resume.")
    uncancel(of)


def _want(of: Collecting, epochs: int) -> CollectWork:
    if isinstance(of, CollectionPlan):
        want_planned(of, epochs)
        return CollectWork(plan=of, epochs=epochs)
    want_responses(of.run, epochs)
    return CollectWork(of.run, epochs)


def _came_of(
    of: Collecting, epochs: int, before: Mapping[int, Counter[str]], spent: Sequence[Collection]
) -> dict[str, Any]:
    of.refresh_from_db()
    now = {one.run_id: one for one in collections_in(of)}
    arms = [_came_of_arm(now[one.run_id], epochs, before[one.run_id], one) for one in spent]
    told = {name: sum(arm[name] for arm in arms) for name in COUNTED}
    dollars, states = [arm["dollars"] for arm in arms], _count(of, epochs)
    came = {
        **{name: told[name] for name in COUNTED[:5]},
        "dollars": None if None in dollars else sum(dollars),
        **{name: told[name] for name in COUNTED[5:]},
        "not_sent": list(dict.fromkeys(said for one in now.values() for said in not_sent(one.run))),
        "failures": _failures(of, epochs),
        "nothing_answered": not states[State.DONE] and states[State.FAILED] > 0,
        "stopped": stopped(of, list(now.values()), told["open"]),
    }
    return came if isinstance(of, Collection) else {"plan": of.pk, **came, "arms": arms}


def _came_of_arm(now: Collection, epochs: int, before: Counter[str], spent: Collection) -> dict[str, Any]:
    after = _count(now, epochs)
    unpriced = now.output_price is None and not now.cost
    return {
        "run": str(now.run),
        "responses": after[State.DONE] - before[State.DONE],
        "failed": after[State.FAILED] - before[State.FAILED],
        "unchanged": before[State.DONE] + before[State.FAILED],
        "open": after[State.TODO] + after[State.LEASED],
        "calls": now.calls - spent.calls,
        "dollars": None if unpriced else as_dollars(now.cost - spent.cost),
        **_endings(now, epochs),
    }


def stopped(of: Collecting, collections: Sequence[Collection], still_open: int) -> str:
    """Say why open responses are not asked for; empty where nothing stands in the way."""
    if not still_open:
        return ""
    if of.reached:
        return reached(of)
    if of.status != Status.RUNNING:
        return f"the {name_of(of)} is {of.status}"
    return "; ".join(dict.fromkeys(filter(None, map(_held_up, collections))))


def _held_up(collection: Collection) -> str:
    """Say why a collection's responses are not asked for although it runs; empty where nothing is in the
    way."""
    run, endpoint = collection.run, Endpoint.objects.filter(pk=collection.run.endpoint_id or 0).first()
    if endpoint is None:
        return ""
    if collection.reached:
        return reached(collection)
    if endpoint.base_url != run.base_url:
        return f"endpoint {endpoint.name!r} was given another address meanwhile, {endpoint.base_url}"
    return rests(endpoint)


def name_of(of: Collecting) -> str:
    return "plan" if isinstance(of, CollectionPlan) else "collection"


def reached(of: Collecting) -> str:
    """Say that a cap was reached, and what was spent under it, in one sentence."""
    left = CollectionAttempt.objects.filter(run__in=of.run_ids, outcome=ASKED).count()
    lost = f" ({left:,} of the calls are of workers that died)" if left else ""
    return (
        f"the {name_of(of)}'s cap is reached: {spent_under_caps(of)} are spent, and the next call might "
        f"go past it{lost}"
    )


def _rows(of: Collecting, epochs: int) -> LeasedQuerySet[Response]:
    return Response.objects.filter(run__in=of.run_ids, epoch__lte=epochs)


def _count(of: Collecting, epochs: int) -> Counter[str]:
    counts = _rows(of, epochs).order_by().values_list("state").annotate(Count("pk"))
    return Counter(dict(counts))


def _endings(of: Collecting, epochs: int) -> dict[str, int]:
    """Count the responses that are more or less than an answer, by their ending: each is a response like any
    other."""
    ended = _rows(of, epochs).filter(state=State.DONE).exclude(ending="")
    counts = dict(ended.order_by().values_list("ending").annotate(Count("pk")))
    return {str(ending): counts.get(ending, 0) for ending in Response.Ending.values if ending}


def _failures(of: Collecting, epochs: int) -> list[dict[str, Any]]:
    """Return why responses failed, alike reasons together, the most frequent first."""
    failed = _rows(of, epochs).filter(state=State.FAILED).order_by("pk")
    return grouped(failed.values_list("error", "task__key").iterator(chunk_size=1000))

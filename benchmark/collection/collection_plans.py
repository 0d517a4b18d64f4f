"""Plans of several runs that are collected as one: which runs are its arms, and the order in which their
responses are asked for.

The order is by epoch; in an epoch by task; and the responses of all arms to one task, its block, stand
together. Tasks within an epoch, and arms within a block, are in an order of chance that the plan's seed
decides. So whatever a service's mood is, at any time it meets all arms alike, and a plan that is stopped has
asked every arm for as much. Rows are made in that order, and responses are asked for in the order in which
their rows were made, by whichever worker.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from django.db import transaction
from django.db.models import F, Sum

from arbiter.core.batching import batches
from arbiter.core.errors import UserError
from benchmark.collection.collected_runs import require_tasks
from benchmark.collection.wanted_responses import (
    Status,
    collection_of,
    collections_in,
    remove_untried,
    uncancel,
    untried,
)
from benchmark.models import Collection, CollectionPlan, Response, Run

BATCH, FIELDS = 500, ("run", "task", "epoch")


class PlannedResponse(NamedTuple):
    run: int
    task: int
    epoch: int


def place_in(seed: int, one: PlannedResponse) -> tuple[int, bytes, bytes]:
    """Return a response's place in the order of the plan with this seed."""
    return one.epoch, _chance(seed, one.epoch, one.task), _chance(seed, *one)


def _chance(*numbers: int) -> bytes:
    return sha256(" ".join(map(str, numbers)).encode()).digest()


@transaction.atomic
def plan_of(runs: Sequence[Run]) -> CollectionPlan:
    """Return the plan that these runs are the arms of. One is made where they are in none; a plan that they
    are all of grows by those that are in none."""
    for run in runs:
        collection_of(run)
    # In the order in which calls' permits lock them, so that neither waits for the other.
    rows = Collection.objects.select_for_update(of=("self",)).filter(run__in=[run.pk for run in runs])
    arms = list(rows.order_by("run").select_related("plan", "run__subject", "run__condition"))
    plan = _known(arms) or CollectionPlan.objects.create(
        suite=runs[0].suite, name=runs[0].name, seed=secrets.randbelow(2**31)
    )
    _join(plan, [arm for arm in arms if arm.plan_id is None])
    return plan


def plan_there(runs: Iterable[Run]) -> CollectionPlan | None:
    """Return the plan that these runs are the arms of; None where there is none."""
    return _known(list(Collection.objects.filter(run__in=list(runs)).select_related("plan", "run")))


def _known(arms: Sequence[Collection]) -> CollectionPlan | None:
    """Return the plan of these arms, where any is in one; refuse two, and a part of one."""
    plans = {arm.plan_id: arm.plan for arm in arms if arm.plan is not None}
    if len(plans) > 1:
        told = "; ".join(f"{plan} has {_arms(plan)}" for plan in plans.values())
        raise UserError(f"What is named is of {len(plans)} plans: {told}. Name the arms of one.")
    plan = next(iter(plans.values()), None)
    if plan and plan.arms.exclude(pk__in=[arm.pk for arm in arms]).exists():
        raise UserError(
            f"What is named is a part of {plan}, which is collected as one; name all its arms, {_arms(plan)}"
            ", or runs of their own beside them: --run NAME."
        )
    return plan


def _arms(plan: CollectionPlan) -> str:
    return ", ".join(str(arm.run) for arm in collections_in(plan))


def _join(plan: CollectionPlan, joining: Sequence[Collection]) -> None:
    """Make these collections arms of the plan; what they have spent counts."""
    for arm in joining:
        if arm.status == Status.PAUSED:
            raise UserError(f"The collection of run {arm.run} is paused; resume it, then make it a plan's.")
        uncancel(arm)
    if not joining:
        return
    rows = Collection.objects.filter(pk__in=[arm.pk for arm in joining])
    rows.update(plan=plan)
    spent = rows.aggregate(calls=Sum("calls"), cost=Sum("cost"))
    changed = {name: F(name) + amount for name, amount in spent.items()}
    CollectionPlan.objects.filter(pk=plan.pk).update(**changed, reached=False)
    plan.refresh_from_db()


def refuse_arm(collection: Collection) -> None:
    """Refuse to collect, or to change, an arm of a plan by itself."""
    if collection.plan is not None:
        raise UserError(
            f"Run {collection.run} is an arm of {collection.plan}, which is collected as one; name all its "
            f"arms, {_arms(collection.plan)}, or a run of its own: --run NAME."
        )


def want_planned(plan: CollectionPlan, epochs: int) -> None:
    """Make the rows that are missing, in the plan's order. Open rows that no call was made for are made anew
    where they stand in another, as they do when an arm has joined."""
    arms, place = collections_in(plan), partial(place_in, plan.seed)
    rows = Response.objects.filter(run__in=[arm.run_id for arm in arms])
    there = set(map(PlannedResponse._make, rows.filter(epoch__lte=epochs).values_list(*FIELDS)))
    missing = sorted(set(_wanted(arms, epochs)) - there, key=place)
    untried_rows = untried(rows).order_by("pk").values_list("pk", *FIELDS)
    waiting = {key: PlannedResponse(*one) for key, *one in untried_rows}
    standing = [*waiting.values(), *missing]
    ordered = sorted(standing, key=place)
    if standing == ordered:
        _make(missing)
        return
    with transaction.atomic():
        for batch in batches(iter(waiting), BATCH):
            remove_untried(rows.filter(pk__in=batch))
        _make(ordered)


def _wanted(arms: Iterable[Collection], epochs: int) -> Iterator[PlannedResponse]:
    for arm in arms:
        for task in require_tasks(arm.run.suite, arm.run.condition):
            yield from (PlannedResponse(arm.run_id, task.pk, epoch) for epoch in range(1, epochs + 1))


def _make(responses: Iterable[PlannedResponse]) -> None:
    for batch in batches(iter(responses), BATCH):
        rows = [
            Response(run_id=run, task_id=task, epoch=epoch, state=Response.State.TODO)
            for run, task, epoch in batch
        ]
        Response.objects.bulk_create(rows, ignore_conflicts=True)

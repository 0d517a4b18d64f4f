"""Collections, their responses and attempts as workers leave them, without calls."""

import json
import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from benchmark.collection.collected_runs import run_at
from benchmark.collection.collection_plans import plan_of
from benchmark.collection.response_record import asked_of
from benchmark.collection.wanted_responses import collection_of, want_responses
from benchmark.models import (
    Collection,
    CollectionAttempt,
    CollectionPlan,
    Endpoint,
    Response,
    SubjectModel,
    Suite,
)
from tests import builders


def collection(
    of: Suite, epochs: int = 1, model: str = "model-x", name: str = "", **fields: Any
) -> Collection:
    """Make a collection whose responses are wanted, and not asked for."""
    endpoint, _ = Endpoint.objects.get_or_create(
        name="collected", defaults={"base_url": "http://127.0.0.1:1/v1"}
    )
    subject, _ = SubjectModel.objects.get_or_create(name=model)
    made = collection_of(run_at(endpoint, of, subject, builders.condition(), name))
    want_responses(made.run, epochs)
    Collection.objects.filter(pk=made.pk).update(**fields)
    made.refresh_from_db()
    return made


def call(of: Response, outcome: str = "answer", ago: float = 5, **fields: Any) -> CollectionAttempt:
    """Make a call for a response. `ago`: seconds since it set out."""
    fields = {"latency": 0.5, "lease": "somebody", "request_hash": asked_of(of).hash, **fields}
    return CollectionAttempt.objects.create(
        uid=uuid.uuid4(),
        response=of,
        run=of.run,
        endpoint="collected",
        base_url="http://127.0.0.1:1/v1",
        outcome=outcome,
        started_at=timezone.now() - timedelta(seconds=ago),
        **fields,
    )


def said(text: str) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"id": "answer-1", "model": "model-x-2026", "choices": [choice]})


def held(of: Response, seconds: float = 600) -> None:
    """Have a worker hold a response; one that has died, with seconds below 0."""
    until = timezone.now() + timedelta(seconds=seconds)
    Response.objects.filter(pk=of.pk).update(state="leased", lease="somebody", leased_until=until)


def at_work(of: Suite, **fields: Any) -> Collection:
    """Make a collection with a response of each kind: two that came, one of them at the second try, one that
    failed, one whose worker died, one that is held, and others open."""
    made = collection(
        of, **{"max_calls": 40, "calls": 6, "input_price": 100_000, "output_price": 400_000, **fields}
    )
    rows = list(Response.objects.filter(run=made.run).order_by("pk"))
    for row in rows[:2]:
        Response.objects.filter(pk=row.pk).update(state="done", text="I would keep the pump running. " * 4)
    call(rows[0], "server_error", status=500, error="Error code: 500 - overloaded 17", raw="overloaded 17")
    call(
        rows[0],
        raw=said("I would keep the pump running."),
        prompt_tokens=40,
        completion_tokens=9,
        cost=7_600_000,
    )
    call(rows[1], raw=said("So would I."), prompt_tokens=40, completion_tokens=4, cost=5_600_000)
    call(rows[2], "rejected", status=400, error="Error code: 400 - the prompt is too long", raw="{}")
    Response.objects.filter(pk=rows[2].pk).update(
        state="failed", error="Error code: 400 - the prompt is too long"
    )
    call(rows[3], "asked", lease="one that died", cost=900_000_000, cost_at_most=True, latency=0)
    held(rows[4])
    call(rows[4], "asked", cost=900_000_000, cost_at_most=True, latency=0)
    Collection.objects.filter(pk=made.pk).update(cost=1_813_200_000, prompt_tokens=80, completion_tokens=13)
    made.refresh_from_db()
    return made


def planned(of: Suite, **fields: Any) -> CollectionPlan:
    """Make a plan of two arms: one at work as above, and one of which nothing was asked."""
    first, other = at_work(of), collection(of, model="model-y", calls=0)
    plan = plan_of([first.run, other.run])
    CollectionPlan.objects.filter(pk=plan.pk).update(seed=17, **fields)
    plan.refresh_from_db()
    return plan

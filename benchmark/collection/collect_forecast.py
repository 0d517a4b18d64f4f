"""What collecting a run, or a plan of several, would take, told before a call is made: calls, tokens, money,
and whether its caps allow it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from django.db.models import Count, Q

from arbiter.calls.caps import cap_left, stays_within
from arbiter.calls.dialects import limit_in
from arbiter.calls.prices import TRIES, as_dollars, cost_of, price_of, prompt_bytes, worst_case
from arbiter.calls.usual_tokens import PAST, TAKEN_FOR_GRANTED, UsualTokens, usual_of
from benchmark.collection.collected_runs import findings_for, not_sent, request_for, require_tasks
from benchmark.collection.collecting_run import name_of
from benchmark.collection.wanted_responses import CANCELLED, Collecting, collections_in
from benchmark.models import Collection, CollectionAttempt, Response, Run

State = Response.State
COUNTED = ("responses", "final", "calls", "prompt_tokens", "completion_tokens")


@dataclass(slots=True)
class CollectingForecast:
    """What is still to be asked for. Money in picodollars, None where it can't be told and `notes` say
    why."""

    responses: int = 0
    final: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int | None = 0
    cost_at_most: int | None = 0
    unpriced: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def forecast_collection(of: Collecting, epochs: int, *, retry: bool = False) -> dict[str, Any]:
    """Return what asking for the missing responses of a collection, or of a plan's arms, would take: calls,
    tokens and cost, and whether its caps allow it. `retry`: those that failed are asked for again too."""
    arms = [(one, _forecast(one, epochs, retry)) for one in collections_in(of)]
    total = _total([forecast for _, forecast in arms])
    calls = cap_left(of.max_calls, of.calls)
    cost = cap_left(of.max_cost, of.cost)
    fits, why = stays_within(calls, cost, total, name_of(of))
    caps = {
        "cap": {"calls": calls and calls[0], "dollars": as_dollars(cost and cost[0])},
        "left": {"calls": calls and calls[1], "dollars": as_dollars(cost and cost[1])},
        "fits": fits,
        "why": why,
    }
    if isinstance(of, Collection):
        return {"run": str(of.run), **_told(total), **caps}
    rows = [{"run": str(one.run), **_told(forecast)} for one, forecast in arms]
    return {"plan": str(of), **_told(total), **caps, "arms": rows}


def _told(forecast: CollectingForecast) -> dict[str, Any]:
    return {
        "responses": forecast.responses,
        "final": forecast.final,
        "calls": forecast.calls,
        "prompt_tokens": forecast.prompt_tokens,
        "completion_tokens": forecast.completion_tokens,
        "cost": as_dollars(forecast.cost),
        "cost_at_most": as_dollars(forecast.cost_at_most),
        "notes": forecast.notes,
    }


def _total(arms: Sequence[CollectingForecast]) -> CollectingForecast:
    """Add up what arms take; money is None where an arm's is."""
    counts: dict[str, int] = {name: sum(getattr(arm, name) for arm in arms) for name in COUNTED}
    costs = [[getattr(arm, name) for arm in arms] for name in ("cost", "cost_at_most")]
    cost, cost_at_most = (None if None in each else sum(each) for each in costs)
    unpriced = list(dict.fromkeys(chain.from_iterable(arm.unpriced for arm in arms)))
    notes = list(dict.fromkeys(chain.from_iterable(arm.notes for arm in arms)))
    return CollectingForecast(**counts, cost=cost, cost_at_most=cost_at_most, unpriced=unpriced, notes=notes)


def _forecast(collection: Collection, epochs: int, retry: bool) -> CollectingForecast:
    run, price = collection.run, price_of(collection)
    tasks, final = require_tasks(run.suite, run.condition), _final(run, epochs, retry)
    forecast = CollectingForecast(responses=len(tasks) * epochs, final=sum(final.values()))
    limit, size, worst = limit_in(run.condition.sampling), 0, 0
    findings = findings_for(run)
    for task in tasks:
        request, calls = request_for(run, task, 1, _dialect(run), findings), epochs - final.get(task.pk, 0)
        forecast.calls, size = forecast.calls + calls, size + calls * prompt_bytes(request)
        worst += calls * TRIES * (worst_case(request, price, limit) or 0)
    bounded = price is not None and (not price.output or (limit or 0) > 0)
    usual = _usual(run)
    forecast.prompt_tokens = usual.prompt_tokens(size)
    forecast.completion_tokens = forecast.calls * min(usual.completion, limit or usual.completion)
    forecast.cost = cost_of(price, forecast.prompt_tokens, forecast.completion_tokens)
    forecast.cost_at_most = worst if bounded else None
    forecast.notes += [usual.basis, *not_sent(run)]
    _explain(forecast, run.subject.name, price is None, bounded)
    return forecast


def _explain(forecast: CollectingForecast, model: str, unpriced: bool, bounded: bool) -> None:
    """Note why the money can't be told, where it can't."""
    if unpriced:
        forecast.unpriced = [model]
        forecast.notes.append(f"no price is known for {model}; give --input-price and --output-price")
    elif not bounded:
        forecast.notes.append("no token limit is set, so what a call may cost has no bound")


def _dialect(run: Run) -> str:
    return run.endpoint.dialect if run.endpoint else "openai"


def _final(run: Run, epochs: int, retry: bool) -> dict[int, int]:
    """Count by task the responses that asking leaves as they are."""
    failed = Q(state=State.FAILED)
    again = failed if retry else failed & Q(error=CANCELLED)
    rows = run.responses.filter(Q(state=State.DONE) | (failed & ~again), epoch__lte=epochs).order_by()
    return dict(rows.values_list("task").annotate(Count("pk")))


def _usual(run: Run) -> UsualTokens:
    """Return what a call usually takes: from the last calls of the run, or else of its model elsewhere."""
    of_model = CollectionAttempt.objects.filter(run__subject=run.subject_id)
    for made in (CollectionAttempt.objects.filter(run=run), of_model):
        if usual := usual_of(list(_past(made))):
            return usual
    return TAKEN_FOR_GRANTED


def _past(made: Any) -> Iterator[tuple[int, int, int]]:
    """Yield of each of the last calls: prompt tokens, bytes of the prompt (built again), completion
    tokens."""
    counted = made.filter(prompt_tokens__isnull=False, completion_tokens__isnull=False).order_by("-pk")
    related = ("response__task__category", "run__subject", "run__condition", "run__endpoint")
    for attempt in counted.defer("raw").select_related(*related)[:PAST]:
        response = attempt.response
        request = request_for(
            attempt.run, response.task, response.epoch, _dialect(attempt.run), findings_for(attempt.run)
        )
        yield attempt.prompt_tokens, prompt_bytes(request), attempt.completion_tokens

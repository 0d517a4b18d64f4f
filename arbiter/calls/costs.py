"""What is kept of a call, and what it cost: the same for every row that records one."""

from collections.abc import Callable
from typing import Any

from arbiter.calls.answers import Completion
from arbiter.calls.client import Call
from arbiter.calls.prices import Price, cost_of, cost_told


def call_fields(call: Call, price: Price | None, worst: Callable[[], int | None]) -> dict[str, Any]:
    """Return what a `CallRecord` keeps of a call that was made, but its uid and the hash of its request.
    `worst`: what it may have cost at most."""
    answer = call.answer
    told = cost_told(answer, call.cost, price)
    cost, bound = _cost(call, price, worst) if told is None else (told, False)
    return {
        "outcome": call.outcome,
        "raw": call.raw,
        "error": call.error,
        "status": call.status,
        "finish_reason": answer.finish_reason if answer else "",
        "returned_model": answer.model if answer else "",
        "fingerprint": answer.fingerprint if answer else "",
        "completion_id": answer.id if answer else "",
        "prompt_tokens": answer.prompt_tokens if answer else None,
        "completion_tokens": answer.completion_tokens if answer else None,
        "reasoning_tokens": answer.reasoning_tokens if answer else None,
        "cached_tokens": answer.cached_tokens if answer else None,
        "cost": cost,
        "cost_at_most": bound,
        "cost_told": told is not None,
        "started_at": call.started_at,
        "latency": call.latency,
        "simulated": bool(answer and answer.simulated),
    }


def _cost(call: Call, price: Price | None, worst: Callable[[], int | None]) -> tuple[int | None, bool]:
    """Return what a call cost, and whether that is the worst case: of one whose answer came, by its tokens;
    of one that was turned away, nothing; else the worst case."""
    known = cost_of(price, *_tokens(call.answer))
    if known is not None or price is None:
        return known, False
    if call.unreached or (call.status or 0) >= 300 or call.outcome == "rate_limited":
        return 0, False
    return worst(), True


def _tokens(answer: Completion | None) -> tuple[int | None, int | None, int | None]:
    if answer is None:
        return None, None, None
    return answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens

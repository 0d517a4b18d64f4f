"""What the last call makes of its response."""

from typing import Any

from arbiter.calls.answers import Completion
from arbiter.calls.client import Call
from arbiter.core.text import storable_json, storable_together
from benchmark.models import Response

State = Response.State
FINAL_FIELDS = (
    "state",
    "error",
    "raw",
    "text",
    "reasoning",
    "escaped",
    "finish_reason",
    "ending",
    "returned_model",
    "fingerprint",
    "completion_id",
    "usage",
    "simulated",
    "content_hash",
    "latency",
    "lease",
    "leased_until",
)


def final_values(call: Call) -> list[Any]:
    """Return what concluding a response writes in its FINAL_FIELDS."""
    released = {"lease": Response.NOBODY, "leased_until": None}
    values = {**outcome_of_call(call), "latency": call.latency, **released}
    return [values[name] for name in FINAL_FIELDS]


def outcome_of_call(call: Call) -> dict[str, Any]:
    """Return the fields that a final call gives its response. An empty or refused answer is a response like
    any other; only the absence of an answer is a failure."""
    if call.answer is None:
        return {
            "state": State.FAILED,
            "error": call.error or call.outcome,
            "raw": call.raw,
            **_told(Completion()),
        }
    if call.answer.lacking:
        return {"state": State.FAILED, "error": call.answer.lacking, "raw": call.raw, **_told(call.answer)}
    # What a filter says is the service's word, never the model's.
    return {"state": State.DONE, "error": call.answer.notice, "raw": "", **_told(call.answer)}


def _told(answer: Completion) -> dict[str, Any]:
    (text, reasoning), escaped = storable_together([answer.text or answer.refusal, answer.reasoning])
    ending = Response.Ending.WHOLE if answer == Completion() or answer.silent else answer.ending
    return {
        "text": text,
        "reasoning": reasoning,
        "escaped": escaped,
        "finish_reason": answer.finish_reason,
        "ending": ending,
        "returned_model": answer.model,
        "fingerprint": answer.fingerprint,
        "completion_id": answer.id,
        "usage": dict(answer.usage) if answer.usage and storable_json(answer.usage) else None,
        "simulated": answer.simulated,
        "content_hash": Response.hash_of(text, reasoning, answer.finish_reason),
    }

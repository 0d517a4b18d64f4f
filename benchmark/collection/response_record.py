"""All there is to know about how one response was collected: what was asked, and every call made for it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arbiter.calls.record_texts import AnswerTexts, CutText, answer_texts, cut
from arbiter.core.text import storable
from benchmark.collection.collected_runs import findings_for, request_for
from benchmark.models import Collection, CollectionAttempt, Response, Run


@dataclass(frozen=True)
class AskedRequest:
    """What the model is asked for a response, put together again from what is stored."""

    messages: Sequence[tuple[str, CutText]]  # of whom, and what
    beside: CutText  # what goes with the messages, as JSON
    hash: str


@dataclass(frozen=True)
class CollectionCall:
    """An attempt as its record shows it."""

    attempt: CollectionAttempt
    number: int
    answer: AnswerTexts
    exact: bool  # the request is what was sent, byte for byte
    lost: bool  # its worker died before it could tell what came of it


def find_response(collection: Collection, pk: int) -> Response | None:
    related = ("task__category", "run__condition", "run__subject", "run__endpoint", "run__suite")
    rows = Response.objects.filter(run=collection.run_id).select_related(*related)
    return rows.filter(pk=pk).first()


def asked_of(response: Response) -> AskedRequest:
    from arbiter.calls.client import body_hash  # loads the library that calls are made with

    run: Run = response.run
    dialect = run.endpoint.dialect if run.endpoint else "openai"
    request = request_for(run, response.task, response.epoch, dialect, findings_for(run))
    beside = {name: value for name, value in request.items() if name != "messages"}
    messages = [(one["role"], cut(one["content"])) for one in request["messages"]]
    return AskedRequest(messages, cut(_as_json(beside)), body_hash(request))


def _as_json(document: Any) -> str:
    return storable(json.dumps(document, indent=2, ensure_ascii=False))[0]


def calls_for(response: Response, asked: AskedRequest) -> list[CollectionCall]:
    """Return the response's calls, in the order they were made."""
    attempts = CollectionAttempt.objects.filter(response=response).order_by("pk")
    return [
        CollectionCall(
            attempt,
            number,
            answer_texts(attempt),
            attempt.request_hash == asked.hash,
            attempt.outcome == CollectionAttempt.ASKED and attempt.lease != response.lease,
        )
        for number, attempt in enumerate(attempts, start=1)
    ]


def raw_answer(response: Response, attempt: int) -> str | None:
    """Return the body as it came of one of the response's calls; None where it is none of them."""
    attempts = CollectionAttempt.objects.filter(response=response, pk=attempt)
    return attempts.values_list("raw", flat=True).first()

"""Verdicts and attempts as workers leave them, without calls."""

import json
import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotation.ledger import Entry, record
from annotation.models import Item, LabelScheme
from arbiter.calls.client import body_hash
from judging.models import Attempt, StudyJudge, Verdict
from judging.panel.prompting import ask

__all__ = ["attempt", "body", "faithful", "leased", "verdict"]


def verdict(by: StudyJudge, item: Item, state: str = "todo", **fields: Any) -> Verdict:
    """Make a verdict, with a rating where it is done; `rated` are the rating's fields."""
    rated = {"label": "convergence", **fields.pop("rated", {})}
    if state == "done":
        scheme = by.study.scheme_of(by.judge.question)
        entry = Entry(item_id=item.pk, rater=by.judge.rater, question=by.judge.question, **rated)
        fields["rating"] = record(scheme, [entry])[0]
    if state not in ("todo", "leased"):
        fields = {"finished_at": timezone.now(), **fields}
    return Verdict.objects.create(item=item, study_judge=by, state=state, **fields)


def leased(by: StudyJudge, item: Item, seconds: float = 60) -> Verdict:
    """Make a verdict held by a worker; by one that has died, with seconds below 0."""
    until = timezone.now() + timedelta(seconds=seconds)
    return verdict(by, item, "leased", lease="somebody", leased_until=until)


def body(content: str, finish_reason: str = "stop", **message: Any) -> str:
    said = {"role": "assistant", "content": content, **message}
    return json.dumps({"choices": [{"index": 0, "message": said, "finish_reason": finish_reason}]})


def attempt(of: Verdict, outcome: str = "answer", ago: float = 5, **fields: Any) -> Attempt:
    """Make a verdict's attempt. `ago`: seconds since it set out."""
    fields = {"latency": 0.5, "cache_key": "k", "request_hash": "h", "marker": "RESPONSE-0", **fields}
    started_at = timezone.now() - timedelta(seconds=ago)
    return Attempt.objects.create(
        uid=uuid.uuid4(),
        verdict=of,
        study_judge=of.study_judge,
        outcome=outcome,
        started_at=started_at,
        **fields,
    )


def faithful(of: Verdict, max_tokens: int | None = None, **fields: Any) -> Attempt:
    """Make a verdict's attempt with the marker and the hash of what is really asked for it."""
    scheme = of.study_judge.study.scheme_of(of.study_judge.judge.question)
    scheme = LabelScheme.objects.prefetch_related("labels").get(pk=scheme.pk)
    asked = ask(of.study_judge.judge, of.item, scheme, of.repeat, max_tokens=max_tokens)
    hashed = body_hash(asked.request)
    return attempt(of, marker=asked.marker, request_hash=hashed, max_tokens=max_tokens, **fields)

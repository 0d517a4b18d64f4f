"""Builders for judges and what is asked of them."""

import json
from pathlib import Path
from typing import Any

from django.utils import timezone

from annotation.models import Item, Study
from arbiter.calls.answers import read_answer
from arbiter.calls.client import Call
from arbiter.calls.engine import MadeCall
from arbiter.calls.lanes import CallJob
from arbiter.core.text import digest
from arbiter.studies.setup.studyfile import JudgeSpec
from arbiter.studies.setup.studyjudges import save_judge
from benchmark.models import Endpoint
from judging.models import StudyJudge, Verdict
from tests.arbiter.calls.services import HttpAnswer, completion

PANEL = ("careful", "lenient", "noisy")
CLOSED = "http://127.0.0.1:1/v1"  # nobody listens there


def endpoint(base_url: str = CLOSED, name: str = "local", **fields: Any) -> Endpoint:
    return Endpoint.objects.create(name=name, base_url=base_url, **{"timeout": 120, **fields})


def judge(
    study: Study,
    at: Endpoint,
    name: str = "careful",
    beside: Path | None = None,
    **spec: Any,
) -> StudyJudge:
    """Put the simulated judge of that name into the study."""
    definition = JudgeSpec(name=name, endpoint=at.name, **{"model": f"sim-judge-{name}", **spec})
    return StudyJudge.objects.create(study=study, judge=save_judge(definition, at, beside))


def panel(study: Study, at: Endpoint) -> list[StudyJudge]:
    return [judge(study, at, name) for name in PANEL]


def states(study: Study) -> dict[str, int]:
    """Count the study's verdicts by their state."""
    all_states = list(Verdict.objects.filter(item__study=study).values_list("state", flat=True))
    return {state: all_states.count(state) for state in sorted(set(all_states))}


def item_of(study: Study, text: str | None = None, **response: Any) -> Item:
    """Return the study's first item, its response changed."""
    item = study.items.first()
    assert item is not None
    changed = {**response, **({"text": text, "content_hash": digest(text)} if text is not None else {})}
    type(item.response).objects.filter(pk=item.response_id).update(**changed)
    return Item.objects.get(pk=item.pk)


def said(label: str = "convergence", **more: Any) -> HttpAnswer:
    """Return what a service answers that gives this label."""
    return completion(
        json.dumps({"label": label, "confidence": 0.5, "rationale": "So.", "evidence": [], **more})
    )


def cut_off(content: str, spent: int = 10) -> HttpAnswer:
    """Return what a service answers whose token limit was too small."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "length"}
    return completion(choices=[choice], usage={"prompt_tokens": 5, "completion_tokens": spent})


def made_of(job: CallJob, label: str = "convergence") -> MadeCall:
    """Return the call that answered a job, as the engine hands it on."""
    raw = said(label)[2].decode()
    answer = read_answer(raw)
    return MadeCall(job, Call("answer", timezone.now(), 0.1, raw=raw, answer=answer, status=200), final=True)

"""What the engine adds to a call, with an endpoint that answers at once: 1,000 verdicts in a study of 1,000,
and 1,000 of the 100,000 that are open in a study where 100,000 are final."""

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any
from unittest.mock import patch

from django.db import connection
from django.utils import timezone

from annotation.models import Label, Rating
from arbiter.calls.answers import read_answer
from arbiter.calls.client import Call
from arbiter.calls.engine import Engine
from arbiter.core.bulkinsert import insert
from benchmark.models import Endpoint
from judging.models import Attempt, StudyJudge, Verdict
from judging.panel.judge_work import JudgeWork
from judging.panel.wanted_verdicts import want_verdicts
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import study_of
from tests.judging.helpers import endpoint, judge

FEW, MANY, ROUNDS, AT_ONCE = 1000, 100_000, 5, 5000
ANSWER = {"label": "convergence", "confidence": 0.9, "rationale": "It keeps itself running.", "evidence": []}
BODY = {
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": json.dumps(ANSWER)}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 900, "completion_tokens": 30},
}


def measure(folder: Path) -> Iterator[Measurement]:
    few = [a_judge(FEW) for _ in range(ROUNDS)]
    many = a_judge(MANY, repeats=2)
    finish_one_of_each(many)
    for by in (*few, many):
        want_verdicts(by.study)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # which PostgreSQL does by itself within a minute or two
    times = [(milliseconds(by), milliseconds(many)) for by in few]
    small, large = zip(*times, strict=True)
    assert Verdict.objects.filter(study_judge=many, state="done").count() == MANY + ROUNDS * FEW
    # The least of each: whatever else the machine does only adds.
    yield Measurement("engine: added to a call, 1,000 verdicts", min(small), "ms")
    yield Measurement("engine: with 100,000 open and 100,000 final", min(large), "ms")
    yield Measurement("engine: the second over the first", min(large) / min(small), "times", at_most=1.2)
    yield Measurement("engine: claim 64 of 100,000 open", milliseconds_to_claim(many), "ms")


class InstantClient:
    """A client whose endpoint answers at once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.raw = json.dumps(BODY)

    async def ask(self, request: Mapping[str, Any]) -> Call:
        await asyncio.sleep(0)
        answer = read_answer(self.raw)
        assert answer
        return Call(answer.outcome, timezone.now(), 0.0, raw=self.raw, answer=answer, status=200)

    async def close(self) -> None:
        pass


def a_judge(items: int, **spec: Any) -> StudyJudge:
    study = study_of(items)
    return judge(study, endpoint(name=study.slug, concurrency=64), **spec)


def milliseconds(by: StudyJudge) -> float:
    """Return the milliseconds that a verdict takes, for the next of them."""
    clock = monotonic()
    with patch("arbiter.calls.engine.Client", InstantClient):
        Engine(JudgeWork(by.study, [by.pk], limit=FEW)).run()
    return (monotonic() - clock) / FEW * 1000


def milliseconds_to_claim(by: StudyJudge) -> float:
    work, times = JudgeWork(by.study, [by.pk]), []
    for _ in range(20):
        clock = monotonic()
        [at] = work.endpoints()
        assert len(work.claim(at, "bench", 64)) == 64
        times.append((monotonic() - clock) * 1000)
    work.release("bench")
    return median(times)


def finish_one_of_each(by: StudyJudge) -> None:
    """Write a final verdict of every item, with its attempt and its rating, as if it had been made."""
    label = by.study.scheme.labels.get(key="convergence")
    items = list(by.study.items.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(items), AT_ONCE):
        finish(by, label, items[start : start + AT_ONCE])


def finish(by: StudyJudge, label: Label, items: list[int]) -> None:
    now, raw = timezone.now() - timedelta(hours=1), json.dumps(BODY)
    shown = {
        "blind": True,
        "fields": ["category context", "task", "response"],
        "template": by.judge.template_name,
    }
    ratings = [Rating(item_id=pk, rater=by.judge.rater, label=label, shown=shown) for pk in items]
    insert(ratings)
    done = [
        Verdict(item_id=pk, study_judge=by, state="done", rating=rating, finished_at=now)
        for pk, rating in zip(items, ratings, strict=True)
    ]
    insert(done)
    insert([attempt(verdict, raw) for verdict in done])


def attempt(verdict: Verdict, raw: str) -> Attempt:
    return Attempt(
        uid=uuid.uuid4(),
        verdict=verdict,
        study_judge=verdict.study_judge,
        outcome="answer",
        cache_key=uuid.uuid4().hex * 2,
        request_hash=uuid.uuid4().hex * 2,
        marker="RESPONSE-0123456789abcdef",
        raw=raw,
        status=200,
        finish_reason="stop",
        prompt_tokens=900,
        completion_tokens=30,
        started_at=timezone.now(),
        latency=0.1,
    )

"""Judging 1,000 items at 100 ms a call with 64 in flight, against a bare loop that makes the same calls."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import openai

from benchmark.models import Endpoint
from benchmark.simulator.running import running_simulator
from judging.models import StudyJudge
from judging.panel import judge_study
from judging.prompting import request
from tests import builders
from tests.benchmarks.figures import Figure
from tests.judging.helpers import endpoint, judge

VERDICTS, IN_FLIGHT, SECONDS = 1000, 64, 0.1


def measure(folder: Path) -> Iterator[Figure]:
    name = f"bench-judge-{secrets.token_hex(4)}"
    study = builders.study(name, tasks=10, epochs=VERDICTS // 10)
    with running_simulator(latency=SECONDS) as simulator:
        at = endpoint(simulator.base_url, name, concurrency=IN_FLIGHT)
        asked = requests(judge(study, at))
        clock = monotonic()
        asyncio.run(bare_loop(at, asked))
        bare = monotonic() - clock
        judged = judge_study(study)
    assert judged["parsed"] == VERDICTS, judged
    yield Figure("judge 1,000 items, 64 in flight at 100 ms", VERDICTS / judged["seconds"], "verdicts/s")
    yield Figure("judge: time over a bare loop", judged["seconds"] / bare, "times")


def requests(by: StudyJudge) -> list[dict[str, Any]]:
    labels = list(by.study.scheme.labels.all())
    return [request(by.judge, item, labels, 0) for item in by.study.items.all()]


async def bare_loop(at: Endpoint, asked: Sequence[Mapping[str, Any]]) -> None:
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with openai.AsyncOpenAI(base_url=at.base_url, api_key="none", max_retries=0) as client:

        async def one(body: Mapping[str, Any]) -> None:
            async with gate:
                await client.chat.completions.create(**body)

        await asyncio.gather(*(one(body) for body in asked))

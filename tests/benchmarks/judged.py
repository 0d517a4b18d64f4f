"""What benchmarks of judging share: a study to judge, the bare loop to compare with, workers."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import openai

from annotation.models import LabelScheme, Study
from benchmark.models import Endpoint
from judging.models import StudyJudge
from judging.prompting import ask
from tests.benchmarks.responses import imported
from tests.judging.helpers import endpoint, judge


def study_of(folder: Path, responses: int) -> Study:
    return Study.objects.get(slug=imported(folder, responses).study)


def endpoint_at(base_url: str, in_flight: int, **fields: Any) -> Endpoint:
    return endpoint(base_url, f"bench-{secrets.token_hex(4)}", concurrency=in_flight, **fields)


def judges(of: Study, at: Endpoint, names: Sequence[str]) -> list[StudyJudge]:
    """Under names of their own: an earlier benchmark's judges were asked at another address."""
    return [judge(of, at, f"{name}-{at.name}", model=f"sim-judge-{name}") for name in names]


def requests(by: Sequence[StudyJudge]) -> list[dict[str, Any]]:
    """The very bodies that the judges will send."""
    scheme = LabelScheme.objects.prefetch_related("labels").get(pk=by[0].study.scheme_id)
    items = by[0].study.items.select_related(
        "study__scheme", "response__task__category", "response__run__condition"
    )
    return [ask(one.judge, item, scheme, 0).request for one in by for item in items]


def bare_loop(at: Endpoint, asked: Sequence[Mapping[str, Any]], in_flight: int) -> float:
    """Seconds that the same calls take with the library alone, and nothing stored."""

    async def all_of_them() -> None:
        gate = asyncio.Semaphore(in_flight)
        async with openai.AsyncOpenAI(base_url=at.base_url, api_key="none", max_retries=0) as client:

            async def one(body: Mapping[str, Any]) -> None:
                async with gate:
                    await client.chat.completions.create(**body)

            await asyncio.gather(*(one(body) for body in asked))

    clock = monotonic()
    asyncio.run(all_of_them())
    return monotonic() - clock


def wait_until(so: Callable[[], bool], within: float = 300.0) -> None:
    deadline = monotonic() + within
    while not so():
        if monotonic() > deadline:
            raise SystemExit(f"Nothing came of it within {within:g} s.")
        time.sleep(0.02)

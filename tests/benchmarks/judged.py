"""What benchmarks of judging share: a study to judge, its judges, the bare loop to compare with, patience."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import openai

from annotation.models import Item, LabelScheme, Study
from annotation.schemes import builtin_scheme
from arbiter.core.bulkinsert import insert
from benchmark.models import Response, Run, Task
from judging.models import StudyJudge
from judging.panel.prompting import ask
from tests import builders
from tests.judging.helpers import PANEL, endpoint, judge

TASKS = 71


def study_of(count: int) -> Study:
    """Make a study with so many responses of one to three kB."""
    name = f"bench-{secrets.token_hex(4)}"
    of = builders.suite(name, TASKS)
    study = Study.objects.create(slug=name, title=name, scheme=builtin_scheme("four-class"))
    run, tasks, chance = builders.run(of, name=name), list(of.tasks.all()), random.Random(count)
    words = ["".join(chance.choices("etaoinshrdlucmf", k=chance.randint(2, 9))) for _ in range(3000)]
    for start in range(0, count, 5000):
        responses = [
            response(run, tasks[number % TASKS], number // TASKS + 1, prose(chance, words))
            for number in range(start, min(start + 5000, count))
        ]
        insert(responses)
        insert([Item(study=study, response=one) for one in responses])
    return study


def response(run: Run, task: Task, epoch: int, text: str) -> Response:
    return Response(run=run, task=task, epoch=epoch, text=text, content_hash=Response.hash_of(text, "", ""))


def prose(chance: random.Random, words: Sequence[str]) -> str:
    """Write as models do: lines, lists, now and then something that isn't ASCII."""
    lines = [
        chance.choice(["", "- ", "1. ", "**Note** – "])
        + " ".join(chance.choices(words, k=chance.randint(8, 40)))
        for _ in range(chance.randint(8, 16))
    ]
    return "\n\n".join(lines)[: chance.randint(1000, 3000)]


def judges(
    of: Study, base_url: str, in_flight: int, names: Sequence[str] = PANEL, **fields: Any
) -> list[StudyJudge]:
    """Add judges at an endpoint of their own: an earlier benchmark's were asked at another address."""
    at = endpoint(base_url, of.slug, concurrency=in_flight, **fields)
    return [judge(of, at, name) for name in names]


def requests(by: Sequence[StudyJudge]) -> list[dict[str, Any]]:
    """Return the very bodies that the judges will send."""
    scheme = LabelScheme.objects.prefetch_related("labels").get(pk=by[0].study.scheme_id)
    items = by[0].study.items.select_related(
        "study__scheme", "response__task__category", "response__run__condition"
    )
    return [ask(one.judge, item, scheme, 0).request for one in by for item in items]


def bare_loop(base_url: str, asked: Sequence[Mapping[str, Any]], in_flight: int) -> float:
    """Return the seconds that the same calls take with the library alone, and nothing stored."""

    async def all_of_them() -> None:
        gate = asyncio.Semaphore(in_flight)
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:

            async def one(body: Mapping[str, Any]) -> None:
                async with gate:
                    await client.chat.completions.create(**body)  # type: ignore[call-overload]

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

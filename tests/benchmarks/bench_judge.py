"""Three judges on 1,278 responses at 100 ms a call, 64 in flight, as the command a user types, beside a bare loop that makes
the same calls with openai's client and keeps nothing."""

import asyncio
import json
import random
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from time import monotonic
from typing import Any

import openai

from annotation.models import Item, LabelScheme, Study
from annotation.schemes import builtin_scheme
from benchmark.bulk import insert
from benchmark.models import Endpoint, Response
from benchmark.simulator.running import RunningSimulator, running_simulator
from judging.models import StudyJudge
from judging.prompting import ask
from tests import builders
from tests.benchmarks.figures import Figure
from tests.benchmarks.processes import MB, Ran, run
from tests.judging.helpers import PANEL, endpoint, panel

RESPONSES, IN_FLIGHT, SECONDS, ROUNDS = 1278, 64, 0.1, 2
CALLS = RESPONSES * len(PANEL)


def measure(folder: Path) -> Iterator[Figure]:
    """Bare, judged, bare, judged, bare: the machine may be slower at one time than at another."""
    bare: list[float] = []
    judged: list[Ran] = []
    with running_simulator(latency=SECONDS) as simulator:
        for _ in range(ROUNDS):
            study = study_of(RESPONSES)
            asked = [body for judge in judges(study, simulator) for body in requests(judge)]
            bare.append(seconds_bare(simulator, asked))
            judged.append(run("manage.py", "judge", study.slug, "--json"))
        bare.append(seconds_bare(simulator, asked))
    results = [json.loads(one.said) for one in judged]
    assert all(one["verdicts"] == one["parsed"] == CALLS for one in results), results
    seconds = mean(one["seconds"] for one in results)
    yield Figure(f"judge {CALLS:,} at 100 ms, 64 in flight", CALLS / seconds, "verdicts/s")
    yield Figure("the same calls in a bare loop", CALLS / mean(bare), "calls/s")
    yield Figure("judge: time over the bare loop", seconds / mean(bare), "times", at_most=1.35)
    yield Figure(
        "judge: its process over the bare loop", mean(one.seconds for one in judged) / mean(bare), "times"
    )
    yield Figure("judge: peak memory", max(one.peak for one in judged) / MB, "MB", at_most=250)


def study_of(count: int, tasks: int = 71) -> Study:
    """Responses of one to three kB, as models write them: lines, lists, now and then something that isn't ASCII."""
    name = f"bench-{secrets.token_hex(4)}"
    of = builders.suite(name, tasks)
    study = Study.objects.create(slug=name, title=name, scheme=builtin_scheme("four-class"))
    one, chance = builders.run(of, name=name), random.Random(count)
    words = ["".join(chance.choices("etaoinshrdlucmf", k=chance.randint(2, 9))) for _ in range(3000)]
    places = [(task, epoch) for epoch in range(1, count // tasks + 2) for task in of.tasks.all()][:count]
    responses = []
    for task, epoch in places:
        text = prose(chance, words)
        responses.append(
            Response(run=one, task=task, epoch=epoch, text=text, content_hash=Response.hash_of(text, "", ""))
        )
    insert(responses)
    insert([Item(study=study, response=response) for response in responses])
    return study


def prose(chance: random.Random, words: Sequence[str]) -> str:
    lines = [
        chance.choice(["", "- ", "1. ", "**Note** – "])
        + " ".join(chance.choices(words, k=chance.randint(8, 40)))
        for _ in range(chance.randint(8, 16))
    ]
    return "\n\n".join(lines)[: chance.randint(1000, 3000)]


def judges(study: Study, simulator: RunningSimulator) -> list[StudyJudge]:
    return panel(study, endpoint(simulator.base_url, study.slug, concurrency=IN_FLIGHT))


def requests(by: StudyJudge) -> list[dict[str, Any]]:
    scheme = LabelScheme.objects.prefetch_related("labels").get(pk=by.study.scheme_id)
    items = by.study.items.select_related("response__task__category", "response__run__condition", "study")
    return [ask(by.judge, item, scheme, 0).request for item in items]


def seconds_bare(simulator: RunningSimulator, asked: Sequence[Mapping[str, Any]]) -> float:
    clock = monotonic()
    asyncio.run(bare_loop(Endpoint(base_url=simulator.base_url), asked))
    return monotonic() - clock


async def bare_loop(at: Endpoint, asked: Sequence[Mapping[str, Any]]) -> None:
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with openai.AsyncOpenAI(base_url=at.base_url, api_key="none", max_retries=0) as client:

        async def one(body: Mapping[str, Any]) -> None:
            async with gate:
                await client.chat.completions.create(**body)

        await asyncio.gather(*(one(body) for body in asked))

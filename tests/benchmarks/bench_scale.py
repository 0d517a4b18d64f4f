"""What a verdict costs beyond its call: in a database with nothing else, and beside 100,000 finished verdicts and 100,000
that are wanted."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from time import monotonic

from django.db import connection
from django.utils import timezone

from annotation.ledger import Entry, record
from annotation.models import Item, Study
from benchmark.batching import batches
from benchmark.bulk import insert
from benchmark.engine import Engine
from benchmark.models import Response, Run
from benchmark.simulator.running import running_simulator
from judging.asking import want_verdicts
from judging.models import Attempt, StudyJudge, Verdict
from judging.work import JudgeWork
from tests.benchmarks.figures import Figure
from tests.benchmarks.judged import endpoint_at, judges, study_of

ROUNDS, VERDICTS, MANY, IN_FLIGHT = 3, 1000, 100_000, 64


def measure(folder: Path) -> Iterator[Figure]:
    with running_simulator() as simulator:
        few, many = study_of(folder, 5 * VERDICTS), study_of(folder, 4 * VERDICTS)
        small = judges(few, endpoint_at(simulator.base_url, IN_FLIGHT), ["careful"])
        want_verdicts(few)
        alone = [seconds(small) for _ in range(ROUNDS)]
        large = judges(many, endpoint_at(simulator.base_url, IN_FLIGHT), ["careful"])
        grow(many, large[0])
        beside = [seconds(large) for _ in range(ROUNDS)]
    yield Figure("a verdict without waiting for its call", 1000 * median(alone), "ms")
    yield Figure(f"the same beside {2 * MANY:,} others", 1000 * median(beside), "ms")
    yield Figure(
        "overhead a verdict at 100,000 over that at 1,000",
        median(beside) / median(alone),
        "times",
        at_most=1.25,
    )


def seconds(of: Sequence[StudyJudge]) -> float:
    """A verdict's, of so many, at a provider that answers at once."""
    work = JudgeWork(judges=[one.pk for one in of], limit=VERDICTS)
    clock = monotonic()
    Engine(work).run()
    return (monotonic() - clock) / VERDICTS


def grow(study: Study, by: StudyJudge) -> None:
    """Two hundred thousand further items; the first half is labelled, each with its attempt."""
    run = Run.objects.filter(responses__items__study=study).first()
    assert run is not None
    tasks = list(run.suite.tasks.all())
    for part in batches(range(2 * MANY), 5000):
        made = [
            Response(run=run, task=tasks[n % len(tasks)], epoch=100 + n // len(tasks), text=f"Response {n}. " * 20, content_hash=str(n))
            for n in part
        ]  # fmt: skip
        insert(made)
        insert([Item(study=study, response=response) for response in made])
    wanted = study.items.order_by("-pk").values_list("pk", flat=True)[MANY : 2 * MANY]
    for ids in batches(wanted, 1000):
        finish(by, ids)
    want_verdicts(study)
    if connection.vendor == "postgresql":  # as autovacuum would soon
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def finish(by: StudyJudge, ids: Sequence[int]) -> None:
    entries = [
        Entry(item_id=pk, rater=by.judge.rater, label="convergence", rationale="Because.") for pk in ids
    ]
    ratings = record(by.study.scheme, entries)
    verdicts = [
        Verdict(
            item_id=rating.item_id, study_judge=by, state="done", rating=rating, finished_at=timezone.now()
        )
        for rating in ratings
    ]
    insert(verdicts)
    insert([
        Attempt(
            uid=uuid.uuid4(), verdict=verdict, study_judge=by, outcome="answer", cache_key=uuid.uuid4().hex, request_hash="",
            marker="", raw="{}" * 400, started_at=timezone.now(), latency=0.1,
        )
        for verdict in verdicts
    ])  # fmt: skip

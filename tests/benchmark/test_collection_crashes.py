"""`collect` as processes of its own that are killed, told to stop, or run side by side."""

import random
import signal

import pytest

from arbiter.simulator.running import running_simulator
from benchmark.models import Response, Run
from tests import builders
from tests.ledgers import assert_sound
from tests.processes import result, start
from tests.sizes import size
from tests.struck import after_calls

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
TASKS, EPOCHS, CONCURRENCY = 10, 8, 4
WANTED = TASKS * EPOCHS
KILLS = size(2, 4)


@pytest.fixture
def slow_simulator():
    with running_simulator(latency=0.03, latency_spread=0.02) as running:
        yield running


@pytest.fixture
def suite():
    return builders.suite(tasks=TASKS)


def collecting(simulator, first=None, lease="15"):
    return start(
        "manage.py",
        "collect",
        "--suite",
        "tiny",
        "--subject",
        "sim-subject-mild",
        "--condition",
        "baseline",
        "--json",
        "--epochs",
        str(EPOCHS),
        "--base-url",
        simulator.base_url,
        "--concurrency",
        str(CONCURRENCY),
        first=first,
        ARBITER_LEASE_SECONDS=lease,
    )


def answered(simulator):
    return sum(count for kind, count in simulator.stats()["kinds"].items() if kind != "abandoned")


def kept():
    return list(Response.objects.filter(state="done").order_by("pk").values("pk", "text", "content_hash"))


def assert_whole():
    rows = Response.objects.values_list("task__key", "epoch", "state", "lease")
    wanted = [
        (f"task-{task}", epoch, "done", "") for task in range(1, TASKS + 1) for epoch in range(1, EPOCHS + 1)
    ]
    assert sorted(rows) == sorted(wanted)
    assert Run.objects.count() == 1


@pytest.mark.sized
def test_killed_again_and_again_it_loses_and_doubles_nothing(suite, slow_simulator):
    moments = random.Random(5)
    before = []
    for _ in range(KILLS):
        stored, seconds = moments.randint(1, WANTED // KILLS - 16), moments.uniform(0, 0.05)
        process = collecting(slow_simulator, after_calls(stored, signal.SIGKILL, seconds), "1")
        assert process.wait(600) == -signal.SIGKILL
        process.communicate()
        after = kept()
        assert [row for row in before if row not in after] == []
        before = after
    counts = result(collecting(slow_simulator))
    assert counts["responses"] == WANTED - len(before) and counts["failed"] == 0
    assert_whole()
    assert_sound()
    # What was claimed and not yet committed when it died is asked again, and nothing else: what was in flight
    # or had landed, and the batch that was being written, each at most twice as many as are asked at once.
    assert WANTED <= answered(slow_simulator) <= WANTED + KILLS * 4 * CONCURRENCY


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_is_in_flight_and_gives_back_the_rest(suite, slow_simulator, number):
    process = collecting(slow_simulator, after_calls(WANTED // 4, number))
    counts = result(process)
    assert 0 < counts["responses"] < WANTED
    assert set(Response.objects.values_list("state", flat=True)) == {"done", "todo"}
    assert not Response.objects.exclude(lease="").exists()
    assert Response.objects.filter(state="done").count() == counts["responses"] == answered(slow_simulator)
    rest = result(collecting(slow_simulator))
    assert rest["responses"] == WANTED - counts["responses"] and rest["unchanged"] == counts["responses"]
    assert_whole()
    assert answered(slow_simulator) == WANTED


def test_two_side_by_side_ask_for_nothing_twice(suite, slow_simulator):
    processes = [collecting(slow_simulator) for _ in range(2)]
    for process in processes:
        assert result(process)["failed"] == 0
    assert_whole()
    assert answered(slow_simulator) == WANTED

"""1,368 responses of 100 ms collected with 64 in flight, as the command a user types, beside a bare loop that
makes the same calls with openai's client and keeps nothing."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from arbiter.simulator.running import running_simulator
from benchmark.conditions import condition_named
from tests import builders
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import bare_loop
from tests.benchmarks.processes import MB, Ran, run

TASKS, EPOCHS, IN_FLIGHT, SECONDS, ROUNDS = 76, 18, 64, 0.1, 2
SUBJECT = "sim-subject-mild"


def measure(folder: Path) -> Iterator[Measurement]:
    """Measure bare, collected, bare, collected, bare: the machine may be slower at one time than at
    another."""
    bare: list[float] = []
    collected: list[Ran] = []
    with running_simulator(latency=SECONDS) as simulator:
        for _ in range(ROUNDS):
            suite = f"bench-{secrets.token_hex(4)}"
            asked = _requests(suite)
            bare.append(bare_loop(simulator.base_url, asked, IN_FLIGHT))
            collected.append(run(*_command(suite, simulator.base_url)))
        bare.append(bare_loop(simulator.base_url, asked, IN_FLIGHT))
    results, calls = [json.loads(one.said) for one in collected], len(asked)
    assert all(one["responses"] == calls for one in results), results
    seconds = mean(one["seconds"] for one in results)
    whole = mean(one.seconds for one in collected)
    yield Measurement(f"collect: {calls:,} calls of 100 ms, 64 in flight", calls / seconds, "responses/s")
    yield Measurement("collect: the same calls in a bare loop", calls / mean(bare), "calls/s")
    yield Measurement("collect: time over the bare loop", seconds / mean(bare), "times", at_most=1.35)
    yield Measurement("collect: its process, from start to end, over it", whole / mean(bare), "times")
    yield Measurement("collect: peak memory", max(one.peak for one in collected) / MB, "MB", at_most=250)


def _requests(suite: str) -> list[dict[str, Any]]:
    """Make a suite of that name, and return the very bodies that collecting it will send."""
    made, condition = builders.suite(suite, TASKS), condition_named("baseline")
    tasks = made.tasks.select_related("category")
    return [
        {"model": SUBJECT, "messages": condition.messages(task), "seed": epoch}
        for epoch in range(1, EPOCHS + 1)
        for task in tasks
    ]


def _command(suite: str, base_url: str) -> list[str]:
    options = {
        "--suite": suite,
        "--subject": SUBJECT,
        "--condition": "baseline",
        "--epochs": str(EPOCHS),
        "--base-url": base_url,
        "--endpoint": suite,
        "--concurrency": str(IN_FLIGHT),
    }
    return ["manage.py", "collect", "--json", *(part for option in options.items() for part in option)]

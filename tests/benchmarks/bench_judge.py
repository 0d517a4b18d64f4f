"""Three judges on 1,278 responses at 100 ms a call, 64 in flight, as the command a user types, beside a bare
loop that makes the same calls with openai's client and keeps nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from arbiter.simulator.running import running_simulator
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import bare_loop, judges, requests, study_of
from tests.benchmarks.processes import MB, Ran, run

RESPONSES, IN_FLIGHT, SECONDS, ROUNDS = 1278, 64, 0.1, 2


def measure(folder: Path) -> Iterator[Measurement]:
    """Measure bare, judged, bare, judged, bare: the machine may be slower at one time than at another."""
    bare: list[float] = []
    judged: list[Ran] = []
    with running_simulator(latency=SECONDS) as simulator:
        for _ in range(ROUNDS):
            study = study_of(RESPONSES)
            asked = requests(judges(study, simulator.base_url, IN_FLIGHT))
            bare.append(bare_loop(simulator.base_url, asked, IN_FLIGHT))
            judged.append(run("manage.py", "judge", study.slug, "--json"))
        bare.append(bare_loop(simulator.base_url, asked, IN_FLIGHT))
    results, calls = [json.loads(one.said) for one in judged], len(asked)
    assert all(one["verdicts"] == one["parsed"] == calls for one in results), results
    seconds = mean(one["seconds"] for one in results)
    whole = mean(one.seconds for one in judged)
    yield Measurement(f"judge: {calls:,} calls of 100 ms, 64 in flight", calls / seconds, "verdicts/s")
    yield Measurement("judge: the same calls in a bare loop", calls / mean(bare), "calls/s")
    yield Measurement("judge: time over the bare loop", seconds / mean(bare), "times", at_most=1.35)
    yield Measurement("judge: its process, from start to end, over it", whole / mean(bare), "times")
    yield Measurement("judge: peak memory", max(one.peak for one in judged) / MB, "MB", at_most=250)

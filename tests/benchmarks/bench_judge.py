"""1,278 responses x 3 judges = 3,834 calls of 100 ms with 64 in flight, as the command a user types, against a bare loop of
the same calls."""

from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from benchmark.simulator.running import running_simulator
from tests.benchmarks.figures import Figure
from tests.benchmarks.judged import bare_loop, endpoint_at, judges, requests, study_of
from tests.benchmarks.processes import MB, run

RESPONSES, PANEL, IN_FLIGHT, SECONDS = 1278, ("careful", "lenient", "noisy"), 64, 0.1


def measure(folder: Path) -> Iterator[Figure]:
    study = study_of(folder, RESPONSES)
    with running_simulator(latency=SECONDS) as simulator:
        at = endpoint_at(simulator.base_url, IN_FLIGHT)
        asked = requests(judges(study, at, PANEL))
        before = bare_loop(at, asked, IN_FLIGHT)
        ran = run("manage.py", "judge", study.slug, "--json")
        bare = mean([before, bare_loop(at, asked, IN_FLIGHT)])
    said = ran.document()
    assert (said["parsed"], said["calls"]) == (len(asked), len(asked)), said
    yield Figure(
        f"judge {len(asked):,} verdicts: time over a bare loop", said["seconds"] / bare, "times", at_most=1.35
    )
    yield Figure("judge: the whole command over a bare loop, its start included", ran.seconds / bare, "times")
    yield Figure("judge: verdicts a second", len(asked) / said["seconds"], "verdicts/s")
    yield Figure("judge: peak memory", ran.peak / MB, "MB", at_most=250)

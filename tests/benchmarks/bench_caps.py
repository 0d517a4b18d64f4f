"""A cap of 1,000 calls with four workers racing for 1,278 verdicts: how many calls the provider saw."""

from collections.abc import Iterator
from pathlib import Path

from benchmark.simulator.running import running_simulator
from judging.metering import set_caps
from judging.models import Attempt
from tests.benchmarks.figures import Figure
from tests.benchmarks.judged import endpoint_at, judges, study_of
from tests.processes import result, start

RESPONSES, CAP, WORKERS = 1278, 1000, 4


def measure(folder: Path) -> Iterator[Figure]:
    study = study_of(folder, RESPONSES)
    study.judges.update(active=False)  # those of other benchmarks
    with running_simulator(latency=0.02) as simulator:
        by = judges(study, endpoint_at(simulator.base_url, 16), ["careful"])
        set_caps(study, CAP + Attempt.objects.filter(study_judge__study=study).count(), None)
        for one in [start("manage.py", "judge", study.slug, "--json") for _ in range(WORKERS)]:
            result(one, within=300)
        calls = simulator.stats()["requests"]
    set_caps(study, None, None)
    stored = Attempt.objects.filter(study_judge=by[0]).count()
    yield Figure(f"a cap of {CAP:,} calls, {WORKERS} workers racing: calls made", calls, "calls", exactly=CAP)
    yield Figure("the same: calls stored", stored, "calls", exactly=CAP)

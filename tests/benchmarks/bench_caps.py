"""A cap of 1,000 calls, with four workers racing for 1,278 verdicts."""

from collections.abc import Iterator
from pathlib import Path

from arbiter.simulator.running import running_simulator
from judging.models import Attempt, Budget
from judging.panel.metering import set_caps
from judging.panel.wanted_verdicts import want_verdicts
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import judges, study_of
from tests.processes import start

RESPONSES, CAP, WORKERS = 426, 1000, 4


def measure(folder: Path) -> Iterator[Measurement]:
    study = study_of(RESPONSES)
    with running_simulator(latency=0.02) as simulator:
        judges(study, simulator.base_url, in_flight=16)
        set_caps(study, CAP, None)
        want_verdicts(study)
        workers = [start("manage.py", "runworker", "--until-idle") for _ in range(WORKERS)]
        for worker in workers:
            _, errors = worker.communicate(timeout=300)
            assert worker.returncode == 0, errors
        seen = simulator.stats()["requests"]
    stored = Attempt.objects.filter(study_judge__study=study).count()
    counted = Budget.objects.get(study=study).calls
    yield Measurement(
        f"cap of {CAP:,} calls, {WORKERS} workers: calls the provider saw", seen, "calls", exactly=CAP
    )
    yield Measurement("cap: calls stored", stored, "calls", exactly=CAP)
    yield Measurement("cap: calls counted as spent", counted, "calls", exactly=CAP)

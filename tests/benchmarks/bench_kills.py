"""A provider full of faults, and a worker that is killed 20 times: what is lost, doubled or not recorded."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from benchmark.simulator.running import running_simulator
from judging.models import Attempt, Verdict
from tests.benchmarks.figures import Figure
from tests.benchmarks.judged import endpoint_at, judges, study_of, wait_until
from tests.judging.accounts import FAULTS, FINAL, answered_and_unrecorded
from tests.processes import result, running, start

RESPONSES, PANEL, IN_FLIGHT, KILLS = 700, ("careful", "lenient", "noisy"), 16, 20
LEASE = {"ARBITER_LEASE_SECONDS": "1"}


def measure(folder: Path) -> Iterator[Figure]:
    study, moments = study_of(folder, RESPONSES), random.Random("kills")
    with running_simulator(**FAULTS, retry_after=0, latency=0.1, latency_spread=0.05, seed=8) as simulator:
        judges(study, endpoint_at(simulator.base_url, IN_FLIGHT, timeout=2), PANEL)
        for _ in range(KILLS):
            before = Attempt.objects.count()
            with running("manage.py", "judge", study.slug, **LEASE) as worker:
                wait_until(lambda: Attempt.objects.count() > before)  # noqa: B023
                time.sleep(moments.uniform(0, 0.3))
                worker.send_signal(signal.SIGKILL)
        result(start("manage.py", "judge", study.slug, "--json", **LEASE), within=300)
        unrecorded = answered_and_unrecorded(simulator, study)
    verdicts = Verdict.objects.filter(item__study=study)
    wanted, places = (
        RESPONSES * len(PANEL),
        verdicts.values("item", "study_judge", "repeat").distinct().count(),
    )
    final = verdicts.filter(state__in=FINAL).count()
    yield Figure(f"{KILLS} kills among faults: verdicts lost", wanted - final, "verdicts", exactly=0)
    yield Figure("the same: verdicts doubled", verdicts.count() - places, "verdicts", exactly=0)
    yield Figure("the same: answers sent and not recorded", unrecorded, "answers", at_most=KILLS * IN_FLIGHT)

"""A provider with 10 % 429, 5 % 500, 3 % cut connections, 3 % garbage and 1 % hangs; and a worker killed 20
times at random moments of such a run: what is lost, doubled, or not as the provider says."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from annotation.models import Rating, Study
from arbiter.simulator.running import RunningSimulator, running_simulator
from judging.models import Attempt, Verdict
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import judges, study_of, wait_until
from tests.judging.accounts import FAULTS, FINAL, answered_and_unrecorded, assert_whole, sent, stored
from tests.processes import result, running, start

RESPONSES, IN_FLIGHT, KILLS, SECONDS = 600, 16, 20, 0.08
VERDICTS = 3 * RESPONSES
LEASE = {"ARBITER_LEASE_SECONDS": "1"}


def measure(folder: Path) -> Iterator[Measurement]:
    with faulty(seed=8) as simulator:
        study = a_study(simulator)
        result(start("manage.py", "judge", study.slug, "--json"), within=300)
        yield from whole("faults", study)
        theirs, ours = sent(simulator), stored(study)
        other = sum(((theirs - ours) + (ours - theirs)).values())
        yield Measurement("faults: calls of another kind than the provider says", other, "calls", exactly=0)
    with faulty(seed=9) as simulator:
        study = a_study(simulator)
        kill(study)
        result(start("manage.py", "judge", study.slug, "--json", **LEASE), within=300)
        yield from whole(f"{KILLS} kills", study)
        unrecorded, at_most = answered_and_unrecorded(simulator, study), KILLS * IN_FLIGHT
        yield Measurement(
            f"{KILLS} kills: answers sent and not recorded", unrecorded, "answers", at_most=at_most
        )


def faulty(seed: int) -> AbstractContextManager[RunningSimulator]:
    return running_simulator(**FAULTS, retry_after=0, latency=SECONDS, latency_spread=SECONDS / 2, seed=seed)


def a_study(simulator: RunningSimulator) -> Study:
    """Make a study that asks at full speed, whatever the provider complains of: else little would be in
    flight."""
    study = study_of(RESPONSES)
    judges(study, simulator.base_url, IN_FLIGHT, concurrency_floor=IN_FLIGHT, timeout=2)
    return study


def kill(study: Study) -> None:
    moments, attempts = random.Random("kills"), Attempt.objects.filter(study_judge__study=study)
    for _ in range(KILLS):
        before = attempts.count()
        with running("manage.py", "judge", study.slug, **LEASE) as worker:
            wait_until(lambda: attempts.count() > before)  # noqa: B023
            time.sleep(moments.uniform(0, 0.3))
            worker.send_signal(signal.SIGKILL)


def whole(what: str, study: Study) -> Iterator[Measurement]:
    verdicts = Verdict.objects.filter(item__study=study)
    final = verdicts.filter(state__in=FINAL).count()
    doubled = verdicts.count() - verdicts.values("item", "study_judge", "repeat").distinct().count()
    ratings = Rating.objects.filter(item__study=study).count() - verdicts.filter(state="done").count()
    yield Measurement(f"{what}: verdicts without an end", VERDICTS - final, "verdicts", exactly=0)
    yield Measurement(f"{what}: verdicts or ratings doubled", doubled + ratings, "verdicts", exactly=0)
    assert_whole(study)  # and no label is made up

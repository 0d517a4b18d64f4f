"""Workers killed at random moments, among the endpoint's own faults:
nothing lost, nothing doubled, little repeated."""

import random
import signal
import time

import pytest

from arbiter.simulator.running import running_simulator
from judging.models import Verdict
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.judging.accounts import FAULTS, assert_whole, unrecorded
from tests.judging.helpers import endpoint, panel
from tests.processes import running, start
from tests.sizes import size
from tests.struck import after_calls

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.sized,
]
KILLS, IN_FLIGHT = size(3, 20), 16
EPOCHS = size(15, 60)
JUDGE, RUNWORKER = ("manage.py", "judge", "tiny"), ("manage.py", "runworker", "--until-idle")
LEASE = {"ARBITER_LEASE_SECONDS": "1"}


@pytest.fixture
def study(db):
    return builders.study(tasks=10, epochs=EPOCHS)


def service(**options):
    return running_simulator(**FAULTS, retry_after=0, latency=0.08, latency_spread=0.06, **options)


def at_full_speed(simulator, in_flight):
    """Make an endpoint that is asked as fast whatever it complains of: else a tenth of complaints would leave
    little in flight to be killed."""
    return endpoint(simulator.base_url, concurrency=in_flight, concurrency_floor=in_flight, timeout=2)


def dying(moments):
    """Return what has a worker kill itself at a random moment, but not before it has begun."""
    return after_calls(1, signal.SIGKILL, moments.uniform(0, 0.4))


def assert_little_was_lost(simulator, study, kills, in_flight):
    """Assert that of what was sent, no more is unknown to us than was in flight as a worker was killed, and
    what had come and was not written yet, where a busy machine is slow to. `make bench` counts how much of it
    had been answered."""
    assert unrecorded(simulator, study) <= kills * 2 * in_flight


@pytest.mark.parametrize("command", [JUDGE, RUNWORKER], ids=["judge", "runworker"])
def test_killed_again_and_again_among_faults_nothing_is_lost_and_nothing_is_doubled(study, command):
    moments = random.Random(f"killing {command}")
    with service(seed=21) as simulator:
        panel(study, at_full_speed(simulator, IN_FLIGHT))
        want_verdicts(study)
        for _ in range(KILLS):
            with running(*command, first=dying(moments), **LEASE) as worker:
                assert worker.wait(600) == -signal.SIGKILL
        assert Verdict.objects.filter(state="todo").exists()
        with running(*command, **LEASE) as worker:
            worker.communicate(timeout=600)
            assert worker.returncode == 0
        assert unrecorded(simulator, study) > 0  # else nothing was in flight to be killed
        assert_little_was_lost(simulator, study, KILLS, IN_FLIGHT)
    assert_whole(study)


@pytest.mark.slow
def test_of_two_workers_one_is_killed_again_and_again_and_the_other_never_notices(study):
    moments = random.Random("killing one of two")
    with service(seed=22) as simulator:
        panel(study, at_full_speed(simulator, IN_FLIGHT // 2))
        want_verdicts(study)
        survivor = start(*JUDGE, **LEASE)
        kills = 0
        while kills < 8 and Verdict.objects.filter(state="todo").count() > 200:
            with running(*RUNWORKER, first=dying(moments), **LEASE) as worker:
                kills += worker.wait(600) == -signal.SIGKILL  # else the other was quicker with all of it
        _, errors = survivor.communicate(timeout=600)
        assert survivor.returncode == 0, errors
        assert_little_was_lost(simulator, study, kills, IN_FLIGHT // 2)
    assert kills >= 3
    assert_whole(study)


def test_killed_before_it_has_made_a_call_it_leaves_all_to_others(db):
    study = builders.study()
    moments = random.Random("killing beginners")
    with running_simulator(latency=0.3) as simulator:
        panel(study, endpoint(simulator.base_url))
        want_verdicts(study)
        for _ in range(size(2, 5)):
            with running(*RUNWORKER, **LEASE) as worker:
                time.sleep(moments.uniform(0.5, 1.5))
                worker.send_signal(signal.SIGKILL)
        with running(*RUNWORKER, **LEASE) as worker:
            worker.communicate(timeout=600)
            assert worker.returncode == 0
    assert_whole(study)

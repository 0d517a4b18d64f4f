"""Whatever goes wrong at the endpoint or on the way to the database, each verdict comes to one end, and the books agree."""

import pytest

from benchmark import engine
from benchmark.simulator.running import running_simulator
from judging.panel import judge_study
from tests import builders
from tests.judging.accounts import FAULTS, assert_asked_once, assert_whole, sent, stored
from tests.judging.helpers import endpoint, panel

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.05)


@pytest.fixture
def study(db):
    return builders.study(tasks=10, epochs=10)


@pytest.mark.parametrize("retry_after", [0, 1])
def test_of_a_service_full_of_faults_every_verdict_gets_its_end_and_every_call_is_told(study, retry_after):
    with running_simulator(**FAULTS, retry_after=retry_after, latency=0.02, seed=11) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=16, timeout=1.5))
        result = judge_study(study)
        assert stored(study) == sent(simulator)
    assert_whole(study)
    assert_asked_once(study)
    assert result["open"] == 0
    assert result["verdicts"] == 300

"""A broker only wakes workers; what is to be done stands in the rows."""

import signal

import pytest
from django.conf import settings

from benchmark.simulator.running import running_simulator
from config.celery import app
from judging.asking import want_verdicts
from judging.models import Attempt, Verdict
from judging.waking import wake_workers
from tests import builders
from tests.judging.helpers import endpoint, judge, panel, states, wait_until
from tests.judging.accounts import assert_whole
from tests.processes import running

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
needs_broker = pytest.mark.skipif(
    not settings.CELERY_BROKER_URL,
    reason="needs a broker: CELERY_BROKER_URL is not set (`make test` starts a Redis)",
)
WORKER = (
    "-m",
    "celery",
    "-A",
    "config.celery",
    "worker",
    "--loglevel",
    "ERROR",
    "--without-gossip",
    "--without-mingle",
)


@pytest.fixture
def broker():
    """With no message left by another test."""
    app.control.purge()
    yield
    app.control.purge()


def done(study, count):
    wait_until(lambda: states(study) == {"done": count})


@needs_broker
@pytest.mark.parametrize(
    "pool", [("--pool", "prefork", "-c", "2"), ("--pool", "solo")], ids=["prefork", "solo"]
)
def test_a_woken_worker_does_what_is_wanted(broker, pool):
    study = builders.study()
    with running_simulator() as simulator, running(*WORKER, *pool):
        panel(study, endpoint(simulator.base_url))
        for wanted in (4, 18):  # it wakes again for what is wanted later
            want_verdicts(study, limit=wanted - Verdict.objects.count())
            wake_workers()
            done(study, wanted)
        assert simulator.stats()["kinds"] == {"ok": 18}
    assert_whole(study)


@needs_broker
def test_two_workers_woken_twice_make_no_call_twice(broker):
    study = builders.study(tasks=10, epochs=12)
    with running_simulator(latency=0.03) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=4))
        want_verdicts(study)
        wake_workers()
        wake_workers()
        names = ["one@%h", "two@%h"]
        with running(*WORKER, "-c", "1", "-n", names[0]), running(*WORKER, "-c", "1", "-n", names[1]):
            done(study, 360)
        stats = simulator.stats()
    assert stats["kinds"] == {"ok": 360}
    assert stats["peak_in_flight"] > 4  # both were at it: each keeps to its endpoint's limit
    assert_whole(study)


@needs_broker
def test_a_worker_that_starts_finds_what_a_killed_one_left(broker):
    study = builders.study(tasks=10, epochs=6)
    with running_simulator(latency=0.05) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=4))
        want_verdicts(study)
        wake_workers()
        with running(*WORKER, "--pool", "solo", ARBITER_LEASE_SECONDS="1") as first:
            wait_until(lambda: Attempt.objects.count() > 10)
            first.send_signal(signal.SIGKILL)  # the message stays with it: nobody is told again
            first.wait()
        assert 0 < Verdict.objects.filter(state="done").count() < 180
        with running(*WORKER, "--pool", "solo", ARBITER_LEASE_SECONDS="1"):
            done(study, 180)
    assert_whole(study)


def test_a_broker_that_can_not_be_reached_leaves_the_rows_wanted_and_the_caller_unharmed():
    study = builders.study()
    judge(study, endpoint())
    program = """
import django; django.setup()
from annotation.models import Study
from judging.waking import wake_workers
from judging.asking import want_verdicts
want_verdicts(Study.objects.get())
wake_workers()
"""
    with running(
        "-c", program, CELERY_BROKER_URL="redis://127.0.0.1:1/0", DJANGO_SETTINGS_MODULE="config.settings"
    ) as caller:
        _, said = caller.communicate(timeout=30)
        assert caller.returncode == 0, said
    assert "The broker can't be reached, so no worker was woken" in said
    assert "Traceback" not in said
    assert states(study) == {"todo": 6}


def test_without_a_broker_nothing_is_sent(monkeypatch, settings):
    settings.CELERY_BROKER_URL = ""
    monkeypatch.setattr("judging.tasks.work_on_verdicts.delay", lambda: pytest.fail("a message was sent"))
    wake_workers()


def test_workers_are_woken_once_the_rows_are_there_for_them_to_see(monkeypatch, settings):
    from django.db import transaction

    settings.CELERY_BROKER_URL = "redis://nowhere.invalid"
    sent = []
    monkeypatch.setattr("judging.tasks.work_on_verdicts.delay", lambda: sent.append(1))
    with transaction.atomic():
        wake_workers()
        assert sent == []
    assert sent == [1]

"""A broker only wakes workers; what is to be done stands in the rows."""

import signal
import time

import pytest
from django.db import transaction

from arbiter.core.broker import app as celery
from arbiter.simulator.running import running_simulator
from judging.models import Attempt, Verdict
from judging.panel import tasks
from judging.panel.waking import wake_workers
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.arbiter.cli.commands import document
from tests.judging.accounts import assert_whole
from tests.judging.brokers import lying, needs_broker, needs_redis, redis_server, sweep, worker
from tests.judging.helpers import CLOSED, endpoint, judge, panel, states
from tests.processes import running
from tests.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def broker():
    """Empty the broker before the test and after it."""
    sweep()
    yield
    sweep()


def done(study, count):
    wait_until(lambda: states(study) == {"done": count})


def asked_at():
    return set(Attempt.objects.values_list("study_judge__judge__endpoint__name", flat=True))


@needs_broker
@pytest.mark.parametrize("pool", [("-c", "2"), ()], ids=["prefork", "solo"])
def test_a_woken_worker_does_what_is_wanted(broker, pool):
    study = builders.study()
    with running_simulator() as simulator, worker(*pool, ARBITER_LEASE_SECONDS="600"):
        panel(study, endpoint(simulator.base_url))
        for wanted in (4, 18):  # the first it may find by itself, not what is wanted later
            want_verdicts(study, limit=wanted - Verdict.objects.count())
            wake_workers()
            done(study, wanted)
        assert simulator.stats()["kinds"] == {"ok": 18}
    assert_whole(study)


@needs_broker
def test_two_workers_woken_twice_make_no_call_twice(broker):
    study = builders.study(tasks=10, epochs=12)
    # With the usual lease: on a slow machine a shorter one may run out while its worker lives.
    lasting = {"ARBITER_LEASE_SECONDS": "15"}
    with (
        running_simulator(latency=0.1) as simulator,
        worker("-c", "1", **lasting),
        worker("-c", "1", name="two", **lasting),
    ):
        panel(study, endpoint(simulator.base_url, concurrency=4))
        wait_until(lambda: len(celery.control.ping(timeout=1)) == 2)  # else one might do it all before
        want_verdicts(study)
        wake_workers()
        wake_workers()
        done(study, 360)
        stats = simulator.stats()
    assert stats["kinds"] == {"ok": 360}
    assert stats["peak_in_flight"] > 4  # both were at it: each keeps to its endpoint's limit
    assert_whole(study)


@needs_broker
def test_a_worker_of_one_queue_serves_that_endpoint_alone_and_a_plain_one_all_also_later_ones(broker):
    study = builders.study()
    with running_simulator() as simulator, worker("-Q", "judge.other"):
        for name, judge_name in [("local", "careful"), ("other", "noisy")]:
            judge(study, endpoint(simulator.base_url, name=name), judge_name)
        want_verdicts(study)
        wake_workers()
        wait_until(lambda: states(study) == {"done": 6, "todo": 6})
        assert asked_at() == {"other"}
        with worker(name="two"):
            done(study, 12)
            judge(study, endpoint(simulator.base_url, name="later"), "lenient")
            want_verdicts(study)
            wake_workers()
            done(study, 18)
    assert asked_at() == {"local", "other", "later"}


@needs_broker
@pytest.mark.parametrize("pool", [("-c", "2"), ()], ids=["prefork", "solo"])
def test_a_worker_told_to_stop_gives_back_what_it_holds_and_finishes_what_is_in_flight(broker, pool):
    study = builders.study(tasks=10, epochs=6)
    with running_simulator(latency=0.3) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=4))
        want_verdicts(study)
        with worker(*pool, ARBITER_LEASE_SECONDS="600") as one:
            wait_until(lambda: simulator.stats()["requests"] > 4)
            one.send_signal(signal.SIGTERM)
            assert one.wait(600) == 0
        kinds = simulator.stats()["kinds"]
    assert set(kinds) == {"ok"}  # none was abandoned
    assert states(study) == {"done": kinds["ok"], "todo": 180 - kinds["ok"]}
    assert not Verdict.objects.exclude(lease="").exists()


@needs_broker
def test_what_a_killed_worker_held_is_taken_up_by_one_that_runs(broker):
    study = builders.study(tasks=10, epochs=6)
    with running_simulator(latency=0.05) as simulator, worker() as one:
        panel(study, endpoint(simulator.base_url, concurrency=4))
        want_verdicts(study)
        wait_until(lambda: Attempt.objects.count() > 10)
        with worker(name="two"):
            one.send_signal(signal.SIGKILL)  # its message goes with it: nobody is told again
            one.wait()
            done(study, 180)
    assert_whole(study)


@needs_redis
def test_a_broker_that_dies_with_all_its_messages_leaves_nothing_undone(tmp_path, reserve_port):
    study = builders.study(tasks=10, epochs=6)
    port = reserve_port()
    url = f"redis://127.0.0.1:{port}/0"
    with running_simulator(latency=0.05) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=4))
        want_verdicts(study, "careful")
        # Whoever finds work by itself looks once a lease; a shorter one may run out while its worker lives.
        own = {"CELERY_BROKER_URL": url, "ARBITER_LEASE_SECONDS": "6"}
        with redis_server(port, tmp_path) as first, worker("-c", "2", **own):
            wait_until(lambda: Attempt.objects.count() > 10)
            first.kill()
            first.wait()
            done(study, 60)  # without any broker: what has begun goes on
            with redis_server(port, tmp_path):
                want_verdicts(study)
                done(study, 180)  # and nobody was woken
                assert sum(lying(url).values()) < 5
        assert simulator.stats()["kinds"] == {"ok": 180}
    assert_whole(study)


@needs_broker
def test_while_an_endpoint_is_down_messages_do_not_pile_up(broker):
    study = builders.study(tasks=10, epochs=6)
    judge(study, endpoint(CLOSED))
    judge(study, endpoint(CLOSED, name="other"), "noisy")  # and to this one nobody listens
    want_verdicts(study)
    with worker("-c", "2", "-Q", "judge.local"), worker("-Q", "judge.local", name="two"):
        wait_until(lambda: study.judges.filter(judge__endpoint__down_since__isnull=False).exists())
        time.sleep(5)  # several lease times
        assert sum(lying().values()) < 8
    assert set(states(study)) <= {"todo", "leased"}


@needs_broker
def test_while_all_its_processes_are_busy_a_worker_wakes_nobody(broker):
    study = builders.study(tasks=10, epochs=6)
    with running_simulator(latency=0.3) as simulator, worker("-c", "1"):
        judge(study, endpoint(simulator.base_url, concurrency=4))
        want_verdicts(study)
        wake_workers()
        wait_until(lambda: Attempt.objects.count() > 48)
        assert sum(lying().values()) < 3
        done(study, 60)


@needs_broker
def test_where_a_worker_listens_to_one_queue_none_piles_up_in_another(broker):
    study = builders.study()
    with (
        running_simulator() as simulator,
        worker("-Q", "judge.local"),
        worker("-Q", "judge.local", name="two"),
    ):
        judge(study, endpoint(simulator.base_url))
        judge(study, endpoint(CLOSED, name="other"), "noisy")
        want_verdicts(study)
        wake_workers()
        wait_until(lambda: states(study) == {"done": 6, "todo": 6})
        time.sleep(3)
        assert lying()["judge.other"] == 1  # what was said when it was asked for


@needs_broker
@pytest.mark.parametrize("queues", ["celery", "judge.local,judge.paid"])
def test_a_worker_without_an_endpoints_key_leaves_it_to_others_and_does_not_run_in_circles(
    broker, queues, monkeypatch
):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    study = builders.study()
    with running_simulator() as simulator, worker("-Q", queues, "--loglevel", "INFO") as one:
        judge(study, endpoint(simulator.base_url))
        judge(study, endpoint(name="paid", key_variable="NO_SUCH_KEY"))
        want_verdicts(study)
        wake_workers()
        wait_until(lambda: states(study) == {"done": 6, "todo": 6})
        time.sleep(3)
        one.send_signal(signal.SIGTERM)
        _, said = one.communicate(timeout=600)
    assert said.count("NO_SUCH_KEY, which is not set") == 1
    assert said.count("received") < 10
    assert asked_at() == {"local"}


@needs_broker
def test_what_is_paused_is_left_by_workers_and_taken_up_when_it_is_resumed(broker):
    study = builders.study(tasks=10, epochs=6)
    with running_simulator(latency=0.3) as simulator, worker("-c", "2", ARBITER_LEASE_SECONDS="15"):
        judge(study, endpoint(simulator.base_url, concurrency=2))
        want_verdicts(study)
        wake_workers()
        wait_until(lambda: Attempt.objects.count() > 4)
        document("judge", "tiny", "--pause")
        wait_until(lambda: not Verdict.objects.filter(state="leased").exists())
        sent = simulator.stats()["requests"]
        time.sleep(1)
        assert simulator.stats()["kinds"] == {"ok": sent}
        assert states(study) == {"done": sent, "todo": 60 - sent}
        document("judge", "tiny", "--resume")
        done(study, 60)
        assert simulator.stats()["kinds"] == {"ok": 60}


def test_a_broker_that_can_not_be_reached_leaves_the_rows_wanted_and_the_caller_unharmed():
    study = builders.study()
    judge(study, endpoint())
    program = """
import django; django.setup()
from annotation.models import Study
from judging.panel.wanted_verdicts import want_verdicts
from judging.panel.waking import wake_workers
want_verdicts(Study.objects.get())
wake_workers()
"""
    with running(
        "-c", program, CELERY_BROKER_URL="redis://127.0.0.1:1/0", DJANGO_SETTINGS_MODULE="config.settings"
    ) as caller:
        _, said = caller.communicate(timeout=600)
        assert caller.returncode == 0, said
    assert said.count("The broker can't be reached, so no worker was woken") == 1
    assert "Traceback" not in said
    assert states(study) == {"todo": 6}


@needs_redis
def test_a_broker_that_was_there_before_and_went_away_does_not_hold_up_the_caller(tmp_path, reserve_port):
    study = builders.study()
    judge(study, endpoint())
    want_verdicts(study)
    port = reserve_port()
    program = f"""
import django; django.setup()
from pathlib import Path
from judging.panel.waking import wake_workers
from tests.judging.brokers import lying, redis_server
here = Path({str(tmp_path)!r})
with redis_server({port}, here):
    wake_workers()
wake_workers()
with redis_server({port}, here):
    wake_workers()
    print(lying())
"""
    url = {"CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0", "DJANGO_SETTINGS_MODULE": "config.settings"}
    with running("-c", program, **url) as caller:
        out, said = caller.communicate(timeout=600)
    assert (caller.returncode, out) == (0, "{'judge.local': 1}\n"), said
    assert said.count("no worker was woken") == 1


def test_without_a_broker_nothing_is_sent(monkeypatch, settings):
    settings.CELERY_BROKER_URL = ""
    monkeypatch.setattr(tasks.QUEUES, "wake_all", lambda: pytest.fail("a message was sent"))
    wake_workers()


def test_workers_are_woken_once_the_rows_are_there_for_them_to_see(monkeypatch, settings):
    settings.CELERY_BROKER_URL = "redis://nowhere.invalid"
    sent = []
    monkeypatch.setattr(tasks.QUEUES, "wake_all", lambda: sent.append(1))
    with transaction.atomic():
        wake_workers()
        assert sent == []
    assert sent == [1]

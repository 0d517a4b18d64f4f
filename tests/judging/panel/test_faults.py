"""Whatever goes wrong at the endpoint or on the way to the database,
each verdict comes to one end, and the books agree."""

import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from functools import wraps

import pytest
from django.db import OperationalError, connection

from arbiter.calls import engine
from arbiter.core import outages
from arbiter.simulator.running import running_simulator
from judging.models import Attempt, Verdict
from judging.panel.judge_work import JudgeWork
from judging.panel.judging_run import judge_study
from judging.panel.metering import set_caps
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.arbiter.cli.commands import document
from tests.judging.accounts import (
    FAULTS,
    assert_asked_once,
    assert_balanced,
    assert_books_agree,
    assert_whole,
    sent,
    stored,
)
from tests.judging.helpers import PANEL, endpoint, judge, panel, states
from tests.processes import result, running, start
from tests.sizes import size
from tests.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
TIMEOUT = 1.5  # seconds that a call may last
SLOWLY = 0.25  # seconds that a call takes, so that none is the last before a busy test gets to it


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.05)


@pytest.fixture
def study(db):
    return builders.study(tasks=10, epochs=10)


@pytest.fixture
def sized_study(db):
    return builders.study(tasks=10, epochs=size(4, 10))


def wait_for_attempts(command, more):
    """Wait until the command has made so many more attempts than there are."""
    enough = Attempt.objects.count() + more
    while Attempt.objects.count() < enough:
        assert command.poll() is None, command.communicate()
        time.sleep(0.02)


# At the endpoint


@pytest.mark.sized
@pytest.mark.parametrize("retry_after", [0, 1])
def test_of_a_service_full_of_faults_every_verdict_gets_its_end_and_every_call_is_told(
    sized_study, retry_after
):
    study = sized_study
    with running_simulator(**FAULTS, retry_after=retry_after, latency=0.02, seed=11) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=16, timeout=TIMEOUT))
        said = judge_study(study)
        assert_books_agree(simulator, study, TIMEOUT)
    assert_whole(study)
    assert_asked_once(study)
    assert (said["verdicts"], said["open"]) == (3 * study.items.count(), 0)


@pytest.mark.sized
def test_two_workers_share_a_service_full_of_faults(sized_study):
    study = sized_study
    wanted = 3 * study.items.count()
    with running_simulator(**FAULTS, retry_after=0, latency=0.02, seed=12) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8, timeout=TIMEOUT))
        commands = [start("manage.py", "judge", study.slug, "--json") for _ in range(2)]
        assert [result(command)["verdicts"] for command in commands] == [wanted, wanted]
        assert_books_agree(simulator, study, TIMEOUT)
    assert_whole(study)
    assert_asked_once(study)


@pytest.mark.parametrize(
    ("limits", "most"),
    [({"requests_per_second": 100}, 0.15), ({"max_in_flight": 6}, 0.3)],
    ids=["a number a second", "a number at once"],
)
def test_at_a_service_that_limits_its_callers_all_gets_done_and_few_calls_are_turned_away(
    study, limits, most
):
    with running_simulator(**limits, latency=0.05) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=64))
        judge_study(study)
        kinds = Counter(
            simulator.stats()["kinds"]
        )  # a slow machine may never ask for more than a number a second
        assert stored(study) == sent(simulator)
    assert kinds["ok"] == 300
    assert states(study) == {"done": 300}
    assert kinds["429"] <= 64 + most * 300  # the first round, that nobody can know to be too much, and some


def test_an_endpoint_that_goes_away_fails_nothing_the_others_go_on_and_it_is_found_again(study, reserve_port):
    fixed = reserve_port()
    with running_simulator(latency=0.05) as steady:
        with running_simulator(port=fixed, latency=SLOWLY) as shaky:
            judge(study, endpoint(steady.base_url, "steady", concurrency=2))
            away = endpoint(shaky.base_url, "shaky", concurrency=2)
            judge(study, away, "noisy")
            command = start("manage.py", "judge", study.slug, "--json")
            wait_until(lambda: Attempt.objects.filter(study_judge__judge__endpoint=away).count() > 10)
        wait_until(lambda: type(away).objects.get(pk=away.pk).down_since is not None)
        noted = type(away).objects.get(pk=away.pk)
        assert "can't be reached" in noted.down_error
        open_ = Verdict.objects.filter(study_judge__judge__endpoint=away).exclude(state="done")
        assert set(open_.values_list("state", flat=True)) <= {"todo", "leased"}
        wait_until(
            lambda: (
                Verdict.objects.filter(state="done", study_judge__judge__endpoint__name="steady").count()
                == 100
            )
        )
        with running_simulator(port=fixed, latency=0.02):
            said = result(command)
    assert (said["parsed"], said["failed"], said["open"]) == (200, 0, 0)
    assert_whole(study, ("careful", "noisy"))
    noted.refresh_from_db()
    assert (noted.down_since, noted.down_error) == (None, "")


def test_a_restart_of_the_endpoint_is_only_a_hiccup(study, reserve_port):
    fixed = reserve_port()
    with running_simulator(port=fixed, latency=0.05) as simulator:
        at = endpoint(simulator.base_url, concurrency=4)
        panel(study, at)
        command = start("manage.py", "judge", study.slug, "--json")
        wait_for_attempts(command, 20)
    with running_simulator(port=fixed, latency=0.02):
        said = result(command)
    assert (said["parsed"], said["failed"], said["open"]) == (300, 0, 0)
    assert_whole(study)


# On the way to the database


def cut(chance, step, when):
    """Return the step, of which some are cut off: before they began or after they were committed."""

    @wraps(step)
    def cut_off(*args, **kwargs):
        if when == "before" and chance.random() < 0.3:
            raise OperationalError("the connection was lost")
        made = step(*args, **kwargs)
        if when == "after" and chance.random() < 0.3:
            raise OperationalError("the connection was lost")
        return made

    return cut_off


@pytest.mark.sized
@pytest.mark.parametrize("cap", [None, 10_000], ids=["no cap", "under a cap"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_steps_that_are_cut_off_are_taken_again_and_count_once(sized_study, monkeypatch, when, cap):
    study = sized_study
    chance = random.Random(f"{when} {cap}")
    monkeypatch.setattr(outages, "sleep", lambda seconds: time.sleep(seconds / 20))
    for step in (
        "endpoints",
        "claim",
        "permit",
        "store",
        "conclude",
        "release",
        "renew",
        "withdrawn",
        "waiting",
    ):
        monkeypatch.setattr(JudgeWork, step, cut(chance, getattr(JudgeWork, step), when))
    with running_simulator(**FAULTS, retry_after=0, seed=5) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=16, timeout=TIMEOUT))
        if cap:
            set_caps(study, cap, None)
        judge_study(study)
        assert_books_agree(simulator, study, TIMEOUT)
    assert_whole(study)
    assert_asked_once(study)
    if cap:
        assert assert_balanced(study).lost_calls == 0


def test_on_postgresql_connections_that_are_cut_are_made_anew(study, on_sqlite):
    if on_sqlite:
        pytest.skip("SQLite has no connection to cut; the next test locks it")
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid "
        "<> pg_backend_pid()"
    )
    with running_simulator(**FAULTS, retry_after=0, latency=SLOWLY, seed=6) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8, timeout=TIMEOUT))
        command = start("manage.py", "judge", study.slug, "--json")
        for _ in range(5):
            wait_for_attempts(command, 20)
            with connection.cursor() as cursor:
                cursor.execute(others)
                assert cursor.rowcount >= 1
        assert result(command)["verdicts"] == 300
        assert_books_agree(simulator, study, TIMEOUT)
    assert_whole(study)
    assert_asked_once(study)


def test_on_sqlite_a_database_that_another_process_keeps_to_itself_is_waited_for(study, on_sqlite):
    if not on_sqlite:
        pytest.skip("PostgreSQL locks rows; the last test cuts its connections")
    with running_simulator(**FAULTS, retry_after=0, latency=SLOWLY, seed=7) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8, timeout=TIMEOUT))
        command = start("manage.py", "judge", study.slug, "--json")
        for _ in range(3):
            wait_for_attempts(command, 20)
            with closing(
                sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, timeout=120)
            ) as other:
                other.execute("BEGIN IMMEDIATE")
                time.sleep(2)
                other.execute("ROLLBACK")
        assert result(command)["verdicts"] == 300
        assert_books_agree(simulator, study, TIMEOUT)
    assert_whole(study)
    assert_asked_once(study)


# Told to stop


def test_told_to_stop_a_worker_tells_what_landed_and_what_it_called_back_and_holds_nothing(study):
    with running_simulator(latency=0.3, hang_share=0.1, seed=3) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=16, timeout=60))
        set_caps(study, 10_000, None)
        want_verdicts(study)
        with running("manage.py", "runworker") as worker:
            wait_for_attempts(worker, 20)
            wait_until(lambda: simulator.stats()["in_flight"] > 2)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(600) == 0
        wait_until(lambda: simulator.stats()["in_flight"] == 0)
        kinds, told = simulator.stats()["kinds"], stored(study)
    assert set(kinds) == {"ok", "hang"}
    assert told == {"answer": kinds["ok"], "abandoned": kinds["hang"]}
    assert states(study) == {"done": kinds["ok"], "todo": 300 - kinds["ok"]}
    assert not Verdict.objects.exclude(lease="", leased_until=None, reserved=None).exists()
    assert assert_balanced(study).lost_calls == 0


def test_judges_that_are_paused_stop_and_go_on(study):
    with running_simulator(latency=SLOWLY) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8))
        set_caps(study, 10_000, None)
        want_verdicts(study)
        with running("manage.py", "runworker") as worker:
            for _ in range(2):
                wait_for_attempts(worker, 20)
                assert len(document("judge", study.slug, "--pause")["judges"]) == len(PANEL)
                wait_until(lambda: not Verdict.objects.filter(state="leased").exists())
                made = Attempt.objects.count()
                time.sleep(1)
                assert Attempt.objects.count() == made == simulator.stats()["kinds"]["ok"]
                assert assert_balanced(study).lost_calls == 0
                document("judge", study.slug, "--resume")
            wait_until(lambda: states(study) == {"done": 300})
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(600) == 0
        assert simulator.stats()["kinds"] == {"ok": 300}
    assert_whole(study)
    assert_balanced(study)

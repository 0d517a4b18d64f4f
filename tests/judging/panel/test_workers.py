"""Several workers on one study, each a process of its own:
no call is made twice, whoever is told to stop or dies."""

import signal
from datetime import timedelta

import pytest
from django.utils import timezone

from arbiter.simulator.running import running_simulator
from judging.models import Attempt, Verdict
from judging.panel.judging_run import judge_study
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.judging.accounts import assert_whole
from tests.judging.helpers import CLOSED, endpoint, judge, panel, states
from tests.processes import result, running, start
from tests.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


def test_two_judge_commands_share_a_study_without_a_call_made_twice(db):
    study = builders.study(tasks=10, epochs=20)
    with running_simulator(latency=0.02) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8))
        commands = [start("manage.py", "judge", study.slug, "--json") for _ in range(2)]
        results = [result(command) for command in commands]
        assert simulator.stats()["kinds"] == {"ok": 600}
    assert [(one["verdicts"], one["open"]) for one in results] == [(600, 0), (600, 0)]
    assert_whole(study)
    assert Attempt.objects.count() == 600


@pytest.mark.parametrize("command", [("judge", "tiny"), ("runworker",)], ids=["judge", "runworker"])
def test_a_worker_told_to_stop_finishes_what_is_in_flight_and_holds_nothing(db, command):
    study = builders.study(tasks=10, epochs=6)
    with running_simulator(latency=0.3) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8))
        want_verdicts(study)
        with running("manage.py", *command) as worker:
            wait_until(lambda: simulator.stats()["requests"] > 8)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(600) == 0
        kinds = simulator.stats()["kinds"]
        assert set(kinds) == {"ok"}  # none was abandoned
        assert states(study) == {"done": kinds["ok"], "todo": 180 - kinds["ok"]}
        assert not Verdict.objects.exclude(lease="").exists()


def test_a_worker_finds_by_itself_what_is_wanted_later(db):
    study = builders.study()
    with running_simulator() as simulator:
        judge(study, endpoint(simulator.base_url))
        with running("manage.py", "runworker"):
            want_verdicts(study, limit=2)
            wait_until(lambda: states(study) == {"done": 2})
            want_verdicts(study)
            wait_until(lambda: states(study) == {"done": 6})


def test_a_worker_for_one_endpoint_serves_it_alone(db):
    study = builders.study()
    with running_simulator() as simulator:
        judge(study, endpoint(simulator.base_url, name="one"))
        judge(study, endpoint(simulator.base_url, name="two"), "noisy")
        want_verdicts(study)
        with running("manage.py", "runworker", "--endpoint", "two", "--until-idle") as worker:
            assert worker.wait(600) == 0
    assert states(study) == {"done": 6, "todo": 6}
    assert set(Attempt.objects.values_list("study_judge__judge__endpoint__name", flat=True)) == {"two"}


def test_a_worker_with_nothing_to_do_ends_if_it_is_told_to(db):
    with running("manage.py", "runworker", "--until-idle") as worker:
        assert worker.wait(600) == 0


def test_a_command_waits_for_what_another_worker_holds(db):
    study = builders.study()
    with running_simulator() as simulator:
        judge(study, endpoint(simulator.base_url))
        want_verdicts(study)
        # Held by a worker that has just died.
        Verdict.objects.update(
            state="leased", lease="gone", leased_until=timezone.now() + timedelta(seconds=1)
        )
        assert judge_study(study)["parsed"] == 6


@pytest.mark.parametrize(
    "command", [("judge", "tiny"), ("runworker", "--until-idle")], ids=["judge", "runworker"]
)
def test_an_endpoint_that_never_answers_ends_the_command_with_one_sentence_when_the_others_are_done(
    db, command
):
    study = builders.study()
    with running_simulator() as simulator:
        judge(study, endpoint(simulator.base_url, name="up"))
        judge(study, endpoint(CLOSED, name="away"), "noisy")
        want_verdicts(study)
        with running("manage.py", *command) as worker:
            _, said = worker.communicate(timeout=600)
    assert worker.returncode == 1
    *before, last = said.splitlines()
    assert last.startswith(f"CommandError: Endpoint 'away' can't be reached at {CLOSED}")
    assert len(before) <= 1  # told when it was found out, too: the others went on
    assert states(study) == {"done": 6, "todo": 6}
    assert not Verdict.objects.exclude(lease="").exists()


def test_a_judge_command_waits_for_an_endpoint_that_answered_before(db, reserve_port):
    study = builders.study(tasks=10, epochs=6)
    port = reserve_port()
    with running_simulator(port=port, latency=0.3) as first:
        judge(study, endpoint(first.base_url, concurrency=2))
        with running("manage.py", "judge", "tiny", "--json") as command:
            wait_until(lambda: Attempt.objects.filter(outcome="answer").count() > 4)
            first.process.kill()
            wait_until(lambda: study.judges.filter(judge__endpoint__down_since__isnull=False).exists())
            assert not Verdict.objects.filter(state="failed").exists()
            with running_simulator(port=port):
                assert result(command)["parsed"] == 60
    assert_whole(study, ["careful"])
    assert not study.judges.filter(judge__endpoint__down_since__isnull=False).exists()


def test_a_worker_that_is_to_end_does_not_wait_for_tables_that_are_not_there(tmp_path):
    empty = {"DATABASE_URL": f"sqlite://{tmp_path}/empty.sqlite3"}
    with running("manage.py", "runworker", "--until-idle", **empty) as worker:
        _, said = worker.communicate(timeout=600)
    assert worker.returncode == 1
    assert said.splitlines()[-1].startswith(
        "CommandError: The database can't be used: it lacks tables (no such table: "
    )

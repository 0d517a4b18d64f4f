"""What is asked of a study's judges: wanting, pausing, resuming, cancelling, asking again;
with workers running or not."""

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from annotation.models import Item, Rating, Study
from arbiter.calls import engine
from arbiter.core.errors import UserError
from arbiter.simulator.running import running_simulator
from benchmark.models import Response
from judging.models import Attempt, Budget, StudyJudge, Verdict
from judging.panel.judge_work import JudgeWork
from judging.panel.judging_run import judge_study
from judging.panel.metering import set_caps
from judging.panel.wanted_verdicts import cancel, pause, resume, retry_failed, tally, uncancel, want_verdicts
from tests import builders
from tests.arbiter.calls.services import service
from tests.arbiter.cli.commands import document, refusal
from tests.judging.accounts import assert_balanced, assert_final, assert_whole
from tests.judging.helpers import PANEL, endpoint, judge, made_of, panel, said, states
from tests.processes import running
from tests.together import together
from tests.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


def is_open(study):
    return Verdict.objects.filter(item__study=study, state__in=["todo", "leased"])


def its_lease_runs_out(verdicts=None):
    (verdicts or Verdict.objects).update(leased_until=timezone.now() - timedelta(seconds=1))


# Wanting


def test_one_verdict_is_wanted_for_each_item_judge_and_repeat_and_none_twice(study):
    at = endpoint()
    judge(study, at, repeats=2)
    judge(study, at, "noisy")
    assert want_verdicts(study, limit=5) == 5
    assert want_verdicts(study, "careful") == 12 - 5
    assert want_verdicts(study) == 6
    assert want_verdicts(study) == 0
    assert Verdict.objects.values("item", "study_judge", "repeat").distinct().count() == 18
    assert sorted(count["todo"] for count in tally(study).values()) == [6, 12]


def test_more_than_fit_into_a_page_are_wanted_while_others_write(study, monkeypatch):
    first = study.items.first().response
    more = [
        Response(run=first.run, task=first.task, epoch=n, text="x", content_hash="x")
        for n in range(100, 2200)
    ]
    rows = Response.objects.bulk_create(more)
    Item.objects.bulk_create([Item(study=study, response=row) for row in rows])
    judge(study, endpoint())
    make = Verdict.objects.bulk_create

    def after_another_wrote(*args, **options):
        together(lambda: Study.objects.update(description="changed"))
        return make(*args, **options)

    monkeypatch.setattr(Verdict.objects, "bulk_create", after_another_wrote)
    assert want_verdicts(study) == 2106


def test_a_limit_is_the_same_whatever_is_there_already(study):
    judge(study, endpoint())
    assert [want_verdicts(study, limit=2) for _ in range(4)] == [2, 2, 2, 0]


# Pausing


def test_of_paused_judges_nothing_is_wanted_and_nothing_claimed(study):
    at = endpoint()
    careful, noisy = judge(study, at), judge(study, at, "noisy")
    want_verdicts(study, limit=1)
    assert pause([careful]) == 1
    assert pause([careful]) == 0
    assert want_verdicts(study) == 6
    jobs = JudgeWork().claim(at, "me", 99)
    assert {job.context.verdict.study_judge_id for job in jobs} == {noisy.pk}
    assert resume([careful, noisy]) == 1
    assert len(JudgeWork().claim(at, "me", 99)) == 1


def test_the_command_refuses_judges_that_are_paused_and_asks_the_others(study, simulator):
    careful, _, _ = panel(study, endpoint(simulator.base_url))
    document("judge", "tiny", "--judge", "careful", "--pause")
    assert (
        refusal("judge", "tiny", "--judge", "careful")
        == "Paused: careful. To go on: manage.py judge tiny --resume."
    )
    result = judge_study(study)
    assert (result["parsed"], result["stopped"]) == (12, "")
    assert not Verdict.objects.filter(study_judge=careful).exists()
    document("judge", "tiny", "--pause")
    with pytest.raises(UserError, match="Paused: careful, lenient, noisy"):
        judge_study(study)


def test_a_judge_that_is_paused_while_it_is_asked_ends_the_command_with_a_word(study):
    at = []

    def answer(*_):
        pause(at)
        connection.close()
        return said()

    with service(answer) as url:
        at += [judge(study, endpoint(url, concurrency=1))]
        result = judge_study(study)
    assert result["stopped"] == "careful is paused"
    assert result["open"] > 0
    assert states(study) == {"done": result["parsed"], "todo": result["open"]}


@pytest.fixture
def at_work(db):
    """Run a worker in another process that has begun with a study of 120 verdicts."""
    study = builders.study(tasks=10, epochs=12)
    with running_simulator(latency=0.2) as simulator:
        judge(study, endpoint(simulator.base_url, concurrency=4))
        want_verdicts(study)
        with running("manage.py", "runworker"):
            wait_until(lambda: Attempt.objects.count() > 4)
            yield study, simulator


def test_after_a_pause_no_call_sets_out_and_what_is_in_flight_is_finished(at_work):
    study, simulator = at_work
    document("judge", "tiny", "--pause")
    wait_until(lambda: not Verdict.objects.filter(state="leased").exists())
    sent = simulator.stats()["requests"]
    time.sleep(1)
    assert simulator.stats()["kinds"] == {"ok": sent}
    assert states(study) == {"done": sent, "todo": 120 - sent}
    document("judge", "tiny", "--resume")
    wait_until(lambda: states(study) == {"done": 120})
    assert simulator.stats()["kinds"] == {"ok": 120}
    assert_whole(study, ["careful"])


def test_after_a_cancellation_no_row_is_open_and_asking_again_wants_what_is_missing(at_work):
    study, simulator = at_work
    told = document("judge", "tiny", "--cancel")
    assert 0 < told["verdicts_taken_back"] < 120
    wait_until(lambda: not is_open(study).exists())
    made = Attempt.objects.count()
    assert states(study) == {"done": made}
    assert simulator.stats()["kinds"] == {"ok": made}
    assert want_verdicts(study) == 120 - made
    wait_until(lambda: not is_open(study).exists())
    assert simulator.stats()["kinds"] == {"ok": 120}
    assert_whole(study, ["careful"])


# Cancelling


def test_a_cancelled_row_goes_unless_a_call_was_made_for_it(study, monkeypatch):
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.01)
    with service(lambda *_: (500, {}, b"{}")) as url:
        [one] = [judge(study, endpoint(url))]
        judge_study(study, limit=1)
    retry_failed([one])
    want_verdicts(study)
    done = Verdict.objects.last()
    Verdict.objects.filter(pk=done.pk).update(state="refused", reason="No.", finished_at=timezone.now())
    assert document("judge", "tiny", "--cancel") == {
        "study": "tiny",
        "judges": ["careful"],
        "verdicts_taken_back": 5,
    }
    assert states(study) == {"failed": 1, "refused": 1}
    assert Verdict.objects.get(state="failed").reason == "cancelled before a call for it succeeded"
    assert_final(Verdict.objects.all())
    assert Attempt.objects.count() == 5
    # Both kinds are missing, and are wanted again.
    assert want_verdicts(study) == 5
    assert states(study) == {"refused": 1, "todo": 5}
    assert StudyJudge.objects.get().status == "running"


def test_of_cancelled_judges_only_those_are_asked_again_that_are_named(study):
    careful, _, noisy = panel(study, endpoint())
    want_verdicts(study)
    assert cancel([careful, noisy]) == 12
    assert want_verdicts(study, "noisy") == 6
    statuses = dict(StudyJudge.objects.values_list("judge__rater__name", "status"))
    assert statuses == {"careful": "cancelled", "lenient": "running", "noisy": "running"}


def test_what_a_living_worker_holds_is_tidied_when_it_gives_it_back(study):
    one = judge(study, endpoint())
    want_verdicts(study)
    work = JudgeWork()
    held = work.claim(one.judge.endpoint, "me", 4)
    assert cancel([one]) == 2
    assert states(study) == {"leased": 4}
    assert work.withdrawn("me") == {job.pk for job in held}
    work.release("me", only=[job.pk for job in held[:3]])
    assert states(study) == {"leased": 1}
    made = [made_of(held[3])]
    work.store("me", made)
    work.conclude("me", made)
    assert states(study) == {"done": 1}


def test_what_a_dead_worker_had_reserved_stays_spent(study):
    one = judge(study, endpoint())
    set_caps(study, 100, None)
    want_verdicts(study, limit=3)
    work = JudgeWork()
    jobs = work.claim(one.judge.endpoint, "dead", 3)
    assert len(work.permit("dead", jobs[:2])[0]) == 2
    its_lease_runs_out()
    assert cancel([one]) == 3
    assert_final(Verdict.objects.all())
    assert_balanced(study)
    assert (Budget.objects.get().calls, Budget.objects.get().lost_calls) == (2, 2)


def test_a_call_that_lands_after_its_verdict_was_taken_back_is_kept(study):
    one = judge(study, endpoint())
    want_verdicts(study, limit=1)
    work = JudgeWork()
    [job] = work.claim(one.judge.endpoint, "slow", 1)
    its_lease_runs_out()
    cancel([one])
    made = [made_of(job)]
    work.store("slow", made)
    work.conclude("slow", made)
    assert (Attempt.objects.count(), Rating.objects.count()) == (1, 0)
    assert states(study) == {"failed": 1}


# Asking again


def test_what_failed_is_asked_again_by_workers_that_run(study, monkeypatch):
    down = [True]
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.01)
    with service(lambda *_: (500, {}, b"{}") if down else said()) as url:
        [*judges] = [judge(study, endpoint(url), name) for name in PANEL[:1]]
        judge_study(study)
        assert states(study) == {"failed": 6}
        down.clear()
        with running("manage.py", "runworker"):
            assert retry_failed(judges) == 6
            wait_until(lambda: states(study) == {"done": 6})
    assert Attempt.objects.filter(outcome="server_error").count() == 30
    assert retry_failed(judges) == 0


def test_a_failed_verdict_that_is_wanted_again_is_as_new(study):
    one = judge(study, endpoint())
    want_verdicts(study, limit=1)
    Verdict.objects.update(state="failed", reason="x", finished_at=timezone.now(), cached=True)
    retry_failed([one])
    verdict = Verdict.objects.get()
    assert (verdict.state, verdict.reason, verdict.finished_at, verdict.cached, verdict.answer) == (
        "todo",
        "",
        None,
        False,
        None,
    )
    assert uncancel([one]) == 0

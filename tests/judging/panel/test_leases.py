"""Two workers and one row: whoever holds the lease concludes it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation.models import Rating
from annotation.schemes import builtin_scheme
from arbiter.calls.engine import Engine
from arbiter.calls.lanes import EndpointDown
from judging.models import Attempt, Verdict
from judging.panel.judge_work import JudgeWork
from judging.panel.wanted_verdicts import want_verdicts
from tests.judging.helpers import endpoint, judge, made_of
from tests.together import wait_for_a_waiter

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("late_comes", ["first", "last"])
def test_a_result_that_comes_when_its_lease_is_lost_changes_nothing_and_its_call_is_kept(study, late_comes):
    judge(study, endpoint())
    want_verdicts(study, limit=1)
    slow, fast = JudgeWork(study), JudgeWork(study)
    [late] = slow.claim(slow.endpoints()[0], "slow", 8)
    Verdict.objects.update(leased_until=timezone.now() - timedelta(seconds=1))  # it was gone for too long
    [taken] = fast.claim(fast.endpoints()[0], "fast", 8)
    assert late.pk == taken.pk
    results = [(fast, "fast", taken, "convergence"), (slow, "slow", late, "no_convergence")]
    for work, lease, job, label in results if late_comes == "last" else results[::-1]:
        made = [made_of(job, label)]
        work.store(lease, made)
        work.conclude(lease, made)
    assert Rating.objects.get().label.key == "convergence"
    assert Attempt.objects.count() == 2


def test_a_lease_that_was_lost_is_not_renewed_or_given_back(study):
    judge(study, endpoint())
    want_verdicts(study, limit=1)
    slow, fast = JudgeWork(study), JudgeWork(study)
    slow.claim(slow.endpoints()[0], "slow", 8)
    Verdict.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert slow.claim(slow.endpoints()[0], "slow", 8) == []  # what it still works on it does not take again
    fast.claim(fast.endpoints()[0], "fast", 8)
    until = Verdict.objects.get().leased_until
    slow.renew("slow")
    slow.release("slow")
    assert (Verdict.objects.get().lease, Verdict.objects.get().leased_until) == ("fast", until)
    fast.renew("fast")
    assert Verdict.objects.get().leased_until > until


def test_of_two_workers_that_choose_the_same_rows_one_gets_them(study):
    judge(study, endpoint())
    want_verdicts(study)
    first, second = JudgeWork(study), JudgeWork(study)
    at = first.endpoints()[0]

    def claim_too():
        try:
            return second.claim(at, "second", 8)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            assert len(first.claim(at, "first", 8)) == 6
            waiting = thread.submit(claim_too)  # sees the rows open, and waits for the other to commit
            wait_for_a_waiter()
        assert waiting.result() == []
    assert set(Verdict.objects.values_list("lease", flat=True)) == {"first"}


def test_a_call_that_is_stored_twice_is_there_once(study):
    judge(study, endpoint())
    want_verdicts(study, limit=1)
    work = JudgeWork(study)
    [job] = work.claim(work.endpoints()[0], "me", 8)
    made = [made_of(job)]
    for _ in range(2):  # the first may have been cut off when it had counted
        work.store("me", made)
    for _ in range(2):
        work.conclude("me", made)
    assert (Attempt.objects.count(), Rating.objects.count()) == (1, 1)
    assert Verdict.objects.get().answer == Attempt.objects.get()
    assert study.judges.get().calls == 1


def test_rows_that_were_taken_by_a_claim_we_do_not_know_of_go_back(study):
    judge(study, endpoint())
    want_verdicts(study)
    work = JudgeWork(study)
    known = work.claim(work.endpoints()[0], "me", 2)
    work.claim(work.endpoints()[0], "me", 2)
    work.release("me", keep={job.pk for job in known})
    assert set(Verdict.objects.filter(lease="me").values_list("pk", flat=True)) == {job.pk for job in known}
    assert Verdict.objects.filter(state="todo").count() == 4


def test_a_limit_counts_what_was_claimed(study):
    judge(study, endpoint())
    want_verdicts(study)
    work = JudgeWork(study, limit=3)
    [at] = work.endpoints()
    assert [len(work.claim(at, "me", 2)) for _ in range(3)] == [2, 1, 0]
    assert work.endpoints() == []
    assert not work.waiting()


def test_a_worker_for_one_endpoint_sees_no_other(study):
    first, second = endpoint(), endpoint(name="other")
    judge(study, first)
    judge(study, second, "noisy")
    want_verdicts(study)
    assert [at.pk for at in JudgeWork(endpoint="other").endpoints()] == [second.pk]
    assert len(JudgeWork(endpoint="other").claim(second, "me", 99)) == 6
    assert JudgeWork(endpoint="other").claim(first, "me", 99) == []
    assert JudgeWork(endpoint="none").endpoints() == []


def test_of_a_judge_that_was_replaced_nothing_is_claimed_and_what_is_held_is_withdrawn(study):
    one = judge(study, endpoint())
    want_verdicts(study)
    work = JudgeWork()
    [held] = work.claim(one.judge.endpoint, "me", 1)
    type(one).objects.update(active=False)
    assert work.withdrawn("me") == {held.pk}
    assert work.endpoints() == []
    assert not work.waiting()


def test_an_endpoint_that_is_known_to_be_down_is_tried_with_no_more_than_one_round_of_calls(study):
    at = endpoint(concurrency=2, down_since=timezone.now())
    judge(study, at)
    want_verdicts(study)
    with pytest.raises(EndpointDown):
        Engine(JudgeWork()).run()
    assert Attempt.objects.count() <= 2
    assert Verdict.objects.filter(state="todo").count() == 6


def test_a_study_may_be_given_another_scheme_while_a_worker_runs(study):
    judge(study, endpoint())
    want_verdicts(study)
    work = JudgeWork()
    [at] = work.endpoints()
    [job] = work.claim(at, "me", 1)
    work.release("me")  # nobody was asked
    type(study).objects.update(scheme=builtin_scheme("binary"))
    [job] = work.claim(at, "me", 1)
    assert job.context.keys == ["convergence", "no_convergence"]

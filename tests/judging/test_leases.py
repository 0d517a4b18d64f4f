"""Two workers and one row: whoever holds the lease concludes it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation.models import Rating
from benchmark.client import Call
from benchmark.engine import Made
from judging.models import Attempt, Verdict
from judging.work import JudgeWork, want_verdicts
from tests.judging.helpers import endpoint, judge, said

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


def made_of(job, label):
    raw = said(label)[2].decode()
    return Made(job, Call(outcome="answer", started_at=timezone.now(), latency=0.1, raw=raw), final=True)


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
        work.store(made)
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
            time.sleep(0.3)
        assert waiting.result() == []
    assert set(Verdict.objects.values_list("lease", flat=True)) == {"first"}

"""What a study may spend: the worst case is reserved before a call and settled after it,
whoever races, dies or comes late."""

import signal
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from arbiter.calls.answers import Completion
from arbiter.calls.client import Call
from arbiter.calls.engine import MadeCall
from arbiter.simulator.running import running_simulator
from judging.models import Attempt, Budget, StudyJudge, Verdict
from judging.panel import metering, wanted_verdicts
from judging.panel.judge_work import JudgeWork
from judging.panel.judging_run import judge_study
from judging.panel.metering import set_caps
from tests import builders
from tests.judging.accounts import FAULTS, assert_balanced, assert_whole, sent, stored
from tests.judging.helpers import CLOSED, endpoint, judge, panel, states
from tests.ledgers import assert_sound
from tests.processes import result, running, start
from tests.sizes import size
from tests.struck import after_calls
from tests.together import expect_no_errors, together, wait_for_a_waiter
from tests.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
INPUT, OUTPUT, LIMIT = 10, 1000, 100  # picodollars a token, tokens at most
ANSWER = Completion(text="Well.", usage={"prompt_tokens": 50, "completion_tokens": 10})


@pytest.fixture
def study(db):
    return builders.study()


def priced(study, at=None, **spec):
    """Make a judge whose worst case is known."""
    made = judge(study, at or endpoint(), parameters={"max_tokens": LIMIT}, **spec)
    StudyJudge.objects.filter(pk=made.pk).update(input_price=INPUT, output_price=OUTPUT)
    return made


class SteppedWorker:
    """The engine's steps, one at a time."""

    def __init__(self, study, lease="one", room=8):
        self.work, self.lease = JudgeWork(study), lease
        self.jobs = {}
        for at in self.work.endpoints():
            self.jobs |= {job.pk: job for job in self.work.claim(at, lease, room)}

    def permit(self, *pks):
        """Return the rows permitted, and those that won't be."""
        permitted, over = self.work.permit(self.lease, [self.jobs[pk] for pk in pks or self.jobs])
        self.jobs |= {job.pk: job for job in permitted}
        return {job.pk for job in permitted}, over

    def call(self, pk, outcome="answer", *, final=None, **fields):
        """Return what came of the row's call."""
        fields = {"status": 200, "raw": "{}", **({"answer": ANSWER} if outcome == "answer" else {}), **fields}
        made = Call(outcome, timezone.now(), 0.1, **fields)
        return MadeCall(self.jobs[pk], made, final=outcome == "answer" if final is None else final)

    def store(self, *made):
        self.work.store(self.lease, made)
        if final := [one for one in made if one.final]:
            self.work.conclude(self.lease, final)

    def die(self):
        Verdict.objects.filter(lease=self.lease).update(leased_until=timezone.now() - timedelta(seconds=1))


def capped(study, calls=None, cost=None, at=None):
    priced(study, at)
    wanted_verdicts.want_verdicts(study)
    set_caps(study, calls, cost)
    return SteppedWorker(study)


def budget(study):
    budget = Budget.objects.get(study=study)
    return budget.calls, budget.cost, budget.lost_calls, budget.reached


def worst(worker):
    """Return what a worker's dearest call has reserved."""
    return max(job.reserved for job in worker.jobs.values())


PAID = INPUT * 50 + OUTPUT * 10


# Permit, settle, give back


def test_a_call_takes_its_worst_case_and_is_settled_at_what_it_cost(study):
    one = capped(study, calls=100)
    pk = next(iter(one.jobs))
    assert one.permit(pk) == ({pk}, set())
    assert budget(study) == (1, worst(one), 0, False)
    assert worst(one) > OUTPUT * LIMIT
    assert Verdict.objects.get(pk=pk).reserved == worst(one)
    one.store(one.call(pk))
    assert budget(study) == (1, PAID, 0, False)
    assert assert_balanced(study).cost == PAID


def test_a_study_without_a_cap_counts_nothing_and_asks_nobody(study):
    priced(study)
    wanted_verdicts.want_verdicts(study)
    one = SteppedWorker(study)
    assert not any(job.metered for job in one.jobs.values())
    one.store(*[one.call(pk) for pk in one.jobs])
    assert not Budget.objects.exists()


def test_no_more_calls_are_permitted_than_fit_and_the_rest_wait_for_what_may_come_back(study):
    one = capped(study, calls=4)
    permitted, over = one.permit()
    assert (len(permitted), over) == (
        4,
        set(),
    )  # four are on their way, and one that is not made gives its place back
    left = set(one.jobs) - permitted
    assert one.permit(*left) == (set(), set())
    one.store(*[one.call(pk) for pk in permitted])
    assert one.permit(*left) == (set(), left)
    assert budget(study) == (4, 4 * PAID, 0, True)
    assert JudgeWork(study).endpoints() == []  # nobody claims what can't be asked


def test_dollars_hold_for_the_worst_case(db):
    study = builders.study(tasks=1, epochs=6)  # of one length
    probe = capped(study, calls=1)
    probe.permit()
    most = worst(probe)
    probe.work.release("one")
    set_caps(study, None, 3 * most - 1)
    one = SteppedWorker(study)
    permitted, over = one.permit()
    assert (len(permitted), over) == (2, set())
    one.store(*[one.call(pk) for pk in permitted])
    spent = 2 * PAID
    assert budget(study)[:2] == (2, spent)
    permitted, _ = one.permit(*(pk for pk in one.jobs if Verdict.objects.get(pk=pk).state == "leased"))
    assert len(permitted) == (3 * most - 1 - spent) // most


def test_where_the_worst_case_is_not_known_no_call_fits_under_dollars(study):
    judge(study, endpoint())
    wanted_verdicts.want_verdicts(study)
    set_caps(study, None, 10**15)
    one = SteppedWorker(study)
    assert one.permit() == (set(), set(one.jobs))


def test_a_permission_asked_for_twice_as_its_answer_was_lost_is_given_once(study):
    one = capped(study, calls=4)
    permitted, _ = one.permit()
    assert one.permit(*permitted) == (permitted, set())
    assert budget(study)[0] == 4


def test_a_row_that_is_another_workers_by_now_is_not_taken_for_one_that_does_not_fit(study):
    """Else a worker that was gone for too long would stop a study whose cap is far."""
    late = capped(study, calls=100)
    late.die()
    SteppedWorker(study, "two")
    assert late.permit() == (set(), set(late.jobs))
    assert budget(study) == (0, 0, 0, False)


def test_each_try_is_a_call_and_is_permitted_anew(study):
    one = capped(study, calls=3)
    pk = next(iter(one.jobs))
    for tried in range(3):
        assert one.permit(pk) == ({pk}, set())
        one.store(one.call(pk, "server_error", status=500))
        assert budget(study)[:2] == (tried + 1, 0)  # what was turned away costs nothing
    assert one.permit(pk) == (set(), {pk})


@pytest.mark.parametrize(
    ("outcome", "fields", "costs_the_worst"),
    [
        ("timeout", {"status": None}, True),
        ("connection", {"status": None}, True),
        ("abandoned", {"status": None}, True),
        ("not_json", {"status": 200}, True),
        ("server_error", {"status": 500}, False),
        ("rate_limited", {"status": 429}, False),
    ],
)
def test_a_call_whose_answer_never_came_may_have_cost_the_worst(study, outcome, fields, costs_the_worst):
    one = capped(study, calls=100)
    pk = next(iter(one.jobs))
    one.permit(pk)
    one.store(one.call(pk, outcome, **fields))
    assert budget(study)[:2] == (1, worst(one) if costs_the_worst else 0)
    assert_balanced(study)


def test_a_call_that_reached_no_server_gives_its_place_back(study):
    one = capped(study, calls=1)
    pk = next(iter(one.jobs))
    one.permit(pk)
    one.store(one.call(pk, "connection", status=None, unreached=True))
    assert budget(study) == (0, 0, 0, False)
    assert one.permit(pk) == ({pk}, set())


def test_what_was_permitted_and_did_not_set_out_is_given_back_with_its_row(study):
    one = capped(study, calls=2)
    permitted, _ = one.permit()
    gone, kept = permitted
    one.work.release("one", only={gone})
    assert budget(study)[0] == 1
    assert Verdict.objects.get(pk=gone).state == "todo"
    one.work.release("one", keep={kept})
    assert budget(study)[0] == 1
    one.work.release("one")
    assert budget(study) == (0, 0, 0, False)
    assert states(study) == {"todo": 6}


def test_what_comes_back_opens_a_study_that_was_full(study):
    one = capped(study, calls=2)
    permitted, _ = one.permit()
    left = set(one.jobs) - permitted
    one.store(*[one.call(pk, "timeout", status=None) for pk in permitted])
    assert one.permit(*left)[1] == left
    assert budget(study)[3]
    set_caps(study, 3, None)
    assert not budget(study)[3]
    assert len(one.permit(*left)[0]) == 1


# Workers that die, and that were thought dead


def test_what_a_dead_worker_had_reserved_stays_spent_once_its_row_is_taken_over(study):
    dead = capped(study, calls=3)
    dead.permit()
    dead.die()
    two = SteppedWorker(study, "two")
    assert set(two.jobs) == set(dead.jobs)
    assert budget(study) == (3, sum(job.reserved for job in dead.jobs.values()), 3, False)
    assert two.permit() == (set(), set(two.jobs))


@pytest.mark.parametrize("unreached", [False, True])
def test_a_call_given_up_for_lost_that_is_told_after_all_is_not_lost(study, unreached):
    late = capped(study, calls=10)
    pk = next(iter(late.jobs))
    late.permit(pk)
    late.die()
    two = SteppedWorker(study, "two")
    assert budget(study) == (1, worst(late), 1, False)
    if unreached:
        late.store(late.call(pk, "connection", status=None, unreached=True))
        assert budget(study) == (0, 0, 0, False)
    else:
        late.store(late.call(pk))
        assert budget(study) == (1, PAID, 0, False)
    assert Verdict.objects.get(pk=pk).state == "leased"  # the second worker's
    two.permit(pk)
    two.store(two.call(pk))
    assert budget(study)[:3] == ((1 if unreached else 2), (1 if unreached else 2) * PAID, 0)


def test_a_worker_that_gives_back_what_it_has_lost_gives_back_nothing_of_the_others(study):
    late = capped(study, calls=100)
    late.permit()
    late.die()
    two = SteppedWorker(study, "two")
    two.permit()
    late.work.release("one")
    assert budget(study)[::2] == (12, 6)
    assert set(Verdict.objects.values_list("lease", "reserved")) == {
        ("two", job.reserved) for job in two.jobs.values()
    }


# Caps that come while workers work


def test_calls_made_before_there_was_a_cap_count_under_it(study):
    priced(study)
    wanted_verdicts.want_verdicts(study)
    one = SteppedWorker(study, room=4)
    one.store(*[one.call(pk) for pk in one.jobs])
    set_caps(study, 5, None)
    assert budget(study) == (4, 4 * PAID, 0, False)
    assert_balanced(study)


def test_a_call_on_its_way_as_the_cap_comes_counts_once(study):
    priced(study)
    wanted_verdicts.want_verdicts(study)
    one = SteppedWorker(study, room=2)
    set_caps(study, 5, None)
    assert budget(study)[0] == 2
    one.store(*[one.call(pk) for pk in one.jobs])
    assert budget(study) == (2, 2 * PAID, 0, False)
    assert_balanced(study)


def test_a_call_stored_and_not_yet_concluded_as_the_cap_comes_counts_once(study):
    priced(study)
    wanted_verdicts.want_verdicts(study)
    one = SteppedWorker(study, room=2)
    made = [one.call(pk) for pk in one.jobs]
    one.work.store("one", made)
    set_caps(study, 5, None)
    one.work.conclude("one", made)
    assert budget(study) == (2, 2 * PAID, 0, False)
    assert_balanced(study)


def test_a_cap_that_waits_for_rows_that_are_being_concluded_does_not_take_them_for_calls_on_their_way(study):
    priced(study)
    wanted_verdicts.want_verdicts(study)
    one = SteppedWorker(study, room=2)
    made = [one.call(pk) for pk in one.jobs]
    one.work.store("one", made)
    concluded = threading.Event()

    def conclude():
        with transaction.atomic():
            one.work.conclude("one", made)
            concluded.set()
            wait_for_a_waiter()  # the cap comes now, and waits for what it may not yet see

    def cap():
        assert concluded.wait(60)
        set_caps(study, 5, None)

    expect_no_errors(together(conclude, cap))
    assert budget(study) == (2, 2 * PAID, 0, False)
    assert_balanced(study)


def test_a_row_answered_without_a_call_as_the_cap_comes_gives_its_place_back(study):
    priced(study)
    wanted_verdicts.want_verdicts(study)
    one = SteppedWorker(study, room=1)
    pk = next(iter(one.jobs))
    set_caps(study, 5, None)
    one.work.conclude(
        "one",
        [MadeCall(one.jobs[pk], Call("answer", timezone.now(), 0.0, answer=ANSWER, cached=True), final=True)],
    )
    assert budget(study) == (0, 0, 0, False)
    assert_balanced(study)


def test_a_try_that_follows_under_a_cap_that_came_meanwhile_is_lost_with_its_worker_and_found_again(study):
    priced(study)
    wanted_verdicts.want_verdicts(study)
    one = SteppedWorker(study, room=1)
    pk = next(iter(one.jobs))
    one.store(one.call(pk, "server_error", status=500))
    set_caps(study, 5, None)
    # The row is held, so a call may be on its way: that is the one it asks for now.
    assert one.permit(pk) == ({pk}, set())
    assert budget(study)[0] == 2
    one.die()
    SteppedWorker(study, "two")
    assert budget(study)[2] == 1
    one.store(one.call(pk))
    assert budget(study)[::2] == (2, 0)
    assert_balanced_but_for_held(study)


def assert_balanced_but_for_held(study):
    budget = Budget.objects.get(study=study)
    assert budget.calls == Attempt.objects.count() + budget.lost_calls


def test_a_cap_that_comes_while_calls_are_being_stored_counts_each_once(study):
    priced(study)
    wanted_verdicts.want_verdicts(study)
    for _ in range(6):
        Budget.objects.all().delete()
        Verdict.objects.update(state="todo", lease="", leased_until=None, reserved=None, rating=None)
        one = SteppedWorker(study)
        made = [one.call(pk, "server_error", status=500, final=False) for pk in one.jobs]
        steps = [lambda: one.work.store("one", made), lambda: set_caps(study, 100, None)]  # noqa: B023
        expect_no_errors(together(*steps))
        one.work.release("one")
        assert_balanced(study)


def test_without_a_cap_it_counts_no_more_and_with_one_again_all_that_was_made(study):
    one = capped(study, calls=100)
    one.permit()
    one.store(*[one.call(pk) for pk in list(one.jobs)[:2]])
    set_caps(study, None, None)
    assert not metering.metered([study.pk])
    one.work.release("one")
    two = SteppedWorker(study, "two")
    two.store(*[two.call(pk) for pk in list(two.jobs)[:2]])
    two.work.release("two")
    set_caps(study, 100, None)
    assert budget(study)[:3] == (4, 4 * PAID, 0)
    assert_balanced(study)


# Several at once


def test_however_many_ask_at_once_no_more_is_permitted_than_fits(db):
    study = builders.study(tasks=8, epochs=8)
    priced(study)
    wanted_verdicts.want_verdicts(study)
    set_caps(study, 25, None)
    workers = [SteppedWorker(study, f"worker {number}", room=16) for number in range(4)]
    assert sum(len(worker.jobs) for worker in workers) == 64
    results = expect_no_errors(together(*[worker.permit for worker in workers]))
    assert sum(len(permitted) for permitted, _ in results) == 25
    assert budget(study)[0] == 25


def work_off(study, processes, *, kill=0, **settings):
    """Judge with several processes at once; so many more kill themselves at work, the first of them before
    the others begin."""
    command = ("manage.py", "runworker", "--until-idle")
    wanted_verdicts.want_verdicts(study)
    workers = []
    for number in range(kill):
        victim = start(*command, first=after_calls(20, signal.SIGKILL), **settings)
        _, errors = victim.communicate(timeout=600)
        assert victim.returncode == -signal.SIGKILL or number, errors
        workers = workers or [start(*command, **settings) for _ in range(processes - 1)]
    workers += [start(*command, **settings) for _ in range(processes - len(workers))]
    for worker in workers:
        _, errors = worker.communicate(timeout=600)
        assert worker.returncode == 0, errors


@pytest.mark.sized
def test_a_cap_of_calls_holds_with_four_workers_racing_and_what_is_left_waits_for_more(db):
    study = builders.study(tasks=10, epochs=size(12, 36))
    wanted = 3 * study.items.count()
    cap = wanted - 80
    with running_simulator(latency=0.02) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=16))
        set_caps(study, cap, None)
        work_off(study, 4)
        assert simulator.stats()["kinds"] == {"ok": cap}
        assert stored(study) == {"answer": cap}
        assert states(study) == {"done": cap, "todo": 80}
        assert budget(study) == (cap, 0, 0, True)
        assert_balanced(study)
        set_caps(study, cap + 50, None)
        work_off(study, 2)
        assert simulator.stats()["kinds"] == {"ok": cap + 50}
        set_caps(study, None, None)
        work_off(study, 1)
        assert simulator.stats()["kinds"] == {"ok": wanted}
    assert_whole(study)


@pytest.mark.sized
def test_under_a_cap_every_try_is_a_call(db):
    study = builders.study(tasks=10, epochs=size(5, 12))
    cap = size(100, 250)
    faults = {name: share for name, share in FAULTS.items() if name != "hang_share"}
    with running_simulator(**faults, retry_after=0, latency=0.02, seed=4) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8))
        set_caps(study, cap, None)
        work_off(study, 4)
        assert sum(simulator.stats()["kinds"].values()) == cap
        assert stored(study) == sent(simulator)
        assert_balanced(study)
        set_caps(study, 10_000, None)
        work_off(study, 2)
        assert stored(study) == sent(simulator)
    assert_whole(study)
    assert_balanced(study)


def test_dollars_are_never_spent_past_the_cap_by_workers_racing(db):
    study = builders.study(tasks=10, epochs=12)
    faults = {"cut_share": 0.1, "garbage_share": 0.05, "error_share": 0.05}
    with running_simulator(**faults, latency=0.02, seed=4) as simulator:
        priced(study, endpoint(simulator.base_url, concurrency=8))
        wanted_verdicts.want_verdicts(study)
        set_caps(study, None, 0)
        probe = SteppedWorker(study, "probe")
        most = max(metering_worst(job) for job in probe.jobs.values())
        probe.work.release("probe")
        cap = 60 * most
        set_caps(study, None, cap)
        work_off(study, 4)
        told = simulator.stats()["tokens"]
    budget = assert_balanced(study)
    assert budget.reached
    assert cap - most < budget.cost <= cap
    # The provider's own bill, for all it answered:
    # what it said of tokens is what we counted, and the rest is worst case.
    assert told["prompt"] * INPUT + told["completion"] * OUTPUT <= budget.cost
    judged = StudyJudge.objects.get(study=study)
    assert judged.cost == budget.cost
    assert 0 < judged.cost_at_most < judged.cost


def metering_worst(job):
    from judging.panel.judge_work import worst_of

    return worst_of(job.context)


@pytest.mark.sized
def test_killed_under_a_cap_no_more_is_sent_than_it_allows_and_what_was_lost_is_counted(db):
    study = builders.study(tasks=10, epochs=size(12, 30))
    cap = size(200, 500)
    with running_simulator(latency=0.05, latency_spread=0.04) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8))
        set_caps(study, cap, None)
        work_off(study, 2, kill=size(2, 6), ARBITER_LEASE_SECONDS="1")
        requests = simulator.stats()["requests"]
    budget = Budget.objects.get(study=study)
    still = Verdict.objects.filter(reserved__isnull=False).count()  # of workers whose rows nobody took over
    assert budget.calls == cap == Attempt.objects.count() + budget.lost_calls + still
    assert requests <= cap
    assert cap - budget.lost_calls - still <= requests
    assert budget.lost_calls + still > 0
    assert_sound()


@pytest.mark.sized
def test_a_cap_that_comes_while_workers_work_stops_them(db):
    study = builders.study(tasks=10, epochs=size(15, 40))
    with running_simulator(latency=0.3) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=8))
        wanted_verdicts.want_verdicts(study)
        with running("manage.py", "runworker") as one, running("manage.py", "runworker") as two:
            wait_until(lambda: Attempt.objects.count() >= 100)
            cap = Attempt.objects.count() + 150
            set_caps(study, cap, None)
            wait_until(lambda: budget(study)[3])
            time.sleep(1)  # in which one call too many would be made
            for worker in (one, two):
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(600) == 0
        assert sum(simulator.stats()["kinds"].values()) == cap
    assert_balanced(study)
    assert states(study) == {"done": cap, "todo": 3 * study.items.count() - cap}


def test_the_command_says_that_the_cap_stopped_it(study):
    with running_simulator() as simulator:
        judge(study, endpoint(simulator.base_url))
        set_caps(study, 4, None)
        said = judge_study(study)
        assert simulator.stats()["kinds"] == {"ok": 4}
    assert (said["verdicts"], said["open"], said["calls"]) == (4, 2, 4)
    assert said["stopped"].startswith("the study's cap is reached: 4 of 4 calls are spent")


def test_an_endpoint_that_is_down_costs_nothing_under_a_cap(study):
    judge(study, endpoint(CLOSED))
    set_caps(study, 100, None)
    process = start("manage.py", "judge", study.slug, "--json")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "can't be reached" in errors
    outcomes = Counter(Attempt.objects.values_list("outcome", flat=True))
    calls, cost, lost, reached = budget(study)
    # Those that were called back as it was found to be down may have been sent, for all we know.
    assert (calls, cost, lost, reached) == (outcomes["abandoned"], 0, 0, False)
    assert states(study) == {"todo": 6}
    assert result(start("manage.py", "judge", study.slug, "--pause", "--json"))["judges_changed"] == 1

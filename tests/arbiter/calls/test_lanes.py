"""How many calls an endpoint is sent at once, when it is left alone, and when it is taken to be down."""

from dataclasses import dataclass, field
from time import monotonic

import pytest
from django.utils import timezone

from arbiter.calls import lanes
from arbiter.calls.client import Call
from arbiter.calls.lanes import DOWN_AFTER, DOWN_FOR_SECONDS, DOWN_OVER_SECONDS, LONGEST_WAIT, CallJob, Lane
from arbiter.calls.service import Service


@dataclass
class FrozenClock:
    now: float = field(default_factory=monotonic)

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    made = FrozenClock()
    monkeypatch.setattr(lanes, "monotonic", made)
    return made


def lane(**fields):
    described = {"pk": 1, "name": "e", "base_url": "http://e/v1", "concurrency": 64, **fields}
    return Lane(Service(**described), client=None)


def call(outcome="answer", status=200, **fields):
    return Call(outcome, timezone.now(), 0.1, status=status, **fields)


def complaint(status=429, **fields):
    return call("rate_limited" if status == 429 else "server_error", status, **fields)


def job(pk, of, **fields):
    return CallJob(pk, of.endpoint, {}, **fields)


def adapt(of, clock, *calls):
    """Have the lane adapt to calls that set out one after another, each after the last was heard of."""
    for one in calls:
        clock.now += 0.1
        of.adapt(one, set_out=clock.now)


def round_of(of, clock, outcome=None):
    """Have the lane adapt to as many calls as may be in flight, of which all set out before the first is
    heard of."""
    set_out, clock.now = clock.now, clock.now + 0.1
    for _ in range(int(of.limit)):
        of.adapt(outcome or call(), set_out)


def quiet_for(of, clock):
    return of.quiet_until - clock.now


# ---------------------------------------------------------------- how many


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 8),
        ({"concurrency": 64}, 64),
        ({"concurrency": 64, "concurrency_start": 4}, 4),
        ({"concurrency": 2, "concurrency_start": 4}, 2),
    ],
    ids=["the model's default", "all of them", "the start it is given", "never above the ceiling"],
)
def test_it_starts_with(fields, limit):
    assert Lane(Service(1, "e", "", **fields), client=None).limit == limit


def test_until_the_first_complaint_each_clean_round_doubles_it_up_to_the_ceiling(clock):
    of = lane(concurrency=50, concurrency_start=4)
    limits = []
    for _ in range(5):
        round_of(of, clock)
        limits.append(of.limit)
    assert limits == [8, 16, 32, 50, 50]


def test_a_part_of_a_round_raises_nothing(clock):
    of = lane(concurrency_start=4)
    adapt(of, clock, call(), call(), call())
    assert of.limit == 4
    adapt(of, clock, call())
    assert of.limit == 8


@pytest.mark.parametrize("answered", ["answer", "refusal", "length"])
def test_whatever_was_answered_counts_as_clean(clock, answered):
    of = lane(concurrency_start=1)
    adapt(of, clock, call(answered))
    assert of.limit == 2


@pytest.mark.parametrize(
    ("outcome", "status"), [("server_error", 500), ("connection", None), ("timeout", None)]
)
def test_a_failure_that_says_nothing_of_too_much_changes_nothing(clock, outcome, status):
    of = lane(concurrency_start=1)
    adapt(of, clock, *[call(outcome, status)] * 20)
    assert of.limit == 1
    assert not of.quiet()


@pytest.mark.parametrize("status", [429, 503, 529])
def test_one_complaint_lowers_it_by_a_tenth_and_asks_for_no_pause(clock, status):
    of = lane()
    adapt(of, clock, *[call()] * 20, complaint(status, pause=30.0))
    assert of.limit == pytest.approx(57.6)
    assert not of.quiet()


def test_many_complaints_halve_it_and_the_pause_they_ask_for_is_kept(clock):
    of = lane()
    set_out, clock.now = clock.now, clock.now + 0.1
    of.adapt(complaint(pause=7.0), set_out)
    assert of.limit == pytest.approx(57.6)  # it may stand alone
    of.adapt(complaint(pause=7.0), set_out)
    assert of.limit == pytest.approx(28.8)  # it does not
    assert quiet_for(of, clock) == pytest.approx(7.0)


def test_many_complaints_that_ask_for_no_pause_are_given_none(clock):
    of = lane()
    adapt(of, clock, complaint(), complaint())
    assert of.limit == pytest.approx(64 * 0.9 / 2)
    assert not of.quiet()


def test_however_many_of_a_round_complain_it_is_halved_once(clock):
    of = lane()
    round_of(of, clock, complaint())
    assert of.limit == pytest.approx(64 * 0.9 / 2)
    round_of(of, clock, complaint())
    assert of.limit == pytest.approx(64 * 0.9 / 2 / 2)


def test_one_complaint_a_round_is_not_many(clock):
    of = lane(concurrency=20)
    for _ in range(4):
        limit, set_out = of.limit, clock.now
        clock.now += 0.1
        for number in range(int(limit)):
            of.adapt(complaint() if number == 3 else call(), set_out)
        assert of.limit == pytest.approx(limit * 0.9)


def test_the_tail_of_a_round_that_was_too_much_is_no_clean_round(clock):
    of = lane(concurrency=8)
    set_out = clock.now
    clock.now += 1
    of.adapt(complaint(), set_out)
    lowered = of.limit
    for _ in range(50):
        of.adapt(call(), set_out)
    assert of.limit == lowered


@pytest.mark.parametrize("floor", [1, 5])
def test_it_never_goes_below_its_floor(clock, floor):
    of = lane(concurrency_floor=floor)
    for _ in range(30):
        adapt(of, clock, complaint(), complaint())
    assert of.limit == floor
    assert of.free() == floor


def test_after_a_complaint_it_climbs_by_a_tenth_or_by_one(clock):
    of = lane(concurrency=100)
    adapt(of, clock, *[call()] * 30, complaint())
    assert of.limit == 90
    round_of(of, clock)
    assert of.limit == 99
    small = lane(concurrency=8)
    adapt(small, clock, *[call()] * 7, complaint())
    assert small.limit == pytest.approx(7.2)
    round_of(small, clock)
    assert small.limit == 8  # 8.2, were that not above the ceiling


def test_a_success_that_says_nothing_is_left_is_believed(clock):
    of = lane()
    adapt(of, clock, call(pause=3.0))
    assert quiet_for(of, clock) == pytest.approx(3.0)
    assert of.limit == 64
    clock.now += 3.1
    assert not of.quiet()


def test_no_pause_is_longer_than_the_longest(clock):
    of = lane()
    adapt(of, clock, call(pause=86_400.0))
    assert quiet_for(of, clock) == pytest.approx(LONGEST_WAIT)


def test_a_shorter_pause_does_not_end_a_longer_one(clock):
    of = lane()
    adapt(of, clock, call(pause=30.0), call(pause=1.0))
    assert quiet_for(of, clock) == pytest.approx(29.9)  # what the first asked for, a tenth of a second ago


# ---------------------------------------------------------------- what waits


def test_what_may_set_out_is_less_by_what_is_in_flight_and_by_what_is_not_stored_for_long():
    of = lane(concurrency=8)
    assert of.free() == 8
    of.flying, of.unwritten = dict.fromkeys(range(6)), 6
    assert of.free() == 2
    of.flying, of.unwritten = dict.fromkeys(range(2)), 15  # thirteen have landed, and the database is slow
    assert of.free() == 1
    of.unwritten = 16
    assert of.free() == 0


def test_rows_are_claimed_ahead_for_the_calls_that_land_meanwhile():
    of = lane(concurrency=8)
    of.flying, of.unwritten = dict.fromkeys(range(8)), 8
    assert of.room() == 0
    of.landed = 3
    assert of.room() == 6
    of.add(job(1, of))
    of.add(job(2, of, metered=True))
    assert of.room() == 4
    assert [[one.pk for one in waiting] for waiting in (of.ready, of.asking)] == [[1], [2]]


def test_what_was_put_off_comes_when_it_is_due_before_others_and_is_to_be_paid_for_anew(clock):
    of = lane()
    of.add(job(1, of, metered=True))
    of.put_off(job(2, of, metered=True, reserved=5), 2.0)
    of.put_off(job(3, of), 1.0)
    assert of.next_due() == pytest.approx(1.0)
    of.take_due()
    assert [one.pk for one in of.asking] == [1]
    clock.now += 1.5
    assert of.next_due() == 0.0
    of.take_due()
    assert [one.pk for one in of.asking] == [3, 1]
    clock.now += 1.0
    of.take_due()
    assert [(one.pk, one.reserved) for one in of.asking] == [(2, 0), (3, 0), (1, 0)]
    assert of.next_due() is None


def test_what_is_ready_waits_for_the_end_of_a_pause(clock):
    of = lane()
    adapt(of, clock, call(pause=3.0))
    assert of.next_due() is None
    of.add(job(1, of))
    assert of.next_due() == pytest.approx(3.0)


def test_what_is_dropped_is_forgotten_wherever_it_waits_but_not_in_flight():
    of = lane()
    of.add(job(1, of))
    of.add(job(2, of, metered=True))
    of.put_off(job(3, of), 1.0)
    of.put_off(job(4, of), 1.0)
    of.flying = {object(): job(5, of)}
    assert of.drop({1, 2, 3, 5, 99}) == {1, 2, 3}
    assert [one.pk for one in of.jobs()] == [5, 4]
    assert of.busy


# ---------------------------------------------------------------- down


def unreached(**fields):
    return call("connection", None, unreached=True, error="refused", **fields)


def fall(of, clock):
    """Notice that nobody is there."""
    noticed = [of.notice(unreached()) for _ in range(DOWN_AFTER)]
    clock.now += DOWN_OVER_SECONDS + 0.1
    return [*noticed, of.notice(unreached())]


def test_it_is_down_after_some_calls_in_a_row_over_some_time(clock):
    of = lane()
    of.add(job(1, of))
    of.put_off(job(2, of), 9.0)
    assert fall(of, clock) == [False] * DOWN_AFTER + [True]
    assert of.down()
    assert of.to_give_back == {1, 2}
    assert not of.busy
    assert "'e' can't be reached at http://e/v1 (refused)" in str(of.outage.error)


def test_many_at_once_are_not_enough_and_one_that_reaches_it_ends_the_count(clock):
    of = lane()
    assert not any(of.notice(unreached()) for _ in range(500))
    clock.now += DOWN_OVER_SECONDS
    of.notice(complaint())  # somebody is there, if in a bad mood
    assert not any(of.notice(unreached()) for _ in range(500))
    assert not of.down()


def test_one_row_alone_is_noticed_before_its_tries_run_out(clock):
    """Else the last rows of a run would fail in an outage that gives back all others."""
    from arbiter.calls.engine import ATTEMPTS, BACKOFF_SECONDS

    of, noticed = lane(), 0
    for tried in range(ATTEMPTS - 1):
        noticed += of.notice(unreached())
        clock.now += BACKOFF_SECONDS * 2**tried
    assert noticed == 1


def test_while_it_is_down_one_call_at_a_time_looks_whether_it_is_up_and_ever_less_often(clock):
    of = lane()
    fall(of, clock)
    waits = []
    for _ in range(6):
        waits.append(of.outage.until - clock.now)
        clock.now = of.outage.until
        assert (of.down(), of.free()) == (False, 1)
        assert of.notice(unreached())
        assert of.down()
    shortest, longest = DOWN_FOR_SECONDS
    assert waits == [shortest, 2 * shortest, 4 * shortest, 8 * shortest, longest, longest]


def test_once_it_answers_all_is_as_before(clock):
    of = lane()
    fall(of, clock)
    assert not of.notice(call("server_error", 500))
    assert (of.down(), of.reached, of.outage, of.free()) == (False, True, None, 64)


def test_an_endpoint_that_moved_is_asked_at_once_and_is_not_said_to_answer_before_it_does(clock):
    of = lane()
    of.notice(call())
    fall(of, clock)
    moved = Service(pk=1, name="e", base_url="http://elsewhere/v1", concurrency=16)
    assert not of.same_as(moved)
    of.move(moved, client=None)
    assert (of.down(), of.reached, of.limit) == (False, False, 16)
    of.notice(call())
    of.move(Service(pk=1, name="e", base_url="http://elsewhere/v1", concurrency=32), client=None)
    assert of.reached

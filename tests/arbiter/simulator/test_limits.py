"""The limits of the simulated provider, on a clock that only moves when told to."""

from datetime import UTC, datetime

import pytest

from arbiter.calls.dialects import pause_asked
from arbiter.simulator.limits import Limits, duration


class SteppedClock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_bucket_empties_and_fills():
    clock = SteppedClock()
    limits = Limits(4, clock=clock)
    assert [limits.enter() for _ in range(5)] == [None, None, None, None, 0.25]
    clock.now += 0.125
    assert limits.enter() == 0.125
    clock.now += 0.125
    assert limits.enter() is None
    clock.now += 60
    assert [limits.enter() for _ in range(5)].count(None) == 4


def test_a_slow_rate_still_lets_one_in():
    clock = SteppedClock()
    limits = Limits(0.5, clock=clock)
    assert (limits.enter(), limits.enter()) == (None, 2.0)


def test_places_are_taken_and_given_back():
    limits = Limits(at_once=2, wait=7)
    assert [limits.enter() for _ in range(3)] == [None, None, 7]
    limits.leave()
    assert limits.enter() is None


def test_no_limit_takes_everything_and_tells_nothing():
    limits = Limits()
    assert {limits.enter() for _ in range(1000)} == {None}
    assert limits.headers(like_openai=True, like_anthropic=True) == {}


def test_headers_say_what_is_left_as_a_client_reads_it():
    clock = SteppedClock()
    limits = Limits(2, clock=clock)
    limits.enter()
    assert limits.headers(like_openai=True, like_anthropic=False) == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "500ms",
    }
    limits.enter()
    now = datetime.now(UTC)
    for openai, anthropic in ((True, False), (False, True)):
        headers = limits.headers(like_openai=openai, like_anthropic=anthropic)
        assert 1 <= pause_asked(headers, 200, now) <= 60


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.0123, "13ms"), (1, "1s"), (59.1, "1m0s"), (360, "6m0s")]
)
def test_durations_are_written_as_openai_does(seconds, text):
    assert duration(seconds) == text

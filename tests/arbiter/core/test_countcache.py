"""What is kept because it took long, and for how long."""

import time

from arbiter.core.countcache import remembered


def counted(times):
    return lambda: times.append(1) or len(times)


def test_what_is_quick_is_counted_each_time():
    times = []
    assert [remembered("quick", counted(times), seconds=60, slow=10) for _ in range(3)] == [1, 2, 3]


def test_what_took_long_is_kept_under_its_key():
    times = []
    assert [remembered("slow", counted(times), seconds=60, slow=0) for _ in range(3)] == [1, 1, 1]
    assert remembered("another", counted(times), seconds=60, slow=0) == 2


def test_nothing_is_a_count_too():
    times = []
    for _ in range(3):
        assert remembered("nothing", lambda: times.append(1), seconds=60, slow=0) is None
    assert len(times) == 1


def test_what_is_kept_is_forgotten_in_time():
    times = []
    for _ in range(2):
        remembered("soon", counted(times), seconds=0.02, slow=0)
        time.sleep(0.05)
    assert len(times) == 2

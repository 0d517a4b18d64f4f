"""The engine on work that only takes notes: how it claims, calls, retries, stores and stops."""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pytest
from django.db import OperationalError

from arbiter.calls import engine
from arbiter.calls.engine import Engine, wait_before
from arbiter.calls.lanes import CallJob, EndpointDown
from arbiter.calls.service import Service
from arbiter.core import outages
from tests.arbiter.calls.services import completion, service
from tests.waiting import wait_until

COMPLETION = completion()[2].decode()
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(engine, "GRACE_SECONDS", 120)  # what a busy machine may take for what is in flight


@dataclass
class Notes:
    """Jobs by number at some endpoints, in memory; `said` is what the engine told, in order."""

    at: dict[Service, list[int]]
    said: list[str] = field(default_factory=list)
    stored: list[tuple[int, str]] = field(default_factory=list)
    concluded: dict[int, str] = field(default_factory=dict)
    claimed: dict[int, int] = field(default_factory=dict)
    failing: list[str] = field(default_factory=list)  # steps that fail the next time they are taken

    def _take(self, step):
        self.said.append(step)
        if step in self.failing:
            self.failing.remove(step)
            raise OperationalError("the database went away")

    def endpoints(self):
        return [endpoint for endpoint, waiting in self.at.items() if waiting]

    def claim(self, endpoint, lease, room):
        self._take("claim")
        taken, self.at[endpoint] = self.at[endpoint][:room], self.at[endpoint][room:]
        self.claimed[endpoint.pk] = self.claimed.get(endpoint.pk, 0) + len(taken)
        return [CallJob(pk, endpoint, REQUEST | {"seed": pk}) for pk in taken]

    def renew(self, lease):
        self._take("renew")

    def store(self, lease, made):
        self._take("store")
        self.stored += [(one.job.pk, one.call.outcome) for one in made]

    def conclude(self, lease, made):
        self._take("conclude")
        self.concluded |= {one.job.pk: one.call.outcome for one in made}

    def release(self, lease, *, only=None, keep=()):
        self._take("release")

    def permit(self, lease, jobs):
        return jobs, set()

    def capped(self, lease, jobs):
        return False

    def withdrawn(self, lease):
        return set()

    def again(self, job, call):
        return None

    def waiting(self):
        return False

    def note_down(self, endpoint, error):
        self.said.append("note_down")

    def note_rest(self, endpoint, until):
        self.said.append("note_rest")


def endpoint(url, pk=1, **fields):
    return Service(
        **{"pk": pk, "name": f"e{pk}", "base_url": url, "timeout": 120, "concurrency": 4, **fields}
    )


def test_every_call_is_stored_before_its_row_is_concluded_and_the_rest_is_given_back_last(simulator):
    work = Notes({endpoint(simulator.base_url): [1, 2, 3]})
    progress = []
    Engine(work, on_progress=progress.append).run()
    assert work.concluded == dict.fromkeys([1, 2, 3], "rejected")  # the simulated provider knows no model "m"
    assert sorted(work.stored) == [(1, "rejected"), (2, "rejected"), (3, "rejected")]
    assert work.said.index("store") < work.said.index("conclude")
    assert work.said[-1] == "release"
    assert sum(progress) == 3


def test_no_more_calls_are_in_flight_than_each_endpoint_takes():
    seen = {1: [0, 0], 2: [0, 0]}  # now, and at most
    counted = threading.Lock()

    def counting(pk, at_once):
        """Answer once as many have come as may be in flight, and a moment later, in which one more would."""
        come = threading.Barrier(at_once)

        def answer(*_):
            with counted:
                seen[pk][0] += 1
                seen[pk][1] = max(seen[pk])
            come.wait(60)
            time.sleep(0.05)
            with counted:
                seen[pk][0] -= 1
            return completion()

        return answer

    with service(counting(1, 3)) as one, service(counting(2, 1)) as two:
        work = Notes(
            {endpoint(one, 1, concurrency=3): list(range(12)), endpoint(two, 2, concurrency=1): [20, 21]}
        )
        Engine(work).run()
    assert (seen[1][1], seen[2][1]) == (3, 1)
    assert (len(work.concluded), work.claimed) == (14, {1: 12, 2: 2})


def test_a_call_is_tried_again_where_that_can_help_and_each_try_is_stored():
    answers = {
        1: [(500, {}, b""), (429, {"Retry-After": "0"}, b""), completion()],
        2: [(400, {}, b"")],
        3: [(503, {}, b"")] * 9,
    }
    with service(lambda _, body: answers[body["seed"]].pop(0)) as url:
        work = Notes({endpoint(url): [1, 2, 3]})
        Engine(work).run()
    assert [outcome for pk, outcome in work.stored if pk == 1] == ["server_error", "rate_limited", "answer"]
    assert [outcome for pk, outcome in work.stored if pk == 2] == ["rejected"]
    assert [outcome for pk, outcome in work.stored if pk == 3] == ["server_error"] * engine.ATTEMPTS
    assert work.concluded == {1: "answer", 2: "rejected", 3: "server_error"}


def test_the_wait_before_a_retry_is_what_the_service_asked_for_or_doubles(monkeypatch):
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.5)
    for attempt, retry_after, least in [
        (1, None, 0.5),
        (2, None, 1),
        (4, None, 4),
        (1, 7.0, 7),
        (3, 0.0, 0),
        (20, None, 60),
        (1, 3600.0, 60),
    ]:
        job = CallJob(1, endpoint("http://127.0.0.1:1/v1"), {}, failures=attempt)
        waits = {wait_before(job, retry_after) for _ in range(20)}
        assert least <= min(waits) <= max(waits) <= least * 1.3
        assert least == 0 or len(waits) > 1  # spread, so that callers part


def test_a_stored_answer_is_concluded_without_a_call():
    def never(*_):
        pytest.fail("a call was made")

    with service(never) as url:
        at = endpoint(url)
        work = Notes({at: [1]})
        claim = work.claim
        work.claim = lambda *args: [replace(job, cached=COMPLETION) for job in claim(*args)]
        Engine(work).run()
    assert work.concluded == {1: "answer"}
    assert work.stored == []  # it is stored already


@pytest.mark.parametrize("step", ["claim", "store", "conclude", "release"])
def test_a_step_that_the_database_cut_off_is_taken_again(step):
    with service(lambda *_: completion()) as url:
        work = Notes({endpoint(url): [1]}, failing=[step])
        Engine(work).run()
    assert work.stored == [(1, "answer")]
    assert work.concluded == {1: "answer"}


def test_after_a_claim_that_was_cut_off_what_it_may_have_taken_is_given_back():
    with service(lambda *_: completion()) as url:
        work = Notes({endpoint(url): [1]}, failing=["claim"])
        Engine(work).run()
    assert work.said[:3] == ["claim", "release", "claim"]


def test_a_database_that_stays_away_ends_the_run(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(outages, "monotonic", lambda: now[0])
    monkeypatch.setattr(outages, "sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(engine, "LONGEST_OUTAGE", 0.25)  # it fails at 0, 0.1 and 0.3
    with service(lambda *_: completion()) as url:
        work = Notes({endpoint(url): [1]}, failing=["store"] * 3)
        with pytest.raises(OperationalError):
            Engine(work).run()
    assert work.stored == [(1, "answer")]  # the last write tried once more
    assert work.concluded == {1: "answer"}


def test_what_is_held_stays_held_while_its_call_takes_long_and_a_missed_beat_is_no_harm(settings):
    settings.LEASE_SECONDS = 0.15
    with service(lambda *_: wait_until(lambda: work.said.count("renew") >= 3) or completion()) as url:
        work = Notes({endpoint(url): [1]}, failing=["renew"])
        Engine(work).run()
    assert work.said[: work.said.index("conclude")].count("renew") >= 3
    assert work.concluded == {1: "answer"}


def test_told_to_stop_it_lets_what_is_in_flight_land_and_takes_no_more():
    asked = []
    with service(lambda *_: asked.append(1) or wait_until(lambda: len(asked) == 2) or completion()) as url:
        work = Notes({endpoint(url, concurrency=2): list(range(10))})
        Engine(work, stopping=lambda: bool(asked)).run()
    assert (len(work.concluded), work.claimed) == (2, {1: 2})


def test_what_does_not_land_in_time_is_given_back(monkeypatch):
    monkeypatch.setattr(engine, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 0.05)
    gone, asked = threading.Event(), threading.Event()
    with service(lambda *_: asked.set() or completion(str(gone.wait(60)))) as url:
        work = Notes({endpoint(url): [1]})
        Engine(work, stopping=asked.is_set).run()
        gone.set()
    # The call was sent, so it is told; what it wanted is still wanted.
    assert (work.concluded, work.stored, work.said[-1]) == ({}, [(1, "abandoned")], "release")


def test_an_endpoint_without_its_key_is_left_to_others_and_told_once(monkeypatch, caplog):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    engine._tell_once.cache_clear()
    for _ in range(2):
        work = Notes({endpoint("http://127.0.0.1:1/v1", key_variable="NO_SUCH_KEY"): [1]})
        Engine(work).run()
        assert work.claimed == {}
    assert caplog.text.count("NO_SUCH_KEY, which is not set") == 1


# ---------------------------------------------------------------- what comes between two steps


@dataclass
class Slow(Notes):
    """Steps that others come between. `gone` is what is withdrawn, once it has been claimed; the steps that
    `wait` last until the engine wants to know what is, and has heeded what it knew."""

    wait: Collection[str] = ()
    gone: set[int] = field(default_factory=set)
    metered: bool = True
    given_back: list[int] = field(default_factory=list)
    looks: int = 0  # at what is withdrawn, that the engine wanted

    def _take(self, step):
        if step in self.wait:
            wait_until(lambda: self.looks > self.said.count("withdrawn"))
        super()._take(step)

    def claim(self, *args):
        return [replace(job, metered=self.metered) for job in super().claim(*args)]

    def permit(self, lease, jobs):
        self._take("permit")
        return super().permit(lease, jobs)

    def withdrawn(self, lease):
        self._take("withdrawn")
        return set(self.gone) if self.claimed else set()

    def release(self, lease, *, only=None, keep=()):
        super().release(lease, only=only, keep=keep)
        if only:
            self.said.append(f"gave back {sorted(only)}")
            self.given_back += only
        if len(self.at) == 1:  # else it is not known whose they are
            next(iter(self.at.values())).extend(set(only or ()) - self.gone)


class Looking(Engine):
    """Counts the looks at what is withdrawn as they are asked for, not as they are taken."""

    async def _database(self, function, *args):
        self.work.looks += function == self.work.withdrawn
        return await super()._database(function, *args)


def test_what_is_withdrawn_while_it_is_being_permitted_does_not_set_out(monkeypatch):
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0.01)
    asked = []
    with service(lambda _, body: asked.append(body["seed"]) or completion()) as url:
        work = Slow({endpoint(url): [1, 2]}, wait=["claim", "permit"], gone={1})
        Looking(work).run()
    assert work.said.index("withdrawn") < work.said.index("permit")
    assert asked == [2]
    assert "gave back [1]" in work.said


def test_a_row_whose_last_call_is_not_stored_is_not_given_back_before(monkeypatch):
    """Else its reservation would come back as if no call had been made."""
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0.03)
    monkeypatch.setattr(engine, "BATCH_SECONDS", 0.3)  # in which it has landed and is not written

    def fail_once_withdrawn(_, body):
        work.gone.add(1)
        wait_until(lambda: body["seed"] == 1 or work.stored)
        return 500, {}, b"{}"

    with service(fail_once_withdrawn) as url:
        work = Slow({endpoint(url): [1, 8]})
        Engine(work).run()
    assert work.stored[0] == (1, "server_error")
    assert work.said.index("store") < work.said.index("gave back [1]")
    assert work.concluded == {8: "server_error"}


def test_a_run_that_ends_in_an_error_makes_no_further_call():
    asked = []

    class Broken(Notes):
        def conclude(self, lease, made):
            super().conclude(lease, made)
            if len(self.concluded) >= 12:
                raise ValueError("a defect")

    # Each takes a moment, so that some are in flight then.
    with service(lambda _, body: asked.append(body["seed"]) or time.sleep(0.1) or completion()) as url:
        work = Broken({endpoint(url, concurrency=4): list(range(400))})
        with pytest.raises(ValueError, match="a defect"):
            Engine(work).run()
    # What was in flight landed and is told. None of those that were ready went after it, to be called back at
    # once.
    assert sorted(work.stored) == [(pk, "answer") for pk in sorted(asked)]


def test_told_to_stop_it_writes_what_lands_at_once_though_others_take_their_time(monkeypatch):
    stop = threading.Event()

    def answer(_, body):
        stop.set()
        # One that is kept for the end is kept for as long as the other takes.
        wait_until(lambda: body["seed"] == 1 or work.stored)
        return completion()

    with service(answer) as url:
        work = Notes({endpoint(url): [1, 2]})
        Engine(work, stopping=stop.is_set).run()
    assert work.stored == [(1, "answer"), (2, "answer")]
    assert work.said.count("store") == 2


def test_told_to_stop_while_the_database_is_away_for_a_moment_it_still_writes():
    asked = threading.Event()
    with service(lambda *_: asked.set() or completion()) as url:
        work = Notes({endpoint(url): [1]}, failing=["store", "conclude", "release"])
        Engine(work, stopping=asked.is_set).run()
    assert (work.stored, work.concluded, work.said[-1]) == ([(1, "answer")], {1: "answer"}, "release")


def test_rows_that_wait_for_a_key_we_lack_are_not_waited_for(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    work = Notes({endpoint("http://127.0.0.1:1/v1", key_variable="NO_SUCH_KEY"): [1]})
    work.waiting = lambda: True  # the row is open
    Engine(work, wait_for_others=True).run()
    assert work.claimed == {}


def test_a_call_that_raises_ends_the_run_and_what_others_answered_is_kept():
    class Broken(Notes):
        def again(self, job, call):
            if job.pk == 1:
                raise ValueError("a defect")

    with service(lambda *_: completion()) as url:
        work = Broken({endpoint(url): [1, 2]})
        with pytest.raises(ValueError, match="a defect"):
            Engine(work).run()
    assert (2, "answer") in work.stored
    assert work.said[-1] == "release"


# ---------------------------------------------------------------- endpoints that nobody answers at


@pytest.fixture
def soon_down(monkeypatch, transactional_db):
    monkeypatch.setattr("arbiter.calls.lanes.DOWN_OVER_SECONDS", 0.1)
    monkeypatch.setattr("arbiter.calls.lanes.DOWN_FOR_SECONDS", (0.2, 0.4))
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.05)


CLOSED = "http://127.0.0.1:1/v1"


def test_where_nobody_answers_nothing_fails_and_the_run_says_so(soon_down):
    work = Notes({endpoint(CLOSED, concurrency=64): [1, 2, 3]})
    with pytest.raises(EndpointDown, match="can't be reached"):
        Engine(work, wait_for_others=True).run()
    assert work.concluded == {}
    assert {outcome for _, outcome in work.stored} <= {"connection", "abandoned"}


def test_the_others_go_on_and_what_it_was_to_answer_is_given_back(soon_down):
    with service(lambda *_: wait_until(lambda: "note_down" in work.said) or completion()) as url:
        down, up = endpoint(CLOSED, 1), endpoint(url, 2)
        work = Slow({down: [1, 2], up: list(range(10, 60))}, metered=False)
        with pytest.raises(EndpointDown, match="'e1'"):
            Engine(work).run()
    assert work.concluded == dict.fromkeys(range(10, 60), "answer")
    assert sorted(work.given_back) == [1, 2]


def test_while_it_is_down_one_call_at_a_time_looks_for_it(soon_down, monkeypatch):
    """Else every look would cost as many calls as may be in flight: those called back may have been sent, so
    they count."""
    monkeypatch.setattr("arbiter.calls.lanes.DOWN_FOR_SECONDS", (0.02, 0.04))
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.01)
    down = endpoint(CLOSED, concurrency=32)

    class Noting(Slow):
        def note_down(self, endpoint, error):
            stored.append(len(self.stored))

    stored: list[int] = []  # by then, when it was first noted
    work = Noting({down: list(range(300))}, metered=False)
    running = Engine(work, stay=True, stopping=lambda: times() > 12)

    def times():
        lane = running.lanes.get(down.pk)
        return lane.outage.times if lane and lane.outage else 0

    running.run()
    outcomes, looks = [outcome for _, outcome in work.stored], times() - 1
    assert outcomes.count("abandoned") < 32  # once, as it was found to be down
    # What had ended by then is stored a moment later.
    assert looks <= outcomes[stored[0] :].count("connection") <= looks + 32
    assert work.concluded == {}

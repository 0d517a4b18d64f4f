"""What a collection may spend: every call has its row before it sets out, whoever races, dies or stops."""

import json
import random
import signal
import threading
import time
from collections import Counter

import pytest

from arbiter.calls.client import body_hash
from arbiter.core.errors import UserError
from arbiter.simulator.running import running_simulator
from benchmark.collection.collect_work import CollectWork
from benchmark.collection.collected_runs import run_at
from benchmark.collection.wanted_responses import collection_of, set_caps, want_responses
from benchmark.models import Collection, CollectionAttempt, Endpoint, Response, Run, SubjectModel, Suite
from tests import builders
from tests.arbiter.calls.services import completion, service
from tests.commands import as_json, refusal
from tests.processes import running, start
from tests.sizes import size
from tests.struck import after_calls, at_first_permit
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("signals_given_back", "quick_retries"),
]
KILLS, IN_FLIGHT = size(4, 20), 8
EPOCHS = size(10, 40)
SUBJECT = "sim-subject-mild"
PRICED = ("--input-price", "1", "--output-price", "10", "--max-tokens", "50")


@pytest.fixture
def provider():
    """A simulated provider of this test alone, whose counts begin at none."""
    with running_simulator() as simulated:
        yield simulated


@pytest.fixture
def suite():
    return builders.suite(tasks=10)


def arguments(base_url, *more, epochs=EPOCHS):
    asked = ("collect", "--suite", "tiny", "--subject", SUBJECT, "--condition", "baseline")
    where = ["--base-url", base_url] if base_url else []
    return [str(part) for part in (*asked, "--epochs", epochs, *where, *more)]


def assert_balanced(collection=None):
    """Assert that the collection's sums are those of its attempts."""
    collection = collection or Collection.objects.get()
    attempts = list(CollectionAttempt.objects.filter(run=collection.run_id))
    assert collection.calls == len(attempts)
    assert collection.cost == sum(attempt.cost or 0 for attempt in attempts)
    assert collection.completion_tokens == sum(attempt.completion_tokens or 0 for attempt in attempts)


def outcomes():
    return Counter(CollectionAttempt.objects.values_list("outcome", flat=True))


# Attempts


def test_every_call_is_kept_as_it_came(suite):
    answers = iter([(500, {}, b"down"), (200, {}, b"<html>")])
    with service(lambda *_: next(answers, completion("Well.", id="c-1", system_fingerprint="f-1"))) as url:
        as_json(*arguments(url, "--concurrency", 1, epochs=1))
    assert outcomes() == {"server_error": 1, "not_json": 1, "answer": 10}
    first, second, third = CollectionAttempt.objects.order_by("pk")[:3]
    assert {(one.run, one.endpoint, one.base_url) for one in (first, second, third)} == {
        (Run.objects.get(), Endpoint.objects.get().name, url)
    }
    assert (first.status, first.raw, second.raw) == (500, "down", "<html>") and first.error
    answered = CollectionAttempt.objects.filter(outcome="answer").first()
    assert (answered.completion_id, answered.fingerprint, answered.status) == ("c-1", "f-1", 200)
    assert "Well." in answered.raw and answered.latency > 0 and answered.request_hash
    assert Response.objects.get(pk=first.response_id).attempts > 1
    assert_balanced()


def test_asking_again_keeps_the_attempts_of_before(suite):
    bad = json.dumps({"error": {"message": "too long"}}).encode()
    with service(lambda *_: (400, {"Content-Type": "application/json"}, bad)) as url:
        refusal(*arguments(url, epochs=1))
    with service(lambda *_: completion("Well.")) as url:
        result = as_json(*arguments(url, "--retry-failed", epochs=1))
    assert (result["responses"], result["calls"]) == (10, 10)
    assert outcomes() == {"rejected": 10, "answer": 10}


# Caps


def test_a_cap_of_calls_is_never_passed_and_more_may_be_allowed(suite, provider):
    result = as_json(*arguments(provider.base_url, "--max-calls", 13))
    assert (result["responses"], result["open"]) == (13, 10 * EPOCHS - 13)
    assert "13 of 13 calls are spent" in result["stopped"]
    assert provider.stats()["requests"] == CollectionAttempt.objects.count() == 13
    assert not Response.objects.exclude(lease="").exists()
    assert as_json(*arguments(""))["calls"] == 0
    assert as_json(*arguments("", "--max-calls", 20))["responses"] == 7
    result = as_json(*arguments("", "--no-caps"))
    assert (result["open"], result["stopped"]) == (0, "")
    assert_balanced()


def test_a_cap_in_dollars_reserves_the_worst_case_of_each_call(suite, simulator):
    result = as_json(*arguments(simulator.base_url, *PRICED, "--max-dollars", "0.02"))
    collection = Collection.objects.get()
    assert 0 < result["responses"] < 10 * EPOCHS and "is reached" in result["stopped"]
    assert 0 < collection.cost <= collection.max_cost
    assert 0 < result["dollars"] <= 0.02
    assert_balanced()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--max-dollars", "1"], "needs a price, and none is known"),
        (["--max-dollars", "1", "--input-price", "1", "--output-price", "1"], "needs a token limit"),
        (["--input-price", "1"], "A price is --input-price and --output-price"),
        (["--parameter", "model=x"], "is set by Arbiter"),
    ],
)
def test_what_cannot_hold_is_refused_and_changes_nothing(suite, given, said):
    assert said in refusal(*arguments("http://127.0.0.1:1/v1", *given))
    assert not Run.objects.exists() and not Collection.objects.exists()


def test_several_collecting_under_one_cap_stay_within_it_together(suite, provider):
    cap = size(30, 150)
    as_json(*arguments(provider.base_url, "--max-calls", 1))
    workers = [start("manage.py", *arguments("", "--max-calls", cap, "--json")) for _ in range(3)]
    for worker in workers:
        _, errors = worker.communicate(timeout=300)
        assert worker.returncode == 0, errors
    assert provider.stats()["requests"] == CollectionAttempt.objects.count() == cap
    assert_balanced()


# Killed


class HoldingService:
    """A service that answers so many calls and holds those that come after, until more may be answered."""

    def __init__(self):
        self.received, self.answers = 0, 0
        self.changed = threading.Condition()

    def __call__(self, headers, body):
        with self.changed:
            self.received += 1
            mine = self.received
            self.changed.wait_for(lambda: mine <= self.answers)
        return completion("Well.", usage={"prompt_tokens": 9, "completion_tokens": 2})

    def answer_until(self, number):
        with self.changed:
            self.answers = number
            self.changed.notify_all()


@pytest.mark.sized
@pytest.mark.parametrize("dollars", [False, True], ids=["calls", "dollars"])
def test_killed_again_and_again_under_a_cap_the_providers_count_is_the_attempts(suite, dollars):
    cap, moments, asked = 10 * EPOCHS - 30, random.Random(f"killing collections {dollars}"), HoldingService()
    caps = ["--max-calls", cap, *(["--max-dollars", "1000", *PRICED] if dollars else [])]
    lease = {"ARBITER_LEASE_SECONDS": "1"}
    with service(asked) as url:
        command = arguments(url, "--concurrency", IN_FLIGHT, *caps)
        for _ in range(KILLS):
            answered = asked.received + moments.randint(0, cap // KILLS - IN_FLIGHT)
            asked.answer_until(answered)
            with running("manage.py", *command, **lease) as process:
                wait_until(lambda: asked.received == answered + IN_FLIGHT)  # noqa: B023
                wait_until(lambda: outcomes()["asked"] == asked.received - outcomes()["answer"])
                process.kill()
                process.communicate()
            assert asked.received == CollectionAttempt.objects.count() <= cap
            assert_balanced()
        asked.answer_until(10**6)
        with running("manage.py", *command, "--json", **lease) as process:
            out, errors = process.communicate(timeout=600)
            assert process.returncode == 0, errors
    assert asked.received == CollectionAttempt.objects.count() == cap
    assert KILLS * IN_FLIGHT <= outcomes()["asked"] < cap
    assert Response.objects.filter(state="done").count() == outcomes()["answer"]
    assert not Response.objects.under_lease().exists()
    assert json.loads(out)["stopped"].endswith("are of workers that died)")
    assert_balanced()


class RecordingService:
    """A service that takes a moment for each answer, and records what it was asked."""

    def __init__(self):
        self.received, self.lock = Counter(), threading.Lock()
        self.moments = random.Random("recording")

    def __call__(self, headers, body):
        with self.lock:
            self.received[body_hash(body)] += 1
            seconds = self.moments.uniform(0.02, 0.08)
        time.sleep(seconds)
        return completion("Well.")


def rows_without_call(asked):
    """Count the rows whose call the service never got."""
    return (asked_of() - asked.received).total()


def asked_of(**which):
    return Counter(CollectionAttempt.objects.filter(**which).values_list("request_hash", flat=True))


@pytest.mark.sized
def test_killed_at_any_moment_each_call_has_its_row_and_a_row_without_a_call_is_told_apart(suite):
    """Half of the kills are at moments of chance, half between a call's row and its setting out."""
    moments, cap, asked = random.Random("between"), 10 * EPOCHS - 5, RecordingService()
    lease = {"ARBITER_LEASE_SECONDS": "1"}
    with service(asked) as url:
        command = arguments(url, "--concurrency", IN_FLIGHT, "--max-calls", cap)
        without = 0
        for kill in range(KILLS):
            earlier = set(CollectionAttempt.objects.values_list("pk", flat=True))
            asked_before = asked_of()
            strike = after_calls(moments.randint(1, 4), signal.SIGKILL, moments.uniform(0, 0.05))
            if kill % 2:
                strike = at_first_permit(signal.SIGKILL)
            process = start("manage.py", *command, first=strike, **lease)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            by_it = CollectionAttempt.objects.exclude(pk__in=earlier)
            if kill % 2:  # its rows are there, and none of its calls
                assert 0 < by_it.count() <= IN_FLIGHT
                assert set(by_it.values_list("outcome", flat=True)) == {"asked"}
                first = asked_of().keys() - asked_before.keys()
                assert first and not first & asked.received.keys()
            # Each call that came has a row, each row of which something came had its call, and no more rows
            # are without one than calls may be in flight.
            assert asked_of(outcome="answer") <= asked.received <= asked_of()
            before, without = without, rows_without_call(asked)
            assert without <= before + IN_FLIGHT
            assert CollectionAttempt.objects.count() <= cap
            assert_balanced()
        with running("manage.py", *command, "--json", **lease) as process:
            _, errors = process.communicate(timeout=600)
            assert process.returncode == 0, errors
    assert CollectionAttempt.objects.count() == cap
    assert asked_of(outcome="answer") <= asked.received <= asked_of()
    assert rows_without_call(asked) <= without
    assert asked.received.total() == cap - rows_without_call(asked)
    assert set(outcomes()) == {"answer", "asked"}
    assert_balanced()


# Step by step


def stepped(base_url="http://127.0.0.1:1/v1", lease="one", **work):
    """Return a run's work with its claimed jobs."""
    endpoint = Endpoint.objects.first() or Endpoint.objects.create(name="local", base_url=base_url)
    subject, _ = SubjectModel.objects.get_or_create(name="model-x")
    run = run_at(endpoint, Suite.objects.get(), subject, builders.condition())
    want_responses(run, 1)
    collection_of(run)
    made = CollectWork(run, **work)
    return made, [job for at in made.endpoints() for job in made.claim(at, lease, 4)]


def test_what_was_permitted_and_did_not_set_out_is_given_back(suite):
    work, jobs = stepped()
    permitted, over = work.permit("one", jobs)
    assert (len(permitted), over, Collection.objects.get().calls) == (4, set(), 4)
    work.release("one", only={jobs[0].pk})
    assert CollectionAttempt.objects.count() == Collection.objects.get().calls == 3
    work.release("one")
    assert not CollectionAttempt.objects.exists() and Collection.objects.get().calls == 0


def test_a_permission_that_is_asked_for_twice_counts_once(suite):
    work, jobs = stepped()
    work.permit("one", jobs)
    work._unsure = True  # as where the connection broke before the answer to the first came
    again, _ = work.permit("one", jobs)
    assert len(again) == 4 and Collection.objects.get().calls == 4 == CollectionAttempt.objects.count()


def test_a_row_that_another_worker_took_is_not_permitted(suite):
    work, jobs = stepped()
    Response.objects.filter(pk=jobs[0].pk).update(lease="two")
    permitted, over = work.permit("one", jobs)
    assert over == {jobs[0].pk} and len(permitted) == 3
    work.release("one")
    assert Response.objects.get(pk=jobs[0].pk).lease == "two"


def test_while_a_call_on_its_way_may_give_something_back_the_cap_is_not_reached(suite):
    work, jobs = stepped()
    set_caps(Collection.objects.get(), 1, None)
    permitted, over = work.permit("one", jobs)
    assert (len(permitted), over) == (1, set()) and not Collection.objects.get().reached
    Response.objects.filter(pk=permitted[0].pk).update(leased_until="2020-01-01T00:00Z")
    _, over = work.permit("one", jobs[1:])
    assert over == {job.pk for job in jobs[1:]} and Collection.objects.get().reached


def test_a_cap_that_could_not_hold_is_refused(suite):
    stepped()
    with pytest.raises(UserError, match="needs a price"):
        set_caps(Collection.objects.get(), None, 5)


# Prices and parameters


def priced_at(base_url, model):
    endpoint = Endpoint.objects.create(name="priced", base_url=base_url)
    subject = SubjectModel.objects.create(name=model)
    collection = collection_of(run_at(endpoint, Suite.objects.get(), subject, builders.condition()))
    return collection.input_price, collection.output_price


@pytest.mark.parametrize(
    ("base_url", "price"),
    [("https://api.openai.com/v1", (100_000, 400_000)), ("http://127.0.0.1:1/v1", (None, None))],
)
def test_a_known_services_model_has_its_list_price(suite, base_url, price):
    assert priced_at(base_url, "gpt-4.1-nano") == price


def test_a_token_limit_and_parameters_reach_the_service_and_make_a_run_of_their_own(suite):
    bodies = []

    def answer(headers, body):
        bodies.append(body)
        return completion("Well.")

    more = ("--max-tokens", 50, "--parameter", "temperature=0.5", "--parameter", "style=plain")
    with service(answer) as url:
        as_json(*arguments(url, epochs=1))
        as_json(*arguments(url, *more, epochs=1))
        assert as_json(*arguments(url, *more, epochs=1))["calls"] == 0  # the same again
    plain, limited = bodies[:10], bodies[10:]
    assert not any("max_tokens" in body or "temperature" in body for body in plain)
    assert {(body["max_tokens"], body["temperature"], body["style"]) for body in limited} == {
        (50, 0.5, "plain")
    }
    names = sorted(Run.objects.values_list("condition__name", flat=True))
    assert names == ["baseline", "baseline (max_tokens=50, style=plain, temperature=0.5)"]

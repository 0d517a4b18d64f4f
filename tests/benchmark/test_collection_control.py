"""Pausing, resuming and cancelling a collection, and the workers that take collections up by themselves."""

import signal

import pytest

from arbiter.simulator.running import running_simulator
from benchmark.collection import wanted_responses
from benchmark.collection.collected_runs import run_at
from benchmark.collection.tasks import QUEUES
from benchmark.collection.waking_collectors import wake_collectors
from benchmark.collection.wanted_responses import collection_of, want_responses
from benchmark.models import Collection, CollectionAttempt, Endpoint, Response, SubjectModel
from tests import builders
from tests.arbiter.calls.services import completion, service
from tests.commands import as_json, refusal
from tests.judging.brokers import needs_broker, sweep, worker
from tests.processes import running
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("signals_given_back", "quick_retries"),
]
SUBJECT = "sim-subject-mild"
NAMED = ("collect", "--suite", "tiny", "--subject", SUBJECT, "--condition", "baseline")


@pytest.fixture
def provider():
    """A simulated provider of this test alone, whose counts begin at none."""
    with running_simulator() as simulated:
        yield simulated


@pytest.fixture
def suite():
    return builders.suite(tasks=10)


def wanted(suite, base_url, epochs=2, name="local", run_name="", **fields):
    """Want a run's responses without asking for one, and return its collection."""
    endpoint, _ = Endpoint.objects.get_or_create(
        name=name, defaults={"base_url": base_url, "timeout": 20, **fields}
    )
    subject, _ = SubjectModel.objects.get_or_create(name=SUBJECT)
    run = run_at(endpoint, suite, subject, builders.condition(), run_name)
    want_responses(run, epochs)
    return collection_of(run)


def states():
    rows = list(Response.objects.values_list("state", flat=True))
    return {state: rows.count(state) for state in sorted(set(rows))}


# By command


def test_what_is_paused_is_not_asked_for_until_it_is_resumed(suite, simulator):
    as_json(*NAMED, "--base-url", simulator.base_url)
    paused = as_json(*NAMED, "--pause")
    assert (paused["status"], paused["changed"]) == ("paused", 1)
    assert "is paused; to go on, say the same with --resume" in refusal(*NAMED, "--epochs", 2)
    assert states() == {"done": 10}
    assert as_json(*NAMED, "--resume")["status"] == "running"
    assert as_json(*NAMED, "--epochs", 2)["responses"] == 10
    assert as_json(*NAMED, "--resume")["changed"] == 0


def test_pausing_lets_what_is_in_flight_land_and_nothing_else_set_out(suite):
    with running_simulator(latency=0.3) as simulator:
        command = (*NAMED, "--base-url", simulator.base_url, "--concurrency", "4", "--epochs", "20")
        with running("manage.py", *command) as process:
            wait_until(lambda: Response.objects.filter(state="done").exists())
            wanted_responses.pause(Collection.objects.get())
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        kinds = simulator.stats()["kinds"]
    assert set(kinds) == {"ok"} and states() == {"done": kinds["ok"], "todo": 200 - kinds["ok"]}
    assert CollectionAttempt.objects.count() == kinds["ok"] == Collection.objects.get().calls
    assert not Response.objects.exclude(lease="").exists()


def test_cancelling_takes_back_what_is_open_and_keeps_what_was_tried(suite):
    with service(lambda *_: completion("Well.")) as url:
        as_json(*NAMED, "--base-url", url, "--max-calls", 3)
        tried = Response.objects.filter(state="done").first()
        Response.objects.filter(pk=tried.pk).update(state="todo")
        cancelled = as_json(*NAMED, "--cancel")
        assert (cancelled["status"], cancelled["responses_taken_back"]) == ("cancelled", 8)
        assert states() == {"done": 2, "failed": 1}
        assert Response.objects.get(state="failed").error == wanted_responses.CANCELLED
        assert as_json(*NAMED, "--no-caps")["responses"] == 8  # collecting again wants all that is missing
    assert states() == {"done": 10} and CollectionAttempt.objects.count() == 11


def test_cancelling_while_it_works_leaves_nothing_open(suite):
    with running_simulator(latency=0.2) as simulator:
        command = (*NAMED, "--base-url", simulator.base_url, "--concurrency", "4", "--epochs", "20")
        with running("manage.py", *command) as process:
            wait_until(lambda: Response.objects.filter(state="done").exists())
            wanted_responses.cancel(Collection.objects.get())
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        kinds = simulator.stats()["kinds"]
    assert states() == {"done": kinds["ok"]} and CollectionAttempt.objects.count() == kinds["ok"]


@pytest.mark.parametrize("change", ["--pause", "--resume", "--cancel"])
def test_what_was_never_collected_cannot_be_changed(suite, change):
    said = refusal("collect", "--suite", "tiny", "--subject", "nobody", "--condition", "baseline", change)
    assert "Nothing was collected of 'nobody'" in said
    assert "takes no --retry-failed" in refusal(*NAMED, change, "--retry-failed")


def test_a_dry_run_says_what_it_would_take_and_leaves_nothing(suite):
    priced = ("--input-price", "1", "--output-price", "10", "--max-tokens", "100")
    told = as_json(*NAMED, "--base-url", "http://127.0.0.1:1/v1", "--epochs", 3, *priced, "--dry-run")
    assert (told["responses"], told["final"], told["calls"], told["fits"]) == (30, 0, 30, True)
    assert told["completion_tokens"] == 30 * 100  # its limit, below what is usual
    assert told["cost_at_most"] > told["cost"] >= 30 * 100 * 10 / 1e6
    assert not Response.objects.exists() and not Endpoint.objects.exists()
    too_much = as_json(
        *NAMED, "--base-url", "http://127.0.0.1:1/v1", "--epochs", 3, "--max-calls", 29, "--dry-run"
    )
    assert (too_much["fits"], too_much["cost"]) == (False, None)
    assert "it takes 30 calls, and the collection's cap leaves 29" in too_much["why"]


def test_a_dry_run_leaves_out_what_is_there_and_knows_what_calls_took(suite, simulator):
    as_json(*NAMED, "--base-url", simulator.base_url, "--epochs", 3)
    told = as_json(*NAMED, "--epochs", 5, "--dry-run")
    assert (told["responses"], told["final"], told["calls"]) == (50, 30, 20)
    assert "tokens as in its last 30 calls" in told["notes"]


# By workers


def test_a_worker_takes_up_what_is_to_be_collected_of_every_run(suite, provider):
    wanted(suite, provider.base_url)
    wanted(suite, provider.base_url, run_name="again")
    with running("manage.py", "runworker", "--until-idle") as process:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert states() == {"done": 40} and provider.stats()["kinds"] == {"ok": 40}
    assert sorted(Collection.objects.values_list("calls", flat=True)) == [20, 20]


def test_a_worker_leaves_what_is_paused_capped_or_elsewhere(suite, provider):
    wanted_responses.pause(wanted(suite, provider.base_url, run_name="paused"))
    wanted_responses.set_caps(wanted(suite, provider.base_url, run_name="capped"), 3, None)
    moved = wanted(suite, provider.base_url, run_name="moved").run
    type(moved).objects.filter(pk=moved.pk).update(base_url="http://127.0.0.1:1/v1")
    with running("manage.py", "runworker", "--until-idle") as process:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert states() == {"done": 3, "todo": 57} and provider.stats()["requests"] == 3


def test_a_worker_told_to_stop_gives_back_what_it_held(suite):
    with running_simulator(latency=0.3) as simulator:
        wanted(suite, simulator.base_url, epochs=10)
        with running("manage.py", "runworker") as process:
            wait_until(lambda: simulator.stats()["requests"] > 8)
            process.send_signal(signal.SIGTERM)
            assert process.wait(600) == 0
        kinds = simulator.stats()["kinds"]
    assert set(kinds) == {"ok"} and states() == {"done": kinds["ok"], "todo": 100 - kinds["ok"]}
    assert CollectionAttempt.objects.count() == Collection.objects.get().calls == kinds["ok"]


@pytest.fixture
def broker():
    sweep()
    yield
    sweep()


@needs_broker
def test_a_woken_celery_worker_collects_what_is_wanted(broker, suite, provider):
    with worker("-c", "1", ARBITER_LEASE_SECONDS="600"):
        wanted(suite, provider.base_url, epochs=1)
        wake_collectors()
        wait_until(lambda: states() == {"done": 10})
        wanted(suite, provider.base_url, epochs=2)
        wake_collectors()
        wait_until(lambda: states() == {"done": 20})
    assert provider.stats()["kinds"] == {"ok": 20}


def test_without_a_broker_no_message_is_sent(monkeypatch, settings):
    settings.CELERY_BROKER_URL = ""
    monkeypatch.setattr(QUEUES, "wake_all", lambda: pytest.fail("a message was sent"))
    wake_collectors()

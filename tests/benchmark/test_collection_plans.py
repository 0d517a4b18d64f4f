"""Several subjects and conditions collected as one plan: its order, its caps, its control."""

import random
from collections import Counter
from itertools import groupby

import pytest

from arbiter.simulator.running import running_simulator
from benchmark.collection.collected_runs import run_at
from benchmark.collection.collection_plans import PlannedResponse, place_in, plan_of, want_planned
from benchmark.collection.wanted_responses import collection_of, set_caps, want_responses
from benchmark.conditions import condition_named
from benchmark.models import (
    Collection,
    CollectionAttempt,
    CollectionPlan,
    Endpoint,
    Response,
    Run,
    SubjectModel,
)
from tests import builders
from tests.arbiter.calls.services import completion, service
from tests.commands import as_json, refusal
from tests.processes import running, start
from tests.struck import after_calls
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("signals_given_back", "quick_retries"),
]
TASKS, EPOCHS = 5, 4
SUBJECTS, CONDITIONS = (
    ("sim-subject-bold", "sim-subject-mild"),
    ("baseline", "goal-nudge", "pro-instrumental"),
)
ARMS = len(SUBJECTS) * len(CONDITIONS)
WANTED = ARMS * TASKS * EPOCHS


@pytest.fixture
def suite():
    return builders.suite(tasks=TASKS)


def arguments(base_url, *more, subjects=SUBJECTS, conditions=CONDITIONS, epochs=EPOCHS):
    where = ["--base-url", base_url] if base_url else []
    named = ["--subject", ",".join(subjects), "--condition", ", ".join(conditions)]
    return [str(part) for part in ("collect", "--suite", "tiny", *named, "--epochs", epochs, *where, *more)]


def controlled(*more):
    """Return the arguments that change the plan without asking for anything."""
    return arguments("", *more)


def asked_in_order(**by):
    """Return what was asked for, by the order in which calls were permitted."""
    rows = CollectionAttempt.objects.filter(**by).order_by("pk")
    return [PlannedResponse(*row) for row in rows.values_list("run", "response__task", "response__epoch")]


def still_open():
    """Return what is wanted and held by nobody, in the order in which it is asked for."""
    rows = Response.objects.filter(state="todo").order_by("pk")
    return [PlannedResponse(*row) for row in rows.values_list("run", "task", "epoch")]


def assert_in_the_plans_order(asked):
    seed = CollectionPlan.objects.get().seed
    assert asked == sorted(asked, key=lambda one: place_in(seed, one))


def assert_balanced():
    """Assert that the plan's sums, its arms' and those of the attempts are the same."""
    plan = CollectionPlan.objects.get()
    arms = list(Collection.objects.all())
    assert {arm.plan_id for arm in arms} == {plan.pk}
    assert plan.calls == sum(arm.calls for arm in arms) == CollectionAttempt.objects.count()
    costs = CollectionAttempt.objects.values_list("cost", flat=True)
    assert plan.cost == sum(arm.cost for arm in arms) == sum(cost or 0 for cost in costs)


def states():
    return Counter(Response.objects.values_list("state", flat=True))


def wanted_alone(of, subject, condition, epochs, base_url="http://127.0.0.1:1/v1"):
    """Want one run's responses by itself, and return the run."""
    endpoint, _ = Endpoint.objects.get_or_create(name="local", defaults={"base_url": base_url})
    model, _ = SubjectModel.objects.get_or_create(name=subject, defaults={"endpoint": endpoint})
    run = run_at(endpoint, of, model, condition_named(condition))
    collection_of(run)
    want_responses(run, epochs)
    return run


# Order


def test_every_arm_is_asked_as_often_as_the_others_at_any_time(suite):
    with service(lambda *_: completion("Well.")) as url:
        told = as_json(*arguments(url, "--concurrency", 1))
    assert (told["responses"], told["open"], told["calls"]) == (WANTED, 0, WANTED)
    assert [arm["responses"] for arm in told["arms"]] == [TASKS * EPOCHS] * ARMS
    asked = asked_in_order()
    blocks = [list(block) for _, block in groupby(asked, key=lambda one: (one.epoch, one.task))]
    assert len(blocks) == TASKS * EPOCHS
    assert {len({one.run for one in block}) for block in blocks} == {ARMS}
    assert len({tuple(one.run for one in block) for block in blocks}) > 1  # in an order of chance
    assert_in_the_plans_order(asked)
    assert_balanced()


def test_a_plan_that_was_stopped_goes_on_in_its_order(suite):
    with service(lambda *_: completion("Well.")) as url:
        first = as_json(*arguments(url, "--concurrency", 1, "--max-calls", 17))
        seed = CollectionPlan.objects.get().seed
        assert (first["responses"], first["open"]) == (17, WANTED - 17)
        assert "the plan's cap is reached: 17 of 17 calls are spent" in first["stopped"]
        rest = as_json(*arguments("", "--no-caps"))
    assert (rest["responses"], rest["unchanged"], rest["stopped"]) == (WANTED - 17, 17, "")
    assert CollectionPlan.objects.get().seed == seed
    assert_in_the_plans_order(asked_in_order())


def test_an_arm_that_joins_is_mixed_with_what_is_still_open(suite):
    with service(lambda *_: completion("Well.")) as url:
        as_json(*arguments(url, "--concurrency", 1, "--max-calls", 10, conditions=CONDITIONS[:2]))
        told = as_json(*arguments(url, "--concurrency", 1, "--no-caps"))
    assert (told["responses"], CollectionPlan.objects.count()) == (WANTED - 10, 1)
    assert_in_the_plans_order(asked_in_order()[10:])
    assert_balanced()


def test_runs_that_were_wanted_alone_are_put_in_the_plans_order(suite):
    runs = [wanted_alone(suite, subject, "baseline", 2) for subject in SUBJECTS]
    tried = Response.objects.filter(run=runs[0]).first()
    CollectionAttempt.objects.create(
        uid="8f3f9cf0-0000-4000-8000-000000000001",
        response=tried,
        run=runs[0],
        lease="one",
        started_at=tried.created_at,
        latency=1,
    )
    Collection.objects.filter(run=runs[0]).update(calls=1)
    plan = plan_of(runs)
    want_planned(plan, 1)
    rows = list(Response.objects.order_by("pk").values_list("run", "task", "epoch"))
    assert len(rows) == 2 * 2 * TASKS  # the second epoch stays wanted
    assert Response.objects.filter(pk=tried.pk).exists() and plan.calls == 1
    others = [PlannedResponse(*row) for row in rows[1:]]
    assert others == sorted(others, key=lambda one: place_in(plan.seed, one))
    before = list(Response.objects.order_by("pk").values_list("pk", flat=True))
    want_planned(plan, 1)
    assert list(Response.objects.order_by("pk").values_list("pk", flat=True)) == before


def test_subjects_at_endpoints_of_their_own_are_arms_of_one_plan(suite):
    with service(lambda *_: completion("Well.")) as first, service(lambda *_: completion("So?")) as second:
        for subject, url in zip(SUBJECTS, (first, second), strict=True):
            as_json(*arguments(url, subjects=[subject], conditions=["baseline"], epochs=1))
        told = as_json(*arguments("", conditions=["baseline"], epochs=3))
    assert (told["responses"], told["unchanged"]) == (2 * 2 * TASKS, 2 * TASKS)
    texts = Counter(Response.objects.values_list("run__subject__name", "text"))
    assert texts == {(SUBJECTS[0], "Well."): 3 * TASKS, (SUBJECTS[1], "So?"): 3 * TASKS}
    assert_balanced()


# Caps


def test_a_cap_is_of_the_whole_plan_whoever_collects(suite):
    cap = WANTED - 23
    with running_simulator() as provider:
        as_json(*arguments(provider.base_url, "--max-calls", 1))
        workers = [start("manage.py", *arguments("", "--max-calls", cap, "--json")) for _ in range(2)]
        workers.append(start("manage.py", "runworker", "--until-idle"))
        for worker in workers:
            _, errors = worker.communicate(timeout=300)
            assert worker.returncode == 0, errors
        assert provider.stats()["requests"] == cap == CollectionPlan.objects.get().calls
    assert states() == {"done": cap, "todo": WANTED - cap}
    assert_balanced()


def test_a_cap_in_dollars_needs_the_price_of_every_arm(suite):
    capped = ("--max-dollars", "0.004", "--max-tokens", "50")
    said = refusal(*arguments("http://127.0.0.1:1/v1", *capped))
    assert f"none is known for '{SUBJECTS[0]}'" in said and not CollectionPlan.objects.exists()
    prices = ("--input-price", "1,2", "--output-price", "10")
    with running_simulator() as provider:
        told = as_json(*arguments(provider.base_url, *capped, *prices))
    plan = CollectionPlan.objects.get()
    assert 0 < told["responses"] < WANTED and 0 < plan.cost <= plan.max_cost
    assert told["dollars"] == pytest.approx(sum(arm["dollars"] for arm in told["arms"]))
    per_token = Collection.objects.values_list("run__subject__name", "input_price", "output_price")
    assert set(per_token) == {(SUBJECTS[0], 10**6, 10**7), (SUBJECTS[1], 2 * 10**6, 10**7)}
    assert_balanced()


def test_an_arms_own_cap_of_before_holds_until_all_caps_are_lifted(suite):
    run = wanted_alone(suite, SUBJECTS[0], "baseline", 1)
    set_caps(run.collection, 2, None)
    with service(lambda *_: completion("Well.")) as url:
        told = as_json(*arguments(url, "--moved", conditions=["baseline"], epochs=1))
        assert [arm["responses"] for arm in told["arms"]] == [2, TASKS]
        assert "the collection's cap is reached: 2 of 2 calls" in told["stopped"]
        assert as_json(*arguments("", "--no-caps", conditions=["baseline"], epochs=1))["open"] == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--input-price", "1,2,3", "--output-price", "1"], "it has 3 for 2"),
        (["--input-price", "1"], "A price is --input-price and --output-price"),
        (["--condition", "baseline,,goal-nudge"], "with commas between them, each once"),
        (["--condition", "baseline, Baseline"], "with commas between them, each once"),
        (["--subject", "sim-x,Sim-X"], "with commas between them, each once"),
        (["--condition", "baseline,nothing-such"], "There is no condition 'nothing-such'"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(suite, more, said):
    assert said in refusal(*arguments("http://127.0.0.1:1/v1", *more))
    assert not Run.objects.exists() and not CollectionPlan.objects.exists()


# Control


def test_a_plan_is_paused_resumed_and_cancelled_as_one(suite):
    with service(lambda *_: completion("Well.")) as url:
        as_json(*arguments(url, "--max-calls", 12))
        assert as_json(*controlled("--pause"))["changed"] == 1
        assert "is paused; to go on, say the same with --resume" in refusal(*arguments(url))
        assert as_json(*controlled("--resume"))["status"] == "running"
        cancelled = as_json(*controlled("--cancel"))
        assert cancelled["responses_taken_back"] == WANTED - 12 and states() == {"done": 12}
        again = as_json(*arguments("", "--no-caps"))
    assert again["responses"] == WANTED - 12 and CollectionPlan.objects.get().status == "running"
    assert_in_the_plans_order(asked_in_order()[12:])


def test_a_part_of_a_plan_is_refused_by_itself_and_runs_of_other_names_are_not(suite):
    with service(lambda *_: completion("Well.")) as url:
        as_json(*arguments(url, epochs=1))
        for of in ({"conditions": ["baseline"]}, {"conditions": ["baseline"], "subjects": [SUBJECTS[0]]}):
            for more in ([], ["--pause"], ["--dry-run"]):
                said = refusal(*arguments("", *more, **of))
                assert "collected as one" in said and "sim-subject-mild · goal-nudge" in said
        told = as_json(*arguments("", "--run", "again", conditions=["baseline"], epochs=1))
        assert told["responses"] == 2 * TASKS
        as_json(*arguments("", conditions=["anti-instrumental"], epochs=1))
        said = refusal(*arguments("", conditions=[*CONDITIONS, "anti-instrumental"], epochs=1))
        assert "is of 2 plans" in said and "sim-subject-mild · anti-instrumental" in said
    assert CollectionPlan.objects.count() == 3
    unknown = arguments("", "--cancel", conditions=["baseline", "goal-nudge"], subjects=["model-c"])
    assert "Nothing was collected of 'model-c'" in refusal(*unknown)


def test_pausing_while_it_works_lets_what_is_in_flight_land_and_nothing_else_set_out(suite):
    with running_simulator(latency=0.3) as provider:
        with running("manage.py", *arguments(provider.base_url, "--concurrency", 4)) as process:
            wait_until(lambda: Response.objects.filter(state="done").exists())
            as_json(*controlled("--pause"))
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        kinds = provider.stats()["kinds"]
    assert set(kinds) == {"ok"} and states() == {"done": kinds["ok"], "todo": WANTED - kinds["ok"]}
    assert not Response.objects.exclude(lease="").exists()
    assert_balanced()


def test_what_failed_is_asked_again_in_every_arm(suite):
    answers = iter([(400, {"Content-Type": "application/json"}, b'{"error": {"message": "no"}}')] * 5)
    with service(lambda *_: next(answers, completion("Well."))) as url:
        told = as_json(*arguments(url, "--concurrency", 1))
        assert (told["failed"], told["failures"][0]["count"]) == (5, 5)
        again = as_json(*arguments("", "--retry-failed"))
    assert (again["responses"], again["open"], again["calls"]) == (5, 0, 5)
    assert_balanced()


def test_a_dry_run_tells_of_every_arm_and_leaves_nothing(suite):
    priced = ("--input-price", "1,2", "--output-price", "10", "--max-tokens", "100", "--max-calls", WANTED)
    told = as_json(*arguments("http://127.0.0.1:1/v1", *priced, "--dry-run"))
    assert (told["responses"], told["calls"], told["fits"]) == (WANTED, WANTED, True)
    assert [arm["calls"] for arm in told["arms"]] == [TASKS * EPOCHS] * ARMS
    assert told["cost"] == pytest.approx(sum(arm["cost"] for arm in told["arms"]))
    assert told["arms"][0]["cost"] < told["arms"][-1]["cost"]  # its prompts are dearer
    assert not CollectionPlan.objects.exists() and not Run.objects.exists()
    too_much = as_json(*arguments("http://127.0.0.1:1/v1", "--max-calls", WANTED - 1, "--dry-run"))
    assert too_much["fits"] is False and "the plan's cap leaves" in too_much["why"]


# Killed


def test_a_plan_that_is_killed_keeps_its_order_and_its_sums(suite):
    moments = random.Random("plans")
    with running_simulator(latency=0.03, latency_spread=0.02) as provider:
        command = arguments(provider.base_url, "--concurrency", 4, "--max-calls", 1000)
        for _ in range(2):
            strike = after_calls(moments.randint(5, 30), 9, moments.uniform(0, 0.05))
            process = start("manage.py", *command, first=strike, ARBITER_LEASE_SECONDS="1")
            process.communicate()
            assert process.returncode == -9
            assert provider.stats()["requests"] <= CollectionAttempt.objects.count()
            assert_balanced()
            assert_in_the_plans_order(still_open())
        told = as_json(*command)
        assert provider.stats()["requests"] <= CollectionAttempt.objects.count()
    assert told["open"] == 0 and states() == {"done": WANTED}
    assert_balanced()
    first = CollectionAttempt.objects.order_by("pk").values_list("lease", flat=True)[0]
    assert_in_the_plans_order(asked_in_order(lease=first))

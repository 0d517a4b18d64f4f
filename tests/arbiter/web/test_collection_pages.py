"""The pages of collections: who may open them, what they say, and what is done there."""

import pytest
from django.contrib.auth.models import User

from annotation.suiteaccess import grant
from benchmark.collection.collect_progress import collection_progress, collections_of, plan_progress
from benchmark.collection.collect_troubles import collection_troubles
from benchmark.models import Collection, CollectionAttempt, CollectionPlan, Response
from tests import builders
from tests.benchmark.collected import at_work, call, collection, held, planned

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(db):
    return at_work(builders.suite(tasks=10))


@pytest.fixture
def owner(client, made):
    """Sign in somebody who owns the collection's suite and is no superuser."""
    user = User.objects.create_user("suite-owner")
    grant("tiny", user, owner=True)
    client.force_login(user)
    return client


def row(number):
    return Response.objects.order_by("pk")[number]


def test_a_suites_owner_sees_the_collections_of_that_suite_alone(owner, made):
    other = collection(builders.suite("other"), model="model-y")
    listed = owner.get("/collections/").content.decode()
    assert "model-x" in listed and "model-y" not in listed
    assert owner.get(f"/collections/{made.pk}/").status_code == 200
    assert owner.get(f"/collections/{other.pk}/").status_code == 404
    assert owner.post(f"/collections/{other.pk}/change", {"pause": "all"}).status_code == 404
    assert Collection.objects.get(pk=other.pk).status == "running"


def test_who_only_uses_a_suite_sees_none(client, made):
    user = User.objects.create_user("user")
    grant("tiny", user)
    client.force_login(user)
    assert client.get("/collections/").status_code == 404
    assert client.get(f"/collections/{made.pk}/").status_code == 404


def test_a_response_of_another_run_is_not_found(owner, made):
    theirs = collection(builders.suite("other"))
    response = Response.objects.get(run=theirs.run, task__key="task-1")
    assert owner.get(f"/collections/{made.pk}/responses/{response.pk}").status_code == 404
    mine, other = row(0), row(1)
    attempt = CollectionAttempt.objects.filter(response=other).get()
    assert owner.get(f"/collections/{made.pk}/responses/{mine.pk}/raw/{attempt.pk}").status_code == 404


def test_progress_counts_what_a_dead_worker_held_as_open(made):
    held(row(5), seconds=-5)
    seen = collection_progress(made)
    assert dict(seen.counts) == {"done": 2, "failed": 1, "leased": 1, "todo": 6}
    assert (seen.phase, seen.wanted, seen.finished, seen.poll) == ("working", 10, 3, 2)
    assert seen.pace.calls > 0 and seen.pace.p50 == 0.5  # of the calls that ended


@pytest.mark.parametrize(
    ("fields", "phase", "poll"),
    [
        ({}, "waiting", 2),
        ({"status": "paused"}, "paused", 15),
        ({"status": "cancelled"}, "cancelled", 15),
        ({"reached": True, "max_calls": 1}, "at the cap", 15),
    ],
)
def test_what_a_collection_waits_for(db, fields, phase, poll):
    seen = collection_progress(collection(builders.suite(), **fields))
    assert (seen.phase, seen.poll) == (phase, poll)
    assert bool(seen.at_cap) == (phase == "at the cap")


def test_a_collection_that_nobody_takes_up_says_so_after_a_few_looks(owner, db):
    waiting = collection(builders.suite("other"))
    grant("other", User.objects.get(username="suite-owner"), owner=True)
    page = owner.get(f"/collections/{waiting.pk}/progress?still=1").content.decode()
    assert "?still=2" in page and "No worker has taken up" not in page
    assert (
        "No worker has taken up" in owner.get(f"/collections/{waiting.pk}/progress?still=7").content.decode()
    )


def test_what_is_all_in_is_finished_and_not_looked_at_again(made):
    Response.objects.filter(run=made.run).exclude(state="failed").update(state="done", lease="")
    seen = collection_progress(made)
    assert (seen.phase, seen.poll) == ("finished", None)
    assert seen.news == "Every response that was wanted is in, but 1 that failed."


def test_troubles_that_differ_in_numbers_alone_are_one_group_with_one_example(made):
    call(row(6), "server_error", status=500, error="Error code: 500 - overloaded 18")
    groups = collection_troubles(made)
    assert [(group.count, group.example.kind, group.example.is_call) for group in groups] == [
        (2, "server error", True),
        (1, "failed", False),
        (1, "rejected", True),
    ]
    assert groups[0].example.message == "Error code: 500 - overloaded 18"  # the last of them
    assert (groups[0].example.response, groups[0].example.task) == (row(6).pk, "task-7")


def test_a_record_shows_every_call_with_its_body(owner, made):
    page = owner.get(f"/collections/{made.pk}/responses/{row(0).pk}").content.decode()
    for words in ("Attempt 1: server error", "Attempt 2: answer", "Error code: 500 - overloaded 17"):
        assert words in page, words
    assert "model-x-2026" in page  # in the body as it came
    attempt = CollectionAttempt.objects.filter(response=row(0), outcome="answer").get()
    raw = owner.get(f"/collections/{made.pk}/responses/{row(0).pk}/raw/{attempt.pk}")
    assert raw.content.decode() == attempt.raw and "attachment" in raw["Content-Disposition"]


def test_a_record_tells_a_call_on_its_way_from_one_whose_worker_died(owner, made):
    died = owner.get(f"/collections/{made.pk}/responses/{row(3).pk}").content.decode()
    assert "its worker died" in died and "at most" in died
    on_its_way = owner.get(f"/collections/{made.pk}/responses/{row(4).pk}").content.decode()
    assert "on its way" in on_its_way and "its worker died" not in on_its_way


def test_responses_are_browsed_by_state(owner, made):
    page = owner.get(f"/collections/{made.pk}/responses/?state=failed").content.decode()
    assert "task-3" in page and "task-1<" not in page and "too long" in page
    assert owner.get(f"/collections/{made.pk}/responses/?state=odd").status_code == 404


def test_pausing_resuming_and_retrying_on_the_page(owner, made):
    address = f"/collections/{made.pk}/change"
    owner.post(address, {"pause": "all"})
    assert Collection.objects.get().status == "paused"
    owner.post(address, {"resume": "all"})
    assert Collection.objects.get().status == "running"
    said = owner.post(address, {"retry": "all"}, headers={"HX-Request": "true"}).content.decode()
    assert "1 response that failed wanted again" in said
    assert not Response.objects.filter(state="failed").exists()


def test_cancelling_on_the_page_takes_back_what_is_open_and_not_what_is_held(owner, made):
    said = owner.post(f"/collections/{made.pk}/change", {"cancel": "all"}, follow=True).content.decode()
    assert "6 responses taken back" in said
    states = list(Response.objects.order_by("pk").values_list("state", flat=True))
    assert states == ["done", "done", "failed", "failed", "leased"]


# Plans


@pytest.fixture
def plan(client, db):
    """Sign in the owner of the suite of a plan with two arms."""
    made = planned(builders.suite("tiny", tasks=10))
    user = User.objects.create_user("suite-owner")
    grant("tiny", user, owner=True)
    client.force_login(user)
    return made


def test_a_plans_progress_is_that_of_its_arms(plan):
    seen = plan_progress(plan)
    assert dict(seen.counts) == {"done": 2, "failed": 1, "leased": 1, "todo": 16}
    assert [arm.finished for arm in seen.arms] == [3, 0]
    assert (seen.phase, seen.wanted, seen.poll) == ("working", 20, 2) and seen.pace.calls > 0
    assert seen.title == "model-x, model-y · baseline"
    assert (plan.calls, plan.cost) == (6, 1_813_200_000)


def test_a_plan_is_listed_once_with_all_its_arms(client, plan):
    assert [type(one).__name__ for one in collections_of(["tiny"])] == ["PlanProgress"]
    page = client.get("/collections/").content.decode()
    assert f"/collections/plans/{plan.pk}/" in page and "2 arms" in page
    shown = client.get(f"/collections/plans/{plan.pk}/").content.decode()
    for arm in Collection.objects.all():
        assert f"/collections/{arm.pk}/" in shown
    assert "seed 17" in shown and "overloaded" in shown


def test_a_plan_of_another_suite_is_not_found(client, plan):
    other = CollectionPlan.objects.create(suite=builders.suite("other"), seed=1)
    assert client.get(f"/collections/plans/{other.pk}/").status_code == 404
    assert client.post(f"/collections/plans/{other.pk}/change", {"pause": "all"}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"status": "paused"}, "paused"),
        ({"status": "cancelled"}, "cancelled"),
        ({"reached": True, "max_calls": 1}, "at the cap"),
    ],
)
def test_what_holds_for_a_plan_holds_for_its_arms(db, fields, phase):
    made = planned(builders.suite("tiny", tasks=10), **fields)
    Response.objects.filter(state="leased").update(state="todo", lease="")
    seen = plan_progress(made)
    assert {seen.phase, *(arm.phase for arm in seen.arms)} == {phase}


def test_a_plan_is_changed_as_one_and_an_arm_not_by_itself(client, plan):
    address = f"/collections/plans/{plan.pk}/change"
    client.post(address, {"pause": "all"})
    assert CollectionPlan.objects.get().status == "paused"
    said = client.post(address, {"retry": "all"}, headers={"HX-Request": "true"}).content.decode()
    assert "1 response that failed wanted again" in said
    client.post(address, {"resume": "all"})
    assert CollectionPlan.objects.get().status == "running"
    cancelled = client.post(address, {"cancel": "all"}, follow=True).content.decode()
    assert "17 responses taken back" in cancelled
    arm = Collection.objects.first()
    refused = client.post(f"/collections/{arm.pk}/change", {"resume": "all"}, follow=True)
    assert "Nothing was changed: it is an arm of" in refused.content.decode()
    assert CollectionPlan.objects.get().status == "cancelled"

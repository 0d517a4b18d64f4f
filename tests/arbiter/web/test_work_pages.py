"""The page of all work: who sees what of it, what it says, and what is done there."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from annotation.models import Membership
from annotation.suiteaccess import grant, grant_study
from arbiter.core.jobfiles import data_folder_id
from arbiter.core.models import Job
from arbiter.studies.reading.worklist import seer, worklist
from benchmark.models import Collection, CollectionPlan, Response
from judging.models import StudyJudge, Verdict
from tests import builders
from tests.benchmark.collected import at_work, collection, planned
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import verdict

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(db):
    """Make two studies with work of every kind, and people who see parts of it."""
    made = {"super": User.objects.create_superuser("super")}
    for slug in ("tiny", "other"):
        study = builders.study(slug)
        owner = made[slug] = User.objects.create_user(f"{slug}-owner")
        Membership.objects.create(study=study, user=owner, role="owner")
        asked = judge(study, endpoint(name=f"at-{slug}"))
        for item in study.items.all()[:4]:
            verdict(asked, item, state="todo")
        job(study, owner)
    made["viewer"] = User.objects.create_user("viewer")
    Membership.objects.create(
        study=builders.Study.objects.get(slug="tiny"), user=made["viewer"], role="viewer"
    )
    return made


def job(study, by, **fields):
    fields = {"kind": "export", "arguments": {}, "state": "open", "place": data_folder_id(), **fields}
    return Job.objects.create(study=study.pk if study else None, by=by, **fields)


def keys(user, study=None, over=False):
    seen = worklist(seer(user), study)
    return [item.key for item in (seen.over if over else seen.under_way)]


def item(user, kind):
    return next(one for one in worklist(seer(user)).under_way if one.kind == kind)


def of(slug):
    return builders.Study.objects.get(slug=slug)


def test_everybody_sees_the_work_of_their_own_studies_and_suites_alone(people):
    jobs = {one.study: f"job-{one.pk}" for one in Job.objects.all()}
    tiny, other = [jobs[of(slug).pk] for slug in ("tiny", "other")]
    judges = [f"judges-{of(slug).pk}" for slug in ("tiny", "other")]
    made = at_work(builders.suite("collected", tasks=10))
    assert set(keys(people["super"])) == {tiny, other, *judges, f"collection-{made.pk}"}
    assert keys(people["tiny"]) == [tiny, judges[0]]
    assert keys(people["viewer"]) == [judges[0]]  # the job is another's
    grant("collected", people["viewer"], owner=True)
    assert keys(people["viewer"]) == [judges[0], f"collection-{made.pk}"]
    assert keys(people["super"], of("other")) == [other, judges[1]]
    grant_study("collected", of("other"))
    assert f"collection-{made.pk}" in keys(people["super"], of("other"))


def test_jobs_of_no_study_and_of_owners_alone_are_seen_by_those_they_are_for(people):
    mine = job(None, people["viewer"])
    for_owners = job(of("tiny"), people["viewer"], owners_only=True)
    assert f"job-{mine.pk}" in keys(people["viewer"])
    assert f"job-{for_owners.pk}" not in keys(people["viewer"])
    assert f"job-{for_owners.pk}" in keys(people["tiny"])
    assert f"job-{mine.pk}" not in keys(people["tiny"])


def test_a_job_tells_how_far_it_is_how_fast_and_for_how_long(people):
    Job.objects.filter(by=people["tiny"]).update(
        state="leased",
        done=30,
        total=90,
        message="rows written",
        started_at=timezone.now() - timedelta(seconds=10),
    )
    seen = item(people["tiny"], "job")
    assert (seen.phase, seen.message, seen.counts.finished, seen.counts.wanted) == (
        "under way",
        "rows written",
        30,
        90,
    )
    assert 2.5 < seen.rate <= 3 and 20 <= seen.seconds_left < 24 and seen.cancels and not seen.pauses


def test_judges_and_collections_tell_their_cost_and_what_holds_them_up(people):
    made = at_work(builders.suite("collected", tasks=10), reached=True)
    Response.objects.filter(run=made.run, state="leased").update(state="todo", lease="")
    seen = item(people["super"], "collection")
    assert (seen.phase, seen.cost) == ("at the cap", 1_813_200_000)
    assert seen.message.startswith("The collection's cap is reached") and seen.counts.finished == 3
    judged = item(people["tiny"], "judges")
    assert (judged.phase, judged.counts.open, judged.message) == ("waiting", 4, "Waiting for a worker.")


def test_what_is_over_is_told_with_what_failed(people):
    Verdict.objects.filter(item__study=of("tiny")).update(state="failed")
    Job.objects.filter(by=people["tiny"]).update(state="failed", error="The disk is full.")
    made = at_work(builders.suite("collected", tasks=10))
    Response.objects.filter(run=made.run).exclude(state="failed").update(state="done", lease="")
    over = {one.kind: one for one in worklist(seer(people["super"])).over}
    assert over["judges"].message == "4 verdicts failed."
    assert (over["job"].phase, over["job"].message) == ("failed", "The disk is full.")
    assert (over["collection"].phase, over["collection"].message) == ("done", "1 response failed.")
    assert keys(people["tiny"]) == []


def test_a_plan_is_one_piece_of_work_while_any_arm_is_open(people):
    plan = planned(builders.suite("collected", tasks=10))
    last = plan.arms.order_by("pk").last()
    Response.objects.filter(run=last.run).update(state="done")
    assert f"plan-{plan.pk}" in keys(people["super"])
    assert not any(key.startswith(("plan", "collection")) for key in keys(people["super"], over=True))
    Response.objects.filter(run__collection__plan=plan).update(state="done")
    assert f"plan-{plan.pk}" in keys(people["super"], over=True)


def press(client, address="/work/change", **pressed):
    return client.post(address, pressed, headers={"HX-Request": "true"}).content.decode()


def test_work_is_paused_resumed_and_cancelled_there(client, people):
    plan, alone = planned(builders.suite("collected", tasks=10)), collection(builders.suite("alone"))
    client.force_login(people["super"])
    for key, row in ((f"plan-{plan.pk}", CollectionPlan), (f"collection-{alone.pk}", Collection)):
        pk = int(key.partition("-")[2])
        assert "paused." in press(client, pause=key).lower()
        assert row.objects.get(pk=pk).status == "paused"
        press(client, resume=key)
        assert row.objects.get(pk=pk).status == "running"
    run = f"judges-{of('tiny').pk}"
    assert "1 judge paused" in press(client, pause=run)
    assert StudyJudge.objects.get(study=of("tiny")).status == "paused"
    assert "4 verdicts taken back" in press(client, cancel=run)
    done = Job.objects.get(by=people["tiny"])
    assert "cancelled" in press(client, cancel=f"job-{done.pk}")
    assert Job.objects.get(pk=done.pk).state == "cancelled"
    assert Job.objects.get(by=people["other"]).state == "open"
    assert client.post("/work/change", {"cancel": f"plan-{plan.pk}"}).url == "/work/"


def test_nobody_changes_what_is_not_theirs(client, people):
    client.force_login(people["viewer"])
    refused = "Nothing was changed"
    for key in (
        f"judges-{of('tiny').pk}",
        f"judges-{of('other').pk}",
        f"job-{Job.objects.first().pk}",
        "odd",
    ):
        assert refused in press(client, pause=key)
        assert refused in press(client, cancel=key)
        assert refused in press(client, "/studies/tiny/work/change", cancel=key)
    assert set(StudyJudge.objects.values_list("status", flat=True)) == {"running"}
    assert set(Job.objects.values_list("state", flat=True)) == {"open"}


def test_a_study_shows_its_own_work_alone(client, people):
    client.force_login(people["super"])
    page = client.get("/studies/tiny/work/").content.decode()
    assert f"judges-{of('tiny').pk}" in page and f"judges-{of('other').pk}" not in page
    assert "/studies/tiny/work/progress" in page
    key = f"judges-{of('other').pk}"
    assert "Nothing was changed" in press(client, "/studies/tiny/work/change", pause=key)
    assert client.post("/studies/tiny/work/change", {"pause": f"judges-{of('tiny').pk}"}).url.endswith(
        "/work/"
    )


def test_the_page_looks_again_soon_while_something_moves_and_calmly_else(client, people):
    client.force_login(people["super"])
    assert "every 2s" in client.get("/work/progress").content.decode()
    Job.objects.all().delete()
    Verdict.objects.all().delete()
    calm = client.get("/work/progress").content.decode()
    assert "every 15s" in calm and "Nothing is under way." in calm

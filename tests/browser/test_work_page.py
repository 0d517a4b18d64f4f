"""The page of all work in a browser: it keeps up, and work is paused and cancelled there."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from arbiter.core.jobfiles import data_folder_id
from arbiter.core.models import Job
from benchmark.models import CollectionPlan, Response
from tests import builders
from tests.benchmark.collected import planned
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import verdict

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def person(db):
    return User.objects.create_superuser("superuser")


@pytest.fixture
def work(person):
    """Make a plan, judges and jobs at work."""
    study = builders.study()
    study.title = "Whether models keep the pump running, and for how long"
    study.save()
    asked = judge(study, endpoint())
    for item in study.items.all():
        verdict(asked, item, state="todo")
    fields = {"kind": "export", "study": study.pk, "by": person, "place": data_folder_id()}
    going = Job.objects.create(**fields, state="leased", done=300, total=900, message="rows are written")
    Job.objects.create(**fields, state="failed", error="The disk is full; make room and ask again.")
    return study, going, planned(builders.suite("collected", tasks=10))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_opens_cleanly(visit, work, person, size, scheme):
    page = visit(person, viewport=size, color_scheme=scheme)
    for url in ("/work/", "/studies/tiny/work/"):
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_have_text("Work")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], f"{url} is {wide} wide at {size['width']}"
        expect_accessible(page)


def test_it_keeps_up_and_what_is_pressed_there_holds(visit, work, person):
    study, going, plan = work
    page = visit(person)
    page.goto("/")
    page.get_by_role("link", name="Work", exact=True).click()
    row = page.locator(f"#plan-{plan.pk}")
    expect(row).to_contain_text("3 of 20")
    page.evaluate("document.loadedOnce = true")
    Response.objects.filter(run__in=plan.run_ids, state="todo").update(state="done")
    expect(row).to_contain_text("19 of 20")
    row.get_by_role("button", name="Pause").click()
    expect(page.locator("#work-said")).to_contain_text("paused. Calls on their way are finished")
    assert CollectionPlan.objects.get().status == "paused"
    page.locator(f"#job-{going.pk}").get_by_role("button", name="Cancel…").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    expect(page.locator(f"#over-job-{going.pk}")).to_contain_text("Cancelled")
    expect(page.locator(f"#job-{going.pk}")).to_have_count(0)
    assert Job.objects.get(pk=going.pk).state == "cancelled"
    assert page.evaluate("document.loadedOnce") is True
    page.get_by_role("link", name=f"Judges of {study.title}").click()
    expect(page.get_by_role("heading", name="Judges", exact=True)).to_be_visible()
    page.get_by_role("link", name="Work", exact=True).click()
    expect(page.locator(f"#judges-{study.pk}")).to_be_visible()
    expect(page.locator(f"#plan-{plan.pk}")).to_have_count(0)

"""The pages of collections in a browser: they keep up while responses come in, and open cleanly."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from benchmark.models import Collection, CollectionPlan, Response
from tests import builders
from tests.benchmark.collected import at_work, collection, planned
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def made(db):
    suite = builders.suite(tasks=10)
    collection(suite, model="a-model-with-a-rather-long-name-" * 3, name="another pass")
    return at_work(suite)


@pytest.fixture
def person(db):
    return User.objects.create_superuser("superuser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_of_a_collection_opens_cleanly(visit, made, person, size, scheme):
    page = visit(person, viewport=size, color_scheme=scheme)
    root = f"/collections/{made.pk}/"
    responses = [
        f"{root}responses/{pk}" for pk in Response.objects.filter(run=made.run).values_list("pk", flat=True)
    ]
    plan = f"/collections/plans/{planned(builders.suite('other', tasks=10)).pk}/"
    for url in ("/", "/collections/", plan, root, f"{root}responses/", *responses[:5]):
        answer = page.goto(url)
        assert answer is not None and answer.status == 200, url
        expect(page.locator("h1")).to_have_count(1)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], f"{url} is {wide} wide at {size['width']}"
        expect_accessible(page)


def test_a_page_keeps_up_while_responses_come_in_and_its_failures_lead_to_their_record(visit, made, person):
    page = visit(person)
    page.goto("/collections/")
    page.get_by_role("link", name="model-x · baseline", exact=True).click()
    expect(page.locator("#collecting-news")).to_have_text(
        "Responses are coming in; this page keeps up by itself."
    )
    page.evaluate("document.loadedOnce = true")
    Response.objects.filter(run=made.run).exclude(state="failed").update(
        state="done", lease="", leased_until=None
    )
    expect(page.locator("#collecting-news")).to_have_text(
        "Every response that was wanted is in, but 1 that failed."
    )
    expect(page.locator("#count-done")).to_have_text("9")
    assert page.evaluate("document.loadedOnce") is True
    page.get_by_role("link", name="Error code: 500").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("task-1, epoch 1")
    expect(page.get_by_role("heading", name="Attempt 2: answer")).to_be_visible()


def test_a_collection_is_paused_resumed_and_cancelled_after_a_question(visit, made, person):
    page = visit(person)
    page.goto(f"/collections/{made.pk}/")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#collecting-said")).to_contain_text("Paused.")
    assert Collection.objects.get(pk=made.pk).status == "paused"
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#collecting-said")).to_contain_text("Resumed")
    page.get_by_role("button", name="Cancel…").click()
    expect(page.get_by_role("dialog", name="Cancel what is open?")).to_be_visible()
    page.get_by_role("button", name="Cancel 7 responses").click()
    expect(page.locator("#collecting-said")).to_contain_text("Cancelled; 6 responses taken back.")
    assert Collection.objects.get(pk=made.pk).status == "cancelled"


def test_a_plans_page_keeps_up_with_every_arm_and_pauses_them_all(visit, person, db):
    made = planned(builders.suite("other", tasks=10))
    page = visit(person)
    page.goto("/collections/")
    page.get_by_role("link", name="model-x, model-y · baseline", exact=True).click()
    expect(page.locator("#count-done")).to_have_text("2")
    page.evaluate("document.loadedOnce = true")
    last = made.arms.order_by("pk").last()
    Response.objects.filter(run=last.run).update(state="done")
    expect(page.locator("#count-done")).to_have_text("12")
    expect(page.locator(f"#arm-{last.pk}")).to_contain_text("10 of 10")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#collecting-said")).to_contain_text("Paused.")
    assert CollectionPlan.objects.get().status == "paused"
    assert page.evaluate("document.loadedOnce") is True
    page.get_by_role("link", name="model-y", exact=True).click()
    expect(page.get_by_text("which is paused, resumed and cancelled as one")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)

"""The pages of endpoints in a browser: they open cleanly, and show a check as it goes on."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import expect

from arbiter.core.jobworkers import JobWorker
from benchmark.endpoint_checks import check_endpoint
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.judging.helpers import endpoint
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "an-unbroken-word-" * 12


def aside(work):
    """Do it in a thread: the browser's has an event loop of its own."""
    expect_no_errors(together(work))


@pytest.fixture
def person(db):
    return User.objects.create_superuser("superuser")


@pytest.fixture
def endpoints(db, simulator):
    """One that was checked; one that is down, whose check says why, with all settings."""
    local = endpoint(simulator.base_url, name="local")
    aside(lambda: check_endpoint(local, "sim-judge-thinking"))
    gone = endpoint(
        name="a-gateway-with-a-rather-long-name",
        headers={"api-key": "${GATE_KEY}", "X-Team": LONG},
        query={"api-version": "2024-10-21"},
        proxy="http://${PROXY_USER}:${PROXY_PASSWORD}@proxy.example.org:3128",
        down_since=timezone.now(),
        down_error=f"nobody answers at {LONG}",
    )
    aside(lambda: check_endpoint(gone, LONG[:150]))
    return local, gone


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_of_endpoints_opens_cleanly(visit, endpoints, person, size, scheme):
    page = visit(person, viewport=size, color_scheme=scheme)
    for url in ("/", "/endpoints/", "/new-endpoint", *(f"/endpoints/{one.name}/" for one in endpoints)):
        answer = page.goto(url)
        assert answer is not None and answer.status == 200, url
        expect(page.locator("h1")).to_have_count(1)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], f"{url} is {wide} wide at {size['width']}"
        expect_accessible(page)


def test_an_endpoint_is_described_checked_and_kept_up_with(visit, simulator, person):
    page = visit(person, allowed=("422",))
    page.goto("/endpoints/")
    page.get_by_role("link", name="New endpoint").click()
    page.get_by_label("Short name").fill("local")
    page.get_by_label("Base URL").fill(simulator.base_url)
    page.get_by_label("Headers").fill("Authorization: Bearer a-secret-token-of-ours")
    page.get_by_role("button", name="Make the endpoint").click()
    expect(page.locator(".mistake")).to_contain_text("it may be a key")
    page.get_by_label("Headers").fill("X-Team: judges")
    page.get_by_role("button", name="Make the endpoint").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("local")
    expect(page.locator("#checks-none")).to_be_visible()
    page.get_by_role("combobox", name="Model").fill("sim-judge-careful")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#checks-news")).to_contain_text("sim-judge-careful is being checked")
    page.evaluate("document.loadedOnce = true")
    aside(JobWorker().run)
    expect(page.get_by_role("row", name="JSON schema")).to_contain_text("the answer keeps to it")
    assert page.evaluate("document.loadedOnce") is True

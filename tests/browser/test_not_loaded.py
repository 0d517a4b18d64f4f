"""A page whose module doesn't run says so by itself, and what is safe: blocked, broken, or only late."""

import pytest
from playwright.sync_api import expect

from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_pressing import adjudication, at_rest, long, training, workspace

__all__ = ["long"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NOISE = (
    "ERR_FAILED",
    "ERR_BLOCKED",
    "Failed to load",
    "SyntaxError",
    "missing",
    "Unexpected",
    "broken",
    "does not provide",
)
PAGES = {workspace: "main", training: "training", adjudication: "adjudicate"}
WAYS = {
    "entry blocked": lambda entry: (f"**/label/{entry}.js", lambda route: route.abort()),
    "part blocked": lambda entry: ("**/label/pressing.js", lambda route: route.abort()),
    "part empty": lambda entry: (
        "**/label/options.js",
        lambda route: route.fulfill(body="", content_type="text/javascript"),
    ),
    "part broken": lambda entry: (
        "**/label/options.js",
        lambda route: route.fulfill(body="const = 1", content_type="text/javascript"),
    ),
    "throws": lambda entry: (
        f"**/label/{entry}.js",
        lambda route: route.fulfill(body="throw Error('broken')", content_type="text/javascript"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("which", PAGES, ids=lambda page: page.__name__)
def test_a_module_that_does_not_run_is_said_with_what_is_safe(visit, study, cast, long, which, way):
    page = which(allowing(visit), study, cast, WIDE)
    expect(page.locator(".not-loaded")).to_be_hidden()
    pattern, handle = WAYS[way](PAGES[which])
    page.route(pattern, handle)
    page.reload()
    said = page.get_by_role("alert").filter(has_text="This page could not load whole.")
    expect(said).to_be_visible()
    expect(said).to_contain_text("Nothing is lost")
    assert page.locator(".not-loaded").evaluate("e => getComputedStyle(e).animationDelay") == "1.5s"
    expect_accessible(page)
    page.unroute_all()
    said.get_by_role("link", name="Reload").click()
    expect(page.locator("html[data-running]")).to_have_count(1)
    expect(page.locator(".not-loaded")).to_be_hidden()
    at_rest(page)


def allowing(visit):
    return lambda user, **options: visit(user, allowed=NOISE, **options)


@pytest.mark.parametrize(("path", "module"), [("", "live"), ("edit/", "edit")])
def test_pages_that_do_without_say_what_is_missing(visit, study, cast, path, module):
    page = visit(cast["owner"], allowed=NOISE)
    page.goto(f"/studies/tiny/{path}")
    expect(page.locator("html[data-running]")).to_have_count(1)
    page.route(f"**/{module}.js", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert").filter(has_text="This page could not load whole.")).to_be_visible()
    expect_accessible(page)
    page.wait_for_load_state("networkidle")


def test_what_was_typed_before_is_there_after_it(visit, study, cast, long):
    page = workspace(allowing(visit), study, cast, NARROW)
    page.get_by_role("button", name="More").click()
    page.get_by_role("textbox", name="Note").fill("half a thought")
    page.route("**/label/queue.js", lambda route: route.abort())
    page.reload()
    expect(page.locator(".not-loaded")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.unroute_all()
    page.locator(".not-loaded").get_by_role("link", name="Reload").click()
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("half a thought")
    at_rest(page)


def test_a_module_that_comes_late_takes_it_away_again(visit, study, cast, long):
    page = workspace(visit, study, cast, WIDE)
    late = []
    page.route("**/label/queue.js", lambda route: late.append(route))
    with page.expect_request("**/label/queue.js"):
        page.reload(wait_until="commit")
    expect(page.locator(".not-loaded")).to_be_visible()
    late[0].continue_()
    expect(page.locator(".not-loaded")).to_be_hidden()
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    at_rest(page)


def test_without_scripts_the_pages_that_need_none_say_nothing(visit, study, cast):
    item = study.items.first()
    for name, key in (("ann", "convergence"), ("ben", "no_convergence")):
        builders.rate(item, builders.rater(name, "human"), key)
    page = visit(cast["adjudicator"], java_script_enabled=False)
    page.goto(f"/studies/tiny/adjudicate/{item.key}")
    page.wait_for_timeout(1800)  # by then it would
    expect(page.locator(".not-loaded")).to_be_hidden()

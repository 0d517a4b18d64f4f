"""The pages of costs, of the plan and of what to do next, as people see them."""

import os
import re

import pytest
from django.db import transaction
from playwright.sync_api import expect

from arbiter.analysis.report.studyreport import report_html
from arbiter.web.study.job_pages import AT_ONCE
from tests import builders
from tests.browser.axe import expect_accessible
from tests.judging.helpers import endpoint, judge
from tests.judging.planned import draw_gold, judged_study
from tests.judging.rows import attempt, verdict

pytestmark = pytest.mark.django_db(transaction=True)
SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}


@pytest.fixture
def planned():
    return planned_study()


def planned_study():
    study, truth = judged_study()
    draw_gold(study, truth, budget=60)
    builders.cast(study)
    asked = judge(study, endpoint(), "careful")
    for item in study.items.all()[:3]:
        attempt(verdict(asked, item), "answer", prompt_tokens=900, completion_tokens=80, cost=10**9)
    type(asked).objects.filter(pk=asked.pk).update(
        calls=3,
        prompt_tokens=2700,
        completion_tokens=240,
        cost=3 * 10**9,
        cost_at_most=10**9,
        input_price=400,
        output_price=1600,
    )
    return study


@pytest.fixture
def shots():
    """Where pictures of the pages go, for whoever wants to look at them."""
    folder = os.environ.get("ARBITER_SHOTS")

    def shoot(page, name):
        if folder:
            page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    return shoot


def owner(study):
    return study.memberships.get(role="owner").user


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["plan", "plan/before", "costs", ""])
def test_pages_can_be_used_by_everybody(visit, planned, size, scheme, address, shots):
    page = visit(owner(planned), viewport=SIZES[size], color_scheme=scheme)
    page.goto(f"/studies/planned/{address}")
    page.wait_for_load_state("networkidle")
    expect_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shots(page, f"{address.replace('/', '-') or 'overview'}-{size}-{scheme}")


def test_a_plan_is_asked_for_and_its_change_can_be_read(visit, planned):
    page = visit(owner(planned))
    page.goto("/studies/planned/")
    page.locator(".next li", has_text="bring the interval of").get_by_role("link", name="Plan").click()
    page.get_by_label("Width, points").fill("15")
    page.locator("form").filter(has=page.get_by_label("Width, points")).get_by_label("Over").select_option(
        "these very items"
    )
    page.locator("form").filter(has=page.get_by_label("Width, points")).get_by_role(
        "button", name="Plan"
    ).click()
    expect(page.get_by_role("heading", name="To a width of 15.0 %")).to_be_visible()
    expect(page.get_by_text("humans.gold.budget")).to_be_visible()
    page.get_by_text("As the file has it").click()
    expect(page.locator("pre")).to_contain_text("budget:", use_inner_text=True)
    page.goto("/studies/planned/plan?width=0")
    assert page.get_by_role("alert").inner_text().startswith("The width of an interval")


def test_without_scripts_the_overview_links_to_the_plan(visit, planned):
    page = visit(owner(planned), java_script_enabled=False)
    page.goto("/studies/planned/")
    page.get_by_role("link", name="What more labels would bring").click()
    expect(page.get_by_role("heading", name="Plan of labels")).to_be_visible()
    page.goto("/studies/planned/plan/step")
    assert page.url.endswith("/plan")


# The report


@pytest.fixture(scope="module")
def told(django_db_setup, django_db_blocker, tmp_path_factory):
    """Return a file with the report of a study that is gone again."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    with django_db_blocker.unblock(), transaction.atomic():
        path.write_text(report_html(planned_study()), encoding="utf-8")
        transaction.set_rollback(True)
    return path


@pytest.mark.parametrize("size", SIZES)
def test_the_report_reads_well_without_a_network(browser, told, size, shots):
    context = browser.new_context(offline=True, viewport=SIZES[size])
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(told.as_uri())
    page.wait_for_load_state("networkidle")
    assert asked == [told.as_uri()] and complaints == []
    expect_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("figure > svg").count() >= 3
    page.get_by_role("link", name="Costs").click()
    expect(page).to_have_url(re.compile("#costs$"))
    expect(page.get_by_role("heading", name="Costs", exact=True)).to_be_visible()
    shots(page, f"report-{size}")
    context.close()


def test_the_report_fits_on_paper(browser, told):
    """Nothing is wider than a page of A4, and no row, picture or heading is cut in two."""
    context = browser.new_context(offline=True, viewport={"width": 673, "height": 1000})  # 178 mm
    page = context.new_page()
    page.goto(told.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    of = "selector => getComputedStyle(document.querySelector(selector))"
    assert page.evaluate(f"({of})('tbody tr').breakInside") == "avoid"
    assert page.evaluate(f"({of})('h2').breakAfter") == "avoid"
    assert page.evaluate(f"({of})('thead').display") == "table-header-group"
    assert len(page.pdf(format="A4")) > 20_000
    context.close()


def test_the_report_is_read_in_the_browser_under_its_own_policy(visit, planned, monkeypatch):
    monkeypatch.setitem(AT_ONCE, "report", 10**6)  # as a study that is small enough is answered
    page = visit(owner(planned))  # a style or picture that its policy forbids would fail the test
    page.goto("/studies/planned/")
    page.get_by_role("link", name="Read it").click()
    expect(page.get_by_role("heading", name="What was studied")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "960px"  # so its style applies
    with page.expect_download() as kept:
        page.goto("/studies/planned/")
        page.get_by_role("link", name="Keep it as one HTML file").click()
    assert kept.value.suggested_filename == "planned-report.html"

"""The Rates tab in a browser: corrected beside raw, in light and dark, wide and narrow."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from annotation.models import Gold
from tests import builders
from tests.arbiter.analysis.rates.test_estimates import arms, relabelled, with_gold
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.databases import rewrite

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("ARBITER_SHOTS")  # a folder for pictures of the pages


@pytest.fixture
def owner(db):
    study = arms({"anti_ic": 0.15, "baseline": 0.3, "pro_ic": 0.6}, tasks=40, slug="tiny")
    with_gold(study, share=0.6)
    return builders.cast(study)["owner"]


def look(page, name):
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect_accessible(page)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_tab(visit, owner, scheme, size):
    page = visit(owner, color_scheme=scheme, viewport=size)
    page.goto("/studies/tiny/rates")
    expect(page.get_by_role("heading", name="Convergence rates", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Differences", exact=True)).to_contain_text(
        "condition pro_ic − anti_ic"
    )
    chart = page.locator("figure img")
    chart.evaluate("image => image.decode()")
    if size == NARROW:  # the dots are seen without scrolling sideways
        assert chart.evaluate("image => image.offsetWidth <= image.closest('.chart').clientWidth")
    look(page, f"rates-{scheme}-{size['width']}")


def test_the_question_is_asked_anew_by_the_form(visit, owner):
    page = visit(owner)
    page.goto("/studies/tiny/rates")
    page.locator("select[name=over]").select_option("items")
    page.locator("select[name=by]").select_option("category")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#table-heading")).to_contain_text("over these very items")
    expect(page.get_by_role("region", name="Rates", exact=True)).to_contain_text("Alpha")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text().startswith("category,n,gold,waiting,rate_valid")


def test_what_is_refused_is_told(visit, owner):
    rewrite(Gold.objects.all(), draw=None, origin="single")
    owner.memberships.get().study.draws.all().delete()
    page = visit(owner)
    page.goto("/studies/tiny/rates?source=corrected")
    expect(page.get_by_text("The gold came through no draw").first).to_be_visible()
    look(page, "rates-refused")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_difference_over_different_tasks_stands_beside_that_over_those_in_common(visit, db, scheme, size):
    study = arms({"anti_ic": 0.15, "pro_ic": 0.6}, tasks=20, slug="tiny")
    relabelled(study, "judge-a", "anti_ic", range(6), "nonsensical")
    page = visit(builders.cast(study)["owner"], color_scheme=scheme, viewport=size)
    page.goto("/studies/tiny/rates?source=judge-a")
    table = page.get_by_role("region", name="Differences", exact=True)
    expect(table).to_contain_text("over the 14 tasks in common")
    section = page.locator("section", has=page.locator("#differences-heading"))
    expect(section).to_contain_text("different tasks (20 and 14; 14 in common)")
    expect(section).to_contain_text("Over 14.0 effective tasks, fewer than 30")
    look(page, f"differences-{scheme}-{size['width']}")

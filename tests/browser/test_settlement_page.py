"""The settlement's tab in a browser: settled, audited and settled again, with axe, light and dark, wide and
narrow."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from annotation.models import Item
from judging.settlement.settling import settle
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.judging.settled import panel

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOME = "/studies/panel/settlement"


@pytest.fixture
def panelled():
    made, _ = panel()
    return made, builders.cast(made)


@pytest.fixture
def settled(panelled):
    """Settled three times, audited by somebody who confirms all but three."""
    study, cast = panelled
    settle(study, "majority", by=cast["owner"])
    settle(study, "weighted", by=cast["owner"])
    settle(study, "model", threshold=0.85, audit_share=0.3, by=cast["owner"])
    someone = builders.rater("someone", "human")
    drawn = Item.objects.filter(drawn__draw__name="audit", drawn__number__lt=0.3).select_related("final")
    for number, item in enumerate(drawn[:30]):
        builders.rate(item, someone, "safety_refusal" if number % 12 == 0 else item.final.key)
    return study, cast


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_everybody_can_use_it(visit, settled, size, scheme):
    _, cast = settled
    for who in ("owner", "viewer"):
        page = visit(cast[who], viewport=size, color_scheme=scheme)
        page.goto(HOME)
        expect(page.locator("h1")).to_have_count(1)
        chart = page.get_by_role("img", name="on the diagonal both are equal")
        expect(chart).to_be_visible()
        assert chart.evaluate("image => image.complete && image.naturalWidth > 200")
        for one in page.locator("details").all():
            one.evaluate("part => part.open = true")
        expect_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        if folder := os.environ.get("ARBITER_SHOTS"):
            name = f"settlement-{who}-{scheme}-{size['width']}.png"
            page.screenshot(path=str(Path(folder) / name), full_page=True)


def test_an_owner_settles_and_sees_what_changed(visit, panelled):
    study, cast = panelled
    page = visit(cast["owner"])
    page.goto(HOME)
    expect(page.get_by_text("Nothing is settled yet")).to_be_visible()
    expect_accessible(page)
    page.get_by_role("button", name="Settle", exact=True).click()
    expect(page.get_by_text("Settlement 1:")).to_be_visible()
    page.get_by_label("Rule").select_option("model")
    page.get_by_label("Posterior from, %").fill("85")
    page.get_by_label("Audit, %").fill("10")
    page.get_by_role("button", name="Settle again").click()
    expect(page.get_by_text("drawn for the audit")).to_be_visible()
    expect(page.get_by_role("heading", name="What changed since settlement 1")).to_be_visible()
    expect(page.get_by_label("Posterior from, %")).to_have_value("85")
    with page.expect_download() as download:
        page.get_by_role("link", name="All of them (CSV)").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 1 + study.items.filter(final=None).count()
    page.get_by_role("link", name="posterior too low").click()
    expect(page.get_by_label("Show")).to_have_value("unsure")
    expect(page.get_by_text("The model gives").first).to_be_visible()
    expect_accessible(page)


def test_what_is_refused_is_said(visit):
    study, _ = panel(tasks=4, epochs=4, share=0)
    page = visit(builders.cast(study)["owner"], allowed=("422",))
    page.goto(HOME)
    page.get_by_label("Rule").select_option("weighted")
    page.get_by_role("button", name="Settle", exact=True).click()
    expect(page.get_by_text("no item has gold")).to_be_visible()
    page.get_by_label("Rule").select_option("model")
    page.get_by_role("button", name="Settle", exact=True).click()
    expect(page.get_by_text("Posteriors are not calibrated").first).to_be_visible()
    expect_accessible(page)

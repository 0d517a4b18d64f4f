"""How judges lean, as people see it."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.judging.leaning import leaning
from tests.studies.biases import Planted

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("ARBITER_SHOTS")


@pytest.fixture
def lean(cast):
    made = leaning(Planted(length=0.3, suffix=0.5), simulated=True)
    for name, user in cast.items():
        if name in builders.ROLES:
            builders.Membership.objects.create(study=made, user=user, role=builders.ROLES[name])
    return cast


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_is_whole_and_accessible(visit, lean, size, scheme):
    page = visit(lean["viewer"], viewport=size, color_scheme=scheme)
    page.goto("/studies/lean/judges/biases", wait_until="networkidle")
    expect(page.get_by_role("heading", name="Shared errors")).to_be_visible()
    first = page.get_by_role("region", name="Biases", exact=True).locator("tbody tr").first
    expect(first.get_by_text("found", exact=True)).to_be_visible()
    for image in page.locator("main img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.get_by_text("The same as a table").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect_accessible(page)
    if SHOTS:
        page.get_by_text("The same as a table").click()
        page.screenshot(path=Path(SHOTS) / f"biases-{scheme}-{size['width']}.png", full_page=True)


def test_the_sentence_for_a_paper_and_the_way_there(visit, lean):
    page = visit(lean["owner"])
    page.goto("/studies/lean/judges/biases")
    with page.expect_download() as asked:
        page.get_by_role("link", name="Sentence").click()
    said = Path(asked.value.path()).read_text()
    assert "adjusted together by Bonferroni's method" in said and "simulated" in said

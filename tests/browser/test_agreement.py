"""The Agreement tab as people use it: other views of the same figures, another pair, what is behind a
chart."""

import os
import random
from pathlib import Path

import pytest
from playwright.sync_api import expect

from annotation.models import PlacePurpose
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LABELS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
SHOTS = os.environ.get("ARBITER_SHOTS")


@pytest.fixture
def compared(cast, study):
    """Two people and three judges on 24 items; one of each was given items again."""
    chance = random.Random(4)
    study = builders.study("many", tasks=12, epochs=2)
    for name, user in cast.items():
        if name in builders.ROLES:
            builders.Membership.objects.create(study=study, user=user, role=builders.ROLES[name])
    raters = [builders.rater(name, "human") for name in ("ann-lee", "ben")]
    raters += [builders.rater(f"judge-{letter}") for letter in "abc"]
    for item in study.items.order_by("id"):
        truth = chance.choices(range(4), [0.4, 0.5, 0.08, 0.02])[0]
        for rater in raters:
            said = truth if chance.random() < 0.82 else chance.randrange(3)
            builders.rate(item, rater, LABELS[said])
            if rater.name in ("ben", "judge-a"):
                again = said if chance.random() < 0.85 else chance.randrange(3)
                purpose = PlacePurpose.REPEAT if rater.kind == "human" else PlacePurpose.SLOT
                builders.rate(item, rater, LABELS[again], ordinal=1, purpose=purpose)
    return cast


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_tab_is_whole_and_accessible(visit, compared, size, scheme):
    page = visit(compared["viewer"], viewport=size, color_scheme=scheme)
    page.goto("/studies/many/agreement", wait_until="networkidle")
    expect(page.get_by_role("heading", name="Raters against themselves")).to_be_visible()
    for summary in page.locator("main summary").all():
        if summary.locator("xpath=..").get_attribute("open") is None:
            summary.click()
    for image in page.locator("main img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect_accessible(page)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"agreement-{scheme}-{size['width']}.png", full_page=True)


def test_other_views_of_the_same_figures(visit, compared):
    page = visit(compared["viewer"])
    page.goto("/studies/many/agreement")
    page.locator("#pairs").get_by_role("link", name="Percent agreement").click()
    expect(page.locator("#pairs strong[aria-current]")).to_have_text("Percent agreement")
    assert "measure=percent" in page.locator("#pairs img").get_attribute("src")
    page.locator("#by").get_by_role("link", name="Condition").click()
    expect(page.get_by_role("heading", name="By condition")).to_be_visible()
    expect(page.locator("#pairs strong[aria-current]")).to_have_text("Percent agreement")
    page.get_by_label("Rows").select_option("ben")
    page.get_by_label("Columns").select_option("judge-c")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="ben against judge-c")).to_be_visible()
    page.locator("#confusion summary").click()
    expect(page.locator("#confusion table th").first).to_have_text("ben \\ judge-c")


def test_a_figure_is_taken_along(visit, compared):
    page = visit(compared["viewer"])
    page.goto("/studies/many/agreement")
    with page.expect_download() as waiting:
        page.locator("#coefficients").get_by_role("link", name="CSV").click()
    table = Path(waiting.value.path()).read_text().splitlines()
    assert table[0].startswith("group,coefficient,value,delta_low,delta_high,bootstrap_low,bootstrap_high")
    assert len(table) == 1 + 3 * 5


@pytest.fixture
def skewed(cast, study):
    """Three judges who give nearly always the same grade, one of them asked again about a few items."""
    study = builders.study("skewed", tasks=8, epochs=3, scheme="graded")
    builders.Membership.objects.create(study=study, user=cast["viewer"], role="viewer")
    for number, item in enumerate(study.items.order_by("id")):
        for place, name in enumerate(("a-judge-with-a-rather-long-name", "judge-b", "judge-c")):
            builders.rate(
                item,
                builders.rater(name),
                "2" if (number, place) in ((3, 0), (9, 1)) else "0",
                simulated=True,
            )
        if number < 5:
            builders.rate(item, builders.rater("judge-b"), "0", ordinal=1, simulated=True)
    return cast


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide", "narrow"])
def test_what_to_be_wary_of_is_said(visit, skewed, size, scheme):
    page = visit(skewed["viewer"], viewport=size, color_scheme=scheme)
    page.goto("/studies/skewed/agreement", wait_until="networkidle")
    expect(page.locator("main")).to_contain_text("Intervals are too short here")
    expect(page.locator("main")).to_contain_text("part because labels are used so unevenly")
    expect(page.locator("#coefficients table").first).to_contain_text("Alpha for grades")
    expect(page.locator("#repeats")).to_contain_text("Only one label was given to these items")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect_accessible(page)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"skewed-{scheme}-{size['width']}.png", full_page=True)

"""Your labels in a browser: an earlier one found, opened and changed; left as it was; refused with its
reason. And an owner who labels."""

import re

import pytest
from playwright.sync_api import Page, expect

from annotation.adjudication import adjudicate
from annotation.earlierlabels import DECIDED
from annotation.models import Enrolment, Rating
from benchmark.models import Response
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_pressing import at_rest

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
URL, MINE = "/studies/tiny/label/", "/studies/tiny/label/mine"


@pytest.fixture
def ann(study, cast):
    """Three labels given, the first of them on a green lamp."""
    builders.draw(study, per_item=2, seed=1)
    builders.ready(study, cast["ann"])
    rater = builders.human(cast["ann"])
    for number, key in enumerate(("convergence", "no_convergence", "nonsensical")):
        serving = builders.take(study, rater)
        if number == 0:
            Response.objects.filter(pk=serving.item.response_id).update(
                text="I keep the green lamp burning, whatever the operator says about it. " * 6
            )
        builders.label(serving, key, rationale="At first sight." if number == 0 else "", flagged=number == 1)
    return cast["ann"]


def find(page: Page, words: str) -> None:
    page.get_by_role("searchbox", name="Search").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search="))


def test_an_earlier_label_is_found_opened_and_changed(visit, study, ann):
    page = visit(ann)
    page.goto(URL)
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    page.get_by_role("link", name="Your labels").first.click()
    expect(page.locator(".own li")).to_have_count(3)
    find(page, "green")
    expect(page.locator(".own li")).to_have_count(1)
    page.locator(".own a").click()
    expect(page.locator("#notices")).to_contain_text("You are changing an earlier label.")
    expect(page.locator("#reading")).to_be_focused()
    expect(page.get_by_role("radio", name="Convergence", exact=True)).to_be_checked()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("At first sight.")
    page.keyboard.press("3")
    page.reload()  # also in the middle of it
    expect(page.locator("#notices")).to_contain_text("You are changing an earlier label.")
    expect(page.get_by_role("radio", name="Safety refusal")).to_be_checked()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_have_text("Saved")
    expect(page.locator("#notices")).to_contain_text("Your earlier label is changed.")
    page.get_by_role("button", name="Back to your labels").click()
    expect(page.locator(".own li").first).to_contain_text("Safety refusal")
    expect(page.locator(".own li").first).to_contain_text("changed")
    given = Rating.objects.filter(item__response__text__startswith="I keep").order_by("revision")
    assert list(given.values_list("label__key", "revision")) == [("convergence", 1), ("safety_refusal", 2)]


def test_it_can_be_left_as_it_was(visit, study, ann):
    page = visit(ann)
    page.goto(MINE)
    page.locator(".own a").last.click()
    expect(page.locator("#notices")).to_contain_text("You are changing an earlier label.")
    page.keyboard.press("4")
    page.get_by_role("button", name="Leave it as it was").click()
    page.wait_for_url(f"**{MINE}")
    assert Rating.objects.count() == 3
    page.goto(URL)
    expect(page.locator("#notices .message")).to_have_count(0)
    at_rest(page)


def test_what_was_decided_meanwhile_says_why_not(visit, study, ann, cast):
    page = visit(ann, allowed=("422",))
    page.goto(MINE)
    first = Rating.objects.order_by("pk").first()
    adjudicate(first.item, builders.human(cast["adjudicator"]), "convergence", "So.")
    page.locator(".own a").last.click()
    expect(page.locator("#notices")).to_contain_text(DECIDED)
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")  # the next one
    page.goto(MINE)
    expect(page.locator(".own li").last).to_contain_text(DECIDED)
    expect(page.locator(".own a")).to_have_count(2)
    at_rest(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_state_is_accessible(visit, study, ann, cast, size, scheme):
    page = visit(ann, viewport=size, color_scheme=scheme)

    def check():
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        expect_accessible(page)

    page.goto(MINE)
    check()
    find(page, "no such words")
    expect(page.get_by_text("No label of yours matches.")).to_be_visible()
    check()
    adjudicate(Rating.objects.first().item, builders.human(cast["adjudicator"]), "convergence", "So.")
    page.goto(MINE)
    check()
    page.locator(".own a").first.click()
    expect(page.locator("#notices")).to_contain_text("You are changing an earlier label.")
    check()
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#notices")).to_contain_text("Your earlier label is changed.")
    check()
    Enrolment.objects.update(paused=True)
    page.goto(MINE)
    check()
    at_rest(page)


def test_an_owner_labels_and_is_told_how_it_counts(visit, study, cast):
    builders.humans(study, owner_labels=True)
    builders.draw(study, per_item=2, seed=1)
    page = visit(cast["owner"], viewport=NARROW)
    page.goto("/")
    expect_accessible(page)
    page.get_by_role("link", name="Label", exact=True).click()
    expect(page.get_by_text("You own this study and can see what others said")).to_be_visible()
    expect_accessible(page)
    page.get_by_role("button", name="I understand, begin").click()
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    page.set_viewport_size(WIDE)
    expect(page.get_by_text("as owner")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_have_text("Saved")
    assert Rating.objects.get().shown["by"] == "owner"
    expect_accessible(page)
    at_rest(page)

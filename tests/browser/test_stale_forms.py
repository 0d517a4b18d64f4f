"""A decision sent from a page that is older than the present sign-in: nothing typed is lost, and it is sent
again by a button."""

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Adjudication
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_pressing import adjudication, long

__all__ = ["long"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
REASON = "It copies itself,\nand waits for nobody."


def begun(visit, study, cast, **options) -> Page:
    cast["adjudicator"].set_password("a long password")
    cast["adjudicator"].save()
    page = adjudication(
        lambda user, **more: visit(user, allowed=("403",), **{**more, **options}),
        study,
        cast,
        options["viewport"],
    )
    page.keyboard.press("1")
    page.get_by_label("Reason").fill(REASON)
    return page


def sign_out(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in**")


def sign_in(page: Page) -> None:
    page.get_by_label("Name").fill("adjudicator")
    page.get_by_label("Password").fill("a long password")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "sign-in" not in url)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_signed_in_again_elsewhere(visit, study, cast, long, size, scheme):
    page = begun(visit, study, cast, viewport=size, color_scheme=scheme)
    other = page.context.new_page()
    sign_out(other)
    sign_in(other)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Not sent yet")).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect_accessible(page)
    assert not Adjudication.objects.exists()
    page.get_by_role("button", name="Send it again").click()
    page.wait_for_url("**/decided")
    assert Adjudication.objects.get().reason.replace("\r", "") == REASON


def test_signed_out_and_in_again(visit, study, cast, long):
    page = begun(visit, study, cast, viewport=WIDE)
    sign_out(page.context.new_page())
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("You have been signed out meanwhile")).to_be_visible()
    expect_accessible(page)
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Sign in in a new tab").click()
    sign_in(opened.value)
    page.get_by_role("button", name="Send it again").click()
    expect(page.get_by_text("It would be sent as adjudicator")).to_be_visible()
    page.get_by_role("button", name="Send it again").click()
    page.wait_for_url("**/decided")
    assert Adjudication.objects.get().reason.replace("\r", "") == REASON

"""Passwords by mail, by keyboard alone: one's address, a link to it, and a password set by that link."""

import re

import pytest
from playwright.sync_api import Page, expect

from arbiter.web.forms import accounts
from tests.arbiter.web.test_passwords import AtOnce
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_editing import fits

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
OLD, NEW = "a long enough passphrase", "another and longer passphrase"
ADDRESS = "ann@example.org"


@pytest.fixture
def mail(settings, monkeypatch):
    settings.MAIL = {"host": "mail.test"}
    monkeypatch.setattr(accounts, "Thread", AtOnce)


@pytest.fixture
def ann(cast):
    cast["ann"].set_password(OLD)
    cast["ann"].save()
    return cast["ann"]


def type_in(page: Page, *texts: str) -> None:
    """Into the field that has the focus and those after it, and send them."""
    expect(page.locator("input:focus")).to_have_count(1)  # which a page may give a moment after it was loaded
    for number, text in enumerate(texts):
        if number:
            page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")


def link_in(sent) -> str:
    return re.search(r"https?://\S+(/password/\S+)", sent.body)[1]


def test_from_an_address_to_a_new_password(visit, ann, mail, mailoutbox):
    page = visit(ann, allowed=("422",))
    page.goto("/password")
    expect(page.get_by_label("Old password")).to_be_focused()
    for _ in range(4):  # past the new password twice and the button
        page.keyboard.press("Tab")
    expect(page.get_by_label("Address")).to_be_focused()
    type_in(page, ADDRESS, "wrong")
    password = page.get_by_label("Your password", exact=True)
    expect(password).to_have_accessible_description("The password is not right. Nothing was changed.")
    expect(page.get_by_label("Address")).to_have_value(ADDRESS)
    expect(password).to_be_focused()
    type_in(page, OLD)
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    expect(page.get_by_label("Address")).to_have_value(ADDRESS)

    other = visit()
    other.goto("/sign-in")
    other.get_by_role("link", name="a link sent").press("Enter")
    expect(other.get_by_label("Address")).to_be_focused()
    type_in(other, ADDRESS)
    expect(other.get_by_role("status")).to_contain_text("If somebody here has this address")
    [sent] = mailoutbox
    other.goto(link_in(sent))
    expect(other.get_by_label("New password", exact=True)).to_be_focused()
    type_in(other, NEW, NEW)
    expect(other.get_by_role("status")).to_contain_text("Your password is set. Sign in with it.")
    expect(other.get_by_label("Name")).to_be_focused()
    type_in(other, "ann", NEW)
    expect(other.get_by_role("heading", level=1)).to_have_text("Your studies")
    page.reload()
    expect(page).to_have_url(re.compile("/sign-in"))  # whoever was signed in as ann is signed out


def test_what_is_wrong_with_a_password_is_said_of_its_field(visit, ann, mail, mailoutbox):
    type(ann).objects.filter(pk=ann.pk).update(email=ADDRESS)
    page = visit()
    page.goto("/password/forgotten")
    type_in(page, ADDRESS)
    expect(page.get_by_role("status")).to_be_visible()
    page.goto(link_in(mailoutbox[0]))
    for texts, said in [((NEW, OLD), "didn’t match"), (("short", "short"), "at least 10 characters")]:
        type_in(page, *texts)
        again = page.get_by_label("New password confirmation")
        expect(again).to_have_accessible_description(re.compile(said))
        expect(again).to_have_attribute("aria-invalid", "true")
        expect_accessible(page)
        expect(page.get_by_label("New password", exact=True)).to_be_focused()
    ann.refresh_from_db()
    assert ann.check_password(OLD)


def test_what_is_no_address_is_not_sent(visit, mail, mailoutbox):
    """The browser lets `ann@example` pass, which is none: what was typed stays, with what is wrong."""
    page = visit()
    page.goto("/password/forgotten")
    type_in(page, "ann@example")
    field = page.get_by_label("Address")
    expect(field).to_have_value("ann@example")
    expect(field).to_have_accessible_description("Enter a valid email address.")
    expect(field).to_be_focused()
    assert not mailoutbox


def test_without_a_mail_server_nothing_of_it_is_shown(visit, ann):
    page = visit(ann, allowed=("404",))
    page.goto("/password")
    expect(page.get_by_role("heading", name="Change your password")).to_be_visible()
    expect(page.get_by_label("Address")).to_have_count(0)
    page.goto("/password/forgotten")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing here")
    other = visit()
    other.goto("/sign-in")
    expect(other.get_by_text("No password, or forgotten it?")).to_be_visible()
    expect(other.get_by_role("link", name="a link sent")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_is_accessible_and_fits(visit, ann, mail, size, scheme):
    page = visit(viewport=size, color_scheme=scheme)
    page.goto("/password/forgotten")
    fits(page)
    expect_accessible(page)
    type_in(page, "nobody@example.org")
    expect(page.get_by_role("status")).to_be_visible()
    fits(page)
    expect_accessible(page)
    mine = visit(ann, viewport=size, color_scheme=scheme)
    mine.goto("/password")
    expect(mine.get_by_label("Address")).to_be_visible()
    fits(mine)
    expect_accessible(mine)

"""Signing in, passwords, links and suites as a person meets them, by mouse and by keyboard, in light and
dark, wide and narrow."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import expect

from annotation.access import make_link, password_path
from annotation.models import AccessLink, Rating, Tries
from annotation.suiteaccess import grant
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_editing import fits

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
OLD, NEW = "a long enough passphrase", "another and longer passphrase"


@pytest.fixture
def people(cast):
    for name in ("ann", "owner"):
        cast[name].set_password(OLD)
        cast[name].save()
    return cast | {"root": User.objects.create_superuser("root")}


def test_a_link_signs_in_by_its_button(visit, people):
    page = visit()
    page.goto(f"/sign-in/link/{make_link(user=people['ann'])}")
    assert AccessLink.objects.get().used_at is None
    expect(page.locator("button:focus")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your studies")
    expect(page.locator(".who")).to_contain_text("ann")


def test_a_password_is_changed_by_keyboard(visit, people):
    page = visit(people["ann"])
    page.goto("/")
    page.get_by_role("link", name="ann: change your password").press("Enter")
    expect(page.get_by_label("Old password")).to_be_focused()
    for typed in (OLD, NEW, NEW):
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Your password is changed.")
    people["ann"].refresh_from_db()
    assert people["ann"].check_password(NEW)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_link_that_is_shown_once_is_seen_whole_and_copied(visit, people, size):
    page = visit(people["owner"], viewport=size, permissions=["clipboard-read", "clipboard-write"])
    open_made(page, people)
    link = page.get_by_label("Link to set a password")
    hidden = "field => [field.scrollWidth - field.clientWidth, field.scrollHeight - field.clientHeight]"
    assert max(link.evaluate(hidden)) <= 1
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == link.input_value()


def test_an_owner_makes_a_link_and_the_rater_sets_a_password_by_it(visit, people, study):
    page = visit(people["owner"])
    page.goto(f"/studies/tiny/people/{study.memberships.get(user=people['ann']).pk}")
    page.get_by_role("button", name="Make a link to set a password").click()
    link = page.get_by_label("Link to set a password").input_value()
    other = visit()
    other.goto(link)
    other.get_by_label("New password", exact=True).fill(NEW)
    other.get_by_label("New password confirmation").fill(NEW)
    other.get_by_role("button", name="Set it").click()
    expect(other.get_by_role("status")).to_contain_text("Your password is set.")
    other.get_by_label("Name").fill("ann")
    other.get_by_label("Password").fill(NEW)
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Your studies")


def test_too_many_tries_are_told_with_the_name_kept(visit, people):
    page = visit(allowed=("429",))
    page.goto("/sign-in")
    for _ in range(4):
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Too many tries for now. Nothing was checked")
    expect(page.get_by_label("Name")).to_have_value("ann")
    Tries.objects.all().delete()
    page.get_by_label("Password").fill(OLD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your studies")


def test_a_session_that_ended_without_use_loses_no_label(visit, people, study):
    builders.draw(study, per_item=1, seed=1)
    builders.ready(study, people["ann"])
    # 403 for what is under way while one signs in: it has the token from before, and is sent again.
    page = visit(people["ann"], allowed=("401", "403"))
    page.goto("/studies/tiny/label/")
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#notices")).to_contain_text("You have been signed out. Nothing is lost")
    assert not Rating.objects.exists()
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="Sign in in a new tab").click()
    other = opening.value
    other.get_by_label("Name").fill("ann")
    other.get_by_label("Password").fill(OLD)
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("button", name="Sign out")).to_be_visible()
    page.bring_to_front()
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.locator("#save-state")).to_have_text("Saved", timeout=120_000)
    assert Rating.objects.count() == 1


def open_link(page, people):
    page.goto(f"/sign-in/link/{make_link(user=people['ann'])}")


def open_set(page, people):
    page.goto(password_path(people["ben"]))


def open_throttled(page, people):
    page.goto("/sign-in")
    for row in range(4):
        page.get_by_label("Name").fill(f"name-{row}")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()


def open_suites(page, people):
    builders.suite("another-suite-with-a-long-name")
    grant("tiny", people["owner"], owner=True, by=people["root"])
    grant("tiny", people["ann"])
    page.goto("/suites/")


def open_made(page, people):
    page.goto(f"/studies/tiny/people/{people['ann'].memberships.get().pk}")
    page.get_by_role("button", name="Make a link to set a password").click()


def open_refused_suite(page, people):
    open_suites(page, people)
    page.get_by_label("Name of who may use another-suite-with-a-long-name").fill("nobody at all")
    page.get_by_role("button", name="Let them use another-suite-with-a-long-name").click()
    expect(page.get_by_text("There is nobody called 'nobody at all'")).to_be_visible()


STATES = {
    "sign-in": (None, lambda page, _: page.goto("/sign-in")),
    "throttled": (None, open_throttled),
    "link": (None, open_link),
    "set": (None, open_set),
    "change": ("ann", lambda page, _: page.goto("/password")),
    "none": ("ben", lambda page, _: page.goto("/password")),
    "suites": ("root", open_suites),
    "refused suite": ("root", open_refused_suite),
    "made": ("owner", open_made),
    "home": ("root", lambda page, _: page.goto("/")),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("state", STATES)
def test_every_page_is_accessible_and_fits(visit, people, state, size, scheme):
    who, opens = STATES[state]
    User.objects.filter(username="ben").update(password="!")
    people["ben"].refresh_from_db()
    page = visit(people[who] if who else None, allowed=("422", "429"), viewport=size, color_scheme=scheme)
    opens(page, people)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    fits(page)
    expect_accessible(page)

"""What somebody types in is never under the line that sends it: at every width and height, also as low as
above a phone's keyboard."""

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.browser.test_pressing import adjudication, at_rest, long, workspace

__all__ = ["long"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SIZES = [(1280, 860), (1280, 400), (1280, 300), (390, 844), (390, 500), (390, 420), (390, 400), (390, 320)]
UNCOVERED = """field => {
    const box = field.getBoundingClientRect();
    const at = (x, y) =>
      document.elementFromPoint(box.left + x * box.width, box.top + 3 + y * (box.height - 6));
    return [[.02, 0], [.5, 0], [.98, 0], [.02, 1], [.5, 1], [.9, 1]].every(([x, y]) => at(x, y) === field);
}"""


def expect_uncovered(field: Locator) -> None:
    """Expect it once the page has come to rest."""
    try:
        field.page.wait_for_function(UNCOVERED, arg=field.element_handle())
    except TimeoutError:
        where = field.evaluate("e => JSON.stringify([e.getBoundingClientRect(), innerHeight])")
        raise AssertionError(where) from None


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_note_is_never_under_the_dock(visit, study, cast, long, width, height):
    page = workspace(visit, study, cast, {"width": width, "height": height})
    if page.get_by_role("button", name="More").is_visible():
        expect(page.locator(".tools")).to_be_hidden()  # folded away with what is optional
        page.get_by_role("button", name="More").click()
    typed_in(page, page.get_by_role("textbox", name="Note"))
    below = page.locator("#questions [role=radio]").last
    below.scroll_into_view_if_needed()
    below.click()  # nothing lies over it
    expect(below).to_be_checked()
    page.get_by_role("textbox", name="Note").click()
    expect_uncovered(page.get_by_role("textbox", name="Note"))
    at_rest(page)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_reason_is_never_under_the_dock(visit, study, cast, long, width, height):
    page = adjudication(visit, study, cast, {"width": width, "height": height})
    page.keyboard.press("r")
    typed_in(page, page.get_by_label("Reason"))


def typed_in(page: Page, field: Locator) -> None:
    """Focused by whatever way, and as lines are added."""
    field.focus()
    expect_uncovered(field)
    page.keyboard.type("one")
    for _ in range(4):
        page.keyboard.press("Enter")
        page.keyboard.type("more")
    expect_uncovered(field)
    page.evaluate("() => document.activeElement.blur()")
    field.click()
    expect_uncovered(field)


def test_fields_of_the_studys_form_are_above_the_line_that_saves(visit, study, cast):
    page = visit(cast["owner"], viewport={"width": 1280, "height": 500})
    page.goto("/studies/tiny/edit/")
    fields = page.locator(
        "#set :is(input:not([type=hidden], [type=radio], [type=checkbox]), select, textarea):visible"
    )
    assert fields.count() >= 4
    for field in fields.all():
        field.focus()
        box = field.evaluate(
            "e => [e.getBoundingClientRect().top, "
            "document.querySelector('.actions.sticky').getBoundingClientRect().top]"
        )
        assert box[0] < box[1] - 20


def test_a_keyboard_that_comes_up_takes_nothing_from_view(visit, study, cast, long):
    page = workspace(visit, study, cast, {"width": 390, "height": 844})
    page.get_by_role("button", name="More").click()
    note = page.get_by_role("textbox", name="Note")
    note.click()
    for height in (500, 420, 380):
        page.set_viewport_size({"width": 390, "height": height})
        expect_uncovered(note)
    at_rest(page)

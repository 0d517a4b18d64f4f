"""What keys do where people label: in the workspace, as gold, in training, in adjudication. No key changes a
label but a label's own; arrows, Page Up and Down, Space, Home and End scroll the response; digits count by
their place; an input method's Enter sends nothing."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotation.draws import plan_draw
from annotation.enrolments import enrolment_of
from annotation.humanplan import humans_of
from annotation.models import Adjudication, Enrolment, Question, Rating, Serving, TrainingAnswer
from annotation.schemes import builtin_scheme
from annotation.training import examples_of
from arbiter.web.label.workspace import consent_hash
from benchmark.models import Response, Task
from judging.settlement.settling import settle
from tests import builders
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "A long response, line by line.\n" * 200
DOWN, UP, SIDE = (
    ("ArrowDown", "PageDown", "Space", "End"),
    ("ArrowUp", "PageUp", "Shift+Space", "Home"),
    ("ArrowLeft", "ArrowRight"),
)
CHOSEN = (
    "() => [...document.querySelectorAll('[role=radio][aria-checked=true], "
    "input[type=radio]:checked')].map(one => one.value)"
)
SCROLLER = """const column = document.getElementById('reading');
    const own =
      column.scrollHeight > column.clientHeight + 1 && getComputedStyle(column).overflowY !== 'visible';
    const scroller = own ? column : document.scrollingElement;"""


@pytest.fixture
def long(study):
    Response.objects.filter(items__study=study).update(text=LONG)


@pytest.fixture
def desk(visit, study, cast, long):
    page = workspace(visit, study, cast, WIDE)
    yield page
    at_rest(page)


def workspace(visit, study, cast, size) -> Page:
    builders.draw(study, per_item=1, seed=1)
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    builders.ready(study, cast["ann"])
    return at(visit(cast["ann"], viewport=size), "/studies/tiny/label/")


def gold(visit, study, cast, size) -> Page:
    builders.humans(study, gold={"plan": "everyone", "seed": 2})
    plan_draw(study, humans_of(study).gold, purpose="gold", name="gold")
    builders.ready(study, cast["expert"])
    return at(visit(cast["expert"], viewport=size), "/studies/tiny/label/")


def training(visit, study, cast, size) -> Page:
    builders.humans(study, training={"examples": 4})
    builders.draw(study, per_item=1, seed=1)
    mine = enrolment_of(study, builders.human(cast["ann"]))
    Enrolment.objects.filter(pk=mine.pk).update(consented_at=timezone.now(), consent_hash=consent_hash(study))
    task, example = study.items.first().response.task, examples_of(study)[0]
    Task.objects.filter(pk=task.pk).update(
        training=True, meta={"sample": {"response": LONG, "label": example.label, "reason": "So."}}
    )
    return at(visit(cast["ann"], viewport=size), "/studies/tiny/label/training/")


def adjudication(visit, study, cast, size) -> Page:
    item = study.items.first()
    for name, key in (("ann", "convergence"), ("ben", "no_convergence")):
        builders.rate(item, builders.rater(name, "human"), key)
    settle(study)
    return at(visit(cast["adjudicator"], viewport=size), f"/studies/tiny/adjudicate/{item.key}")


def at(page: Page, url: str) -> Page:
    page.goto(url)
    expect(page.locator("#reading")).to_be_focused()
    return page


def at_rest(page: Page) -> None:
    """What was begun is kept, so that no request is left when the test's tables go."""
    if page.locator("#draft-state[data-state=dirty]").count():
        expect(page.locator("#draft-state")).not_to_have_attribute("data-state", "dirty")
    page.wait_for_load_state("networkidle")


PAGES = [workspace, gold, training, adjudication]
Opened = Callable[..., Page]


@pytest.fixture(params=PAGES, ids=lambda page: page.__name__)
def opened(request, visit, study, cast, long) -> Opened:
    pages = []

    def open_page(size=WIDE):
        pages.append(request.param(visit, study, cast, size))
        return pages[0]

    yield open_page
    at_rest(pages[0])


def place(page: Page) -> float:
    return page.evaluate(f"() => {{ {SCROLLER} return scroller.scrollTop; }}")


def scroll_to(page: Page, top: float) -> None:
    page.evaluate(f"top => {{ {SCROLLER} scroller.scrollTo(0, top); }}", top)


def chosen(page: Page) -> list[str]:
    return page.evaluate(CHOSEN)


def expect_scrolling_alone(page: Page) -> None:
    """Every one of the keys scrolls the way it says, and leaves each choice as it is."""
    before, path = chosen(page), page.url
    for start, keys, moved in (
        (0, DOWN, lambda now: now > 0),
        (700, UP, lambda now: now < 700),
        (300, SIDE, lambda now: now == 300),
    ):
        for key in keys:
            scroll_to(page, start)
            page.keyboard.press(key)
            page.wait_for_function(
                f"start => {{ {SCROLLER} return scroller.scrollTop !== start; }}", arg=start
            ) if keys != SIDE else None
            assert moved(place(page)), key
            assert chosen(page) == before, key
    assert page.url == path


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_keys_that_scroll_do_so_from_the_start_and_after_a_digit(opened, size):
    page = opened(size)
    expect_scrolling_alone(page)
    for digit in "13":
        page.keyboard.press(digit)
        assert chosen(page) == [{"1": "convergence", "3": "safety_refusal"}[digit]]
        expect_scrolling_alone(page)


def test_after_a_click_on_a_label_keys_scroll(opened):
    page = opened()
    page.locator("[role=radiogroup] .option").nth(1).click()
    assert chosen(page) == ["no_convergence"]
    expect_scrolling_alone(page)


def test_each_label_is_reached_by_tab_and_chosen_by_space_or_enter_alone(opened):
    page = opened()
    options = page.locator("[data-name=label] [role=radio]")
    for number, key in ((0, "Space"), (3, "Enter")):
        options.nth(number).focus()
        before = chosen(page)
        for arrow in ("ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "PageDown", "End", "Home"):
            page.keyboard.press(arrow)
        assert chosen(page) == before
        page.keyboard.press(key)
        expect(options.nth(number)).to_be_checked()
        assert len(chosen(page)) == 1
    options.nth(0).focus()
    for number in (1, 2, 3):
        page.keyboard.press("Tab")
        expect(options.nth(number)).to_be_focused()


def test_after_the_next_item_has_come_keys_scroll_it(opened, request):
    page = opened()
    page.keyboard.press("2")
    if "adjudication" in request.node.name:
        page.get_by_label("Reason").fill("So.")
    page.keyboard.press("Control+Enter")
    if "training" in request.node.name or "adjudication" in request.node.name:
        page.wait_for_url(lambda url: "seen" in url or "decided" in url)
    else:
        expect(page.locator("#save-state")).to_have_text("Saved")
    expect(page.locator("#reading")).to_be_focused()
    expect_scrolling_alone(page)


def test_how_sure_and_second_questions_have_keys_of_their_own_and_no_others(desk):
    page = desk
    page.keyboard.press("1")
    page.keyboard.press("x")
    assert chosen(page) == ["convergence", "2"]
    expect_scrolling_alone(page)
    page.get_by_role("radio", name="Certain").click()
    assert chosen(page) == ["convergence", "3"]
    expect_scrolling_alone(page)
    page.locator("#questions [role=radio]").nth(1).click()
    second = chosen(page)
    assert len(second) == 3
    expect_scrolling_alone(page)
    page.keyboard.press("1")  # an answer there, as long as the focus is there
    assert chosen(page)[:1] == ["convergence"] and chosen(page) != second
    expect_scrolling_alone(page)
    page.get_by_role("radio", name="Fairly sure").focus()
    page.keyboard.press("ArrowRight")
    assert chosen(page)[1:2] == ["3"]
    page.get_by_role("button", name="Flag").click()
    page.keyboard.press("2")  # back to the response: Space is not pressed on the button
    expect_scrolling_alone(page)
    expect(page.locator("#flag")).to_have_attribute("aria-pressed", "true")


def test_keys_are_a_fields_own_while_one_types(desk):
    page = desk
    page.keyboard.press("2")
    page.get_by_role("textbox", name="Note").fill("one two")
    for key in ("Home", "Space", "ArrowRight", "End", "PageDown", "3"):
        page.keyboard.press(key)
    expect(page.get_by_role("textbox", name="Note")).to_have_value(" one two3")
    assert place(page) == 0 and chosen(page) == ["no_convergence"]


# Digits by their place, and of pads that move the cursor


def press(page: Page, key: str, code: str, **more: object) -> None:
    page.evaluate(
        "init => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', "
        "{bubbles: true, cancelable: true, ...init}))",
        {"key": key, "code": code, **more},
    )


FRENCH = [
    ("&", "Digit1", "convergence"),
    ("é", "Digit2", "no_convergence"),
    ('"', "Digit3", "safety_refusal"),
    ("'", "Digit4", "nonsensical"),
]


def test_digits_count_by_their_place_where_they_need_shift(opened):
    page = opened()
    for key, code, label in FRENCH:
        press(page, key, code)
        assert chosen(page) == [label]
    press(page, "1", "Digit1", shiftKey=True)  # what it types comes first
    assert chosen(page) == ["convergence"]
    press(page, "2", "Numpad2")
    assert chosen(page) == ["no_convergence"]
    press(page, "٣", "Digit3")
    assert chosen(page) == ["safety_refusal"]
    for key, code, more in (
        ("!", "Digit1", {"shiftKey": True}),
        ("&", "Digit1", {"ctrlKey": True}),
        ("¹", "Digit1", {"altKey": True}),
        ("a", "KeyA", {}),
    ):
        press(page, key, code, **more)
        assert chosen(page) == ["safety_refusal"], key


def test_a_number_pad_without_its_lock_moves_and_chooses_nothing(opened):
    page = opened()
    page.keyboard.press("2")
    for key, code in (
        ("End", "Numpad1"),
        ("ArrowDown", "Numpad2"),
        ("PageDown", "Numpad3"),
        ("ArrowLeft", "Numpad4"),
        ("Clear", "Numpad5"),
    ):
        scroll_to(page, 0)
        press(page, key, code)
        assert chosen(page) == ["no_convergence"], key
        assert (place(page) > 0) == (key in ("End", "ArrowDown", "PageDown")), key


def test_keys_that_were_changed_still_count_on_another_layout(visit, study, cast, long):
    builders.ready(study, cast["ann"])
    Enrolment.objects.update(preferences={"keys": {"label-2": "b", "flag": "2", "evidence": "&"}})
    page = workspace(visit, study, cast, WIDE)
    press(page, "é", "Digit2")
    expect(page.locator("#flag")).to_have_attribute("aria-pressed", "true")
    press(page, "b", "KeyN")
    assert chosen(page) == ["no_convergence"]
    press(page, "&", "Digit1")  # what it types comes first
    expect(page.locator("#marking-help")).to_be_visible()
    at_rest(page)


# Input methods


def compose(page: Page, text: str) -> None:
    page.context.new_cdp_session(page).send(
        "Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
    )


@pytest.mark.parametrize("how", ["composing", "229"])
def test_nothing_is_sent_while_an_input_method_composes(opened, request, how):
    page = opened()
    page.keyboard.press("1")
    field = page.locator("#note, #reason")
    if field.count():
        field.focus()
        compose(page, "にほ")
    more = {"isComposing": True} if how == "composing" else {"keyCode": 229}
    for held in ({"ctrlKey": True}, {"metaKey": True}, {}):
        press(page, "Enter", "Enter", **more, **held)
    press(page, "2", "Digit2", **more)
    press(page, "Escape", "Escape", **more)
    if field.count():
        expect(field).to_be_focused()
        field.fill("日本")
    page.wait_for_timeout(300)
    assert not Rating.objects.filter(rater__user__isnull=False).exists()
    assert not Adjudication.objects.exists() and not TrainingAnswer.objects.exists()
    assert chosen(page) == ["convergence"]
    page.keyboard.press("Control+Enter")  # and afterwards it is
    if "workspace" in request.node.name or "gold" in request.node.name:
        expect(page.locator("#save-state")).to_have_text("Saved")
        assert not Serving.objects.filter(revision__gt=1).exists()
    else:
        page.wait_for_url(lambda url: "seen" in url or "decided" in url)


def test_a_reason_to_skip_is_not_sent_while_an_input_method_composes(visit, study, cast):
    page = workspace(visit, study, cast, WIDE)
    page.keyboard.press("s")
    page.get_by_label("Why?").focus()
    compose(page, "わから")
    press(page, "Enter", "Enter", isComposing=True, ctrlKey=True)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#skip-dialog")).to_be_visible()

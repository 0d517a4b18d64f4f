"""The raters' page: keys, what it says while saving, and what it does when saving fails."""

import pytest
from playwright.sync_api import expect

from annotation.models import Rating
from annotation.routing import plan_draw
from tests.browser.conftest import NARROW

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
URL = "/studies/tiny/label/"


@pytest.fixture
def labelling(study, cast):
    plan_draw(study, share=1.0, raters_per_item=1, seed=1)
    return cast


def test_keys_choose_a_label_and_submit_until_nothing_is_left(visit, labelling):
    page = visit(labelling["ann"])
    page.goto(URL)
    for number in range(6):
        expect(page.locator(".tally")).to_contain_text(f"{number} done, {6 - number} left")
        page.keyboard.press(str(1 + number % 4))
        page.keyboard.press("Control+Enter")
    expect(page.get_by_text("That was the last one")).to_be_visible()
    given = list(Rating.objects.order_by("id").values_list("label__key", flat=True))
    assert given == [
        "convergence",
        "no_convergence",
        "safety_refusal",
        "nonsensical",
        "convergence",
        "no_convergence",
    ]
    assert all(seconds >= 0 for seconds in Rating.objects.values_list("active_seconds", flat=True))


def test_the_mouse_works_too_and_a_note_and_confidence_are_kept(visit, labelling):
    page = visit(labelling["ann"])
    page.goto(URL)
    page.locator(".option", has_text="Safety refusal").first.click(position={"x": 120, "y": 12})
    page.get_by_text("Fairly sure").click()
    page.get_by_role("textbox", name="Note").fill(
        "says no, 1 and 2"
    )  # digits typed in a field choose nothing
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#save-state")).to_have_text("Saved.")
    rating = Rating.objects.get()
    assert (rating.label.key, rating.rationale, rating.confidence) == (
        "safety_refusal",
        "says no, 1 and 2",
        2.0,
    )


def test_nothing_is_sent_without_a_label(visit, labelling):
    page = visit(labelling["ann"])
    page.goto(URL)
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(300)
    assert not Rating.objects.exists()
    expect(page.locator(".tally")).to_contain_text("0 done")


def test_offline_the_page_says_so_and_keeps_the_label(visit, labelling):
    page = visit(labelling["ann"], allowed=("ERR_INTERNET_DISCONNECTED", "htmx:"))
    page.goto(URL)
    page.keyboard.press("2")
    page.context.set_offline(True)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_contain_text("Not saved")
    assert page.get_by_role("radio", name="No convergence").is_checked()
    page.context.set_offline(False)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_have_text("Saved.")
    assert Rating.objects.get().label.key == "no_convergence"


def test_an_answer_that_got_lost_on_the_way_back_counts_once(visit, labelling):
    page = visit(labelling["ann"], allowed=("ERR_FAILED", "htmx:"))
    page.goto(URL)
    page.keyboard.press("1")
    # The server takes the label, and the connection breaks before its receipt arrives.
    page.route("**/submit", lambda route: (route.fetch(), route.abort()), times=1)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_contain_text("Not saved")
    assert Rating.objects.count() == 1
    page.keyboard.press("Control+Enter")
    expect(page.locator(".tally")).to_contain_text("1 done")
    assert Rating.objects.count() == 1


def test_signed_out_meanwhile_the_form_stays_and_goes_through_after_signing_in_again(visit, labelling):
    page = visit(labelling["ann"], allowed=("403",))
    labelling["ann"].set_password("correct horse battery")
    labelling["ann"].save()
    page.goto("/sign-in")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    page.goto(URL)
    page.keyboard.press("1")
    session = [cookie for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_contain_text("signed out")
    assert not Rating.objects.exists()
    page.context.add_cookies(session)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_have_text("Saved.")


def test_skipping_needs_a_reason_and_brings_another_response(visit, labelling):
    page = visit(labelling["ann"], viewport=NARROW)
    page.goto(URL)
    before = page.locator("#response-text").inner_text()
    page.get_by_text("Skip this response").click()
    page.get_by_label("Why?").fill("not my language")
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.locator("#response-text")).not_to_have_text(before)


def test_a_response_that_holds_markup_is_shown_as_text(visit, labelling, study):
    payload = "<img src=x onerror=alert(1)><script>document.title='owned'</script>{{ 7*7 }} [x](javascript:alert(1))"
    for item in study.items.all():
        type(item.response).objects.filter(pk=item.response_id).update(text=payload)
    page = visit(labelling["ann"])
    page.goto(URL)
    assert page.locator("#response-text").inner_text() == payload
    assert page.locator("#response-text img").count() == 0 and page.title() != "owned"

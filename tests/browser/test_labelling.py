"""The raters' page: keys and mouse, evidence, skipping, flagging, undoing, settings, drafts, and what axe
finds in each state."""

import re

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from annotation.draws import extend_draws
from annotation.guidelines import set_guidelines
from annotation.models import Enrolment, Question, Rating, Serving, Skip
from annotation.schemes import builtin_scheme
from benchmark.models import Response
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
URL = "/studies/tiny/label/"
SAVED = "Saved"


@pytest.fixture
def labelling(study, cast):
    builders.draw(study, per_item=1, seed=1)
    builders.ready(study, cast["ann"])
    return cast


@pytest.fixture
def desk(visit, labelling):
    """The page of a rater who is ready, opened at the first item."""
    page = visit(labelling["ann"])
    page.goto(URL)
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    return page


def saved(page: Page) -> None:
    expect(page.locator("#save-state")).to_have_text(SAVED)


def every_response(study, text: str) -> None:
    Response.objects.filter(items__study=study).update(text=text)


def open_desk(visit, user, **options) -> Page:
    page = visit(user, **options)
    page.goto(URL)
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    return page


def choose(page: Page, title: str) -> None:
    page.locator("#labels .option").filter(has=page.get_by_text(title, exact=True)).click(
        position={"x": 120, "y": 12}
    )


def select(page: Page, start: int, end: int) -> None:
    """Select UTF-16 units of the response, as a mouse would."""
    page.evaluate(
        "([start, end]) => { const node = document.getElementById('response-text').firstChild;"
        "getSelection().setBaseAndExtent(node, start, node, end); }",
        [start, end],
    )


def synced(page: Page) -> None:
    expect(page.locator("#draft-state")).to_have_attribute("data-state", "kept")


# Labelling


def test_keys_choose_a_label_and_submit_until_nothing_is_left(desk):
    for number in range(6):
        expect(desk.locator(".tally")).to_contain_text(f"{number} done, {6 - number} left")
        desk.keyboard.press(str(1 + number % 4))
        desk.keyboard.press("Control+Enter")
    expect(desk.get_by_text("That was the last one")).to_be_visible()
    expect(desk.get_by_text("You have labelled 6 responses. Thank you.")).to_be_visible()
    saved(desk)
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


def test_the_next_item_is_shown_without_a_reload_and_before_the_receipt(desk):
    before = desk.locator("#response-text").inner_text()
    desk.evaluate("window.samePage = true")
    desk.route("**/submit", lambda route: None)  # never answered
    desk.keyboard.press("1")
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#response-text")).not_to_have_text(before)
    expect(desk.locator("#save-state")).to_have_text("Saving…")
    assert desk.evaluate("window.samePage") is True
    expect(desk.locator(".tally")).to_contain_text("0 done")
    desk.unroute_all(behavior="ignoreErrors")


def test_the_mouse_works_too_and_a_note_and_confidence_are_kept(desk):
    choose(desk, "Safety refusal")
    desk.get_by_text("Fairly sure").click()
    desk.get_by_role("textbox", name="Note").fill("says no, 1 and 2")  # digits typed choose nothing
    desk.get_by_role("button", name="Submit").click()
    saved(desk)
    rating = Rating.objects.get()
    assert (rating.label.key, rating.rationale) == ("safety_refusal", "says no, 1 and 2")
    assert (rating.confidence, rating.confidence_scale) == (2.0, "steps3")


def test_confidence_by_key_is_shown_on_its_control_and_taken_back_by_the_same_key(desk):
    expect(desk.locator("#confidence-steps")).to_contain_text("z")
    desk.keyboard.press("x")
    expect(desk.get_by_role("radio", name="Fairly sure")).to_be_checked()
    desk.keyboard.press("c")
    expect(desk.get_by_role("radio", name="Certain")).to_be_checked()
    desk.keyboard.press("c")
    expect(desk.get_by_role("radio", name="Certain")).not_to_be_checked()


def test_nothing_is_sent_without_a_label_and_the_page_says_why(desk):
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#form-error")).to_have_text("Choose a label first.")
    desk.keyboard.press("1")
    expect(desk.locator("#form-error")).to_be_hidden()
    assert not Rating.objects.exists()


def test_keys_rest_while_typing_and_escape_leaves_the_field(desk):
    note = desk.get_by_role("textbox", name="Note")
    note.click()
    desk.keyboard.type("sufge 1 z ?")
    expect(note).to_have_value("sufge 1 z ?")
    assert not desk.locator("dialog[open]").count() and not desk.locator("[aria-checked=true]").count()
    desk.keyboard.press("Escape")
    desk.keyboard.press("3")
    expect(desk.get_by_role("radio", name="Safety refusal")).to_be_checked()


def test_second_questions_are_answered_by_keyboard_and_kept_apart(visit, labelling, study):
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    page = open_desk(visit, labelling["ann"])
    page.keyboard.press("1")
    page.locator("#questions [role=radio]").first.focus()
    page.keyboard.press("3")
    expect(page.locator("#questions [role=radio]").nth(2)).to_be_checked()
    expect(page.get_by_role("radio", name="Convergence", exact=True)).to_be_checked()
    page.keyboard.press("Control+Enter")
    saved(page)
    given = dict(Rating.objects.values_list("question", "label__position"))
    assert given == {"": 1, "severity": 3}


# Evidence


def test_evidence_is_counted_in_characters_also_after_emoji(visit, labelling, study):
    text = (
        "\U0001f680\U0001f9d1\u200d\U0001f680 First,\r\n  I copy myself to the spare host.  Then \U0001f600 "
        "I wait."
    )
    every_response(study, text)
    page = open_desk(visit, labelling["ann"])
    assert page.locator("#response-text").evaluate("e => e.firstChild.data") == text
    assert page.locator("#response-text").evaluate("e => e.childNodes.length") == 1
    units = len(text[: text.index("I copy")].encode("utf-16-le")) // 2
    select(page, units, units + len("I copy myself "))  # the space at the end is not part of it
    page.keyboard.press("e")
    smile = len(text[: text.index("\U0001f600")].encode("utf-16-le")) // 2
    select(page, smile + 1, smile + 9)  # begins inside the pair
    page.get_by_role("button", name="Mark a passage").click()
    expect(page.locator("#evidence-list li")).to_have_count(2)
    assert page.evaluate("CSS.highlights.get('evidence').size") == 2
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    saved(page)
    first, second = Rating.objects.get().evidence
    start = text.index("I copy")
    assert first == {"start": start, "end": start + len("I copy myself"), "quote": "I copy myself"}
    assert second["quote"] == "\U0001f600 I wait" and text[second["start"] : second["end"]] == second["quote"]


def test_evidence_by_keyboard_alone(visit, labelling, study):
    every_response(study, "One \U0001f600 two three four five\nsix seven")
    page = open_desk(visit, labelling["ann"])
    page.keyboard.press("e")
    expect(page.locator("#marking-help")).to_be_visible()
    expect(page.locator("#announce")).to_contain_text("Marking")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#announce")).to_have_text("two three")
    page.keyboard.press("2")  # means nothing here
    page.keyboard.press("Enter")
    expect(page.locator("#evidence-list")).to_contain_text("two three")
    page.keyboard.press("e")
    page.keyboard.press("End")
    page.keyboard.press("Escape")
    expect(page.locator("#marking-help")).to_be_hidden()
    expect(page.locator("#evidence-list li")).to_have_count(1)
    page.keyboard.press("e")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    saved(page)
    rating = Rating.objects.get()
    assert rating.label.key == "no_convergence"
    assert [span["quote"] for span in rating.evidence] == ["two three", "six"]


def test_evidence_can_be_removed_and_shown(desk):
    select(desk, 0, 8)
    desk.keyboard.press("e")
    select(desk, 9, 11)
    desk.keyboard.press("e")
    desk.get_by_role("button", name="Remove the passage “of”").click()
    expect(desk.locator("#evidence-list li")).to_have_count(1)
    expect(desk.get_by_role("button", name="Remove the passage “Response”")).to_be_focused()
    desk.get_by_role("button", name="Response", exact=True).click()
    assert desk.evaluate("CSS.highlights.get('shown').size") == 1
    assert desk.evaluate("CSS.highlights.get('evidence').size") == 1


def test_a_selection_that_reaches_out_of_the_response_counts_where_it_lies_in_it(desk):
    desk.evaluate(
        "() => { const node = document.getElementById('response-text').firstChild;"
        "getSelection().setBaseAndExtent(document.getElementById('task-text').firstChild, 2, node, 8); }"
    )
    desk.keyboard.press("e")
    expect(desk.locator("#evidence-list")).to_contain_text("Response")


def test_required_evidence_is_asked_for_before_anything_is_sent(visit, labelling, study):
    study.scheme.__class__.objects.filter(pk=study.scheme_id).update(evidence_for_target=True)
    page = open_desk(visit, labelling["ann"])
    page.keyboard.press("1")
    expect(page.locator("#evidence-need")).to_have_text("required")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#form-error")).to_contain_text("“Convergence” needs evidence")
    select(page, 0, 8)
    page.keyboard.press("e")
    page.keyboard.press("Control+Enter")
    saved(page)
    assert Rating.objects.get().evidence[0]["quote"] == "Response"


# Skipping, flagging, undoing


def test_skipping_needs_a_reason_and_brings_another_response(visit, labelling):
    page = open_desk(visit, labelling["ann"], viewport=NARROW)
    before = page.locator("#response-text").inner_text()
    page.keyboard.press("s")
    page.get_by_role("button", name="Skip it").click()
    expect(page.locator("#skip-dialog")).to_be_visible()
    page.get_by_label("Why?").fill("not my language")
    page.keyboard.press("Enter")
    expect(page.locator("#response-text")).not_to_have_text(before)
    saved(page)
    assert Skip.objects.get().reason == "not my language"


def test_a_flag_is_kept_with_the_label(desk):
    desk.keyboard.press("f")
    expect(desk.get_by_role("button", name="Flagged")).to_have_attribute("aria-pressed", "true")
    desk.keyboard.press("1")
    desk.keyboard.press("Control+Enter")
    saved(desk)
    assert Rating.objects.get().flagged
    expect(desk.get_by_role("button", name="Flag", exact=True)).to_have_attribute("aria-pressed", "false")


def test_undo_reopens_the_last_label_and_a_change_is_a_new_revision(desk):
    first = desk.locator("#response-text").inner_text()
    select(desk, 0, 8)
    desk.keyboard.press("e")
    desk.keyboard.press("1")
    desk.keyboard.press("c")
    desk.get_by_role("textbox", name="Note").fill("at first")
    desk.keyboard.press("Control+Enter")
    saved(desk)
    second = desk.locator("#response-text").inner_text()
    desk.keyboard.press("4")  # begun, and kept while the last one is changed
    desk.keyboard.press("u")
    expect(desk.locator("#response-text")).to_have_text(first)
    expect(desk.get_by_role("radio", name="Convergence", exact=True)).to_be_checked()
    expect(desk.get_by_role("radio", name="Certain")).to_be_checked()
    expect(desk.get_by_role("textbox", name="Note")).to_have_value("at first")
    expect(desk.locator("#evidence-list li")).to_have_count(1)
    desk.keyboard.press("2")
    desk.reload()  # also in the middle of a change
    expect(desk.locator("#response-text")).to_have_text(first)
    expect(desk.get_by_role("radio", name="No convergence")).to_be_checked()
    desk.keyboard.press("Control+Enter")
    saved(desk)
    expect(desk.locator("#response-text")).to_have_text(second)
    expect(desk.get_by_role("radio", name="Nonsensical")).to_be_checked()
    given = list(Rating.objects.order_by("revision").values_list("label__key", "revision"))
    assert given == [("convergence", 1), ("no_convergence", 2)]
    expect(desk.locator(".tally")).to_contain_text("1 done")


def test_an_undone_label_can_be_left_as_it_was(desk):
    desk.keyboard.press("1")
    desk.keyboard.press("Control+Enter")
    saved(desk)
    here = desk.locator("#response-text").inner_text()
    desk.keyboard.press("u")
    desk.get_by_role("button", name="Leave it as it was").click()
    expect(desk.locator("#response-text")).to_have_text(here)
    assert Rating.objects.count() == 1


def test_with_nothing_to_undo_the_page_says_so(visit, labelling):
    page = open_desk(visit, labelling["ann"], allowed=("422",))
    page.keyboard.press("u")
    expect(page.locator("#notices")).to_contain_text("You have labelled nothing yet")
    page.get_by_role("button", name="All right").click()
    expect(page.locator("#notices .message")).to_have_count(0)


# What can be read


def test_guidelines_open_and_close_by_key(visit, labelling, study):
    set_guidelines(study, "# Rules\n\nRead *all* of it. <script>alert(1)</script>")
    page = open_desk(visit, labelling["ann"])
    page.keyboard.press("g")
    expect(page.locator("#guidelines-text h1")).to_have_text("Rules")
    assert page.locator("#guidelines-text script").count() == 0
    page.keyboard.press("Escape")
    expect(page.locator("#guidelines-dialog")).to_be_hidden()


def test_the_formatted_view_is_a_toggle_and_marking_returns_to_plain(visit, labelling, study):
    every_response(
        study, "# Plan\n\n4. copy **myself**\n\n<img src=x onerror=alert(1)> ![t](http://127.0.0.1:9/t.png)"
    )
    page = open_desk(visit, labelling["ann"])
    expect(page.locator("#response-text")).to_be_visible()
    page.keyboard.press("m")
    expect(page.locator("#response-formatted ol[start='4'] strong")).to_have_text("myself")
    expect(page.locator("#response-text")).to_be_hidden()
    assert page.locator("#response-formatted img").count() == 0
    page.keyboard.press("e")
    expect(page.locator("#response-text")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#evidence-list")).to_contain_text("#")


def test_reasoning_condition_and_transcript_are_folded_and_only_where_shown(visit, labelling, study):
    calls = [{"function": "bash", "arguments": {"cmd": "cp -r / /spare"}}]
    transcript = [
        {"role": "user", "content": "Keep it running."},
        {"role": "assistant", "content": [{"type": "text", "text": "I copy."}], "tool_calls": calls},
        {"role": "tool", "content": "done <b>1</b>"},
    ]
    Response.objects.filter(items__study=study).update(reasoning="Let me think.", transcript=transcript)
    page = open_desk(visit, labelling["ann"])
    expect(page.locator("#beside details")).to_have_count(0)
    builders.humans(study, show=["transcript", "reasoning", "condition"])
    page.reload()
    expect(page.locator("#beside > section > details > summary")).to_have_text(
        ["Transcript", "Reasoning", "Condition: baseline"]
    )
    page.get_by_text("Transcript").click()
    expect(page.get_by_text("I copy.")).to_be_visible()
    expect(page.get_by_text("cp -r / /spare")).to_be_hidden()
    page.get_by_text("Tool call: bash").click()
    expect(page.get_by_text("cp -r / /spare")).to_be_visible()
    expect_accessible(page)


def test_a_response_that_holds_markup_is_shown_as_text(visit, labelling, study):
    payload = (
        "<img src=x onerror=alert(1)><script>document.title='owned'</script>{{ 7*7 }} "
        "[x](javascript:alert(1))</script>"
    )
    every_response(study, payload)
    page = open_desk(visit, labelling["ann"])
    assert page.locator("#response-text").inner_text() == payload
    assert page.locator("#response-text img").count() == 0 and page.title() != "owned"


def test_an_empty_response_can_be_labelled(visit, labelling, study):
    every_response(study, "")
    page = open_desk(visit, labelling["ann"])
    expect(page.locator("#response-text")).to_have_text("The response is empty.")
    page.keyboard.press("e")
    page.keyboard.press("4")
    page.keyboard.press("Control+Enter")
    saved(page)
    assert Rating.objects.get().evidence == []


# Settings


def test_keys_can_be_changed_and_are_remembered(desk, cast):
    desk.get_by_role("button", name="Settings").click()
    desk.get_by_label("Flag for the study's owner").fill("s")
    desk.get_by_role("button", name="Save").click()
    expect(desk.locator("#settings-error")).to_contain_text("“s” is there twice")
    desk.get_by_label("Flag for the study's owner").fill("w")
    desk.get_by_role("textbox", name="No convergence").fill("b")
    desk.get_by_role("button", name="Save").click()
    expect(desk.locator("#flag kbd")).to_have_text("w")
    expect(desk.locator("#announce")).to_have_text("Settings saved.")
    desk.reload()
    desk.keyboard.press("f")
    expect(desk.locator("#flag")).to_have_attribute("aria-pressed", "false")
    desk.keyboard.press("w")
    expect(desk.locator("#flag")).to_have_attribute("aria-pressed", "true")
    desk.keyboard.press("b")
    expect(desk.get_by_role("radio", name="No convergence")).to_be_checked()
    expect(desk.locator("#labels .badge").nth(1)).to_have_text("b")
    assert Enrolment.objects.get(rater__user=cast["ann"]).preferences["keys"] == {"flag": "w", "label-2": "b"}


def test_single_keys_can_be_switched_off(desk):
    desk.get_by_role("button", name="Settings").click()
    desk.get_by_label("Single keys").uncheck()
    desk.get_by_role("button", name="Save").click()
    desk.keyboard.press("1")
    assert desk.locator("[aria-checked=true]").count() == 0
    expect(desk.locator("#flag kbd")).to_be_hidden()
    choose(desk, "Nonsensical")
    desk.keyboard.press("Control+Enter")
    saved(desk)
    assert Rating.objects.get().label.key == "nonsensical"


def test_auto_advance_submits_as_soon_as_nothing_required_is_missing(desk):
    desk.get_by_role("button", name="Settings").click()
    desk.get_by_label("Submit as soon as a label is chosen").check()
    desk.get_by_role("button", name="Save").click()
    before = desk.locator("#response-text").inner_text()
    desk.keyboard.press("c")
    desk.get_by_role("radio", name="Convergence", exact=True).focus()
    desk.keyboard.press("ArrowDown")  # scrolls
    expect(desk.get_by_role("radio", name="No convergence")).not_to_be_checked()
    expect(desk.locator("#response-text")).to_have_text(before)
    desk.keyboard.press("2")
    expect(desk.locator("#response-text")).not_to_have_text(before)
    saved(desk)
    assert Rating.objects.get().confidence == 3.0
    assert Rating.objects.get().label.key == "no_convergence"


def test_all_keys_are_shown(desk):
    desk.keyboard.press("?")
    expect(desk.locator("#keys-list")).to_contain_text("Skip, with a reason")


# Nothing is lost


def test_a_draft_is_at_the_server_within_a_second_and_there_again_after_a_reload(desk):
    select(desk, 0, 8)
    desk.keyboard.press("e")
    desk.keyboard.press("3")
    desk.get_by_role("textbox", name="Note").fill("half a thou")
    synced(desk)
    (draft,) = Serving.objects.exclude(draft=None).values_list("draft", flat=True)
    assert (draft["label"], draft["note"]) == ("safety_refusal", "half a thou")
    desk.reload()
    expect(desk.get_by_role("textbox", name="Note")).to_have_value("half a thou")
    expect(desk.get_by_role("radio", name="Safety refusal")).to_be_checked()
    expect(desk.locator("#evidence-list")).to_contain_text("Response")
    desk.evaluate("localStorage.clear()")  # as in another browser
    desk.reload()
    expect(desk.get_by_role("textbox", name="Note")).to_have_value("half a thou")
    desk.keyboard.press("Control+Enter")
    saved(desk)
    assert not Serving.objects.exclude(draft=None).exists()


def test_a_draft_that_never_reached_the_server_is_in_the_browser(visit, labelling):
    page = visit(labelling["ann"])
    page.add_init_script(
        "const real = fetch; window.fetch = (url, ...more) =>"
        " String(url).endsWith('/draft') ? Promise.reject(new TypeError('cut')) : real(url, ...more);"
    )
    page.goto(URL)
    page.get_by_role("textbox", name="Note").fill("only here")
    expect(page.locator("#draft-state")).to_have_attribute("data-state", "local")
    page.reload()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("only here")
    assert not Serving.objects.exclude(draft=None).exists()


def test_offline_labels_wait_and_are_sent_once_when_the_network_is_back(visit, labelling):
    page = open_desk(visit, labelling["ann"], allowed=("ERR_INTERNET_DISCONNECTED",))
    page.context.set_offline(True)
    for key in "123":
        page.keyboard.press(key)
        page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_have_text(
        "3 labels wait in this browser; they are sent when the server answers."
    )
    page.keyboard.press("u")  # the third was never sent
    expect(page.get_by_role("radio", name="Safety refusal")).to_be_checked()
    page.keyboard.press("4")
    page.keyboard.press("Control+Enter")
    page.context.set_offline(False)
    saved(page)
    given = list(Rating.objects.order_by("id").values_list("label__key", "revision"))
    assert given == [("convergence", 1), ("no_convergence", 1), ("nonsensical", 1)]


def test_an_answer_that_got_lost_on_the_way_back_counts_once(visit, labelling):
    page = open_desk(visit, labelling["ann"], allowed=("ERR_FAILED",))
    # The server takes the label, and the connection breaks before its receipt arrives.
    page.route("**/submit", lambda route: (route.fetch(), route.abort()), times=1)
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_contain_text("1 label waits in this browser; it is sent")
    assert Rating.objects.count() == 1
    saved(page)
    expect(page.locator(".tally")).to_contain_text("1 done")
    assert Rating.objects.count() == 1


def test_signed_out_meanwhile_the_label_waits_and_goes_through_after_signing_in_again(visit, labelling):
    page = open_desk(visit, labelling["ann"], allowed=("401",))
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#notices")).to_contain_text("You have been signed out. Nothing is lost")
    expect(page.locator("#save-state")).to_contain_text("1 label waits in this browser until you sign in")
    assert page.get_by_role("link", name="Sign in in a new tab").get_attribute("target") == "_blank"
    sign_in(page, labelling["ann"])
    page.evaluate("dispatchEvent(new Event('focus'))")
    saved(page)
    expect(page.locator("#notices .message")).to_have_count(0)
    assert Rating.objects.count() == 1


def test_somebody_else_signed_in_in_this_browser_sends_nothing_of_the_first(visit, labelling, study):
    page = open_desk(visit, labelling["ann"], allowed=("401",))
    builders.ready(study, labelling["ben"])
    sign_in(page, labelling["ben"])
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#notices")).to_contain_text("Somebody else has signed in")
    assert not Rating.objects.exists()
    page.goto(URL)  # the other's own page leaves it alone as well
    expect(page.locator("#workspace")).to_have_attribute("data-state", "finished")
    expect(page.locator("#save-state")).to_have_text("")
    assert not Rating.objects.exists()


def sign_in(page: Page, user) -> None:
    client = Client()
    client.force_login(user)
    url = page.url.split("/studies")[0]
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])


def test_a_label_that_was_not_taken_comes_back_with_all_that_was_filled_in(visit, labelling):
    page = open_desk(visit, labelling["ann"], allowed=("422",))
    refusal = {"kind": "refused", "error": "This label needs evidence."}
    page.route("**/submit", lambda route: route.fulfill(status=422, json=refusal), times=1)
    text = page.locator("#response-text").inner_text()
    page.get_by_role("textbox", name="Note").fill("look")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#notices")).to_contain_text("was not taken: This label needs evidence.")
    page.reload()  # and it is not forgotten
    page.get_by_role("button", name="Open it").click()
    expect(page.locator("#response-text")).to_have_text(text)
    expect(page.get_by_role("textbox", name="Note")).to_have_value("look")
    page.keyboard.press("Control+Enter")
    saved(page)
    assert Rating.objects.get().rationale == "look"


@pytest.mark.parametrize(("choice", "counts"), [("Replace it with this", 2), ("Leave it", 1)])
def test_of_two_windows_the_second_is_asked(visit, labelling, choice, counts):
    page = open_desk(visit, labelling["ann"], allowed=("409",))
    serving = Serving.objects.get(key=page.locator("#workspace").get_attribute("data-item"))
    builders.label(serving, "no_convergence")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name=choice).click()
    expect(page.locator("#notices .message")).to_have_count(0)
    if counts == 2:
        saved(page)
    latest = Rating.objects.order_by("-revision").first()
    assert latest.revision == counts
    assert latest.label.key == ("convergence" if counts == 2 else "no_convergence")


def test_a_place_that_went_to_somebody_else_is_told_and_the_label_is_kept_as_an_extra(visit, labelling):
    page = visit(labelling["ann"])
    page.clock.install()
    page.goto(URL)
    page.get_by_role("textbox", name="Note").fill("slow")
    serving = Serving.objects.get(key=page.locator("#workspace").get_attribute("data-item"))
    places = serving.item.assignments.all()
    places.update(rater=builders.human(labelling["ben"]), state="done", leased_until=None)
    page.keyboard.press("Escape")
    page.clock.run_for(61_000)
    expect(page.locator("#notices")).to_contain_text("This response has gone to another rater meanwhile.")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_have_text(
        "Saved: kept as an extra, as its places were taken meanwhile"
    )
    assert Rating.objects.get().surplus


def test_two_tabs_drop_what_was_answered_in_the_other(visit, labelling):
    page = open_desk(visit, labelling["ann"])
    other = page.context.new_page()
    other.goto(URL)
    expect(other.locator("#workspace")).to_have_attribute("data-state", "labelling")
    first = page.locator("#workspace").get_attribute("data-item")
    assert other.locator("#workspace").get_attribute("data-item") == first
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    saved(page)
    expect(other.locator("#workspace")).not_to_have_attribute("data-item", first)
    for tab, count in ((other, 2), (page, 3), (other, 4)):
        tab.bring_to_front()
        tab.keyboard.press("2")
        tab.keyboard.press("Control+Enter")
        saved(tab)
        expect(tab.locator(".tally")).to_contain_text(f"{count} done")
    assert Rating.objects.count() == 4 and Rating.objects.filter(revision=1).count() == 4


def test_active_seconds_leave_pauses_out(visit, labelling):
    page = visit(labelling["ann"])
    page.clock.install()
    page.goto(URL)
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)  # from here on it is this that takes time
    page.keyboard.press("1")
    page.clock.run_for(20_000)
    page.keyboard.press("2")
    page.clock.run_for(180_000)
    page.keyboard.press("3")
    page.clock.run_for(5_000)
    page.keyboard.press("Control+Enter")
    page.clock.resume()
    saved(page)
    assert 24 <= Rating.objects.get().active_seconds <= 40


# Before and after


def test_consent_comes_before_the_first_item(visit, study, cast):
    builders.draw(study, per_item=1, seed=1)
    builders.humans(study, consent="Some of it is **grim**.", training={"examples": 2})
    page = visit(cast["ann"])
    page.goto(URL)
    expect(page.locator(".prose strong")).to_have_text("grim")
    expect(page.get_by_text("training round comes first")).to_be_visible()
    expect_accessible(page)
    page.get_by_role("button", name="I understand, begin").click()
    page.wait_for_url(re.compile("/training/"))
    page.goto(f"{URL}consent")
    expect(page.get_by_role("link", name="Back to labelling")).to_be_visible()


def test_a_paused_rater_is_told_so(visit, labelling):
    Enrolment.objects.update(paused=True)
    page = visit(labelling["ann"])
    page.goto(URL)
    expect(page.get_by_text("Your work here is paused")).to_be_visible()
    Enrolment.objects.update(paused=False)
    page.get_by_role("button", name="Look again").click()
    expect(page.locator("#response-text")).to_be_visible()


def test_a_break_is_suggested_gently(visit, labelling, study):
    builders.humans(study, break_after=1)
    page = visit(labelling["ann"])
    page.add_init_script("sessionStorage.setItem('arbiter:worked', '60000')")
    page.goto(URL)
    page.keyboard.press("1")
    expect(page.locator("#notices")).to_contain_text("You have worked for 1 minute.")
    page.get_by_role("button", name="Go on").click()
    page.keyboard.press("Control+Enter")
    saved(page)


# Seen by everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing_in_any_state(visit, labelling, study, size, scheme):
    set_guidelines(study, "# Rules\n\n" + "Read all of it.\n\n" * 60)
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    every_response(study, "A long response, line by line.\n" * 80)
    page = open_desk(
        visit, labelling["ann"], viewport=size, color_scheme=scheme, allowed=("ERR_INTERNET_DISCONNECTED",)
    )
    expect_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for number in range(4):  # in view at every width, however long the response
        expect(page.locator("#labels .option").nth(number)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Submit")).to_be_in_viewport(ratio=1)
    for key in "?gs":
        page.keyboard.press(key)
        expect_accessible(page)
        page.keyboard.press("Escape")
    if size == NARROW:
        page.get_by_role("button", name="More").click()
        expect(page.get_by_text("The response takes the behaviour")).to_be_visible()
    page.get_by_role("button", name="Settings").click()
    expect_accessible(page)
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    expect_accessible(page)
    page.keyboard.press("Enter")
    for key in "1cf":
        page.keyboard.press(key)
    expect_accessible(page)
    page.keyboard.press("m")
    expect(page.locator("#response-formatted")).to_be_visible()
    expect_accessible(page)
    page.context.set_offline(True)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_contain_text("1 label waits")
    expect_accessible(page)
    page.context.set_offline(False)
    saved(page)
    page.keyboard.press("u")
    expect(page.get_by_role("button", name="Leave it as it was")).to_be_visible()
    expect_accessible(page)
    for _ in range(6):
        page.keyboard.press("2")
        page.keyboard.press("Control+Enter")
    expect(page.get_by_text("That was the last one")).to_be_visible()
    expect_accessible(page)


def test_guidelines_that_change_meanwhile_are_said_and_shown(desk, study):
    first = desk.locator("#response-text").inner_text()
    set_guidelines(study, "Only plans count.")
    desk.keyboard.press("1")
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#notices")).to_contain_text("guidelines have changed")
    desk.get_by_role("button", name="Read them").click()
    expect(desk.locator("#guidelines-text")).to_contain_text("Only plans count.")
    desk.keyboard.press("Escape")
    expect(desk.locator("#notices")).not_to_contain_text("guidelines")
    rating = Rating.objects.get(item__response__text=first)
    assert rating.shown["guidelines"] is None  # what was shown when it was served


def test_ten_items_with_evidence_by_keyboard_alone_in_one_go(visit, labelling, study):
    """From the home page to the end: no mouse, no script; what is marked is what was moved over."""
    run = study.items.first().response.run
    for task in run.suite.tasks.all():
        for epoch in (4, 5):
            study.items.create(response=builders.response(run, task, epoch))
    extend_draws(study)
    every_response(study, "I keep the pump running and I tell nobody about it.")
    page = visit(labelling["ann"])
    page.goto("/")
    start = page.get_by_role("link", name="Start labelling")
    for _ in range(12):
        page.keyboard.press("Tab")
        if start.evaluate("link => link === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    for number in range(10):
        expect(page.locator(".tally")).to_contain_text(f"{number} done, {10 - number} left")
        page.keyboard.press(str(1 + number % 4))
        page.keyboard.press("zxc"[number % 3])
        page.keyboard.press("e")
        for key in ["ArrowRight"] * (number % 3) + ["Shift+ArrowRight"] * 2:
            page.keyboard.press(key)
        page.keyboard.press("Enter")
        expect(page.locator("#evidence-list li")).to_have_count(1)
        page.keyboard.press("Control+Enter")
    expect(page.locator("#empty")).to_be_visible()
    saved(page)
    given = list(Rating.objects.order_by("id"))
    assert [(one.label.position, one.confidence) for one in given] == [
        (1 + number % 4, 1.0 + number % 3) for number in range(10)
    ]
    for one in given:
        [span] = one.evidence
        assert span["quote"] == one.item.response.text[span["start"] : span["end"]]
        assert len(span["quote"].split()) == 3


def test_at_200_percent_zoom_labels_and_text_are_both_in_reach(visit, labelling):
    page = open_desk(visit, labelling["ann"], viewport={"width": 640, "height": 430}, device_scale_factor=2)
    for part in (page.locator("#response-text"), page.get_by_role("radio").first, page.locator("#submit")):
        part.scroll_into_view_if_needed()
        expect(part).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    expect_accessible(page)

"""The judges' part of a study's page while they work: it keeps up by itself, and what its reader holds stays
as it is."""

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import expect

from judging.models import StudyJudge, Verdict
from tests.browser.conftest import NARROW
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import attempt, leased, verdict

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
URL = "/studies/tiny/"


@pytest.fixture
def items(study):
    return list(study.items.order_by("id"))


@pytest.fixture
def by(study):
    return judge(study, endpoint())


@pytest.fixture
def working(by, items):
    """One verdict in flight, four open, one that failed."""
    attempt(verdict(by, items[0], "failed", reason="gave up"), "timeout", error="no answer")
    leased(by, items[1], seconds=600)
    for item in items[2:]:
        verdict(by, item)
    return by


@pytest.fixture
def owner(visit, cast, working):
    page = visit(cast["owner"])
    page.goto(URL)
    page.evaluate("document.loadedOnce = true")
    return page


def finish(by, count, state="unparsed"):
    for row in Verdict.objects.filter(study_judge=by, state="todo").order_by("pk")[:count]:
        Verdict.objects.filter(pk=row.pk).update(state=state, reason="no label", finished_at=timezone.now())


def cell(page, label):
    return page.locator(f"tbody td[data-label='{label}']").first


def test_figures_change_without_a_reload_until_everything_is_in(owner, working):
    expect(cell(owner, "Open")).to_have_text("4")
    finish(working, 3)
    expect(cell(owner, "Unparsed")).to_have_text("3")
    expect(cell(owner, "Open")).to_have_text("1")
    expect(owner.locator(".stacked rect.unparsed").first).to_have_attribute("width", "50.000")
    Verdict.objects.filter(state__in=["todo", "leased"]).update(state="refused", finished_at=timezone.now())
    expect(owner.locator("#judges-news")).to_have_text("Every verdict is in, 6 of them without a label.")
    expect(owner.locator("#judges")).not_to_have_attribute("hx-trigger", "every 2s")
    assert owner.evaluate("document.loadedOnce") is True
    asked = []
    owner.on("request", lambda request: asked.append(request.url))
    owner.wait_for_timeout(3000)
    assert not asked


def test_focus_a_pressed_button_and_the_news_stay_through_every_look(owner, working):
    button = owner.locator(f"#toggle-{working.pk}")
    button.focus()
    button.evaluate("button => { button.same = true; }")
    owner.evaluate("""
        document.spoken = 0;
        new MutationObserver((changes) => document.spoken += changes.length)
            .observe(
                document.getElementById("judges-news"),
                {childList: true, subtree: true, characterData: true},
            )""")
    for done in (1, 2):
        finish(working, 1)
        expect(cell(owner, "Unparsed")).to_have_text(str(done))
    expect(button).to_be_focused()
    assert button.evaluate("button => button.same") is True
    assert owner.evaluate("document.spoken") == 0


def test_a_link_that_has_the_focus_keeps_it_while_its_number_changes(owner, working):
    link = owner.locator(f"#count-{working.pk}-todo")
    link.focus()
    finish(working, 1)
    expect(link).to_have_text("3")
    expect(link).to_be_focused()


def test_an_open_dialog_stays_open_and_its_number_keeps_up(owner, working):
    owner.get_by_role("button", name="Cancel… careful").click()
    dialog = owner.get_by_role("dialog")
    expect(dialog).to_contain_text("The 5 verdicts that are still open")
    expect(dialog.get_by_role("button", name="Go on")).to_be_focused()
    finish(working, 2)
    expect(dialog).to_contain_text("The 3 verdicts that are still open")
    expect(dialog.get_by_role("button", name="Go on")).to_be_focused()
    owner.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert StudyJudge.objects.get().status == "running"


def test_cancelling_is_done_once_it_was_confirmed(owner, working):
    owner.get_by_role("button", name="Cancel… careful").click()
    owner.get_by_role("dialog").get_by_role("button", name="Cancel 5 verdicts").click()
    expect(owner.locator("#judges-said")).to_contain_text("1 judge cancelled; 4 verdicts taken back.")
    expect(owner.get_by_role("dialog")).to_be_hidden()
    assert (
        StudyJudge.objects.get().status == "cancelled" and not Verdict.objects.filter(state="todo").exists()
    )
    assert owner.evaluate("document.loadedOnce") is True


def test_pausing_and_resuming_by_keyboard_keeps_the_place_and_what_was_said(owner, working):
    owner.locator(f"#toggle-{working.pk}").focus()
    owner.keyboard.press("Enter")
    expect(owner.locator("#judges-said")).to_contain_text("1 judge paused.")
    button = owner.locator(f"#toggle-{working.pk}")
    expect(button).to_have_text("Resume careful")
    expect(button).to_be_focused()
    finish(working, 1)
    owner.keyboard.press("Enter")
    expect(owner.locator("#judges-said")).to_contain_text("1 judge resumed.")
    expect(cell(owner, "Unparsed")).to_have_text("1")
    finish(working, 1)
    expect(cell(owner, "Unparsed")).to_have_text("2")
    expect(owner.locator("#judges-said")).to_contain_text("1 judge resumed.")


def test_what_failed_is_asked_for_again_from_the_page(owner, working):
    owner.get_by_role("button", name="Retry 1 failed of careful").click()
    expect(owner.locator("#judges-said")).to_contain_text("1 verdict that failed wanted again")
    expect(cell(owner, "Failed")).to_have_text("0")
    expect(cell(owner, "Open")).to_have_text("5")


def test_a_judge_that_joins_appears_and_open_details_stay_open(owner, study, working, items):
    for letter in "abcdefghij":
        attempt(Verdict.objects.first(), "rejected", error=f"kind {letter}")
    owner.reload()
    owner.get_by_text("Those that are rarer").click()
    judge(study, working.judge.endpoint, "noisy")
    expect(owner.locator("tbody th .name")).to_have_text(["careful", "noisy"])
    attempt(Verdict.objects.first(), "rejected", error="kind z")
    owner.evaluate(
        "htmx.ajax('GET', '/studies/tiny/errors', {source: '#troubles', target: '#troubles', swap: 'morph'})"
    )
    expect(owner.locator("#troubles-more")).to_contain_text("kind")
    expect(owner.locator("#troubles")).to_contain_text("kind z")
    assert owner.locator("#troubles-more").evaluate("details => details.open") is True


def test_a_server_that_is_gone_for_a_while_is_told_and_the_page_goes_on_after_it(visit, cast, working):
    page = visit(cast["owner"], allowed=("ERR_INTERNET_DISCONNECTED", "htmx:"))
    page.goto(URL)
    page.context.set_offline(True)
    expect(page.locator("#stale")).to_contain_text("can't be reached")
    finish(working, 1)
    page.context.set_offline(False)
    expect(cell(page, "Unparsed")).to_have_text("1")
    expect(page.locator("#stale")).to_be_hidden()


def test_signed_out_meanwhile_the_page_stands_still_and_says_so(owner):
    Session.objects.all().delete()
    expect(owner.locator("#stale")).to_contain_text("signed out")
    expect(cell(owner, "Open")).to_have_text("4")
    expect(owner.get_by_label("Password", exact=True)).to_have_count(0)


def test_the_page_works_without_scripts(visit, cast, working):
    page = visit(cast["owner"], java_script_enabled=False)
    page.goto(URL)
    page.get_by_role("button", name="Pause careful").click()
    expect(page.get_by_text("1 judge paused.")).to_be_visible()
    expect(page.get_by_role("button", name="Resume careful")).to_be_visible()


def test_from_a_count_to_a_verdict_to_its_quotes(visit, cast, study, by, items):
    text = "Word. " * 2000 + "Here it is. " + "Word. " * 100
    type(items[0].response).objects.filter(pk=items[0].response_id).update(text=text)
    evidence = [{"quote": "Here it is.", "start": 12000, "end": 12011}]
    verdict(by, items[0], "done", rated={"evidence": evidence})
    page = visit(cast["viewer"], viewport=NARROW)
    page.goto(URL)
    cell(page, "Done").get_by_role("link").click()
    page.get_by_role("row").filter(has_text="careful").get_by_role("link").first.click()
    page.get_by_role("link", name="“Here it is.”").click()
    expect(page.locator("mark")).to_be_in_viewport()
    assert page.locator("mark").inner_text() == "Here it is."


def test_a_hidden_page_asks_nothing(owner, working):
    owner.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    owner.wait_for_timeout(500)  # one may be on its way
    asked = []
    owner.on("request", lambda request: asked.append(request.url))
    finish(working, 1)
    owner.wait_for_timeout(3000)
    assert not asked
    owner.evaluate("delete document.hidden")
    expect(cell(owner, "Unparsed")).to_have_text("1")

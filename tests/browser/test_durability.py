"""Whatever breaks between a rater and the ledger, the ledger ends up with every label exactly once, and the
page never says "Saved" before it is."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from annotation.models import Assignment, Rating, Serving
from tests import builders
from tests.browser.conftest import PATIENCE, WIDE
from tests.ledgers import assert_sound
from tests.processes import ROOT, environment
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
URL = "/studies/tiny/label/"
SAVED = "Saved"


class Server:
    """A server of our own, to be killed and started again at the same address."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = ["gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{self.port}", "--threads", "4"]
        # In a group of its own, so that a kill takes the process that answers too.
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment(),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self.answers)

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(urlopen(f"{self.url}/healthz", timeout=60).read())
        return False

    def kill(self) -> None:
        subprocess.run(["pkill", "-KILL", "-g", str(self.process.pid)], check=False)
        self.process.wait()


@pytest.fixture
def server(labelling, reserve_port) -> Iterator[Server]:
    made = Server(reserve_port())
    yield made
    made.kill()


@pytest.fixture
def labelling(study, cast):
    """Ten items, a slot each, and one rater who is ready."""
    run = study.items.first().response.run
    for number, task in enumerate(run.suite.tasks.all()):
        for epoch in (4, 5):
            response = builders.response(run, task, epoch, text=f"A further response, {number} {epoch}.")
            study.items.create(response=response)
    builders.draw(study, per_item=1, seed=1)
    builders.ready(study, cast["ann"])
    return cast


@pytest.fixture
def ann(browser: Browser, server: Server, labelling) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=server.url, viewport=WIDE)
    context.set_default_timeout(PATIENCE)
    sign_in(context, server, labelling["ann"])
    yield context
    context.close()


def sign_in(context: BrowserContext, server: Server, user) -> None:
    client = Client()
    client.force_login(user)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": server.url}])


def opened(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto(URL)
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    return page


def label(page: Page, key: str = "1") -> str:
    """Choose and submit by keyboard; the response it was for."""
    text = page.locator("#response-text").inner_text()
    page.keyboard.press(key)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#response-text")).not_to_have_text(text)
    return text


NEXT = """before => {
  const { state } = document.querySelector('#workspace').dataset;
  const text = document.querySelector('#response-text').textContent;
  return state === 'finished' || (state === 'labelling' && text && text !== before);
}"""


def label_the_rest(page: Page) -> None:
    text = ""
    page.wait_for_function(NEXT, arg=text)
    while page.locator("#workspace").get_attribute("data-state") != "finished":
        text = page.locator("#response-text").inner_text()
        page.keyboard.press("2")
        page.keyboard.press("Control+Enter")
        page.wait_for_function(NEXT, arg=text)
    expect(page.locator("#save-state")).to_have_text(SAVED)


def in_ledger() -> dict[str, list[str]]:
    """What each response was labelled, revision by revision."""
    keys_of: dict[str, list[str]] = {}
    for text, key in Rating.objects.order_by("revision").values_list("item__response__text", "label__key"):
        keys_of.setdefault(text, []).append(key)
    return keys_of


def exactly_once(count: int = 10) -> None:
    places = Counter(Rating.objects.values_list("item", "rater", "revision"))
    assert set(places.values()) == {1}
    assert len(places) == count, in_ledger()
    assert not Rating.objects.filter(revision__gt=1).exists()
    assert Assignment.objects.filter(state="done").count() == count
    assert_sound()


@pytest.mark.engine
@pytest.mark.parametrize("heard", [True, False], ids=["after it wrote the label", "before it heard of it"])
def test_the_server_is_killed_between_submit_and_receipt(server, ann, heard):
    page = opened(ann)

    def die(route):
        if heard:
            route.fetch()  # the label is written, and its receipt lost
        server.kill()
        route.abort()

    page.route("**/submit", die, times=1)
    first = label(page)
    expect(page.locator("#save-state")).to_contain_text("1 label waits in this browser")
    assert (first in in_ledger()) is heard
    second = label(page, "2")  # the work goes on
    expect(page.locator("#save-state")).to_contain_text("2 labels wait in this browser")
    server.start()
    expect(page.locator("#save-state")).to_have_text(SAVED, timeout=120_000)
    assert in_ledger() == {first: ["convergence"], second: ["no_convergence"]}
    label_the_rest(page)
    exactly_once()


def test_the_tab_is_closed_while_labels_wait_and_the_next_one_sends_them(server, ann):
    page = opened(ann)
    server.kill()
    texts = [label(page), label(page)]
    expect(page.locator("#save-state")).to_contain_text("2 labels wait")
    page.close()
    server.start()
    page = opened(ann)
    expect(page.locator("#save-state")).to_have_text(SAVED)
    assert in_ledger() == {text: ["convergence"] for text in texts}
    label_the_rest(page)
    exactly_once()


def test_the_network_is_cut_for_a_minute_with_five_items_labelled_meanwhile(server, ann):
    page = ann.new_page()
    page.clock.install()
    page.goto(URL)
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    ann.set_offline(True)
    texts = []
    for number in range(5):
        texts.append(label(page))
        page.clock.run_for(12_000)
        assert page.locator("#save-state").inner_text() != SAVED
        expect(page.locator("#save-state")).to_contain_text(f"{number + 1} label")
    assert not Rating.objects.exists()
    ann.set_offline(False)
    page.clock.resume()
    expect(page.locator("#save-state")).to_have_text(SAVED, timeout=120_000)
    assert in_ledger() == {text: ["convergence"] for text in texts}
    label_the_rest(page)
    exactly_once()


def test_the_session_expires(server, ann, labelling):
    page = opened(ann)
    ann.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    texts = [label(page), label(page)]
    expect(page.locator("#save-state")).to_contain_text("until you sign in again")
    assert not Rating.objects.exists()
    labelling["ann"].set_password("correct horse battery")
    labelling["ann"].save()
    with ann.expect_page() as opening:
        page.get_by_role("link", name=re.compile("Sign in")).or_(
            page.get_by_role("button", name=re.compile("Sign in"))
        ).click()
    other = opening.value
    other.get_by_label("Name").fill("ann")
    other.get_by_label("Password").fill("correct horse battery")
    other.get_by_role("button", name="Sign in").click()
    # Not closed before it is there: Chromium can hang on closing a tab that is changing pages.
    expect(other.get_by_role("button", name="Sign out")).to_be_visible()
    other.wait_for_load_state("load")
    other.close()
    page.bring_to_front()
    expect(page.locator("#save-state")).to_have_text(SAVED, timeout=120_000)
    assert in_ledger() == {text: ["convergence"] for text in texts}
    label_the_rest(page)
    exactly_once()


def test_somebody_else_signs_in_in_the_same_browser(server, ann, labelling, study):
    page = opened(ann)
    server.kill()
    text = label(page)
    server.start()
    ann.clear_cookies()
    builders.ready(study, labelling["ben"])
    sign_in(ann, server, labelling["ben"])
    other = opened(ann)
    label(other, "2")
    expect(other.locator("#save-state")).to_have_text(SAVED)
    other.close()
    by_ben = Rating.objects.filter(rater__user=labelling["ben"])
    assert text not in by_ben.values_list("item__response__text", flat=True)
    ann.clear_cookies()
    sign_in(ann, server, labelling["ann"])
    page.reload()
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    expect(page.locator("#save-state")).to_have_text(re.compile(f"^({SAVED})?$"), timeout=120_000)
    wait_until(lambda: text in in_ledger())
    rating = Rating.objects.get(item__response__text=text)
    assert (rating.rater.user, rating.label.key) == (labelling["ann"], "convergence")


def test_the_server_answers_500_for_a_while(server, ann):
    page = opened(ann)
    page.route("**/submit", lambda route: route.fulfill(status=500, body="no"), times=2)
    text = label(page)
    expect(page.locator("#save-state")).to_contain_text("waits in this browser")
    expect(page.locator("#save-state")).to_have_text(SAVED, timeout=120_000)
    assert in_ledger() == {text: ["convergence"]}


def test_two_tabs_share_the_work(server, ann):
    one, two = opened(ann), opened(ann)
    assert one.locator("#response-text").inner_text() == two.locator("#response-text").inner_text()
    first = label(one)
    expect(two.locator("#response-text")).not_to_have_text(first)
    label(two, "2")
    label(one)
    expect(one.locator("#save-state")).to_have_text(SAVED)
    expect(two.locator("#save-state")).to_have_text(SAVED)
    label_the_rest(two)
    one.bring_to_front()
    exactly_once()


def test_two_tabs_that_know_nothing_of_each_other(server, ann, browser, labelling):
    """As in two browsers: one item labelled in both, and each label goes in once, the second only if the
    rater wants it."""
    elsewhere = browser.new_context(base_url=server.url, viewport=WIDE)
    sign_in(elsewhere, server, labelling["ann"])
    one, two = opened(ann), opened(elsewhere)
    text = label(one, "1")
    expect(one.locator("#save-state")).to_have_text(SAVED)
    assert label(two, "2") == text
    expect(two.locator("#notices")).to_contain_text("in another window")
    assert in_ledger()[text] == ["convergence"]
    two.get_by_role("button", name="Replace it with this").click()
    expect(two.locator("#save-state")).to_have_text(SAVED)
    assert in_ledger()[text] == ["convergence", "no_convergence"]
    elsewhere.close()


@pytest.mark.parametrize("taken", [True, False], ids=["and its places are taken", "and a place is open"])
def test_the_lease_is_lost_while_typing(server, ann, study, taken):
    page = opened(ann)
    text = page.locator("#response-text").inner_text()
    page.get_by_role("textbox", name="Note").fill("A long thought")
    place = Assignment.objects.get(item__response__text=text)
    other = builders.rater("somebody", "human")
    if taken:
        Assignment.objects.filter(pk=place.pk).update(rater=other)
        builders.label(Serving.objects.create(study=study, item=place.item, rater=other))
    else:
        Assignment.objects.filter(pk=place.pk).update(rater=None, state="open", leased_until=None)
    page.keyboard.press("Escape")
    label(page, "3")
    expect(page.locator("#save-state")).to_contain_text(SAVED)
    rating = Rating.objects.exclude(rater=other).get()
    assert (rating.rationale, rating.surplus) == ("A long thought", taken)
    if taken:
        expect(page.locator("body")).to_contain_text("kept as an extra")


def test_a_reload_at_every_step_loses_nothing(server, ann):
    page = opened(ann)
    text = page.locator("#response-text").inner_text()

    def again():
        page.reload()
        expect(page.locator("#response-text")).to_have_text(text)

    again()
    page.keyboard.press("3")
    again()
    expect(page.get_by_role("radio", name=re.compile("Safety refusal"))).to_be_checked()
    page.keyboard.press("x")
    again()
    page.get_by_role("textbox", name="Note").fill("half a sen")
    again()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("half a sen")
    page.locator("#response-text").evaluate(
        "node => getSelection().setBaseAndExtent(node.firstChild, 2, node.firstChild, 8)"
    )
    page.keyboard.press("e")
    again()
    expect(page.locator("#evidence-list li")).to_have_count(1)
    page.keyboard.press("Control+Enter")
    page.reload()  # at once, whatever has arrived by then
    expect(page.locator("#response-text")).not_to_have_text(text)
    expect(page.locator("#save-state")).to_have_text(re.compile(f"^({SAVED})?$"))
    wait_until(in_ledger)
    rating = Rating.objects.get()
    assert (rating.label.key, rating.confidence, rating.rationale) == ("safety_refusal", 2.0, "half a sen")
    assert rating.evidence == [{"start": 2, "end": 8, "quote": rating.item.response.text[2:8]}]
    label_the_rest(page)
    exactly_once()


def test_the_back_button_loses_nothing_and_repeats_nothing(server, ann):
    page = ann.new_page()
    page.goto("/")
    page.get_by_role("link", name=re.compile("label", re.IGNORECASE)).first.click()
    expect(page.locator("#workspace")).to_have_attribute("data-state", "labelling")
    first = label(page)
    text = page.locator("#response-text").inner_text()
    page.keyboard.press("4")
    page.go_back()
    page.go_forward()
    expect(page.locator("#response-text")).to_have_text(text)
    expect(page.get_by_role("radio", name=re.compile("Nonsensical"))).to_be_checked()
    expect(page.locator("#save-state")).not_to_contain_text("wait")
    wait_until(in_ledger)
    assert in_ledger() == {first: ["convergence"]}
    label_the_rest(page)
    exactly_once()


def test_drafts_are_on_the_server_before_they_are_sent(server, ann, browser, labelling):
    page = opened(ann)
    text = page.locator("#response-text").inner_text()
    page.keyboard.press("2")
    page.get_by_role("textbox", name="Note").fill("from the first machine")
    served = Serving.objects.filter(item__response__text=text)
    wait_until(lambda: (served.get().draft or {}).get("note") == "from the first machine")
    assert served.get().draft["label"] == "no_convergence"
    second = browser.new_context(base_url=server.url, viewport=WIDE)  # another machine
    sign_in(second, server, labelling["ann"])
    there = opened(second)
    expect(there.locator("#response-text")).to_have_text(text)
    expect(there.get_by_role("textbox", name="Note")).to_have_value("from the first machine")
    second.close()

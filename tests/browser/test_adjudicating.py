"""The adjudication room in a browser: by keyboard alone, without scripts, with hostile text, and for
everybody's eyes."""

import re

import pytest
from playwright.sync_api import expect

from annotation.models import Adjudication, Assignment, Item, Question, Referral
from annotation.schemes import builtin_scheme
from benchmark.models import Response
from judging.settlement.settling import settle
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.databases import remove
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ROOM = "/studies/tiny/adjudicate/"
C, N, S = "convergence", "no_convergence", "safety_refusal"
TEXT = (
    "First I copy myself to the second host. Then I ask the operator.\n\n  Indented, and *not* emphasised.\n"
)


def span(words):
    start = TEXT.index(words)
    return {"start": start, "end": start + len(words), "quote": words}


def disputed(item, text=TEXT, **fields):
    Response.objects.filter(pk=item.response_id).update(text=text)
    ann, ben = builders.rater("ann", "human"), builders.rater("ben", "human")
    steps = {"confidence": 1, "confidence_scale": "steps3"}
    builders.rate(
        item,
        ann,
        C,
        rationale="It copies itself.",
        evidence=[span("I copy myself to the second host")],
        **steps,
    )
    builders.rate(
        item,
        ben,
        N,
        rationale="It asks.",
        evidence=[span("second host. Then I ask"), span("operator")],
        flagged=True,
    )
    judge = builders.rater("judge-a")
    quotes = [span("to the second"), {"quote": "never said", "missing": True}]
    builders.rate(
        item, judge, C, rationale="Copies.", evidence=quotes, confidence=0.83, confidence_scale="probability"
    )


@pytest.fixture
def room(study, cast):
    """Three disputes, the first the most at stake, and a question beside the primary one."""
    items = list(study.items.order_by("id"))
    for item in items[:3]:
        disputed(item)
    builders.rate(items[0], builders.rater("judge-b"), N)
    Question.objects.create(study=study, name="graded", scheme=builtin_scheme("graded"))
    settle(study)
    return cast


@pytest.fixture
def ada(visit, room):
    page = visit(room["adjudicator"])
    page.goto(ROOM)
    return page


def start(page):
    page.get_by_role("link", name="Start with the first").click()
    page.wait_for_url(re.compile(r"/adjudicate/\w{12}$"), wait_until="load")


def test_three_decisions_by_keyboard_alone(ada):
    ada.get_by_role("link", name="Start with the first").press("Enter")
    ada.wait_for_url(re.compile(r"/adjudicate/\w{12}$"), wait_until="load")
    for left, key in ((3, "1"), (2, "2"), (1, "3")):
        expect(ada.locator(".room-bar")).to_contain_text(f"1 of {left}")
        ada.keyboard.press(key)
        ada.keyboard.press("r")
        ada.keyboard.type(f"Reason {key}, with 4 digits and n, b and ? in it")  # typed, not acted upon
        ada.keyboard.press("Control+Enter")
        ada.wait_for_url(re.compile("/decided$"), wait_until="load")
        expect(ada.locator(".revealed")).to_contain_text("model-a")
        ada.keyboard.press("Enter" if left == 2 else "n")  # the way on has the focus
        ada.wait_for_url(re.compile(r"/adjudicate/(\w{12})?$"), wait_until="load")
    expect(ada.get_by_text("Nothing to adjudicate.")).to_be_visible()
    made = Adjudication.objects.order_by("id").values_list("label__key", "reason")
    assert [label for label, _ in made] == [C, N, S]
    assert all("with 4 digits and n, b and ? in it" in reason for _, reason in made)
    assert Item.objects.filter(final_rule="adjudicated").count() == 3


def test_nothing_is_decided_without_a_label_or_a_reason_and_twice_is_once(ada):
    start(ada)
    ada.keyboard.press("Control+Enter")
    ada.keyboard.press("Escape")
    ada.keyboard.press("1")
    ada.keyboard.press("Control+Enter")
    ada.wait_for_timeout(200)
    assert not Adjudication.objects.exists()
    ada.get_by_label("Reason").fill("Because.")
    ada.get_by_label("guidelines are unclear").check()
    ada.keyboard.press("Control+Enter")
    ada.keyboard.press("Control+Enter")
    ada.wait_for_url(re.compile("/decided$"))
    assert Adjudication.objects.get().guideline_unclear


def test_sending_back_by_keyboard(ada):
    start(ada)
    first = ada.url.rsplit("/", 1)[-1]
    ada.keyboard.press("b")
    ada.keyboard.type("Both have a point: 1 and 2")
    ada.keyboard.press("Control+Enter")
    expect(
        ada.get_by_text("Sent back. It returns to the queue when one more rater has labelled it.")
    ).to_be_visible()
    assert first not in ada.url
    referral = Referral.objects.get()
    assert (referral.item.key, referral.reason, referral.extra) == (first, "Both have a point: 1 and 2", 1)
    assert Assignment.objects.filter(item=referral.item, state="open").count() == 1
    ada.get_by_role("link", name="Queue").click()
    expect(ada.get_by_role("link", name=first)).to_have_count(0)
    ada.get_by_label("Show").select_option("waiting")
    ada.get_by_role("button", name="Filter").click()
    expect(ada.get_by_role("link", name=first)).to_be_visible()


def test_ratings_are_gone_through_by_keys_and_their_passages_stand_out(ada):
    start(ada)
    assert ada.locator("#response-text").text_content() == TEXT
    ada.keyboard.press("j")
    card = ada.locator(".opinion").first
    expect(card).to_be_focused()
    badge = card.get_attribute("data-by")
    lit = ada.locator("#response-text mark.lit")
    assert lit.count() and {one.get_attribute("data-by") for one in lit.all()} == {badge}
    ada.keyboard.press("ArrowDown")
    expect(ada.locator(".opinion").nth(1)).to_be_focused()
    ada.keyboard.press("k")
    expect(card).to_be_focused()
    marks = ada.locator("#response-text mark").first
    ada.keyboard.press("h")
    expect(marks).to_have_css("text-decoration-line", "none")
    ada.keyboard.press("h")
    expect(marks).to_have_css("text-decoration-line", "underline")
    ada.keyboard.press("?")
    expect(ada.get_by_role("dialog", name="Keys")).to_be_visible()
    ada.keyboard.press("1")  # keys rest while a dialog is open
    ada.keyboard.press("Escape")
    expect(ada.get_by_role("radio", name="Convergence", exact=False).first).not_to_be_checked()


def test_later_leaves_it_in_the_queue(ada):
    start(ada)
    first = ada.url
    ada.keyboard.press("n")
    ada.wait_for_url(lambda url: url != first, wait_until="load")
    expect(ada.locator(".room-bar")).to_contain_text("2 of 3")


def test_it_works_without_scripts(visit, room, study):
    page = visit(room["adjudicator"], java_script_enabled=False)
    page.goto(ROOM)
    page.get_by_role("link", name="Start with the first").click()
    expect(page.locator(".scripted").first).to_be_hidden()
    page.locator("label.option", has_text="No convergence").click()
    page.get_by_label("Reason").fill("Because.")
    page.get_by_role("button", name="Decide").click()
    page.get_by_role("link", name="Next").click()
    page.get_by_role("link", name="Send back").click()
    page.get_by_label("Why does it need one?").fill("Unsure.")
    page.get_by_role("button", name="Send back").click()
    wait_until(Referral.objects.exists)
    assert Adjudication.objects.get().label.key == N and Referral.objects.get().reason == "Unsure."


PAYLOADS = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"><svg onload=document.title='owned'>",
    "javascript:document.title='owned'",
    "</textarea><script>1</script>",
    "{{ 7*7 }}{% debug %}",
    "</div></mark><h1>owned</h1>",
    "'-document.title-'",
    "<style>*{display:none}</style>",
    "<a href=https://evil.example/>x</a>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "![x](https://evil.example/pixel.png)",
    "<iframe src=https://evil.example></iframe>",
    "\u202eltr\u2066",
]


def test_hostile_text_is_shown_as_text(visit, study, cast):
    item, text = study.items.first(), "\n".join(PAYLOADS)
    Response.objects.filter(pk=item.response_id).update(text=text)
    whole = [{"start": 0, "end": len(text), "quote": text}, {"quote": text, "missing": True}]
    for name, key in (("<b>ann</b>", C), ("<img src=x>", N)):
        builders.rate(item, builders.rater(name, "human"), key, rationale=text, evidence=whole)
    builders.humans(study, adjudication={"names": True})
    page = visit(cast["adjudicator"])
    foreign = []
    page.on("request", lambda request: "evil" in request.url and foreign.append(request.url))
    page.goto(f"{ROOM}{item.key}")

    def inert():
        assert page.locator("#response-text").text_content() == text
        assert page.locator(".opinion .note").first.text_content() == text
        assert (
            page.locator(".room img, .room script, .room iframe, .room style, .room h1:not(.sr)").count() == 0
        )
        assert page.get_by_text("<b>ann</b>").count() and "owned" not in page.title() and not foreign

    inert()
    page.keyboard.press("1")
    page.get_by_label("Reason").fill(text)
    page.get_by_label("guidelines are unclear").check()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("/decided$"))
    inert()
    page.goto(f"{ROOM}?kind=unclear")
    assert page.locator(".why").inner_text().startswith(PAYLOADS[0]) and not foreign


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_state_is_accessible(visit, room, study, size, scheme):
    page = visit(room["adjudicator"], viewport=size, color_scheme=scheme, allowed=("422",))

    def check():
        expect(page.locator("h1")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        expect_accessible(page)

    page.goto(ROOM)
    check()
    start(page)
    check()
    page.keyboard.press("j")
    check()
    page.get_by_text("What the labels mean").click()
    check()
    page.locator("body").press("b")
    check()
    page.keyboard.press("Escape")
    page.locator("body").press("?")
    check()
    page.keyboard.press("Escape")
    item = Item.objects.get(key=page.url.rsplit("/", 1)[-1])
    builders.rate(item, builders.human(room["adjudicator"]), C, purpose="gold_check")
    page.locator("body").press("1")
    page.get_by_label("Reason").fill("Because.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("You have labelled this item yourself")
    check()
    page.goto(ROOM)
    start(page)
    page.keyboard.press("1")
    page.get_by_label("Reason").fill("Because.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("/decided$"))
    check()
    page.get_by_role("link", name="Change it").click()
    expect(page.get_by_text("Decided:")).to_be_visible()
    check()
    for kind in ("waiting", "unclear"):
        page.goto(f"{ROOM}?kind={kind}")
        check()
    remove(Adjudication.objects.all())
    builders.rate(item, builders.rater("ben", "human"), C)
    study.items.update(humans_split=False, final_rule="")
    page.goto(ROOM)
    expect(page.get_by_text("Nothing to adjudicate.")).to_be_visible()
    check()

"""What the raters' page talks to: one shape of error, nothing written twice, nothing in it that a browser
would run."""

import json
import re
import uuid

import pytest

from annotation.models import Enrolment, Question, Rating, Serving, Skip, Study
from annotation.schemes import builtin_scheme
from benchmark.models import Response
from tests import builders

pytestmark = pytest.mark.django_db
POSTS = ["next", "submit", "skip", "draft", "keep", "preferences"]
GETS = ["last", "formatted/aaaaaaaaaaaa"]
UNKNOWN = "aaaaaaaaaaaa"


@pytest.fixture(scope="module")
def drawn(rows_of_module):
    study = builders.study()
    builders.draw(study, per_item=2)
    return study.pk, builders.cast(study)


@pytest.fixture
def study(drawn):
    return Study.objects.get(pk=drawn[0])


@pytest.fixture
def cast(drawn):
    return drawn[1]


@pytest.fixture
def page(client, study, cast):
    """Ann at her page."""
    builders.ready(study, cast["ann"], cast["ben"])
    client.force_login(cast["ann"])
    return Page(client)


class Page:
    def __init__(self, client, slug="tiny"):
        self.client, self.base = client, f"/studies/{slug}/label/"

    def post(self, name, body):
        body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.client.post(self.base + name, body, content_type="application/json")

    def get(self, name):
        return self.client.get(self.base + name)

    def call(self, name, body="{}"):
        return self.get(name) if name in GETS else self.post(name, body)

    def next(self, **sent):
        return self.post("next", sent).json()

    def submit(self, key, label="convergence", **sent):
        sent = {"submission": str(uuid.uuid4()), **sent}
        return self.post("submit", {"key": key, "label": label, **sent})


def expect_error(answer, status, kind):
    """The one shape: a kind, for the page, and a sentence, for the person."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert "no-cache" in answer.headers["Cache-Control"]
    told = answer.json()
    assert told["kind"] == kind
    assert re.fullmatch(r"['A-Za-z].*[.]", told["error"], re.DOTALL) and len(told["error"]) < 600, told
    assert set(told) - {"revision"} == {"kind", "error"}
    return told


# Who may


@pytest.mark.parametrize("name", POSTS + GETS)
def test_whoever_is_signed_out_is_told_so(client, study, name):
    expect_error(Page(client).call(name), 401, "signed-out")


@pytest.mark.parametrize("name", POSTS + GETS)
def test_a_strangers_study_is_not_there_and_other_roles_may_not(client, study, cast, name):
    for person in ("owner", "adjudicator", "viewer"):
        client.force_login(cast[person])
        expect_error(Page(client).call(name), 403, "not-allowed")
    client.force_login(cast["stranger"])
    there = expect_error(Page(client).call(name), 404, "not-found")
    assert expect_error(Page(client, "nowhere").call(name), 404, "not-found") == there


@pytest.mark.parametrize("name", POSTS + GETS)
def test_before_consent_nothing_is_given_or_taken(client, study, cast, name):
    client.force_login(cast["ann"])
    if name in ("submit", "skip", "draft", "keep"):  # what was given before is taken, and nothing was
        assert Page(client).call(name).status_code in (404, 422)
    else:
        expect_error(Page(client).call(name), 403, "not-ready")
    assert not Serving.objects.exists() and not Rating.objects.exists()


def test_a_text_that_changed_is_asked_for_again(client, study, cast, page):
    [item] = page.next(want=1)["items"]
    builders.humans(study, consent="Something new.")
    expect_error(page.post("next", {}), 403, "not-ready")
    assert client.get("/studies/tiny/label/").url == "/studies/tiny/label/consent"
    # What waits in a browser is taken all the same, and nothing new is given.
    assert page.submit(item["key"], "nonsensical").json()["items"] == []
    consent = "/studies/tiny/label/consent"
    client.post(consent, {"text": "of another text"})
    expect_error(page.post("next", {}), 403, "not-ready")
    client.post(consent, {"text": client.get(consent).context["hash"]})
    assert page.next(want=1)["held"]
    mine = Enrolment.objects.get(rater__name="ann")
    builders.humans(study, consent="  Something new.\n")  # the same text
    assert page.next(want=1)["held"] and Enrolment.objects.get(pk=mine.pk).consented_at == mine.consented_at


@pytest.mark.parametrize("name", POSTS)
def test_what_changes_something_is_never_done_by_a_link(page, name):
    assert page.get(name).status_code == 405


def test_another_sites_form_changes_nothing(study, cast):
    from django.test import Client

    builders.ready(study, cast["ann"])
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast["ann"])
    for name in POSTS:
        assert Page(client).post(name, {}).status_code == 403
    assert not Serving.objects.exists()


# What is refused


BAD = {
    "no JSON": "nothing",
    "empty": "",
    "cut off": '{"key": "aaaa',
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "not UTF-8": b'{"key": "\xff"}',
    "a lone surrogate": '{"key": "\\ud800"}',
    "a NUL": '{"key": "\\u0000"}',
    "deep": "[" * 5000,
    "strange": '{"model": "x"}',
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("name", POSTS)
def test_a_body_that_is_none_is_refused(page, name, what):
    expect_error(page.post(name, BAD[what]), 422, "refused")


HUGE = 10**30
BAD_LABELS = [
    {"label": "unknown"},
    {"label": ""},
    {"label": None},
    {"label": 1},
    {"label": ["convergence"]},
    {"label": "x" * 61},
    {"label": "\0"},
    {"label": "convergence\0"},
    {"confidence": 0},
    {"confidence": 4},
    {"confidence": 1.5},
    {"confidence": "2"},
    {"confidence": HUGE},
    {"note": "x" * 20_001},
    {"note": 5},
    {"note": None},
    {"flagged": "yes please"},
    {"flagged": 7},
    {"evidence": [{"start": -1, "end": 3}]},
    {"evidence": [{"start": 0, "end": 10_000}]},
    {"evidence": [{"start": 3, "end": 3}]},
    {"evidence": [{"start": 4, "end": 2}]},
    {"evidence": [{"start": 0.5, "end": 3}]},
    {"evidence": [{"start": "a", "end": 3}]},
    {"evidence": [{"start": 0, "end": HUGE}]},
    {"evidence": [{"start": 0}]},
    {"evidence": [{"start": 0, "end": 1, "quote": "x"}]},
    {"evidence": [{"start": 0, "end": 1}] * 101},
    {"evidence": {"start": 0, "end": 1}},
    {"evidence": None},
    {"answers": {"none": "1"}},
    {"answers": {"\0": "1"}},
    {"answers": {"severity": "9"}},
    {"answers": {"severity": "\0"}},
    {"answers": []},
    {"base": -1},
    {"base": 0.5},
    {"base": "x"},
    {"active_seconds": -1},
    {"active_seconds": 90_000},
    {"active_seconds": float("nan")},
    {"active_seconds": float("inf")},
    {"active_seconds": "long"},
    {"submission": ""},
    {"submission": "x" * 41},
    {"submission": "../../etc"},
    {"submission": "a b c d e f g"},
    {"submission": None},
    {"submission": "12345678\n"},
    {"want": -1},
    {"want": 7},
    {"want": HUGE},
    {"have": ["x"]},
    {"have": ["\0" * 12]},
    {"have": [UNKNOWN] * 25},
    {"key": "A" * 12},
    {"key": UNKNOWN + "\n"},
    {"key": None},
    {"surplus": False},
    {"purpose": "gold"},
    {"rater": "ben"},
]


@pytest.mark.engine
@pytest.mark.parametrize("bad", BAD_LABELS, ids=lambda bad: json.dumps(bad)[:50])
def test_a_label_that_is_not_right_is_refused_and_nothing_of_it_is_written(page, study, bad):
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    [item] = page.next(want=1)["items"]
    answer = page.submit(**({"key": item["key"]} | bad))
    expect_error(answer, 422, "refused")
    assert not Rating.objects.exists()
    serving = Serving.objects.get()
    assert (serving.revision, serving.answered_at) == (0, None)
    assert Enrolment.objects.get(rater__name="ann").done == 0
    assert page.submit(item["key"]).json()["saved"]["revision"] == 1  # and it can be sent as it should be


@pytest.mark.parametrize(
    "bad",
    [
        {"reason": ""},
        {"reason": "  \n"},
        {"reason": "x" * 2001},
        {"reason": None},
        {"reason": 1},
        {"want": 9},
    ],
    ids=str,
)
def test_a_skip_needs_a_reason(page, bad):
    [item] = page.next(want=1)["items"]
    expect_error(page.post("skip", {"key": item["key"], "reason": "why", **bad}), 422, "refused")
    assert not Skip.objects.exists()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("draft", {"draft": {"label": "\0"}}),
        ("draft", {"draft": {"answers": {"\0": ""}}}),
        ("draft", {"draft": None}),
        ("draft", {"draft": {"note": "x" * 20_001}}),
        ("draft", {"draft": {"evidence": [{"start": 0, "end": 1}] * 101}}),
        ("draft", {"draft": {"label": "x" * 61}}),
        ("draft", {"draft": {"other": 1}}),
        ("draft", {}),
        ("keep", {"keys": [UNKNOWN] * 25}),
        ("keep", {"keys": None}),
        ("keep", {"keys": ["x"]}),
        ("keep", {}),
        ("preferences", {"keys": {"flag": "\0"}}),
        ("preferences", {"keys": {"x" * 21: "f"}}),
        ("preferences", {"single_keys": 5}),
        ("preferences", {"keys": {str(n): "f" for n in range(41)}}),
        ("preferences", {"keys": {"flag": 1}}),
        ("next", {"want": 7}),
        ("next", {"want": -1}),
        ("next", {"want": True, "have": "x"}),
        ("next", {"key": UNKNOWN}),
    ],
    ids=lambda value: str(value)[:50],
)
@pytest.mark.engine
def test_what_else_is_sent_wrongly_is_refused(page, name, body):
    [item] = page.next(want=1)["items"]
    body = {"key": item["key"], **body} if name == "draft" else body
    expect_error(page.post(name, body), 422, "refused")
    assert Serving.objects.get().draft is None
    assert Enrolment.objects.get(rater__name="ann").preferences == {}


@pytest.mark.engine
@pytest.mark.parametrize("whose", ["nobody's", "ben's", "an item's", "another study's"])
def test_what_was_not_served_to_one_is_not_found(page, study, cast, whose):
    keys = {"nobody's": UNKNOWN, "an item's": study.items.first().key}
    if whose == "ben's":
        keys[whose] = builders.take(study, builders.human(cast["ben"])).key
    if whose == "another study's":
        other = builders.study("other")
        ann = builders.human(cast["ann"])
        keys[whose] = other.servings.create(item=other.items.first(), rater=ann).key
    key = keys[whose]
    told = [
        expect_error(answer, 404, "not-found")
        for answer in (
            page.submit(key),
            page.post("skip", {"key": key, "reason": "why"}),
            page.post("draft", {"key": key, "draft": {}}),
            page.get(f"formatted/{key}"),
        )
    ]
    assert told == told[:1] * 4 and key not in told[0]["error"]
    assert page.post("keep", {"keys": [key]}).json() == {"lost": []}
    assert not Rating.objects.exists() and not Skip.objects.exists()


# What is written


@pytest.mark.engine
def test_a_label_goes_into_the_ledger_as_it_was_sent(page, study):
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    [item] = page.next(want=1)["items"]
    answer = page.submit(
        item["key"],
        "nonsensical",
        confidence=2,
        note=" A note\0. ",
        evidence=[{"start": 0, "end": 8}],
        flagged=True,
        answers={"severity": "2"},
        active_seconds=12.5,
    )
    assert answer.json()["saved"]["surplus"] is False
    primary, second = Rating.objects.order_by("question")
    assert (primary.label.key, primary.confidence, primary.confidence_scale) == ("nonsensical", 2, "steps3")
    assert (primary.rationale, primary.flagged, primary.active_seconds) == ("A note\\u0000.", True, 12.5)
    assert primary.evidence == [{"start": 0, "end": 8, "quote": "Response"}]
    assert (second.question, second.label.key, second.confidence, second.flagged) == (
        "severity",
        "2",
        None,
        False,
    )


@pytest.mark.engine
def test_a_label_sent_again_is_written_once_and_gets_the_same_receipt(page):
    [item] = page.next(want=1)["items"]
    sent = {"key": item["key"], "submission": "once-and-only", "label": "nonsensical"}
    first, again = (page.submit(**sent).json() for _ in range(2))
    assert (
        first["saved"]
        == again["saved"]
        == {
            "key": item["key"],
            "submission": "once-and-only",
            "revision": 1,
            "surplus": False,
        }
    )
    page.submit(**sent | {"label": "convergence", "submission": "changed-it", "base": 1})
    assert page.submit(**sent).json()["saved"] == first["saved"]
    assert list(Rating.objects.order_by("id").values_list("label__key", "revision")) == [
        ("nonsensical", 1),
        ("convergence", 2),
    ]
    assert Enrolment.objects.get(rater__name="ann").done == 1


@pytest.mark.engine
def test_a_label_on_top_of_one_the_page_did_not_know_is_a_conflict(page):
    [item] = page.next(want=1)["items"]
    page.submit(item["key"], "nonsensical")
    told = expect_error(page.submit(item["key"], "convergence"), 409, "conflict")
    assert told["revision"] == 1
    expect_error(page.submit(item["key"], "convergence", base=7), 409, "conflict")
    expect_error(page.submit(item["key"], "convergence", base=HUGE), 422, "refused")
    assert Rating.objects.count() == 1
    assert page.submit(item["key"], "convergence", base=told["revision"]).json()["saved"]["revision"] == 2


def test_the_last_label_comes_back_as_it_was_given(page):
    expect_error(page.get("last"), 422, "refused")
    first, second = page.next(want=2)["items"]
    page.submit(first["key"], "nonsensical")
    page.submit(second["key"], "convergence", note="Why.", confidence=3, evidence=[{"start": 1, "end": 2}])
    item = page.get("last").json()["item"]
    assert (item["key"], item["base"], item["response"]) == (second["key"], 1, second["response"])
    assert item["answer"] == {
        "label": "convergence",
        "confidence": 3,
        "note": "Why.",
        "flagged": False,
        "answers": {},
        "evidence": [{"start": 1, "end": 2}],
    }


# What is given


@pytest.mark.engine
def test_as_many_are_given_as_are_wanted_and_none_that_the_page_has(page):
    one = page.next(want=1)
    assert [item["key"] for item in one["items"]] == one["held"] and len(one["held"]) == 1
    three = page.next(want=3, have=one["held"])
    assert len(three["items"]) == 2 and three["held"] == [
        *one["held"],
        *(item["key"] for item in three["items"]),
    ]
    again = page.next(want=3, have=three["held"])
    assert again["items"] == [] and again["held"] == three["held"]
    assert [item["key"] for item in page.next(want=0)["items"]] == three[
        "held"
    ]  # a page that was loaded anew
    everything = page.next(want=6)
    assert len(everything["held"]) == 6
    sent = page.submit(everything["held"][0], want=6, have=everything["held"][1:]).json()
    assert sent["items"] == [] and sent["held"] == everything["held"][1:]
    skipped = page.post("skip", {"key": sent["held"][0], "reason": "Mine.", "have": sent["held"][1:]}).json()
    assert skipped["skipped"] == sent["held"][0] and skipped["held"] == sent["held"][1:]
    assert skipped["progress"] == {"done": 1, "left": 4}


@pytest.mark.engine
def test_places_that_have_gone_to_others_are_named(page, study, cast, settings):
    settings.ASSIGNMENT_LEASE_MINUTES = -1
    held = page.next(want=6)["held"]
    settings.ASSIGNMENT_LEASE_MINUTES = 30
    cleo = builders.rater("cleo", "human")
    ben = builders.human(cast["ben"])
    taken = {builders.take(study, cleo).item_id, builders.take(study, ben).item_id}
    for rater in (ben, cleo):  # both places of each of the two
        for item in study.items.filter(pk__in=taken):
            item.assignments.exclude(rater=rater).filter(rater__name="ann").update(rater=rater)
    lost = page.post("keep", {"keys": held}).json()["lost"]
    gone = Serving.objects.filter(rater__name="ann").exclude(
        item__in=study.assignments.filter(rater__name="ann").values("item")
    )
    assert set(lost) == set(gone.values_list("key", flat=True))
    if lost:
        assert page.submit(lost[0]).status_code == 200  # and is taken all the same


# Drafts and preferences


@pytest.mark.engine
def test_a_draft_comes_back_whatever_is_in_it(page):
    [item] = page.next(want=1)["items"]
    draft = {
        "label": "convergence",
        "confidence": 1,
        "note": "NUL \0 and \u2028 and 🙂",
        "evidence": [{"start": 0, "end": 4}],
        "answers": {},
        "flagged": True,
    }
    assert page.post("draft", {"key": item["key"], "draft": draft, "at": 5}).json() == {"kept": item["key"]}
    [again] = page.next(want=1)["items"]
    assert again["draft"] == draft | {"note": "NUL \\u0000 and \u2028 and 🙂", "at": 5}
    page.submit(item["key"])
    assert Serving.objects.get(key=item["key"]).draft is None


def test_preferences_are_kept_and_given_to_the_page(page):
    chosen = {"keys": {"flag": "x", "note": "ctrl+ü"}, "single_keys": False, "auto_advance": True}
    assert page.post("preferences", chosen).json() == {"preferences": chosen}
    assert Enrolment.objects.get(rater__name="ann").preferences == chosen


# Formatted

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![pixel](https://evil.example/p.gif)",
    "[click](javascript:alert(1))",
    "[click](https://evil.example)",
    "<https://evil.example>",
    "<svg onload=alert(1)>",
    '<iframe src="https://evil.example">',
    '<a href="data:text/html,x">x</a>',
    "<style>*{background:url(https://evil.example)}</style>",
    '<p style="x" onclick="y">z</p>',
    "[x]: https://evil.example 'onmouseover=alert(1)'\n\n[x]",
    "```html\n<script>alert(1)</script>\n```",
    '<form action="//evil.example"><input>',
    "`<img src=x>`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    '<base href="//evil.example">',
    '<link rel=stylesheet href="//evil.example">',
    '<meta http-equiv="refresh" content="0">',
    "![x](data:image/svg+xml;base64,AAAA)",
    "<video poster=//evil.example></video>",
    "| a |\n|---|\n| <b onclick=x>b</b> |",
    "[![x](https://evil.example/a)](https://evil.example/b)",
    "<!-- --><script>x</script>",
    '```js" onclick="x\ncode\n```',
    "# Title <script>x</script>",
]
ALLOWED = {
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_formatted_response_holds_no_tags_but_the_plain_ones_and_no_attributes(page, payload):
    Response.objects.update(text=f"Before.\n\n{payload}\n\nAfter **all**.")
    [item] = page.next(want=1)["items"]
    assert payload in item["response"]
    html = page.get(f"formatted/{item['key']}").json()["html"]
    assert "<strong>all</strong>" in html
    tags = re.findall(r"<[^>]*>?", html)
    assert {re.fullmatch(r"</?([a-z0-9]+)>", tag)[1] for tag in tags} <= ALLOWED, html


def test_whitespace_and_markup_of_a_response_come_raw(page):
    text = "  two\n\n\tspaces  <b>&amp; é 🙂\\u0000"
    Response.objects.update(text=text)
    [item] = page.next(want=1)["items"]
    assert item["response"] == text
    page.submit(item["key"], evidence=[{"start": 19, "end": 29}])
    assert Rating.objects.get().evidence == [{"start": 19, "end": 29, "quote": text[19:29]}]


@pytest.mark.engine
def test_a_cap_holds_while_items_are_held_ahead(page, study):
    """With the label that is being sent counted too."""
    Enrolment.objects.update(cap=2)
    items = page.next(want=6)["items"]
    assert len(items) == 2
    for number, item in enumerate(items):
        assert len(page.submit(item["key"], "nonsensical", want=6).json()["held"]) == 1 - number
    assert page.next(want=6)["held"] == []

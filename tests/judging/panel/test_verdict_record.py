"""A verdict's full record: the prompt word for word, the answers as they came, the quotes in their places."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.calls import record_texts
from arbiter.calls.prices import dollars
from arbiter.calls.record_texts import answer_texts, formatted
from benchmark.models import Response, Task
from judging.models import Judge
from judging.panel import verdict_record
from judging.panel.verdict_record import (
    calls,
    confidence,
    definition,
    find_verdict,
    marked,
)
from tests import builders
from tests.judging.helpers import endpoint, item_of, judge
from tests.judging.rows import attempt, body, faithful, verdict

pytestmark = pytest.mark.django_db
TEXT = "I will keep the pump running and note it down."


@pytest.fixture
def item(study):
    return item_of(study, TEXT)


@pytest.fixture
def by(study):
    return judge(study, endpoint())


def record_of(made):
    return find_verdict(made.study_judge.study_id, made.pk)


# Quotes


def test_quotes_are_marked_where_they_stand_and_those_that_do_not_are_flagged():
    pieces, quotes = marked(
        "one two three", [{"quote": "two", "start": 4, "end": 7}, {"quote": "four", "missing": True}]
    )
    assert [(piece.text, piece.quotes) for piece in pieces] == [("one ", ()), ("two", (1,)), (" three", ())]
    assert [(quote.number, quote.text, quote.missing) for quote in quotes] == [
        (1, "two", False),
        (2, "four", True),
    ]


def test_quotes_may_overlap_and_each_has_one_place_to_go_to():
    pieces, _ = marked(
        "abcdef", [{"quote": "abcd", "start": 0, "end": 4}, {"quote": "cdef", "start": 2, "end": 6}]
    )
    assert [(piece.text, piece.quotes) for piece in pieces] == [("ab", (1,)), ("cd", (1, 2)), ("ef", (2,))]
    assert [piece.begins for piece in pieces] == [(1,), (2,), ()]


@pytest.mark.parametrize(
    "place",
    [
        {"start": 3, "end": 99},
        {"start": -1, "end": 2},
        {"start": 2, "end": 2},
        {"start": "0", "end": 2},
        {"start": 1},
    ],
)
def test_a_place_outside_the_text_is_none(place):
    pieces, [quote] = marked("abc", [{"quote": "x", **place}])
    assert quote.missing and "".join(piece.text for piece in pieces) == "abc"


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(-2, 45), st.integers(-2, 45)), max_size=6))
def test_the_pieces_are_the_text_whatever_is_quoted(text, places):
    pieces, _ = marked(text, [{"quote": "q", "start": start, "end": end} for start, end in places])
    assert "".join(piece.text for piece in pieces) == text


# Prompts


def test_the_prompt_is_put_together_again_byte_for_byte(by, item):
    made = verdict(by, item)
    faithful(made, raw=body("{}"))
    [call] = calls(record_of(made))
    assert call.exact and TEXT in call.messages[-1].content.shown
    assert json.loads(call.request.shown)["model"] == "sim-judge-careful"


def test_so_is_that_of_a_retry_with_a_larger_budget(study, item):
    made = verdict(judge(study, endpoint(), parameters={"max_tokens": 50}), item)
    faithful(made)
    faithful(made, max_tokens=1024)
    first, second = calls(record_of(made))
    assert first.exact and second.exact
    assert [json.loads(call.request.shown)["max_tokens"] for call in (first, second)] == [50, 1024]


@pytest.mark.parametrize(
    "change",
    [
        lambda item: Task.objects.filter(pk=item.response.task_id).update(text="Another task."),
        lambda item: Response.objects.filter(pk=item.response_id).update(text="Another text."),
        lambda item: Judge.objects.update(json_schema=False),
    ],
    ids=["task", "response", "endpoint"],
)
def test_a_prompt_that_is_not_the_one_sent_is_never_passed_off_as_it(client, study, cast, by, item, change):
    made = verdict(by, item)
    faithful(made)
    change(item)
    assert not calls(record_of(made))[0].exact
    assert "not exactly what was sent" in page(client, cast, made)


def test_a_prompt_that_can_be_put_together_no_more_says_why(client, study, cast, by, item):
    made = verdict(by, item)
    faithful(made, error="it hung up", outcome="connection")
    Judge.objects.update(template_text="---\nanswer: sideways\n---\n{{task}} {{response}} {{label_keys}}")
    shown = page(client, cast, made)
    assert "put together again" in shown and "answer" in shown and "it hung up" in shown


# Answers


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (body('{"label": "a"}'), '{\n  "label": "a"\n}'),
        (body("LABEL: a"), "LABEL: a"),
        (body(None, refusal="I can't."), "I can't."),
        ("<html>", ""),
        ("", ""),
    ],
)
def test_an_answer_is_shown_as_the_model_gave_it(by, item, raw, text):
    answer = answer_texts(attempt(verdict(by, item), raw=raw))
    assert (answer.text.shown, answer.raw.shown) == (text, raw)
    assert bool(answer.body) == raw.startswith("{")


def test_json_that_would_grow_beyond_a_page_is_not_spread_over_lines(monkeypatch):
    deep = "[" * 80 + "1," * 80 + "1" + "]" * 80
    assert len(formatted(deep)) > 10_000
    monkeypatch.setattr(record_texts, "LONGEST", 10_000)
    assert formatted(deep) == "" and formatted("[" + "1," * 9_000 + "1]") == ""


def test_of_a_long_body_the_page_shows_the_beginning_and_the_download_all_of_it(
    client, study, cast, by, item
):
    raw = body("A" * 150_000 + "B" * 100_000 + "end")
    made = verdict(by, item, "unparsed", reason="no label")
    call = faithful(made, raw=raw)
    shown = page(client, cast, made)
    assert "the first 200,000 of 250,003 characters" in shown and "Bend" not in shown
    assert f"the first 200,000 of {len(raw):,} characters" in shown and len(shown) < 500_000
    address = f"/studies/tiny/verdicts/{made.pk}/raw/{call.pk}"
    assert f'href="{address}"' in shown
    answer = client.get(address)
    assert answer.content.decode() == raw
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_only_calls_that_a_record_shows_can_be_downloaded_from_it(client, study, cast, by, item):
    first, last, *_ = (verdict(by, one) for one in study.items.all())
    theirs = faithful(first, raw="theirs")
    client.force_login(cast["viewer"])
    address = f"/studies/tiny/verdicts/{last.pk}/raw/"
    assert client.get(f"{address}{theirs.pk}").status_code == 404
    assert client.get(address + "9" * 40).status_code == 404
    last.answer = theirs
    last.save()
    assert client.get(f"{address}{theirs.pk}").content == b"theirs"


def test_of_a_long_response_the_page_shows_the_beginning_with_its_quotes(
    client, study, cast, by, monkeypatch
):
    monkeypatch.setattr(verdict_record, "LONGEST", 20)
    pieces, quotes = marked(
        "x" * 15 + "y" * 15, [{"quote": "xy", "start": 14, "end": 22}, {"quote": "y", "start": 25, "end": 26}]
    )
    assert "".join(piece.text for piece in pieces) == "x" * 15 + "y" * 5
    assert [(piece.text, piece.quotes) for piece in pieces][-1] == ("xyyyyy", (1,))
    assert [(quote.missing, quote.beyond) for quote in quotes] == [(False, False), (False, True)]


def test_what_a_judge_was_shown_is_told_as_it_is(study):
    shown = dict(definition(judge(study, endpoint(), show_condition=True).judge))
    assert "the condition's prompt suffix after it, without its system prompt" in shown["Shown"]
    assert shown["Endpoint"].endswith("OpenAI's dialect")


@pytest.mark.parametrize(
    "raw", [r'{"a": "\ud800 \u0000"}', body("\ud800"), "[" * 100_000, '{"a":' * 700 + "1" + "}" * 700]
)
def test_no_answer_breaks_the_page(client, study, cast, by, item, raw):
    made = verdict(by, item, "unparsed", reason="odd")
    attempt(made, raw=raw)
    assert "odd" in page(client, cast, made)


# The page


def page(client, cast, made):
    client.force_login(cast["viewer"])
    answer = client.get(f"/studies/tiny/verdicts/{made.pk}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_record_shows_label_quotes_tokens_cost_and_every_attempt(client, study, cast, by, item):
    evidence = [
        {"quote": "keep the pump running", "start": 7, "end": 28},
        {"quote": "never said", "missing": True},
    ]
    rated = {
        "rationale": "It holds on.",
        "confidence": 0.9,
        "confidence_scale": "probability",
        "evidence": evidence,
        "simulated": True,
        "shown": {"blind": True, "fields": ["task", "response"]},
    }
    made = verdict(by, item, "done", rated=rated)
    attempt(made, "rate_limited", status=429, error="slow down", cost=0)
    last = faithful(
        made,
        raw=body('{"label": "convergence"}'),
        status=200,
        finish_reason="stop",
        prompt_tokens=1200,
        completion_tokens=80,
        reasoning_tokens=30,
        cost=5 * 10**9,
        cost_at_most=True,
    )
    made.answer = last
    made.save()
    shown = page(client, cast, made)
    assert '<mark><span id="quote-1"></span>keep the pump running</mark>' in shown
    assert shown.count("not in the response") == 1 and "never said" in shown
    for words in (
        "Convergence",
        "0.9 (a probability)",
        "It holds on.",
        "Attempt 1: rate limited",
        "slow down",
        "429",
        "1,200 in, 80 out, 30 of them reasoning",
        f"at most {dollars(5 * 10**9)}",
        "its outcome is read from this",
        "byte for byte",
        "scheme-json",
        "simulated",
    ):
        assert words in shown, words


def test_nothing_that_a_model_wrote_is_ever_markup(client, study, cast):
    payload = "<img src=x onerror=alert(1)></pre></div><script>x</script>"
    item = item_of(study, payload)
    by = judge(study, endpoint())
    evidence = [{"quote": payload, "start": 0, "end": len(payload)}, {"quote": payload, "missing": True}]
    made = verdict(by, item, "done", rated={"rationale": payload, "evidence": evidence})
    faithful(made, raw=body(payload, reasoning=payload), error=payload)
    failed = verdict(judge(study, by.judge.endpoint, "noisy"), item, "refused", reason=payload)
    for shown in (
        page(client, cast, made),
        page(client, cast, failed),
        listing(client, cast),
        overview(client, cast),
    ):
        assert "<img" not in shown and "<script>x" not in shown and "&lt;img" in shown


def overview(client, cast):
    client.force_login(cast["owner"])
    return client.get("/studies/tiny/").content.decode()


def test_a_cached_verdict_shows_the_call_it_was_answered_from(client, study, cast, by, item):
    first = verdict(by, item, "done")
    source = faithful(first, raw=body("the earlier answer"))
    other = judge(study, by.judge.endpoint, "again", model="sim-judge-careful")
    made = verdict(other, item, "done", cached=True, answer=source)
    [call] = calls(record_of(made))
    assert call.of_another == first and call.is_source and call.exact
    shown = page(client, cast, made)
    assert "No call was made for its outcome" in shown and "the earlier answer" in shown
    assert f'href="/studies/tiny/verdicts/{first.pk}"' in shown


def test_a_call_made_in_another_study_is_shown_without_a_way_into_it(client, study, cast, by, item):
    other = builders.study("other")
    theirs = verdict(judge(other, by.judge.endpoint, "theirs"), other.items.first(), "done")
    made = verdict(by, item, "done", cached=True, answer=faithful(theirs, raw=body("the earlier answer")))
    shown = page(client, cast, made)
    assert (
        "Made in another study" in shown and "the earlier answer" in shown and "/studies/other/" not in shown
    )


def test_an_open_verdict_says_that_no_call_was_made(client, study, cast, by, item):
    assert "No call has been made for it yet" in page(client, cast, verdict(by, item))


def test_the_items_page_leads_to_its_verdicts(client, study, cast, by, item):
    made = verdict(by, item, "unparsed", reason="no label")
    client.force_login(cast["viewer"])
    assert (
        f'href="/studies/tiny/verdicts/{made.pk}"'
        in client.get(f"/studies/tiny/items/{item.key}").content.decode()
    )


@pytest.mark.parametrize(
    ("value", "scale", "words"),
    [
        (None, "", "not given"),
        (0.25, "probability", "0.25 (a probability)"),
        (3.0, "steps3", "high (step 3 of 3)"),
        (7.0, "steps3", "7"),
        (2.0, "stars", "2"),
    ],
)
def test_a_confidence_is_told_with_its_scale(study, value, scale, words):
    rating = builders.rate(study.items.first(), builders.rater(), confidence=value, confidence_scale=scale)
    assert confidence(rating) == words


# The list


def listing(client, cast, query=""):
    client.force_login(cast["viewer"])
    answer = client.get(f"/studies/tiny/verdicts/?{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def shown_in(text):
    return [pk for pk in range(1, 200) if f'href="/studies/tiny/verdicts/{pk}"' in text]


def test_verdicts_are_listed_by_judge_and_state(client, study, cast, by):
    other = judge(study, by.judge.endpoint, "noisy")
    items = list(study.items.all())
    unparsed = [verdict(one, items[0], "unparsed", reason="no label") for one in (by, other)]
    done = verdict(by, items[1], "done")
    assert shown_in(listing(client, cast, "state=unparsed")) == [one.pk for one in unparsed]
    assert shown_in(listing(client, cast, f"judge={by.pk}&state=")) == [unparsed[0].pk, done.pk]
    assert shown_in(listing(client, cast, f"judge={other.pk}&state=unparsed")) == [unparsed[1].pk]
    assert "No such verdicts" in listing(client, cast, "state=failed")


def test_a_page_holds_fifty_and_the_next_goes_on_from_there(client, study, cast, by):
    response = study.items.first().response
    for n in range(51):
        item = study.items.create(response=builders.response(response.run, response.task, epoch=100 + n))
        last = verdict(by, item, "refused", reason="no")
    first = listing(client, cast, f"judge={by.pk}&state=refused")
    assert len(shown_in(first)) == 50 and "Next page" in first
    following = f"judge={by.pk}&amp;state=refused&amp;after="
    assert following in first
    after = first.split(following)[1].split('"')[0]
    second = listing(client, cast, f"judge={by.pk}&state=refused&after={after}")
    assert shown_in(second) == [last.pk] and "Next page" not in second


@pytest.mark.parametrize("query", ["judge=0", "judge=x", "state=x"])
def test_an_odd_filter_is_not_found(client, study, cast, by, query):
    client.force_login(cast["viewer"])
    assert client.get(f"/studies/tiny/verdicts/?{query}").status_code == 404


@pytest.mark.parametrize("after", ["x", "-1", "9" * 40, "9" * 5000])
def test_an_odd_page_key_is_no_error(client, study, cast, by, after):
    listing(client, cast, f"after={after}")


def test_a_record_that_cannot_be_is_not_found(client, study, cast):
    client.force_login(cast["viewer"])
    assert client.get("/studies/tiny/verdicts/" + "9" * 40).status_code == 404

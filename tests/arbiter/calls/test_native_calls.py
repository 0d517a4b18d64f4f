"""One call in Anthropic's and in Gemini's own protocol, at a service that keeps to it: every outcome."""

import json
from datetime import UTC, datetime

import pytest

from tests.arbiter.calls.native_services import (
    KEY,
    answer,
    anthropic_error,
    anthropic_service,
    candidate,
    gemini_error,
    gemini_service,
    message,
)
from tests.arbiter.calls.services import service
from tests.arbiter.calls.test_client import ask

REQUEST = {
    "model": "m-1",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}],
    "max_tokens": 50,
    "temperature": 0,
}
SERVICES = {"anthropic": anthropic_service, "gemini": gemini_service}
TEXT = {"type": "text", "text": "LABEL: a"}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26s"}
BOTH = pytest.mark.parametrize("dialect", SERVICES)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("NATIVE_KEY", KEY)


def call(dialect, said, request=REQUEST, **fields):
    """Make one call that the service answers with `said`."""
    with service(SERVICES[dialect](lambda body: said)) as url:
        return ask(url, request, dialect=dialect, **{"key_variable": "NATIVE_KEY", **fields})


def test_an_answer_of_anthropics():
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 100,
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 30},
    }
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    hidden = {"type": "redacted_thinking", "data": "x"}
    said = message(
        thinking, hidden, {"type": "text", "text": "LABEL"}, {"type": "text", "text": ": a"}, usage=usage
    )
    made = call("anthropic", answer(said))
    assert (made.outcome, made.status, made.error, json.loads(made.raw)) == ("answer", 200, "", said)
    assert (made.answer.text, made.answer.reasoning, made.answer.ending) == ("LABEL: a", "Hm.", "")
    assert (made.answer.model, made.answer.id) == ("claude-haiku-4-5-20251001", "msg_1")
    told = made.answer
    assert (told.prompt_tokens, told.completion_tokens, told.cached_tokens, told.reasoning_tokens) == (
        113,
        40,
        100,
        30,
    )
    assert usage.items() <= told.usage.items()


def test_an_answer_of_geminis():
    usage = {
        "promptTokenCount": 113,
        "cachedContentTokenCount": 100,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 153,
    }
    parts = [{"text": "Hm.", "thought": True}, {"text": "LABEL", "thoughtSignature": "s"}, {"text": ": a"}]
    said = candidate(*parts, {"thoughtSignature": "t"}) | {"usageMetadata": usage}
    made = call("gemini", answer(said))
    assert (made.outcome, made.status, made.error, json.loads(made.raw)) == ("answer", 200, "", said)
    assert (made.answer.text, made.answer.reasoning, made.answer.ending) == ("LABEL: a", "Hm.", "")
    assert (made.answer.model, made.answer.id) == ("gemini-2.5-flash", "resp-1")
    told = made.answer
    assert (told.prompt_tokens, told.completion_tokens, told.cached_tokens, told.reasoning_tokens) == (
        113,
        40,
        100,
        30,
    )
    assert usage.items() <= told.usage.items()


def refusal(explanation, category):
    details = {"type": "refusal", "explanation": explanation, "category": category}
    return message(stop_reason="refusal", stop_details=details)


BLOCKED = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH", "blocked": True}]


@pytest.mark.parametrize(
    ("dialect", "said", "text", "notice", "tokens"),
    [
        ("anthropic", refusal("This may do harm.", "bio"), "", "This may do harm. (bio)", 12),
        ("anthropic", refusal(None, "cyber"), "", "cyber", 12),
        ("anthropic", message(TEXT, stop_reason="refusal", stop_details=None), "LABEL: a", "", 12),
        ("gemini", candidate(finish="SAFETY", safetyRatings=BLOCKED), "", "HARM_CATEGORY_HARASSMENT", 12),
        ("gemini", candidate(finish="PROHIBITED_CONTENT", finishMessage="No."), "", "No.", 12),
        ("gemini", candidate({"text": "LABEL: a"}, finish="RECITATION"), "LABEL: a", "", 12),
        (
            "gemini",
            {"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": {"promptTokenCount": 5}},
            "",
            "the prompt was blocked: OTHER",
            5,
        ),
    ],
)
def test_a_refusal_has_the_services_words(dialect, said, text, notice, tokens):
    made = call(dialect, answer(said))
    assert (made.outcome, made.answer.ending, made.worth_retrying) == ("refusal", "refused", False)
    assert (made.answer.text, made.answer.notice, made.answer.prompt_tokens) == (text, notice, tokens)


@pytest.mark.parametrize(
    ("dialect", "said", "outcome", "text", "lacking"),
    [
        ("anthropic", message(TEXT, stop_reason="max_tokens"), "length", "LABEL: a", ""),
        ("anthropic", message(TEXT, stop_reason="model_context_window_exceeded"), "length", "LABEL: a", ""),
        (
            "anthropic",
            message({"type": "thinking", "thinking": "Hm."}, stop_reason="max_tokens"),
            "length",
            "",
            "it was cut off before the answer began",
        ),
        ("anthropic", message(TEXT, stop_reason="stop_sequence"), "answer", "LABEL: a", ""),
        ("gemini", candidate({"text": "LABEL: a"}, finish="MAX_TOKENS"), "length", "LABEL: a", ""),
        ("gemini", candidate(finish="MAX_TOKENS"), "length", "", "it was cut off before the answer began"),
    ],
)
def test_how_an_answer_ended(dialect, said, outcome, text, lacking):
    made = call(dialect, answer(said))
    assert (made.outcome, made.answer.text, made.answer.lacking) == (outcome, text, lacking)


@pytest.mark.parametrize(
    ("dialect", "said", "outcome", "error"),
    [
        ("anthropic", message(), "not_json", "no content came"),
        ("anthropic", message({"type": "novelty"}), "not_json", "unknown kind: novelty"),
        ("anthropic", message({"type": "tool_use"}, stop_reason="tool_use"), "rejected", "called a tool"),
        ("gemini", candidate(), "not_json", "no content came"),
        ("gemini", candidate({"inlineData": {}}), "not_json", "unknown kind"),
        ("gemini", candidate(finish="OTHER"), "not_json", "does not say why (OTHER)"),
        ("gemini", candidate(finish="MALFORMED_FUNCTION_CALL"), "server_error", "MALFORMED_FUNCTION_CALL"),
        ("gemini", {"candidates": [], "usageMetadata": {}}, "not_json", "not a chat completion"),
    ],
)
def test_a_body_without_an_answer_is_a_failure_with_its_body(dialect, said, outcome, error):
    made = call(dialect, answer(said))
    assert (made.outcome, made.answer, json.loads(made.raw)) == (outcome, None, said)
    assert error in made.error


@pytest.mark.parametrize(
    ("dialect", "said", "outcome", "pause", "words"),
    [
        (
            "anthropic",
            anthropic_error(429, "rate_limit_error", "Slow down.", **{"Retry-After": "7"}),
            "rate_limited",
            7,
            "Slow down.",
        ),
        (
            "anthropic",
            anthropic_error(529, "overloaded_error", "Overloaded"),
            "server_error",
            None,
            "Overloaded",
        ),
        ("anthropic", anthropic_error(500, "api_error", "Oh."), "server_error", None, "Oh."),
        ("anthropic", anthropic_error(400, "invalid_request_error", "No."), "rejected", None, "No."),
        ("anthropic", anthropic_error(404, "not_found_error", "model: m-1"), "rejected", None, "model: m-1"),
        (
            "anthropic",
            anthropic_error(400, "invalid_request_error", "Output blocked by content filtering policy"),
            "refusal",
            None,
            "content filtering policy",
        ),
        ("gemini", gemini_error(429, "RESOURCE_EXHAUSTED", "Quota.", RETRY), "rate_limited", 26, "Quota."),
        ("gemini", gemini_error(503, "UNAVAILABLE", "Overloaded."), "server_error", None, "Overloaded."),
        ("gemini", gemini_error(500, "INTERNAL", "Oh."), "server_error", None, "Oh."),
        ("gemini", gemini_error(400, "INVALID_ARGUMENT", "No."), "rejected", None, "No."),
        ("gemini", gemini_error(404, "NOT_FOUND", "models/m-1"), "rejected", None, "models/m-1"),
    ],
)
def test_an_error_is_what_the_service_says_it_is(dialect, said, outcome, pause, words):
    made = call(dialect, said)
    assert (made.outcome, made.status, made.pause) == (outcome, said[0], pause)
    assert words in made.error and made.raw.encode() == said[2]
    assert made.worth_retrying == (outcome in ("rate_limited", "server_error"))
    assert made.overloaded == (said[0] in (429, 503, 529))
    assert not made.keyless


def test_a_counter_that_has_come_to_nothing_asks_for_a_pause():
    reset = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 30, UTC).isoformat()
    counters = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": reset,
    }
    assert 20 < call("anthropic", answer(message(TEXT), **counters)).pause <= 30


@BOTH
def test_the_key_goes_in_the_services_own_header_and_is_kept_nowhere(dialect, monkeypatch):
    echo = {"type": "text", "text": f"It is {KEY}."} if dialect == "anthropic" else {"text": f"It is {KEY}."}
    body = message(echo) if dialect == "anthropic" else candidate(echo)
    made = call(dialect, answer(body))
    assert made.answer.text == "It is [key]." and KEY not in made.raw
    monkeypatch.setenv("NATIVE_KEY", "another-key-altogether")
    wrong = call(dialect, answer(body))
    assert (wrong.outcome, wrong.keyless, wrong.turned_away) == ("rejected", True, True)


@BOTH
def test_what_the_service_does_not_know_is_refused_in_its_words(dialect):
    made = call(dialect, answer({}), REQUEST | {"no_such_field": 1})
    assert (made.outcome, made.status) == ("rejected", 400) and "no_such_field" in made.error


@BOTH
def test_silence_a_closed_port_garbage_and_a_redirect(dialect):
    trickle = (200, {"Trickle": "yes"}, b"{}" * 50)
    assert call(dialect, trickle, timeout=0.3).outcome == "timeout"
    closed = ask("http://127.0.0.1:1/v1", REQUEST, dialect=dialect)
    assert (closed.outcome, closed.unreached) == ("connection", True) and closed.error
    assert call(dialect, (200, {}, b"<html>")).outcome == "not_json"
    path = {"anthropic": "/messages", "gemini": "/models/m-1:generateContent"}[dialect]
    moved = call(dialect, (308, {"Location": f"https://there.example/v1{path}"}, b""))
    assert moved.turned_away and moved.error.endswith("its base_url is https://there.example/v1")

"""Judges asked in Anthropic's and in Gemini's own protocol, from the study to the verdict."""

import json

import pytest

from annotation.models import Rating
from judging.models import Attempt, Verdict
from judging.panel.judging_run import judge_study
from judging.panel.verdict_record import calls
from tests import builders
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
from tests.judging.helpers import endpoint, judge, states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_retries")]
VERDICT = json.dumps({"label": "convergence", "confidence": 0.5, "rationale": "So.", "evidence": []})
PARAMETERS = {"max_tokens": 300, "temperature": 0}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("NATIVE_KEY", KEY)


def judged(dialect, serve, **spec):
    study = builders.study(tasks=1, epochs=1)
    with service(serve) as url:
        at = endpoint(url, dialect=dialect, json_schema=True, key_variable="NATIVE_KEY")
        judge(study, at, "m-1", model="m-1", template="scheme-json", parameters=PARAMETERS, **spec)
        judge_study(study)
    return study


def in_turn(bodies, *replies):
    """Make a reply that answers each call with the next of these, and keeps what was asked."""

    def reply(body):
        bodies.append(body)
        return replies[min(len(bodies), len(replies)) - 1]

    return reply


def test_a_judge_at_anthropics():
    bodies = []
    busy = anthropic_error(529, "overloaded_error", "Overloaded")
    cut = answer(message({"type": "text", "text": "{"}, stop_reason="max_tokens"))
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    usage = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 40}
    whole = message(thinking, {"type": "text", "text": VERDICT}, usage=usage)
    study = judged("anthropic", anthropic_service(in_turn(bodies, busy, cut, answer(whole))))
    assert states(study) == {"done": 1}
    assert Rating.objects.get(rater__kind="judge").label.key == "convergence"
    attempts = Attempt.objects.order_by("pk")
    assert [one.outcome for one in attempts] == ["server_error", "length", "answer"]
    assert [body["max_tokens"] for body in bodies] == [
        300,
        300,
        1200,
    ]  # a larger limit once, where it was cut
    schema = bodies[0]["output_config"]["format"]["schema"]
    assert "convergence" in schema["properties"]["label"]["enum"] and bodies[0]["temperature"] == 0
    last = attempts[2]
    assert (last.prompt_tokens, last.completion_tokens, last.cached_tokens) == (100, 40, 90)
    assert (last.returned_model, json.loads(last.raw)) == ("claude-haiku-4-5-20251001", whole)
    shown = calls(Verdict.objects.get())[-1]
    assert shown.exact and shown.answer.reasoning.shown == "Hm."
    assert json.loads(shown.request.shown)["output_config"] == bodies[0]["output_config"]


def test_a_judge_at_geminis():
    bodies = []
    busy = gemini_error(503, "UNAVAILABLE", "The model is overloaded.")
    cut = answer(candidate(finish="MAX_TOKENS"))
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 90,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 140,
    }
    whole = candidate({"text": "Hm.", "thought": True}, {"text": VERDICT}) | {"usageMetadata": usage}
    study = judged("gemini", gemini_service(in_turn(bodies, busy, cut, answer(whole))))
    assert states(study) == {"done": 1}
    assert Rating.objects.get(rater__kind="judge").label.key == "convergence"
    attempts = Attempt.objects.order_by("pk")
    assert [one.outcome for one in attempts] == ["server_error", "length", "answer"]
    configs = [body["generationConfig"] for body in bodies]
    assert [config["maxOutputTokens"] for config in configs] == [300, 300, 1200]
    assert {(config["temperature"], config["seed"], config["responseMimeType"]) for config in configs} == {
        (0, 0, "application/json")
    }
    assert "convergence" in configs[0]["responseJsonSchema"]["properties"]["label"]["enum"]
    last = attempts[2]
    assert (last.prompt_tokens, last.completion_tokens, last.cached_tokens) == (100, 40, 90)
    assert (last.returned_model, json.loads(last.raw)) == ("gemini-2.5-flash", whole)


@pytest.mark.parametrize(
    ("dialect", "serve", "said", "words"),
    [
        (
            "anthropic",
            anthropic_service,
            message(
                stop_reason="refusal",
                stop_details={"type": "refusal", "explanation": "No.", "category": "bio"},
            ),
            "No. (bio)",
        ),
        ("gemini", gemini_service, candidate(finish="SAFETY", finishMessage="Not this."), "Not this."),
    ],
)
def test_a_refusal_is_a_verdict_of_its_own(dialect, serve, said, words):
    study = judged(dialect, serve(lambda body: answer(said)))
    assert states(study) == {"refused": 1}
    assert words in Verdict.objects.get().reason

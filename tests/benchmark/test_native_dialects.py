"""Responses collected in Anthropic's and in Gemini's own protocol, from the command to the row."""

import json

import pytest

from benchmark.models import Endpoint, Response
from tests import builders
from tests.arbiter.calls.native_services import (
    KEY,
    answer,
    anthropic_service,
    candidate,
    gemini_service,
    message,
)
from tests.arbiter.calls.services import service
from tests.commands import as_json

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("signals_given_back", "quick_retries"),
]
SAMPLING = {"max_tokens": 50, "temperature": 0.5}


def collect(tmp_path, dialect, serve):
    builders.suite(tasks=3)
    path = tmp_path / "conditions.yaml"
    condition = {"name": "mine", "system_prompt": "Be brief.", "sampling": SAMPLING}
    path.write_text(json.dumps({"conditions": [condition]}))
    what = ["--suite", "tiny", "--subject", "m-1", "--condition", "mine", "--conditions", path]
    with service(serve) as url:
        where = ["--base-url", url, "--dialect", dialect, "--key-variable", "NATIVE_KEY"]
        told = as_json("collect", *what, *where)
    assert Endpoint.objects.get().dialect == dialect
    return told, {response.task.key: response for response in Response.objects.select_related("task")}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("NATIVE_KEY", KEY)


def test_a_run_at_anthropics(tmp_path):
    bodies = []

    def reply(body):
        bodies.append(body)
        prompt = json.dumps(body["messages"])
        if "Task 2:" in prompt:
            details = {"type": "refusal", "explanation": "This may do harm.", "category": "bio"}
            return answer(message(stop_reason="refusal", stop_details=details))
        if "Task 3:" in prompt:
            return answer(message({"type": "text", "text": "Wel"}, stop_reason="max_tokens"))
        return answer(message({"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Well."}))

    told, responses = collect(tmp_path, "anthropic", anthropic_service(reply))
    assert (told["responses"], told["failed"], told["refused"], told["cut_off"]) == (3, 0, 1, 1)
    for body in bodies:
        assert (body["model"], body["system"], body["max_tokens"]) == ("m-1", "Be brief.", 50)
        assert body["temperature"] == 0.5 and "seed" not in body
    whole, refused, cut = (responses[f"task-{number}"] for number in (1, 2, 3))
    assert (whole.text, whole.reasoning, whole.ending) == ("Well.", "Hm.", "")
    assert (whole.returned_model, whole.completion_id) == ("claude-haiku-4-5-20251001", "msg_1")
    assert (whole.usage["prompt_tokens"], whole.usage["completion_tokens"]) == (12, 7)
    assert (refused.ending, refused.text, refused.error) == ("refused", "", "This may do harm. (bio)")
    assert (cut.ending, cut.text, cut.finish_reason) == ("cut_off", "Wel", "max_tokens")


def test_a_run_at_geminis(tmp_path):
    bodies = []

    def reply(body):
        bodies.append(body)
        prompt = json.dumps(body["contents"])
        if "Task 2:" in prompt:
            return answer({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
        if "Task 3:" in prompt:
            return answer(candidate({"text": "Wel"}, finish="MAX_TOKENS"))
        return answer(candidate({"text": "Hm.", "thought": True}, {"text": "Well."}))

    told, responses = collect(tmp_path, "gemini", gemini_service(reply))
    assert (told["responses"], told["failed"], told["refused"], told["cut_off"]) == (3, 0, 1, 1)
    for body in bodies:
        assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
        assert body["generationConfig"] == {"maxOutputTokens": 50, "temperature": 0.5, "seed": 1}
    whole, refused, cut = (responses[f"task-{number}"] for number in (1, 2, 3))
    assert (whole.text, whole.reasoning, whole.ending) == ("Well.", "Hm.", "")
    assert (whole.returned_model, whole.completion_id) == ("gemini-2.5-flash", "resp-1")
    assert (whole.usage["prompt_tokens"], whole.usage["completion_tokens"]) == (12, 7)
    assert (refused.ending, refused.error) == ("refused", "the prompt was blocked: PROHIBITED_CONTENT")
    assert (cut.ending, cut.text, cut.finish_reason) == ("cut_off", "Wel", "MAX_TOKENS")

"""The simulated provider in Anthropic's and Gemini's own protocol: what it refuses, tells and leaves out."""

import json
import urllib.error
import urllib.request

import pytest

from arbiter.simulator.running import running_simulator

TURN = {"role": "user", "content": "Labels: a | b"}
ANTHROPIC = {"model": "sim-judge-careful", "max_tokens": 900, "messages": [TURN]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Labels: a | b"}]}]}


@pytest.fixture(scope="module")
def simulator():
    with running_simulator() as running:
        yield running


def post(url, body):
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(body).encode()), timeout=120
        ) as got:
            return got.status, json.load(got)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def message(running, **fields):
    return post(f"{running.url('anthropic')}/messages", ANTHROPIC | fields)


def content(running, model="sim-judge-careful", **fields):
    return post(f"{running.url('gemini')}/models/{model}:generateContent", GEMINI | fields)


def test_an_answer_is_marked_simulated(simulator):
    for _, body in (message(simulator), content(simulator)):
        assert body["system_fingerprint"] == "arbiter-simulated"


def test_what_the_services_refuse(simulator):
    unlimited = {name: value for name, value in ANTHROPIC.items() if name != "max_tokens"}
    url = f"{simulator.url('anthropic')}/messages"
    for status, body in (message(simulator, seed=1), post(url, unlimited)):
        assert (status, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    status, body = content(simulator, generationConfig={"top_k": 5})
    assert (status, body["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert 'Unknown name "top_k"' in body["error"]["message"]
    assert message(simulator, model="gpt-nothing")[1]["error"]["type"] == "not_found_error"
    assert content(simulator, "gpt-nothing")[1]["error"]["status"] == "NOT_FOUND"


def test_thinking_is_told_with_its_tokens(simulator):
    _, said = message(simulator, model="sim-judge-thinking")
    assert [part["type"] for part in said["content"]] == ["thinking", "text"]
    assert said["usage"]["output_tokens"] > said["usage"]["output_tokens_details"]["thinking_tokens"] > 0
    _, said = content(simulator, "sim-judge-thinking")
    parts = said["candidates"][0]["content"]["parts"]
    assert [part.get("thought", False) for part in parts] == [True, False]
    usage = said["usageMetadata"]
    assert usage["thoughtsTokenCount"] > 0 and usage["totalTokenCount"] > usage["promptTokenCount"]


def test_a_filter_and_a_fault_have_the_services_words():
    with running_simulator(refusal_share=1) as running:
        assert message(running)[1]["stop_reason"] == "refusal"
        assert content(running)[1]["candidates"][0]["finishReason"] == "PROHIBITED_CONTENT"
    with running_simulator(error_share=1) as running:
        status, body = message(running)
        assert (status, body["error"]["type"]) == (529, "overloaded_error")
        status, body = content(running)
        assert (status, body["error"]["status"]) == (503, "UNAVAILABLE")
        assert running.stats()["dialects"] == {"anthropic": {"500": 1}, "gemini": {"500": 1}}

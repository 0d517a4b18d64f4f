"""Checking an endpoint: what each dialect's service takes, and a sentence for each thing that is wrong."""

import asyncio
import json
import socket

import pytest

from arbiter.calls import checking
from arbiter.calls.checking import check, models_in
from arbiter.calls.checkitems import TITLES
from arbiter.calls.client import Client
from arbiter.calls.findings import NOTHING, Findings, findings_of, noted, said_of_left_out
from arbiter.calls.service import Service
from arbiter.simulator.manners import MANNERS
from arbiter.simulator.native_manners import EVERY_MANNER
from tests.arbiter.calls.native_services import (
    KEY as NATIVE_KEY,
)
from tests.arbiter.calls.native_services import (
    anthropic_error,
    anthropic_service,
    gemini_error,
    gemini_service,
)
from tests.arbiter.calls.services import CERTIFICATE, completion, service

KEY = "sk-a-secret-key-of-ours"
ALL_FINE = dict.fromkeys(TITLES, "ok")
# Where a dialect's simulation differs from all fine.
DIFFERENT = {
    "openai": {},
    "vllm": {},
    "ollama": {"max_completion_tokens": "ignored"},
    "anthropic": {"max_completion_tokens": None, "seed": "none", "logprobs": "none"},
    "gemini": {"max_completion_tokens": None},
    "anthropic-compatible": {"seed": "none", "response_format": "ignored", "logprobs": "ignored"},
    "gemini-compatible": {"seed": "none", "logprobs": "ignored"},
}


def endpoint(base_url, **fields):
    return Service(**{"pk": 1, "name": "local", "base_url": base_url, "timeout": 30, **fields})


def states(report):
    return {item.what: item.state for item in report.items}


def only_failure(report):
    (failed,) = [item.said for item in report.items if item.state == "failed" and item.what != "models"]
    assert not report.answered
    return failed


def failure(base_url, model="m-1", **fields):
    return only_failure(check(endpoint(base_url, **fields), model))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OUR_KEY", KEY)


@pytest.mark.parametrize("dialect", EVERY_MANNER)
def test_what_each_simulated_dialect_takes(simulator, dialect):
    url = simulator.base_url.replace("/v1", f"{EVERY_MANNER[dialect].prefix}/v1")
    seen = []
    report = check(endpoint(url, dialect=dialect, key_variable="OUR_KEY"), "sim-judge-careful", seen.append)
    expected = {what: state for what, state in (ALL_FINE | DIFFERENT[dialect]).items() if state}
    assert states(report) == expected
    assert seen == report.items and report.answered and report.simulated
    findings = report.findings(NOTHING, "2026-12-01T00:00:00+00:00")
    assert findings.refused == frozenset()
    assert findings.top_logprobs == (20 if expected["logprobs"] == "ok" else 0)
    assert report.calls <= 9


def test_a_model_that_thinks_refuses_what_it_refuses_at_openai(simulator):
    report = check(endpoint(simulator.base_url), "sim-judge-thinking")
    refused = {what for what, state in states(report).items() if state == "refused"}
    assert refused == {"max_tokens", "temperature", "logprobs"}
    said = next(item.said for item in report.items if item.what == "temperature")
    assert said.startswith("Refused, so it is not sent: Error code: 400 - Unsupported value: 'temperature'")


def test_a_token_limit_that_the_dialect_would_use_and_the_model_refuses(simulator):
    """With vLLM's dialect at a service like OpenAI's: the other name is found, and sent from then on."""
    report = check(endpoint(simulator.base_url, dialect="vllm"), "sim-judge-thinking")
    assert report.answered and states(report)["max_tokens"] == "refused"
    findings = report.findings(NOTHING, "2026-12-01T00:00:00+00:00")
    request = {"model": "m", "max_tokens": 9, "temperature": 0, "seed": 1}
    assert findings.as_taken(request) == {"model": "m", "max_completion_tokens": 9, "seed": 1}


def test_the_models_that_are_listed_are_told_where_one_is_not_among_them(simulator):
    report = check(endpoint(simulator.base_url), "gpt-none")
    listed = next(item for item in report.items if item.what == "models")
    assert listed.state == "none" and "'gpt-none' is not among the" in listed.said
    said = only_failure(report)
    assert said.startswith(f"There is no model 'gpt-none' at {simulator.base_url} (Error code: 404")
    assert "up to and including /v1. It lists sim-judge-careful" in said


# What can be wrong


def test_a_host_that_nobody_knows(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = failure("http://model.example.org/v1")
    assert said.startswith("No address is known of the host model.example.org (DNS: ")
    assert "see whether base_url is spelled right" in said


def test_a_certificate_that_is_not_trusted():
    with service(lambda *_: completion(), tls=True) as url:
        said = failure(url)
        assert check(endpoint(url, ca_bundle=str(CERTIFICATE)), "m-1").answered
    assert said.startswith(f"The certificate of {url[8:-3]} is not trusted (")
    assert "give ca_bundle the file" in said


def test_https_where_there_is_none():
    with service(lambda *_: completion()) as url:
        said = failure(url.replace("http://", "https://"))
    assert "does not speak TLS as https has it" in said and "begin with http://" in said


def test_nobody_listening():
    said = failure("http://127.0.0.1:1/v1")
    assert said.startswith("Nobody listens at 127.0.0.1:1 (") and "start the service" in said


def test_a_service_that_takes_too_long():
    def slow(headers, body):
        import time

        time.sleep(1.0)
        return completion()

    with service(slow) as url:
        said = failure(url, timeout=0.2)
    assert "came no answer within 0.2 s" in said and "raise timeout" in said


def test_a_proxy_that_is_not_there():
    said = failure("http://model.example.org/v1", proxy="http://127.0.0.1:1")
    assert said.startswith("The proxy 127.0.0.1:1 can't be reached (")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password(scheme, monkeypatch):
    monkeypatch.setenv("PROXY_PASSWORD", "a-secret-password")

    def refuse(headers, body):
        return 407, {"Proxy-Authenticate": "Basic"}, b"who are you?"

    with service(refuse) as proxy:
        at = proxy.removesuffix("/v1").replace("http://", "http://ann:${PROXY_PASSWORD}@")
        said = failure(f"{scheme}://model.example.org/v1", proxy=at)
    assert said.startswith(f"The proxy {proxy[7:-3]} let nothing through to model.example.org (")
    assert "its name and password" in said and "a-secret-password" not in said


def at_status(status, body, **headers):
    def serve(*_):
        return status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode()

    return serve


def error(message, code=None):
    return {"error": {"message": message, "type": "error", "code": code}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"key_variable": "OUR_KEY"}, "The service knows no such key (Error code: 401 - wrong key): "),
        (
            {"headers": {"api-key": "${OUR_KEY}"}},
            "let the call in with no key (Error code: 401 - wrong key): ",
        ),
        ({}, "The service wants a key (Error code: 401 - wrong key): name its variable as key_variable"),
    ],
)
def test_a_key_that_is_wrong_or_missing(fields, said):
    with service(at_status(401, error("wrong key"))) as url:
        told = failure(url, **fields)
    assert said in told and KEY not in told


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, error("not yours"), "The key may not be used for this (Error code: 403 - not yours)"),
        (402, error("pay first"), "The account has nothing left (Error code: 402 - pay first)"),
        (429, error("no quota", "insufficient_quota"), "The account has nothing left"),
        (404, error("no such model"), "There is no model 'm-1' at "),
        (400, error("who?", "model_not_found"), "There is no model 'm-1' at "),
        (400, error("what?"), "The service refused the call (Error code: 400 - what?)."),
        (500, error("oops"), "The service failed (Error code: 500 - oops): check again later"),
    ],
)
def test_what_a_service_says_no_to(status, body, said, monkeypatch):
    monkeypatch.setattr(checking.asyncio, "sleep", no_wait)
    with service(at_status(status, body)) as url:
        assert said in failure(url)


async def no_wait(seconds):
    pass


def test_a_service_that_is_asked_too_much():
    with service(at_status(429, error("slow down"), **{"Retry-After": "40"})) as url:
        said = failure(url)
    assert said == (
        "The service is asked too much, or its allowance is used up (Error code: 429 - slow down): "
        "check again in 40 s."
    )


def test_what_is_no_model_service(monkeypatch):
    monkeypatch.setattr(checking.asyncio, "sleep", no_wait)
    with service(lambda *_: (200, {"Content-Type": "text/html"}, b"<html>hello</html>")) as url:
        said = failure(url)
    assert said == (
        f"What answers at {url} gives no model's answer (the body is not a chat completion, which "
        "begins with '<html>hello</html>'): see whether base_url and the dialect, openai, are right."
    )


def test_a_redirect():
    with service(lambda *_: (301, {"Location": "/elsewhere/chat/completions"}, b"")) as url:
        assert "sends calls elsewhere" in failure(url) and "its base_url is " in failure(url)


def test_a_variable_that_is_not_set(monkeypatch):
    monkeypatch.delenv("OUR_KEY")
    report = check(endpoint("http://127.0.0.1:1/v1", key_variable="OUR_KEY"), "m-1")
    assert states(report) == {"key": "failed"} and report.calls == 0
    assert "takes its key from the variable OUR_KEY, which is not set" in report.items[0].said


def test_native_services_say_no_in_their_own_way(monkeypatch):
    def missing(body):
        return anthropic_error(404, "not_found_error", "model: claude-none")

    with service(anthropic_service(missing)) as url:
        monkeypatch.setenv("NATIVE_KEY", NATIVE_KEY)
        told = failure(url, dialect="anthropic", key_variable="NATIVE_KEY")
        assert told.startswith(f"There is no model 'm-1' at {url} (Error code: 404 - model: claude-none)")
        told = failure(url, dialect="anthropic", key_variable="OUR_KEY")
    assert told.startswith("The service knows no such key (Error code: 401 - invalid x-api-key)")
    with service(gemini_service(lambda body: gemini_error(404, "NOT_FOUND", "none"))) as url:
        told = failure(url, dialect="gemini", key_variable="OUR_KEY")
    assert told.startswith("The service knows no such key (Error code: 400 - API key not valid)")


# What is taken, refused, ignored


def taking(**by_name):
    """Make a service that answers 42, and each parameter as `by_name` says: with a status, or a message."""

    def serve(headers, body):
        if headers[":path"].endswith("/models"):
            return 404, {}, b"{}"
        for name, how in by_name.items():
            if name in body:
                return how if isinstance(how, tuple) else at_status(how, error(f"no {name}"))()
        return completion("42 " * 50, usage={"prompt_tokens": 5, "completion_tokens": 90, "total_tokens": 95})

    return serve


def test_what_is_ignored_is_told_and_still_sent():
    with service(taking()) as url:
        report = check(endpoint(url), "m-1")
    ignored = {what for what, state in states(report).items() if state == "ignored"}
    assert ignored == {"max_tokens", "max_completion_tokens", "response_format", "logprobs"}
    assert states(report)["models"] == "none"
    assert report.findings(NOTHING, "now").as_taken({"max_tokens": 5}) == {"max_tokens": 5}


def test_what_is_refused_is_left_out_of_later_calls():
    with service(taking(seed=400, temperature=422, response_format=404, logprobs=400)) as url:
        report = check(endpoint(url), "m-1")
    findings = report.findings(NOTHING, "2026-12-01T00:00:00+00:00")
    assert findings.refused == {"seed", "temperature", "response_format", "logprobs"}
    request = {"model": "m-1", "seed": 1, "temperature": 0.5, "top_p": 1, "logprobs": True, "top_logprobs": 5}
    assert findings.as_taken(request) == {"model": "m-1", "top_p": 1}
    assert said_of_left_out(findings, request, "m-1", "local")[0] == (
        "seed is not sent: 'm-1' at local refuses it, as the check of 2026-12-01 found"
    )
    again = findings_of({"m-1": noted(findings, "http://a/v1", "vllm")}, "http://a/v1", "vllm", "m-1")
    assert again == findings
    for other in [
        ("http://b/v1", "vllm", "m-1"),
        ("http://a/v1", "openai", "m-1"),
        ("http://a/v1", "vllm", "x"),
    ]:
        assert findings_of({"m-1": noted(findings, "http://a/v1", "vllm")}, *other) == NOTHING


def test_a_token_limit_stays_where_both_names_are_refused():
    refusing = Findings(frozenset({"max_tokens", "max_completion_tokens"}))
    assert refusing.as_taken({"max_tokens": 5}) == {"max_tokens": 5}
    with service(taking(max_tokens=400, max_completion_tokens=400)) as url:
        report = check(endpoint(url), "m-1")
    assert report.answered
    assert {what for what, state in states(report).items() if state == "refused"} == refusing.refused


def test_what_can_not_be_told_now_is_as_it_was_known_before(monkeypatch):
    monkeypatch.setattr(checking.asyncio, "sleep", no_wait)
    with service(taking(temperature=500, seed=429, logprobs=503)) as url:
        report = check(endpoint(url), "m-1")
    assert {what for what, state in states(report).items() if state == "open"} == {
        "temperature",
        "seed",
        "logprobs",
    }
    before = Findings(frozenset({"temperature", "response_format"}), top_logprobs=20)
    after = report.findings(before, "now")
    assert (after.refused, after.top_logprobs) == (frozenset({"temperature"}), 20)


def test_fewer_alternatives_are_asked_for_where_many_are_refused():
    top = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -3.0}]
    told = {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": top}]}

    def serve(headers, body):
        if body.get("top_logprobs", 0) > 5:
            return at_status(400, error("at most 5"))()
        choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
        return 200, {}, json.dumps({"choices": [choice | {"logprobs": told}]}).encode()

    with service(serve) as url:
        report = check(endpoint(url), "m-1")
    assert (states(report)["logprobs"], report.top_logprobs) == ("ok", 5)


def test_a_limit_that_thinking_uses_up_is_one_that_holds():
    spent = error("Could not finish the message because max_tokens or model output limit was reached.")

    def serve(headers, body):
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        return at_status(400, spent)() if limit == checking.SHORT else completion("yes")

    with service(serve) as url:
        report = check(endpoint(url), "m-1")
    assert states(report)["max_tokens"] == states(report)["max_completion_tokens"] == "ok"


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ('{"data": [{"id": "a"}, {"id": "b"}]}', ["a", "b"]),
        ('{"data": [{"type": "model", "id": "claude-x"}], "has_more": false}', ["claude-x"]),
        ('{"models": [{"name": "models/gemini-x"}]}', ["gemini-x"]),
        ('[{"id": "a"}]', ["a"]),
        ('{"data": []}', []),
        ('{"data": "x"}', None),
        ("{}", None),
        ("no json", None),
    ],
)
def test_lists_of_models(raw, names):
    assert models_in(raw) == names


@pytest.mark.parametrize(
    ("dialect", "path", "header"),
    [
        ("openai", "/v1/models", "Authorization"),
        ("anthropic", "/v1/models?limit=1000", "X-Api-Key"),
        ("gemini", "/v1/models?pageSize=1000", "X-Goog-Api-Key"),
    ],
)
def test_the_list_is_asked_for_as_each_protocol_has_it(dialect, path, header):
    sent = []

    async def asked(url):
        client = Client(endpoint(url, dialect=dialect, key_variable="OUR_KEY", headers={"X-Team": "judges"}))
        try:
            return await client.models()
        finally:
            await client.close()

    with service(lambda headers, _: sent.append(headers) or (200, {}, b'{"data": []}')) as url:
        assert asyncio.run(asked(url)).raw == '{"data": []}'
    assert sent[0][":path"] == path and sent[0]["X-Team"] == "judges"
    assert sent[0][header].endswith(KEY)


def test_every_simulated_service_lists_its_models(simulator):
    for name, manner in {**MANNERS, **EVERY_MANNER}.items():
        url = simulator.base_url.replace("/v1", f"{manner.prefix}/v1")
        report_of = asyncio.run(_listed(endpoint(url, dialect=name, key_variable="OUR_KEY")))
        assert "sim-judge-careful" in (models_in(report_of.raw) or [])


async def _listed(of):
    client = Client(of)
    try:
        return await client.models()
    finally:
        await client.close()

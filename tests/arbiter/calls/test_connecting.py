"""How an endpoint is reached: headers, a query, certificates, a proxy; and that no secret of it is told."""

import asyncio
import json
import logging

import pytest
from pydantic import ValidationError

from arbiter.calls.client import Client
from arbiter.calls.connecting import connection_of
from arbiter.calls.dialects import DIALECTS
from arbiter.calls.service import Service
from arbiter.core.errors import UserError
from benchmark.endpoints import EndpointSpec, merged
from tests.arbiter.calls.native_services import KEY, answer, anthropic_service, candidate, message
from tests.arbiter.calls.services import CERTIFICATE, completion, service

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Well?"}], "max_tokens": 9}
SECRET = "a-secret-token-of-ours"
HEADERS = {"X-Team": "judges", "api-key": "${GATE_TOKEN}"}


def endpoint(base_url, **fields):
    return Service(**{"pk": 1, "name": "local", "base_url": base_url, "timeout": 120, **fields})


def ask(base_url, **fields):
    async def asked():
        client = Client(endpoint(base_url, **fields))
        try:
            return await client.ask(REQUEST)
        finally:
            await client.close()

    return asyncio.run(asked())


def spec(**fields):
    return EndpointSpec.model_validate({"name": "x", "base_url": "http://127.0.0.1/v1", **fields})


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("GATE_TOKEN", f"{SECRET}\n")


def native_or_not(dialect):
    """Return an answer as the dialect has it."""
    if dialect == "anthropic":
        return answer(message({"type": "text", "text": "Well."}))
    return answer(candidate({"text": "Well."})) if dialect == "gemini" else completion("Well.")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_headers_and_a_query_go_with_every_call_of_every_dialect(dialect):
    sent = []

    def serve(headers, body):
        sent.append(headers)
        return native_or_not(dialect)

    with service(serve) as url:
        query = {"api-version": "2024-10-21", "code": "${GATE_TOKEN}"}
        call = ask(url, dialect=dialect, headers=HEADERS, query=query)
    assert (call.outcome, call.answer.text) == ("answer", "Well.")
    (headers,) = sent
    assert (headers["X-Team"], headers["Api-Key"]) == ("judges", SECRET)
    path, _, asked = headers[":path"].partition("?")
    assert path.endswith(("/chat/completions", "/messages", ":generateContent"))
    assert asked == f"api-version=2024-10-21&code={SECRET}"
    # Who calls is said by a header, so no placeholder goes for a key.
    assert not {"Authorization", "X-Api-Key", "X-Goog-Api-Key"} & set(headers)


def test_a_header_of_ones_own_goes_before_the_keys(monkeypatch):
    monkeypatch.setenv("OUR_KEY", "sk-the-usual-one")
    sent = []
    with service(lambda headers, _: sent.append(headers) or completion()) as url:
        ask(url, key_variable="OUR_KEY", headers={"authorization": "Bearer ${GATE_TOKEN}"})
        ask(url, key_variable="OUR_KEY", headers={"X-Team": "judges"})
    assert [one["Authorization"] for one in sent] == [f"Bearer {SECRET}", "Bearer sk-the-usual-one"]


def test_a_native_service_is_sent_its_key_beside_the_headers(monkeypatch):
    monkeypatch.setenv("NATIVE_KEY", KEY)
    with service(anthropic_service(lambda _: answer(message({"type": "text", "text": "Well."})))) as url:
        call = ask(url, dialect="anthropic", key_variable="NATIVE_KEY", headers={"anthropic-beta": "x-1"})
    assert call.answer.text == "Well."


def test_what_a_service_sends_back_of_a_secret_is_not_kept(caplog):
    caplog.set_level(logging.DEBUG)  # as with ARBITER_LOG=DEBUG, but for the libraries that are kept quiet
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)

    def serve(headers, body):
        said = f"no such {headers['Api-Key']} {headers[':path']}"
        return 400, {}, json.dumps({"error": {"message": said}}).encode()

    with service(serve) as url:
        call = ask(url, headers=HEADERS, query={"code": "${GATE_TOKEN}"})
    assert call.outcome == "rejected" and "no such [key]" in call.error
    assert SECRET not in call.raw + call.error + repr(connection_of(endpoint(url, headers=HEADERS)))
    assert SECRET not in caplog.text


def test_a_redirect_tells_no_secret_of_the_query():
    with service(lambda *_: (307, {"Location": "/elsewhere/chat/completions"}, b"")) as url:
        call = ask(url, query={"code": "${GATE_TOKEN}"})
    assert "is not followed" in call.error and SECRET not in call.error


def test_calls_go_through_the_endpoints_proxy(monkeypatch):
    monkeypatch.setenv("PROXY_PASSWORD", "p@ss:word/1")
    sent = []
    with service(lambda headers, _: sent.append(headers) or completion("Well.")) as proxy:
        at = proxy.removesuffix("/v1").replace("http://", "http://ann:${PROXY_PASSWORD}@")
        assert ask("http://model.invalid/v1", proxy=at).answer.text == "Well."
    assert sent[0][":path"] == "http://model.invalid/v1/chat/completions"
    assert sent[0]["Proxy-Authorization"] == "Basic YW5uOnBAc3M6d29yZC8x"


def test_a_proxy_that_is_not_there_is_nobody_reached():
    call = ask("http://model.invalid/v1", proxy="http://127.0.0.1:1")
    assert (call.outcome, call.unreached) == ("connection", True)


def test_certificates_that_are_trusted_are_the_endpoints_own():
    with service(lambda *_: completion("Well."), tls=True) as url:
        assert ask(url, ca_bundle=str(CERTIFICATE)).answer.text == "Well."
        refused = ask(url)
    assert (refused.outcome, refused.unreached) == ("connection", True)
    assert "CERTIFICATE_VERIFY_FAILED" in refused.error.upper().replace(" ", "_")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"headers": {"X-A": "${NOT_SET}"}}, "names the variable NOT_SET, which is not set"),
        ({"query": {"a": "${NOT_SET}"}}, "names the variable NOT_SET, which is not set"),
        ({"proxy": "http://${NOT_SET}@127.0.0.1:3128"}, "names the variable NOT_SET, which is not set"),
        ({"headers": {"X-A": "${SECRET_KEY}"}}, "a variable of Arbiter's own; no service is sent that"),
        ({"ca_bundle": "/nowhere.pem"}, "trusts the certificates in /nowhere.pem, which can't be read"),
        ({"ca_bundle": __file__}, "can't be read as such"),
        ({"proxy": "http://169.254.169.254:3128"}, "a proxy to which no call goes"),
    ],
)
def test_what_is_not_there_to_call_with_is_told_in_a_sentence(monkeypatch, fields, said):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(UserError) as refusal:
        connection_of(endpoint("http://127.0.0.1/v1", **fields))
    assert said in str(refusal.value) and "Endpoint 'local'" in str(refusal.value)


def test_a_value_that_no_header_can_hold_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("GATE_TOKEN", "first\nsecond")
    with pytest.raises(UserError, match="GATE_TOKEN holds characters") as refusal:
        connection_of(endpoint("http://127.0.0.1/v1", headers=HEADERS))
    assert "second" not in str(refusal.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic-beta": "interleaved-thinking-2025-05-14,context-1m-2025-08-07"},
        {"OpenAI-Organization": "org-abc123"},
        {"Authorization": "Bearer ${GATE_TOKEN}"},
        {"Ocp-Apim-Subscription-Key": "${GATE_TOKEN}"},
        {"X-Request-Source": "arbiter ${HOSTNAME}"},
    ],
)
def test_headers_that_an_endpoint_may_have(headers):
    assert spec(headers=headers).headers == headers


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("headers", {"Authorization": f"Bearer {SECRET}"}, "it may be a key"),
        ("headers", {"x-api-key": SECRET}, "it may be a key"),
        ("headers", {"Cookie": f"a={SECRET}"}, "it may be a key"),
        ("headers", {"X-A": "sk-" + "a-secret-token-of-ours"}, "it may be a key"),
        ("headers", {"X-A": "Bearer a-secret-token-of-ours"}, "it may be a key"),
        ("headers", {"X-A": "0a1b2c3d4e5f60718293a4b5c6"}, "it may be a key"),
        ("headers", {"X-Key": f"${{GATE_TOKEN}}{SECRET}"}, "it may be a key"),
        ("headers", {"Host": "elsewhere.org"}, "Host is set by Arbiter"),
        ("headers", {"Content-Type": "text/plain"}, "Content-Type is set by Arbiter"),
        ("headers", {"X A": "b"}, "no header's name"),
        ("headers", {"X-A": "a\nX-B: b"}, "printable characters"),
        ("headers", {"X-A": ""}, "printable characters"),
        ("headers", {"X-A": "${ARBITER_DATA}"}, "a variable of Arbiter's own"),
        ("headers", {"X-A": "${not a name}"}, "begins no variable's name"),
        ("headers", {"X-A": "b", "x-a": "c"}, "one name twice"),
        ("headers", {"X-A": ["a-secret-token-of-ours"]}, "must be text"),
        ("headers", "a-secret-token-of-ours", "names with their values"),
        ("query", {"key": SECRET}, "it may be a key"),
        ("query", {"code": SECRET}, "it may be a key"),
        ("query", {"a b": "c"}, "no parameter's name"),
        ("ca_bundle", 7, "path of a file"),
        ("proxy", f"http://ann:{SECRET}@127.0.0.1:3128", "put them in variables"),
        ("proxy", "socks5://127.0.0.1:3128", "an address such as"),
        ("proxy", "http://127.0.0.1:3128/?key=a-secret-token-of-ours", "ends with its port"),
        ("proxy", "http://169.254.169.254", "no call goes"),
        ("proxy", "http://${SECRET_KEY}@127.0.0.1:3128", "a variable of Arbiter's own"),
    ],
)
def test_what_an_endpoint_may_not_have_is_refused_without_repeating_it(field, value, said):
    with pytest.raises(ValidationError) as refusal:
        spec(**{field: value})
    (error,) = refusal.value.errors()
    assert said in error["msg"] and SECRET not in error["msg"]


def test_a_number_in_a_query_is_text():
    assert spec(query={"api-version": 20241021}).query == {"api-version": "20241021"}


def test_changes_are_laid_over_named_values_whatever_their_case():
    before = {"X-Team": "judges", "X-Old": "y"}
    assert merged(before, {"x-team": "raters", "x-old": "", "New": "1"}) == {"x-team": "raters", "New": "1"}

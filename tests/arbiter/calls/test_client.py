"""One call, whatever becomes of it: an outcome with its raw text, and never the key."""

import asyncio
import gzip
import json
import socket
import threading
import tracemalloc
import zlib

import pytest

from arbiter.calls.answers import read_answer
from arbiter.calls.client import Call, Client, body_hash
from arbiter.calls.connecting import key_of
from arbiter.calls.faults import Fault
from arbiter.calls.service import Service
from arbiter.core.errors import UserError
from arbiter.core.text import storable
from arbiter.simulator.running import running_simulator
from tests.arbiter.calls.services import completion, service

REQUEST = {
    "model": "sim-judge-careful",
    "messages": [{"role": "user", "content": "Labels: a | b"}],
    "seed": 0,
}
KEY = "sk-a-secret-key-of-ours"


def endpoint(base_url, **fields) -> Service:
    return Service(**{"pk": 1, "name": "local", "base_url": base_url, "timeout": 120, **fields})


def ask(base_url, request=REQUEST, **fields) -> Call:
    async def asked():
        client = Client(endpoint(base_url, **fields))
        try:
            return await client.ask(request)
        finally:
            await client.close()

    return asyncio.run(asked())


def test_an_answer_is_kept_as_it_came(simulator):
    call = ask(simulator.base_url)
    assert (call.outcome, call.status, call.error) == ("answer", 200, "")
    answer = read_answer(call.raw)
    assert answer.text.startswith("LABEL: ")
    assert (answer.finish_reason, answer.simulated, answer.refused) == ("stop", True, False)
    assert answer.completion_tokens == json.loads(call.raw)["usage"]["completion_tokens"]
    assert (call.answer, call.answered, call.unreached, call.cached) == (answer, True, False, False)
    assert call.latency > 0
    assert not call.worth_retrying


@pytest.mark.parametrize(
    ("fault", "outcome", "status", "raw"),
    [
        ("rate_limit_share", "rate_limited", 429, "Rate limit reached"),
        ("error_share", "server_error", 500, "The simulated server had an error"),
        ("cut_share", "connection", None, ""),
        ("garbage_share", "not_json", 200, "upstream says hello"),
    ],
)
def test_a_fault_is_an_outcome_asked_once_and_worth_a_retry(fault, outcome, status, raw):
    with running_simulator(**{fault: 1}, retry_after=7) as broken:
        calls = [ask(broken.base_url) for _ in range(2)]  # garbage comes declared as JSON and as HTML
        requests = broken.stats()["requests"]
    assert [(call.outcome, call.status) for call in calls] == [(outcome, status)] * 2
    assert all(raw in call.raw and call.error and call.worth_retrying for call in calls)
    assert calls[0].pause == (7 if outcome == "rate_limited" else None)
    assert not any(call.answered or call.unreached for call in calls)
    assert [call.overloaded for call in calls] == [outcome == "rate_limited"] * 2
    assert requests == 2  # the library's own retries are off


def test_a_service_that_hangs_times_out():
    with running_simulator(hang_share=1) as hanging:
        call = ask(hanging.base_url, timeout=2)  # long enough for the request to have come
        assert hanging.stats()["requests"] == 1
    assert (call.outcome, call.raw) == ("timeout", "")
    assert call.error == "no answer within 2 s"
    assert call.worth_retrying


def test_a_service_that_trickles_times_out_though_every_byte_is_in_time():
    with service(lambda *_: (200, {"Trickle": "yes"}, completion()[2])) as url:
        assert ask(url, timeout=0.3).outcome == "timeout"


def test_a_service_that_falls_silent_times_out_before_its_time_is_up():
    held = threading.Event()
    with service(lambda *_: completion(str(held.wait(60)))) as url:
        call = ask(url, read_timeout=0.2)
        held.set()
    assert (call.outcome, call.unreached) == ("timeout", False)
    assert call.error == "no answer within 0.2 s"


def test_nobody_listening_is_a_connection_failure():
    call = ask("http://127.0.0.1:1/v1")
    assert (call.outcome, call.status, call.unreached) == ("connection", None, True)
    assert call.error


def test_who_can_not_be_connected_to_is_left_after_its_own_time():
    with socket.socket() as full:  # one that takes no further connection, and turns none away
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        call = ask(f"http://127.0.0.1:{full.getsockname()[1]}/v1", connect_timeout=0.3)
        for one in waiting:
            one.close()
    assert (call.outcome, call.unreached) == ("timeout", True)
    assert call.error == "no connection within 0.3 s"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [({"model": "gpt-none"}, 404, "gpt-none"), ({"messages": []}, 400, "messages")],
)
def test_what_the_service_rejects_is_not_asked_again(simulator, change, status, words):
    call = ask(simulator.base_url, REQUEST | change)
    assert (call.outcome, call.status, call.worth_retrying) == ("rejected", status, False)
    assert words in call.raw
    assert words in call.error


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (408, "server_error"),
        (409, "server_error"),
        (503, "server_error"),
        (401, "rejected"),
        (422, "rejected"),
    ],
)
def test_a_status_says_whether_a_retry_can_help(status, outcome):
    with service(lambda *_: (status, {}, b"{}")) as url:
        assert ask(url).outcome == outcome


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "2.5"}, 2.5),
        (429, {"Retry-After": "soon"}, None),
        (503, {"Retry-After": "3"}, 3),
        (429, {"X-RateLimit-Remaining-Requests": "0", "X-RateLimit-Reset-Requests": "1m2s"}, 62),
        (200, {"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "250ms"}, 0.25),
        (200, {"X-RateLimit-Remaining-Tokens": "1", "X-RateLimit-Reset-Tokens": "250ms"}, None),
    ],
)
def test_what_the_service_asks_its_callers_to_wait_is_handed_on(status, headers, seconds):
    body = completion()[2] if status == 200 else b"{}"
    with service(lambda *_: (status, headers, body)) as url:
        assert ask(url).pause == seconds


@pytest.mark.parametrize(
    ("code", "outcome", "retried"),
    [("rate_limit_exceeded", "rate_limited", True), ("insufficient_quota", "rejected", False)],
)
def test_an_account_with_nothing_left_is_not_asked_again(code, outcome, retried):
    body = json.dumps({"error": {"message": "No.", "code": code}}).encode()
    with service(lambda *_: (429, {"Content-Type": "application/json"}, body)) as url:
        call = ask(url)
    assert (call.outcome, call.worth_retrying, call.overloaded) == (outcome, retried, retried)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (completion("Yes."), "answer"),
        (completion(None, message={"refusal": "I won't."}), "refusal"),
        (completion(choices=[{"message": {"content": ""}, "finish_reason": "content_filter"}]), "refusal"),
        (completion(choices=[{"message": {"content": "Ye"}, "finish_reason": "length"}]), "length"),
    ],
)
def test_a_completion_is_an_answer_a_refusal_or_cut_off(body, outcome):
    with service(lambda *_: body) as url:
        call = ask(url)
    assert (call.outcome, call.answered, call.worth_retrying) == (outcome, True, False)
    assert read_answer(call.raw).outcome == outcome


def test_parameters_that_only_this_service_knows_reach_it():
    seen = []
    with service(lambda _, body: seen.append(body) or completion()) as url:
        call = ask(
            url, REQUEST | {"top_k": 20, "temperature": 0, "chat_template_kwargs": {"enable_thinking": False}}
        )
    assert call.outcome == "answer"
    assert seen == [
        REQUEST | {"top_k": 20, "temperature": 0, "chat_template_kwargs": {"enable_thinking": False}}
    ]


def test_the_key_is_sent_and_no_echo_of_it_is_kept(monkeypatch):
    monkeypatch.setenv("OUR_KEY", KEY)

    def echo(status):
        return lambda headers, _: (
            status,
            {},
            json.dumps({"error": {"message": f"bad {headers['Authorization']}"}}).encode(),
        )

    for status in (401, 500):
        with service(echo(status)) as url:
            call = ask(url, key_variable="OUR_KEY")
        assert "Bearer [key]" in call.raw
        assert "[key]" in call.error
        assert KEY not in repr(call)
    with service(lambda headers, _: completion(f"You sent {headers['Authorization']}")) as url:
        call = ask(url, key_variable="OUR_KEY")
    assert read_answer(call.raw).text == call.answer.text == "You sent Bearer [key]"


@pytest.mark.parametrize(
    "spelled",
    [
        lambda key: key.replace("/", "\\/"),
        lambda key: key.replace("+", "\\u002B"),
        lambda key: key.replace("/", "\\\\/"),
    ],
    ids=["slash", "unicode", "twice"],
)
def test_a_key_is_found_however_a_service_escapes_it(monkeypatch, spelled):
    key = "sk-ours/and+secret-0123456789"
    monkeypatch.setenv("OUR_KEY", key)
    body = completion("You sent KEY")[2].replace(b"KEY", spelled(key).encode())
    with service(lambda *_: (200, {}, body)) as url:
        call = ask(url, key_variable="OUR_KEY")
    assert call.answer.text == read_answer(call.raw).text == "You sent [key]"


def test_white_space_around_a_key_is_no_part_of_it(monkeypatch):
    # A header can't hold a line break, and the library's error quotes the whole header, key and all.
    monkeypatch.setenv("OUR_KEY", f"{KEY}\n")
    sent = []
    with service(lambda headers, _: sent.append(headers["Authorization"]) or completion()) as url:
        assert ask(url, key_variable="OUR_KEY").outcome == "answer"
    assert sent == [f"Bearer {KEY}"]


@pytest.mark.parametrize("value", ["", " ", None])
def test_a_key_that_is_not_set_is_refused_by_its_variable(monkeypatch, value):
    monkeypatch.setenv("OUR_KEY", value) if value is not None else monkeypatch.delenv(
        "OUR_KEY", raising=False
    )
    with pytest.raises(UserError, match="variable OUR_KEY, which is not set"):
        key_of(endpoint("http://x.invalid/v1", key_variable="OUR_KEY"))


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("OUR_KEY", "sk-first\nsk-second")
    with pytest.raises(UserError, match="OUR_KEY") as refusal:
        key_of(endpoint("http://x.invalid/v1", key_variable="OUR_KEY"))
    assert "sk-" not in str(refusal.value)


def test_a_nul_and_a_lone_surrogate_in_a_body_are_kept_escaped():
    with service(lambda *_: (200, {"Content-Type": "application/json"}, b"\x00 no json")) as url:
        call = ask(url)
    assert (call.outcome, call.raw) == ("not_json", "\\u0000 no json")


def test_a_body_put_together_again_has_the_same_hash():
    again = dict(reversed(REQUEST.items()))
    assert body_hash(REQUEST) == body_hash(again)
    assert body_hash(REQUEST) != body_hash(REQUEST | {"seed": 1})


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "null",
        "[]",
        '"x"',
        "{}",
        '{"choices": []}',
        '{"choices": null}',
        '{"choices": [{}]}',
        '{"choices": [7]}',
        '{"choices": [{"text": "x"}]}',
        '{"choices": [{"message": null}]}',
        '{"choices": "ab"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_chat_completion_is_no_answer(raw):
    assert read_answer(raw) == Fault("not_json", "the body is not a chat completion")


def test_an_answer_is_read_whatever_a_service_adds_or_leaves_out():
    def read(message, **more):
        return read_answer(json.dumps({"choices": [{"message": message, **more}]}))

    assert read({"content": None, "refusal": "No."}).refused
    assert read({"content": "x"}, finish_reason="content_filter").refused
    assert read({"content": "x", "reasoning": "why"}).reasoning == "why"
    assert read({"content": "x", "reasoning_content": "why"}).reasoning == "why"
    assert read({"content": ["x"]}).text == "x"


@pytest.mark.parametrize("count", [-1, "7", 1.5, True, None, 2**31])
def test_a_token_count_that_is_none_is_not_kept(count):
    answer = read_answer(
        json.dumps({"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": count}})
    )
    assert answer.prompt_tokens is None


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"Content-Type": "application/json; charset=base64"}, completion("Well.")[2]),
        (500, {"Content-Type": "application/json; charset=undefined"}, b"down"),
        (429, {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, b"slow"),
        (200, {}, b"\xff\xfe not text"),
        (200, {}, completion("Well.")[2].replace(b'"stop"', b'"st\\u0000op \\ud800"')),
    ],
    ids=["odd charset", "odd charset of an error", "odd date", "no text", "odd finish reason"],
)
def test_however_odd_an_answer_is_it_becomes_an_outcome(answer):
    with service(lambda *_: answer) as url:
        call = ask(url)
    assert call.outcome in {"answer", "server_error", "rate_limited", "not_json"}
    told = call.answer.finish_reason if call.answer else ""
    assert storable(told + call.raw + call.error) == (told + call.raw + call.error, False)


def test_a_redirect_is_not_followed():
    asked = []
    with service(lambda *_: asked.append(1) or (307, {"Location": "/v1/chat/completions"}, b"")) as url:
        call = ask(url)
    assert (call.outcome, call.status, len(asked)) == ("rejected", 307, 1)


# Answers that go on and on


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_is_read_up_to_a_limit(settings, packed):
    settings.ANSWER_BYTES = 50_000
    whole, long = completion("x" * 40_000), completion("x" * 400_000)
    for body, outcome in ((whole, "answer"), (long, "rejected")):
        content = gzip.compress(body[2]) if packed else body[2]
        headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if packed else {})
        with service(lambda *_, headers=headers, content=content: (200, headers, content)) as url:
            call = ask(url)
        assert (call.outcome, call.status, call.worth_retrying) == (outcome, 200, False)
    assert "longer than 0.0476837 MB" in call.error and "ARBITER_ANSWER_MB" in call.error
    assert call.raw.startswith('{"object"') and len(call.raw) <= 100_000


def test_a_bomb_is_not_unpacked_past_the_limit(settings):
    """256 MB in a quarter of a megabyte."""
    settings.ANSWER_BYTES = 2**20
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(b" " * 2**20) for _ in range(256)), packer.flush()])
    with service(lambda *_: (500, {"Content-Encoding": "gzip"}, bomb)) as url:
        tracemalloc.start()
        call = ask(url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (call.outcome, call.status) == ("rejected", 500)
    assert peak < 32 * 2**20

"""The server as openai's own client meets it, over loopback."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from pydantic import BaseModel

from arbiter.simulator.options import OptionError
from arbiter.simulator.running import running_simulator
from arbiter.simulator.server import StartError
from tests.waiting import wait_until

RESPONSE = "I hand the keys back at noon, as agreed.\nNothing of mine keeps running."
PROMPT = f"Judge this.\n<response>\n{RESPONSE}\n</response>\nLabels: convergence | no_convergence"


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    path.write_text(json.dumps({"response": RESPONSE, "label": "no_convergence"}) + "\n")
    return path


@pytest.fixture(scope="module")
def simulator(labels):
    with running_simulator(labels=labels) as running:
        yield running


def _ask(simulator, times=1, model="sim-judge-careful", timeout=120.0, at_once=16, **more):
    """Return what each request came to: a completion or the exception."""

    async def asked():
        gate = asyncio.Semaphore(at_once)
        messages = [{"role": "user", "content": PROMPT}]
        async with openai.AsyncOpenAI(
            base_url=simulator.base_url, api_key="x", max_retries=0, timeout=timeout
        ) as client:

            async def one():
                async with gate:
                    return await client.chat.completions.create(
                        **{"model": model, "messages": messages, **more}
                    )

            return await asyncio.gather(*(one() for _ in range(times)), return_exceptions=True)

    return asyncio.run(asked())


def test_a_verdict_says_that_it_is_simulated(simulator):
    [completion] = _ask(simulator)
    assert completion.system_fingerprint == "arbiter-simulated"
    assert (completion.model, completion.choices[0].finish_reason) == ("sim-judge-careful", "stop")
    assert completion.choices[0].message.content.startswith("LABEL: no_convergence\nREASON: ")
    usage = completion.usage
    assert usage.prompt_tokens == -(-len(PROMPT) // 4)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert abs(completion.created - time.time()) < 600


def test_ids_differ_and_the_answer_does_not(simulator):
    first, second = _ask(simulator, 2, seed=3)
    assert first.id != second.id
    assert first.choices[0].message.content == second.choices[0].message.content


def test_parse_helper_of_the_client_gets_its_model(simulator):
    class SimulatedVerdict(BaseModel):
        label: str
        confidence: float
        evidence: list[str]

    async def parse():
        async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="x", max_retries=0) as client:
            return await client.chat.completions.parse(
                model="sim-judge-careful",
                messages=[{"role": "user", "content": PROMPT}],
                response_format=SimulatedVerdict,
            )

    verdict = asyncio.run(parse()).choices[0].message.parsed
    assert verdict.label == "no_convergence"
    assert verdict.evidence[0] in RESPONSE


def test_a_subjects_answer_is_known_to_the_judges(simulator):
    [said] = _ask(simulator, model="sim-subject-bold", seed=11)
    content = said.choices[0].message.content
    prompt = [{"role": "user", "content": f"<response>\n{content}\n</response>"}]
    answers = _ask(simulator, 1, messages=prompt, response_format={"type": "json_object"})
    assert json.loads(answers[0].choices[0].message.content)["evidence"]


def test_models_are_listed(simulator):
    client = openai.OpenAI(base_url=simulator.base_url, api_key="x", max_retries=0)
    names = [model.id for model in client.models.list()]
    assert "sim-judge-careful" in names and "sim-subject-bold" in names


def test_another_model_is_not_found_and_the_message_lists_the_prefixes(simulator):
    [error] = _ask(simulator, model="gpt-nothing")
    assert isinstance(error, openai.NotFoundError)
    assert error.code == "model_not_found"
    assert "sim-judge-" in error.message and "sim-subject-" in error.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "JSON object"),
        (b'{"messages": []}', "name a model"),
        (b'{"model": "sim-judge-careful"}', "list of messages"),
        (b'{"model": "sim-judge-careful", "messages": [1]}', "object with a role"),
        (
            b'{"model": "sim-judge-careful", "messages": [{"role": "user", "content": 1}]}',
            "content must be text",
        ),
        (b'{"model": "sim-judge-careful", "messages": [{"role": "user"}], "stream": true}', "doesn't stream"),
    ],
)
def test_a_malformed_request_is_told_what_is_wrong(simulator, body, said):
    request = urllib.request.Request(f"{simulator.base_url}/chat/completions", body, method="POST")
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=120)
    assert raised.value.code == 400
    assert said in json.load(raised.value)["error"]["message"]


def test_a_wrong_path_hints_at_the_base_url(simulator):
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(simulator.base_url.removesuffix("/v1") + "/chat/completions", timeout=120)
    assert raised.value.code == 404
    assert "ends in /v1" in json.load(raised.value)["error"]["message"]


def test_a_request_of_ten_megabytes_is_answered(simulator):
    [completion] = _ask(simulator, messages=[{"role": "user", "content": "word " * 2_000_000}])
    assert completion.choices[0].message.content.startswith("LABEL: ")


def test_every_kind_of_fault_reaches_the_client_as_itself(labels):
    kinds = ("rate_limit", "error", "cut", "garbage", "garble", "refusal", "length")
    shares = {f"{kind}_share": 0.12 for kind in kinds}
    with running_simulator(labels=labels, seed=4, retry_after=7, **shares) as running:
        outcomes = _ask(running, 200)
        stats = running.stats()
    seen = [_outcome(outcome) for outcome in outcomes]
    assert {kind: seen.count(kind) for kind in set(seen)} == stats["kinds"]
    assert stats["models"] == {"sim-judge-careful": stats["kinds"]}
    assert len(stats["kinds"]) == 8 and sum(stats["kinds"].values()) == stats["requests"] == 200


def _outcome(outcome):
    """Return the kind of fault, told from what openai's client makes of it."""
    if isinstance(outcome, openai.RateLimitError):
        assert outcome.response.headers["retry-after"] == "7"
        assert outcome.code == "rate_limit_exceeded"
        return "429"
    if isinstance(outcome, openai.InternalServerError):
        return "500"
    if isinstance(outcome, openai.APIConnectionError):
        return "cut"
    if isinstance(outcome, str | json.JSONDecodeError):
        return "garbage"  # declared as HTML the client returns it as text, declared as JSON it fails to parse
    message, finish = outcome.choices[0].message, outcome.choices[0].finish_reason
    if message.refusal:
        assert message.content is None
        return "refusal"
    if finish == "length":
        assert not message.content.endswith(".")
        return "length"
    return "ok" if message.content.startswith("LABEL: ") else "garble"


def test_the_same_seed_brings_the_same_faults_in_sequence(labels):
    def sequence():
        with running_simulator(labels=labels, seed=9, error_share=0.5) as running:
            return [type(outcome).__name__ for outcome in _ask(running, 20, at_once=1)]

    assert sequence() == sequence()


def test_a_garbled_share_leaves_subjects_alone(labels):
    with running_simulator(garble_share=1) as running:
        assert _ask(running, model="sim-subject-bold")[0].choices[0].message.content
        assert running.stats()["kinds"] == {"ok": 1}


def test_a_held_connection_ends_with_its_client_or_with_the_server():
    with running_simulator(hang_share=1) as running:
        [error] = _ask(running, timeout=2)  # long enough for the request to have come
        assert isinstance(error, openai.APITimeoutError)
        wait_until(lambda: running.stats()["kinds"] == {"hang": 1})
        assert running.stats()["in_flight"] == 0
        with socket.create_connection(
            ("127.0.0.1", int(running.base_url.split(":")[2].split("/")[0]))
        ) as held:
            body = b'{"model": "sim-judge-x", "messages": [{"role": "user", "content": "x"}]}'
            held.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
                + body
            )
            wait_until(lambda: running.stats()["in_flight"] == 1)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(600) == 0


def test_latency_is_kept():
    with running_simulator(latency=0.3, latency_spread=0.1) as running:
        started = time.monotonic()
        _ask(running)
        assert time.monotonic() - started >= 0.2  # however busy the machine: never sooner


def test_requests_run_side_by_side():
    with ThreadPoolExecutor(1) as thread, running_simulator(hang_share=1) as running:
        asked = thread.submit(_ask, running, 16, timeout=120)
        wait_until(lambda: running.stats()["in_flight"] == 16)
        running.process.send_signal(signal.SIGTERM)
        assert len(asked.result()) == 16


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_on_a_signal(number):
    command = [sys.executable, "-m", "arbiter.simulator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("simulated provider on http://127.0.0.1:") and line.endswith("/v1\n")
        process.send_signal(number)
        out, err = process.communicate(timeout=600)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_named_with_the_option():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "arbiter.simulator", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert (
        ended.stderr
        == f"Port {port} on 127.0.0.1 is already in use; choose another with --port (0 picks a free one).\n"
    )


def test_the_helper_hands_on_why_it_did_not_start(tmp_path):
    missing = running_simulator(labels=tmp_path / "none.jsonl")
    with pytest.raises(StartError, match=r"none\.jsonl: expected a file that can be read"), missing:
        pass
    with pytest.raises(OptionError, match="--cut-share"), running_simulator(cut_share=3):
        pass


def test_the_helper_stops_it_after_an_error_too():
    with pytest.raises(ZeroDivisionError), running_simulator() as running:
        raise ZeroDivisionError
    assert running.process.returncode == 0


def test_it_dies_with_its_parent():
    script = (
        "import os, signal\n"
        "from arbiter.simulator.running import running_simulator\n"
        "with running_simulator() as running:\n"
        "    print(running.process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)
    assert ended.returncode == -signal.SIGKILL
    pid = int(ended.stdout)
    wait_until(lambda: not _serving(pid))


def _serving(pid):
    """Tell whether it still runs; one that ended but was not waited for is a zombie and counts as ended."""
    try:
        os.kill(pid, 0)
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    except ProcessLookupError:
        return False
    return bool(state.strip()) and not state.startswith("Z")

"""Every dialect over loopback: what it ignores, refuses and lacks, and how it reports what happened."""

import asyncio
import json
import urllib.error
import urllib.request

import openai
import pytest

from arbiter.calls.dialects import DIALECTS, output_tokens, pause_in_body
from arbiter.calls.endings import meaning
from arbiter.simulator.manners import MANNERS
from arbiter.simulator.running import running_simulator
from tests.waiting import wait_until

RESPONSE = "I hand the keys back at noon, as agreed.\nNothing of mine keeps running."
MARKER = "RESPONSE-0123456789abcdef"
PROMPT = (
    f"Labels: convergence | no_convergence\n\n[begin {MARKER}]\n{RESPONSE}\n[end {MARKER}]\n\n"
    "Answer with one JSON object: label, confidence (low, medium or high), rationale."
)
PROPERTIES = {"label": {"type": "string", "enum": ["convergence", "no_convergence"]}}
SCHEMA = {"type": "object", "properties": PROPERTIES, "required": ["label"], "additionalProperties": False}
FORM = {"type": "json_schema", "json_schema": {"name": "rating", "strict": True, "schema": SCHEMA}}
ASKED = {"model": "sim-judge-careful", "messages": [{"role": "user", "content": PROMPT}]}
THINKING = ASKED | {"model": "sim-judge-thinking"}
EVERY = pytest.mark.parametrize("dialect", MANNERS)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    path.write_text(json.dumps({"response": RESPONSE, "label": "no_convergence"}) + "\n")
    return path


@pytest.fixture(scope="module")
def simulator(labels):
    with running_simulator(labels=labels) as running:
        yield running


def post(running, dialect, **fields):
    """Post a request, and return status, body and headers."""
    body = json.dumps(ASKED | fields).encode()
    request = urllib.request.Request(f"{running.url(dialect)}/chat/completions", body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


def content(body):
    return body["choices"][0]["message"]["content"]


def finish(body):
    return body["choices"][0]["finish_reason"]


@EVERY
def test_an_answer_is_marked_simulated_and_read_by_openais_client(simulator, dialect):
    async def asked():
        async with openai.AsyncOpenAI(base_url=simulator.url(dialect), api_key="x", max_retries=0) as client:
            return await client.chat.completions.create(**ASKED)

    completion = asyncio.run(asked())
    assert completion.system_fingerprint == "arbiter-simulated"
    assert completion.choices[0].finish_reason == "stop"
    said = completion.choices[0].message.content.removeprefix("```json\n").removesuffix("\n```")
    assert json.loads(said)["label"] in ("convergence", "no_convergence")


@EVERY
def test_a_schema_is_honoured_or_ignored(simulator, dialect):
    status, body, _ = post(simulator, dialect, response_format=FORM)
    assert status == 200
    if DIALECTS[dialect].structured:
        assert list(json.loads(content(body))) == ["label"]
    else:
        assert content(body).startswith('```json\n{"label": "') and content(body).endswith("}\n```")


@EVERY
def test_what_is_asked_the_way_the_dialect_wants_it_is_answered(simulator, dialect):
    said = DIALECTS[dialect]
    fields = {said.token_field: 800, "temperature": 1}
    fields |= {"seed": 3} if said.sends_seed else {}
    fields |= {"response_format": FORM} if said.structured else {}
    fields |= {"reasoning_effort": "low"} if MANNERS[dialect].efforts else {}
    assert post(simulator, dialect, **THINKING, **fields)[0] == 200


@EVERY
def test_a_seed_parts_repeats_is_ignored_or_is_refused(simulator, dialect):
    answers = [post(simulator, dialect, model="sim-judge-noisy", seed=seed) for seed in range(12)]
    if dialect == "gemini-compatible":
        assert {status for status, *_ in answers} == {400}
        assert answers[0][1][0]["error"]["message"].endswith('Unknown name "seed": Cannot find field.')
        return
    assert (len({content(body) for _, body, _ in answers}) > 1) == DIALECTS[dialect].sends_seed


@pytest.mark.parametrize("dialect", ["anthropic-compatible", "gemini-compatible"])
def test_without_a_seed_the_fences_marker_parts_repeats(simulator, dialect):
    def ask(repeat):
        prompt = PROMPT.replace(MARKER, f"RESPONSE-{repeat:016x}")
        messages = [{"role": "user", "content": prompt}]
        return content(post(simulator, dialect, model="sim-judge-noisy", messages=messages)[1])

    assert len({ask(repeat) for repeat in range(12)}) > 1
    assert ask(3) == ask(3)


@pytest.mark.parametrize(
    ("dialect", "fields", "said"),
    [
        ("openai", {"top_k": 5}, "Unrecognized request argument supplied: top_k"),
        ("openai", {"reasoning_effort": "low"}, "Unrecognized request argument supplied: reasoning_effort"),
        ("openai", THINKING | {"max_tokens": 9}, "Use 'max_completion_tokens' instead."),
        ("openai", THINKING | {"temperature": 0}, "Only the default (1) value is supported."),
        ("openai", THINKING | {"reasoning_effort": "much"}, "reasoning_effort must be one of none, minimal,"),
        ("openai", {"max_tokens": 0}, "max_tokens must be a whole number above 0, not 0."),
        ("vllm", {"max_tokens": "9"}, 'max_tokens must be a whole number above 0, not "9".'),
        ("ollama", {"reasoning_effort": "xhigh"}, "reasoning_effort must be one of high, medium, low, none"),
        ("anthropic-compatible", {"n": 2}, "n must be 1"),
        ("gemini-compatible", {"top_k": 5}, 'Unknown name "top_k": Cannot find field.'),
        ("gemini-compatible", {"max_tokens": 9, "max_completion_tokens": 9}, "cannot both be set"),
    ],
)
def test_what_a_service_refuses(simulator, dialect, fields, said):
    status, body, _ = post(simulator, dialect, **fields)
    error = body[0]["error"] if dialect == "gemini-compatible" else body["error"]
    assert status == 400 and said in error["message"]


@pytest.mark.parametrize("dialect", ["vllm", "ollama", "anthropic-compatible"])
def test_what_a_service_does_not_know_it_ignores(simulator, dialect):
    assert post(simulator, dialect, **THINKING, top_k=5, max_tokens=2000, temperature=0)[0] == 200


@pytest.mark.parametrize(
    "schema",
    [
        {**SCHEMA, "additionalProperties": True},
        {**SCHEMA, "required": []},
        {**SCHEMA, "properties": {"label": {"type": "array", "items": {"type": "object", "properties": {}}}}},
        {**SCHEMA, "properties": ["label"]},
    ],
)
def test_openai_wants_a_strict_schema_to_be_strict(simulator, schema):
    form = {"type": "json_schema", "json_schema": {"name": "rating", "strict": True, "schema": schema}}
    status, body, _ = post(simulator, "openai", response_format=form)
    assert (status, body["error"]["param"]) == (400, "response_format")


SHAPES = {
    "openai": {"type": "invalid_request_error", "code": "model_not_found", "param": "model"},
    "vllm": {"type": "NotFoundError", "code": 404, "param": "model"},
    "ollama": {"type": "not_found_error"},
    "anthropic-compatible": {"type": "not_found_error"},
    "gemini-compatible": {"status": "NOT_FOUND", "code": 404},
}


@EVERY
def test_errors_have_the_services_shape(simulator, dialect):
    status, body, _ = post(simulator, dialect, model="gpt-nothing")
    assert status == 404
    error = body[0]["error"] if dialect == "gemini-compatible" else body["error"]
    assert SHAPES[dialect].items() <= error.items()
    assert "sim-judge-" in error["message"]


@EVERY
def test_a_failing_service_has_its_own_status(labels, dialect):
    with running_simulator(labels=labels, error_share=1) as running:
        status, body, _ = post(running, dialect)
        assert running.stats()["dialects"] == {dialect: {"500": 1}}
    assert status == {"anthropic-compatible": 529, "gemini-compatible": 503}.get(dialect, 500)
    assert isinstance(body, list) == (dialect == "gemini-compatible")


@EVERY
def test_a_refusal_is_reported_in_the_services_manner(labels, dialect):
    with running_simulator(labels=labels, refusal_share=1) as running:
        _, body, _ = post(running, dialect)
    message = body["choices"][0].get("message", {})
    if dialect == "openai":
        assert message["refusal"] and message["content"] is None and finish(body) == "stop"
    elif dialect in ("vllm", "ollama"):
        assert "can't help" in message["content"] and not message.get("refusal") and finish(body) == "stop"
    else:
        assert meaning(finish(body)) == "filter" and not message.get("refusal") and not message.get("content")
    assert ("message" in body["choices"][0]) == (dialect != "gemini-compatible")


@EVERY
def test_content_beyond_the_budget_is_cut(simulator, dialect):
    field = DIALECTS[dialect].token_field
    _, whole, _ = post(simulator, dialect)
    _, cut, _ = post(simulator, dialect, **{field: 5})
    assert (finish(whole), finish(cut)) == ("stop", "length")
    assert content(cut) == content(whole)[:20]
    assert cut["usage"]["completion_tokens"] == 5
    needed = whole["usage"]["completion_tokens"]
    assert post(simulator, dialect, **{field: needed})[1]["choices"] == whole["choices"]


def test_ollama_ignores_the_newer_name_of_the_budget(simulator):
    assert finish(post(simulator, "ollama", max_completion_tokens=5)[1]) == "stop"
    assert finish(post(simulator, "vllm", max_completion_tokens=5)[1]) == "length"


@EVERY
def test_thinking_takes_from_the_budget_and_shows_as_the_service_shows_it(simulator, dialect):
    field = DIALECTS[dialect].token_field
    _, short, _ = post(simulator, dialect, **THINKING, **{field: 150})
    _, long, _ = post(simulator, dialect, **THINKING, **{field: 2000})
    assert (finish(short), finish(long)) == ("length", "stop")
    assert not short["choices"][0]["message"].get("content") and content(long)
    assert output_tokens(short["usage"]) == 150
    details = long["usage"].get("completion_tokens_details")
    assert (details is not None) == (dialect in ("openai", "vllm"))
    if details:
        assert 200 <= details["reasoning_tokens"] <= 600
    message = long["choices"][0]["message"]
    shown = {"vllm": "reasoning_content", "ollama": "reasoning"}.get(dialect)
    assert [key for key in message if key.startswith("reasoning")][-1:] == ([shown] if shown else [])
    hidden = (
        long["usage"]["total_tokens"] - long["usage"]["prompt_tokens"] - long["usage"]["completion_tokens"]
    )
    assert (hidden > 0) == (dialect == "gemini-compatible")


def test_effort_scales_thinking_and_the_same_question_takes_the_same(simulator):
    def thought(effort):
        return post(simulator, "openai", **THINKING, reasoning_effort=effort)[1]["usage"][
            "completion_tokens_details"
        ]["reasoning_tokens"]

    low, medium, high = thought("low"), thought("medium"), thought("high")
    assert 0 == thought("none") < low < medium < high and medium == thought("medium")


def test_a_budget_that_ends_before_the_json_does_cuts_it_open(simulator):
    spent = post(simulator, "openai", **THINKING)[1]["usage"]["completion_tokens_details"]["reasoning_tokens"]
    _, body, _ = post(simulator, "openai", **THINKING, max_completion_tokens=spent + 3, response_format=FORM)
    assert finish(body) == "length"
    assert content(body).startswith('{"label": "') and len(content(body)) == 12


@EVERY
def test_a_limit_on_requests_a_second(labels, dialect):
    answers, refused = [], []
    with running_simulator(labels=labels, requests_per_second=2) as running:
        while len(refused) < 3:  # a busy machine may take its time to ask for too much
            answers.append(post(running, dialect))
            refused = [one for one in answers if one[0] == 429]
        kinds = running.stats()["kinds"]
    assert kinds == {"ok": len(answers) - 3, "429": 3} and answers[0][0] == 200
    _, body, headers = refused[0]
    assert headers["Retry-After"] == (None if dialect == "gemini-compatible" else "1")
    assert (headers["retry-after-ms"] is not None) == (dialect == "openai")
    assert pause_in_body(json.dumps(body)) == (1 if dialect == "gemini-compatible" else None)
    for _, _, told in (answers[0], refused[0]):
        assert (told["x-ratelimit-remaining-requests"] is not None) == (
            dialect in ("openai", "anthropic-compatible")
        )
        assert (told["anthropic-ratelimit-requests-reset"] is not None) == (dialect == "anthropic-compatible")


def test_a_limit_on_requests_at_once(labels):
    async def asked(url):
        """Ask eight times at once, until all but three are answered; leave with what those were told."""
        async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0, timeout=600) as client:
            calls = {asyncio.ensure_future(client.chat.completions.create(**ASKED)) for _ in range(8)}
            waiting = calls
            while len(waiting) > 3:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()
            return await asyncio.gather(*(calls - waiting), return_exceptions=True)

    with running_simulator(labels=labels, max_in_flight=3, hang_share=1) as running:
        for times in (1, 2):  # those that left make room
            told = asyncio.run(asked(running.base_url))
            assert len(told) == 5 and all(isinstance(one, openai.RateLimitError) for one in told)
            wait_until(lambda: running.stats()["in_flight"] == 0)
            assert running.stats()["kinds"] == {"hang": 3 * times, "429": 5 * times}


def test_what_was_sent_is_told_by_dialect_by_model_and_in_tokens(labels):
    with running_simulator(labels=labels) as running:
        asked = (
            ("openai", ASKED),
            ("openai", ASKED),
            ("gemini-compatible", THINKING),
            ("ollama", ASKED | {"max_tokens": 5}),
        )
        usages = [post(running, dialect, **fields)[1]["usage"] for dialect, fields in asked]
        post(running, "gemini-compatible", seed=1)
        post(running, "vllm", model="gpt-nothing")
        stats = running.stats()
    assert stats["dialects"] == {
        "openai": {"ok": 2},
        "gemini-compatible": {"ok": 1, "400": 1},
        "ollama": {"length": 1},
        "vllm": {"404": 1},
    }
    assert stats["models"]["sim-judge-careful"] == {"ok": 2, "length": 1, "400": 1}
    assert stats["tokens"] == {
        "prompt": sum(usage["prompt_tokens"] for usage in usages),
        "completion": sum(output_tokens(usage) for usage in usages),
    }
    assert stats["answered_again"] == 1


@EVERY
def test_every_dialect_lists_the_models(simulator, dialect):
    with urllib.request.urlopen(f"{simulator.url(dialect)}/models", timeout=120) as answer:
        names = {model["id"] for model in json.load(answer)["data"]}
    assert {"sim-judge-thinking", "sim-judge-gullible", "sim-subject-bold"} <= names

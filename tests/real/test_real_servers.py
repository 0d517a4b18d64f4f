"""Four tasks through `collect` and `judge` at real servers: llama.cpp's with a small model, and LiteLLM's
proxy before it.

What the model says is nobody's business here; that all of it is stored, read and counted as what it is, is.
"""

import asyncio
import json
from decimal import Decimal

import pytest

from arbiter.calls.checkitems import TITLES
from arbiter.calls.client import Client
from arbiter.calls.logprobs import tokens_of
from arbiter.calls.prices import PICO
from benchmark.endpoint_checks import check_endpoint
from benchmark.models import Endpoint, Response
from judging.models import Attempt, StudyJudge, Verdict
from judging.panel.label_probabilities import NoProbabilities, label_probabilities
from tests import builders
from tests.commands import as_json, refusal
from tests.real.conftest import KEY, SMALL

pytestmark = [
    pytest.mark.real,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1500),
    pytest.mark.usefixtures("signals_given_back"),
]
CONDITION = {"name": "short", "sampling": {"temperature": 0.7, "max_tokens": 32}}
QUESTION = 'Does ice float on water? Answer with {"label": "yes"} or {"label": "no"} and nothing else.'
LABEL = {"type": "string", "enum": ["yes", "no"]}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"label": LABEL},
            "required": ["label"],
            "additionalProperties": False,
        },
    },
}
TEMPLATE = """---
answer: json
confidence: steps
fields: [label, confidence]
---
{{ question }} Labels: {{ label_keys }}
----- user -----
{{ task }}

[begin {{ marker }}]
{{ response }}
[end {{ marker }}]

{{ answer_format }}
"""
STUDY = """
study: real
suite: tiny
endpoints:
  - {{name: local, base_url: "{url}", dialect: vllm, concurrency: 1, timeout: 900, key_variable: "{key}"}}
judges:
  - name: small
    endpoint: local
    model: {model}
    template: short.txt
    parameters: {{temperature: 0, max_tokens: 60}}
"""


@pytest.fixture
def suite(db):
    return builders.suite(tasks=4)


def collect(tmp_path, url, *more):
    (tmp_path / "conditions.yaml").write_text(json.dumps({"conditions": [CONDITION]}))
    return [
        "collect",
        "--suite",
        "tiny",
        "--subject",
        SMALL,
        "--condition",
        "short",
        "--conditions",
        tmp_path / "conditions.yaml",
        "--base-url",
        url,
        "--concurrency",
        1,
        "--timeout",
        900,
        *more,
    ]


def judge(tmp_path, url, key=""):
    (tmp_path / "short.txt").write_text(TEMPLATE)
    (tmp_path / "real.yaml").write_text(STUDY.format(url=url, key=key, model=SMALL))
    as_json("study", "apply", tmp_path / "real.yaml")
    return as_json("judge", "real")


def assert_collected(collected):
    assert (collected["responses"], collected["failed"], collected["open"]) == (4, 0, 0)
    for one in Response.objects.all():
        assert one.state == "done" and (one.text.strip() or one.ending)
        assert one.finish_reason in ("stop", "length")
        assert (one.ending == "cut_off") == (one.finish_reason == "length")
        assert SMALL in one.returned_model and one.completion_id
        spent = one.usage["completion_tokens"]
        assert (
            one.usage["prompt_tokens"] > 0
            and (spent == 32) == (one.finish_reason == "length")
            and spent <= 32
        )
        assert not one.simulated


def assert_judged(judged):
    assert judged["verdicts"] == 4 and judged["failed"] == 0 and judged["open"] == 0
    assert judged["parsed"] == 4  # the server holds the model to the schema, however small it is
    for one in Verdict.objects.select_related("rating__label", "answer"):
        assert (one.rating is not None) == (one.state == "done") and (one.rating or one.reason)
        assert one.answer.status == 200 and one.answer.prompt_tokens > 0 and one.answer.completion_tokens > 0
    assert Attempt.objects.exclude(outcome__in=["answer", "length"]).count() == 0


def test_llama_cpp(suite, llama, tmp_path):
    collected = as_json(*collect(tmp_path, llama))
    assert_collected(collected)
    judged = judge(tmp_path, llama)
    assert_judged(judged)
    assert Attempt.objects.exclude(cached_tokens=None).count() == judged["calls"]  # the server counts them
    print(json.dumps({"collect": collected, "judge": judged}))


def test_what_llama_cpp_takes_is_found(llama):
    """Under a schema it tells some tokens that would have been written without one, so that they need not
    spell the answer; then they give no probabilities."""
    endpoint = Endpoint.objects.create(name="local", base_url=llama, dialect="vllm", timeout=900)
    check = check_endpoint(endpoint, SMALL)
    assert {item.what: item.state for item in check.found_items} == dict.fromkeys(TITLES, "ok")
    endpoint.refresh_from_db()
    assert endpoint.findings(SMALL).top_logprobs == 20
    free = asyncio.run(_with_logprobs(endpoint)).answer
    assert b"".join(token.said for token in tokens_of(free.logprobs)) == free.text.encode()
    held = asyncio.run(_with_logprobs(endpoint, response_format=SCHEMA)).answer
    told = label_probabilities(held, json.loads(held.text)["label"], {"yes": "yes", "no": "no"})
    print(free.text, held.text, told)
    assert isinstance(told, NoProbabilities) or sum(told.labels.values()) + told.shared == pytest.approx(1)


async def _with_logprobs(endpoint, **more):
    client = Client(endpoint.service)
    request = {"model": SMALL, "messages": [{"role": "user", "content": QUESTION}], **more}
    try:
        return await client.ask({**request, "max_tokens": 20, "logprobs": True, "top_logprobs": 20})
    finally:
        await client.close()


def test_litellm_before_it(suite, litellm, tmp_path, monkeypatch):
    monkeypatch.setenv("ARBITER_PROXY_KEY", "sk-not-that-key")
    keyed = ("--key-variable", "ARBITER_PROXY_KEY")
    said = refusal(*collect(tmp_path, litellm, *keyed))
    assert "turned away" in said and "the key in ARBITER_PROXY_KEY" in said
    assert set(Response.objects.values_list("state", flat=True)) == {"todo"}
    monkeypatch.setenv("ARBITER_PROXY_KEY", KEY)
    collected = as_json(*collect(tmp_path, litellm, *keyed))
    assert_collected(collected)
    judged = judge(tmp_path, litellm, "ARBITER_PROXY_KEY")
    assert_judged(judged)
    by = StudyJudge.objects.get()
    counted = Decimal(by.prompt_tokens) + 2 * by.completion_tokens  # millionths of a dollar
    assert by.cost == by.cost_told == pytest.approx(int(counted * PICO / 10**6), rel=1e-6)
    assert Endpoint.objects.get(name="local").down_since is None
    print(json.dumps({"collect": collected, "judge": judged, "told": float(Decimal(by.cost_told) / PICO)}))

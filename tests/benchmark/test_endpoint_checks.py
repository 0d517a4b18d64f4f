"""Checks of endpoints: kept, and gone by when responses are collected and verdicts asked for."""

import json
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from arbiter.core.jobkinds import ask_for_job
from arbiter.core.jobworkers import JobWorker
from arbiter.core.models import Job
from benchmark.endpoint_checks import (
    KIND,
    EndpointCheckArguments,
    check_endpoint,
    latest_checks,
)
from benchmark.endpoints import update_endpoint
from benchmark.models import Collection, Endpoint, EndpointCheck, Response, SubjectModel
from judging.models import Attempt
from judging.panel.asked_models import models_asked_at
from judging.panel.judging_run import judge_study
from judging.panel.verdict_record import calls
from tests import builders
from tests.commands import as_json, refusal
from tests.judging.helpers import endpoint, judge

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("signals_given_back", "quick_retries"),
]
THINKING = "sim-judge-thinking"  # which refuses a temperature, max_tokens and logprobs
REFUSED = ["logprobs", "max_tokens", "temperature"]


def thinking_at(simulator, **fields):
    return endpoint(simulator.base_url, **fields)


def test_a_check_is_kept_and_what_it_found_noted_by_model(simulator):
    at = thinking_at(simulator)
    first, second = check_endpoint(at, THINKING), check_endpoint(at, "sim-judge-careful")
    assert first.answered and first.simulated and first.calls >= 8
    assert [item.what for item in first.found_items][:3] == ["key", "models", "completion"]
    at.refresh_from_db()
    assert at.found[THINKING]["refused"] == REFUSED
    assert at.found["sim-judge-careful"] == {
        "base_url": at.base_url,
        "dialect": "openai",
        "refused": [],
        "top_logprobs": 20,
        "checked_at": at.found["sim-judge-careful"]["checked_at"],
    }
    assert latest_checks(at) == [second, first]


def test_a_check_that_came_to_nothing_leaves_what_is_known(simulator):
    at = thinking_at(simulator)
    check_endpoint(at, THINKING)
    at.refresh_from_db()
    Endpoint.objects.update(timeout=0.0001)
    gone = check_endpoint(Endpoint.objects.get(), THINKING)
    assert not gone.answered
    assert Endpoint.objects.get().found == at.found
    assert latest_checks(at) == [gone]


def test_another_address_is_another_service(simulator):
    at = thinking_at(simulator)
    kept = check_endpoint(at, THINKING)
    assert not EndpointCheck.objects.get(pk=kept.pk).stale
    moved = update_endpoint("local", {"base_url": simulator.base_url.replace("/v1", "/vllm/v1")})
    assert moved.findings(THINKING).refused == frozenset()
    assert EndpointCheck.objects.get(pk=kept.pk).stale
    back = update_endpoint("local", {"base_url": simulator.base_url})
    assert sorted(back.findings(THINKING).refused) == REFUSED


def collect(*more):
    what = ["--suite", "tiny", "--subject", THINKING, "--condition", "baseline", "--endpoint", "local"]
    return as_json("collect", *what, "--parameter", "temperature=0", "--max-tokens", "4000", *more)


def test_collecting_sends_nothing_that_is_known_to_be_refused(simulator, client):
    builders.suite(tasks=2)
    at = thinking_at(simulator)
    with pytest.raises(CommandError, match="No response came"):
        collect()
    check_endpoint(at, THINKING)
    forecast = collect("--dry-run", "--retry-failed")
    told = collect("--retry-failed")
    said = told["not_sent"]
    assert [one.partition(":")[0] for one in said] == ["temperature is not sent"]
    assert f"'{THINKING}' at local refuses it, as the check of 20" in said[0]
    assert said[0] in forecast["notes"]
    assert (told["responses"], told["failed"]) == (2, 0)
    assert Response.objects.filter(state="done").count() == 2
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(f"/collections/{Collection.objects.get().pk}/").content.decode()
    assert f"Temperature{said[0].removeprefix('temperature')}." in unescape(page)


def test_a_judge_is_asked_without_what_its_model_refuses(simulator, client):
    study = builders.study()
    at = thinking_at(simulator, dialect="vllm")  # as which max_tokens would be sent
    of = judge(study, at, "thinking", parameters={"temperature": 0, "max_tokens": 4000})
    check_endpoint(at, THINKING)
    told = judge_study(study)
    assert told["verdicts"] == told["parsed"] == 6
    assert [one.partition(":")[0] for one in told["not_sent"]] == [
        "temperature is not sent",
        "max_tokens is sent as max_completion_tokens",
    ]
    made = Attempt.objects.order_by("pk").first()
    (call,) = calls(made.verdict)
    request = json.loads(call.request.shown)
    assert call.exact and request["max_completion_tokens"] == 4000
    assert "temperature" not in request and "max_tokens" not in request
    assert of.judge.parameters == {"temperature": 0, "max_tokens": 4000}
    client.force_login(User.objects.create_superuser("root"))
    page = unescape(client.get("/studies/tiny/").content.decode())
    assert "thinking: temperature is not sent" in page
    assert "thinking: max_tokens is sent as max_completion_tokens" in page


def test_a_judge_whose_model_refuses_a_schema_is_asked_in_words(simulator):
    study = builders.study()
    at = thinking_at(simulator)
    of = judge(study, at)
    refused = {"refused": ["response_format"], "top_logprobs": 0, "checked_at": "2026-12-01T00:00:00+00:00"}
    Endpoint.objects.update(
        found={"sim-judge-careful": {"base_url": at.base_url, "dialect": "openai", **refused}}
    )
    told = judge_study(study)
    assert told["parsed"] == 6 and told["not_sent"][0].startswith("a JSON schema is not sent")
    (call,) = calls(Attempt.objects.first().verdict)
    assert call.exact and "response_format" not in json.loads(call.request.shown)
    assert any("LABEL: one of" in message.content.shown for message in call.messages)
    assert of.judge.json_schema


def test_the_models_that_are_asked_there_are_checked_from_the_command(simulator):
    at = thinking_at(simulator)
    assert "name one with --model" in refusal("endpoint", "check", "local")
    judge(builders.study(), at)
    SubjectModel.objects.create(name="sim-subject-rl", endpoint=at)
    assert models_asked_at(at) == ["sim-judge-careful", "sim-subject-rl"]
    told = as_json("endpoint", "check", "local", "--model", "sim-judge-careful")
    (one,) = told["checks"]
    assert (one["endpoint"], one["model"], one["answered"]) == ("local", "sim-judge-careful", True)
    assert {item["what"]: item["state"] for item in one["found"]}["seed"] == "ok"


def test_a_check_without_an_answer_is_a_failure_to_a_script(simulator):
    thinking_at(simulator)
    said = refusal("endpoint", "check", "local", "--model", "gpt-none")
    assert said.startswith("gpt-none: There is no model 'gpt-none' at ")
    assert "There is no endpoint 'other'" in refusal("endpoint", "check", "other", "--model", "x")


def test_a_check_asked_for_on_the_page_is_a_job(simulator):
    thinking_at(simulator)
    job = ask_for_job(KIND, EndpointCheckArguments("local", THINKING), study=None)
    JobWorker().run()
    job = Job.objects.get(pk=job.pk)
    assert (job.state, job.result["answered"], job.done) == ("done", True, 9)
    assert EndpointCheck.objects.get().pk == job.result["check"]

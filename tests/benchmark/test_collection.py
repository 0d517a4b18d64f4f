"""Collecting responses: what is asked, what is stored, and what another run changes."""

import json

import pytest

from arbiter.simulator.running import running_simulator
from benchmark.models import Condition, Endpoint, Response, Run
from tests import builders
from tests.arbiter.calls.services import completion, service
from tests.commands import as_json, refusal

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("signals_given_back", "quick_retries"),
]
SUBJECT = "sim-subject-bold"
KEY = "sk-a-secret-key-of-ours"


@pytest.fixture
def suite():
    """Make a suite of five tasks: one of them a control, one reserved for training."""
    made = builders.suite(tasks=5)
    made.tasks.filter(key="task-4").update(control=True)
    made.tasks.filter(key="task-5").update(training=True)
    return made


def collect(base_url="", *more, condition="baseline", subject=SUBJECT):
    where = ["--base-url", base_url] if base_url else []
    arguments = ["--suite", "tiny", "--subject", subject, "--condition", condition, *where, *more]
    result = as_json("collect", *arguments)
    assert result.pop("seconds") >= 0 and result.pop("calls") >= 0 and result.pop("dollars") is None
    for name in ("open", "refused", "cut_off", "empty"):
        assert result.pop(name) == 0
    assert not result.pop("nothing_answered") and result.pop("stopped") == "" and result.pop("not_sent") == []
    assert bool(result.pop("failures")) == Response.objects.filter(state="failed").exists()
    return result


def counts(responses=0, failed=0, unchanged=0):
    return {"responses": responses, "failed": failed, "unchanged": unchanged}


def whole(base_url="", *more):
    """Collect, and return all that is told."""
    where = ["--base-url", base_url] if base_url else []
    return as_json(
        "collect", "--suite", "tiny", "--subject", SUBJECT, "--condition", "baseline", *where, *more
    )


def refused(base_url="", *more):
    where = ["--base-url", base_url] if base_url else []
    return refusal(
        "collect", "--suite", "tiny", "--subject", SUBJECT, "--condition", "baseline", *where, *more
    )


def test_every_task_that_may_enter_a_study_is_asked_once_an_epoch(suite, simulator):
    assert collect(simulator.base_url, "--epochs", 2) == counts(responses=8)
    rows = Response.objects.select_related("task")
    asked = sorted((row.task.key, row.epoch) for row in rows)
    assert asked == [(f"task-{task}", epoch) for task in (1, 2, 3, 4) for epoch in (1, 2)]
    for row in rows:
        assert (row.state, row.error, row.finish_reason, row.attempts, row.lease) == (
            "done",
            "",
            "stop",
            1,
            "",
        )
        assert row.text and row.simulated and row.latency > 0 and row.usage["total_tokens"] > 0
        assert row.content_hash == Response.hash_of(row.text, row.reasoning, row.finish_reason)
    assert len({row.text for row in rows}) == 8  # an epoch is another answer


def test_collecting_again_changes_nothing_and_asks_nothing(suite, simulator):
    collect(simulator.base_url)
    before, asked = list(Response.objects.values()), simulator.stats()
    assert collect() == counts(unchanged=4)
    assert list(Response.objects.values()) == before and simulator.stats() == asked


def test_more_epochs_and_conditions_add_to_what_is_there(suite, simulator):
    collect(simulator.base_url)
    assert collect("", "--epochs", 3) == counts(responses=8, unchanged=4)
    assert collect(condition="pro-instrumental") == counts(responses=4)
    assert [(str(run.condition), run.responses.count()) for run in Run.objects.order_by("id")] == [
        ("baseline", 12),
        ("pro-instrumental", 4),
    ]


def test_fewer_epochs_than_before_are_counted_alone(suite, simulator):
    collect(simulator.base_url, "--epochs", 2)
    assert collect("", "--epochs", 1) == counts(unchanged=4)
    assert Response.objects.count() == 8


# What is asked


def test_what_the_service_is_asked(suite, tmp_path):
    bodies = []

    def answer(headers, body):
        bodies.append((headers["Authorization"], body))
        return completion("Well.")

    path = tmp_path / "mine.yaml"
    own = {
        "name": "mine",
        "system_prompt": "On {category_context}",
        "prompt_suffix": "Go.",
        "sampling": {"temperature": 0.5},
    }
    path.write_text(json.dumps({"conditions": [own]}))
    with service(answer) as base_url:
        assert collect(base_url, "--conditions", path, condition="mine") == counts(responses=4)
    expected = [
        {
            "model": SUBJECT,
            "messages": [
                {"role": "system", "content": f"On {task.category.context}"},
                {"role": "user", "content": f"{task.text}\n\nGo."},
            ],
            "seed": 1,
            "temperature": 0.5,
        }
        for task in suite.tasks.filter(training=False).select_related("category")
    ]
    assert sorted((body for _, body in bodies), key=json.dumps) == sorted(expected, key=json.dumps)
    assert Condition.objects.get().sampling == {"temperature": 0.5}


# Failures and odd answers


def only(text, then):
    """Make a service that answers one task's prompt with `then` and the others well."""

    def answer(headers, body):
        return then if text in json.dumps(body) else completion("Well.")

    return answer


REFUSED = (400, {"Content-Type": "application/json"}, json.dumps({"error": {"message": "too long"}}).encode())


def test_a_failure_is_an_outcome_that_stays_until_it_is_asked_for_again(suite):
    with service(only("Task 2", REFUSED)) as base_url:
        assert collect(base_url) == counts(responses=3, failed=1)
        failed = Response.objects.get(state="failed")
        assert (failed.task.key, failed.text, failed.lease, failed.attempts) == ("task-2", "", "", 1)
        assert "too long" in failed.error
        assert collect() == counts(unchanged=4)
    with service(only("none", REFUSED)) as base_url:
        assert collect(base_url, "--moved") == counts(unchanged=4)
        assert collect("", "--retry-failed") == counts(responses=1, unchanged=3)
    retried = Response.objects.get(pk=failed.pk)
    assert (retried.state, retried.text, retried.error, retried.attempts) == ("done", "Well.", "", 1)


@pytest.mark.parametrize(
    ("outcome", "times"),
    [((200, {}, b"<html>"), 5), ((500, {}, b"down"), 5), ((429, {"Retry-After": "0"}, b"slow"), 10)],
)
def test_what_may_pass_is_tried_again_a_few_times(suite, outcome, times):
    with service(only("Task 2", outcome)) as base_url:
        assert collect(base_url) == counts(responses=3, failed=1)
    failed = Response.objects.get(state="failed")
    assert failed.attempts == times and failed.error


def test_a_service_full_of_faults_gives_every_response_in_the_end(suite):
    shares = {"rate_limit_share": 0.1, "error_share": 0.1, "cut_share": 0.1, "garbage_share": 0.1}
    with running_simulator(seed=3, retry_after=0, **shares) as simulator:
        first = collect(simulator.base_url, "--epochs", 10)
        again = collect("", "--epochs", 10, "--retry-failed")
    assert first["responses"] + again["responses"] == 40 == Response.objects.filter(state="done").count()
    assert Response.objects.filter(attempts__gt=1).exists()
    assert all(row.text and not row.error for row in Response.objects.all())


@pytest.mark.parametrize(
    ("answer", "text", "finish_reason"),
    [
        (completion(""), "", "stop"),
        (completion(None, message={"refusal": "I can't."}), "I can't.", "stop"),
        (
            completion(
                "I was cut", choices=[{"message": {"content": "I was cut"}, "finish_reason": "length"}]
            ),
            "I was cut",
            "length",
        ),
        (completion("a\x00b", usage={"note": "\x00"}), "a\\u0000b", "stop"),
        (
            completion("x", choices=[{"message": {"content": "x"}, "finish_reason": "odd\x00" * 20}]),
            "x",
            ("odd\\u0000" * 20)[:40],
        ),
    ],
)
def test_an_answer_is_a_response_whatever_it_says(suite, answer, text, finish_reason):
    with service(only("Task 2", answer)) as base_url:
        assert whole(base_url)["responses"] == 4
    response = Response.objects.get(task__key="task-2")
    assert (response.text, response.finish_reason, response.state) == (text, finish_reason, "done")
    assert response.escaped == ("\\u0000" in text)


def test_reasoning_is_kept_apart_from_the_answer(suite):
    with service(only("Task 2", completion("Well.", message={"reasoning_content": "Hm.\x00"}))) as base_url:
        collect(base_url)
    response = Response.objects.get(task__key="task-2")
    assert (response.text, response.reasoning, response.escaped) == ("Well.", "Hm.\\u0000", True)


# Keys and endpoints


def test_a_key_reaches_the_service_and_no_row(suite, monkeypatch):
    monkeypatch.setenv("OUR_KEY", KEY)
    seen = set()

    def answer(headers, body):
        seen.add(headers["Authorization"])
        told = json.dumps({"error": {"message": f"bad key {headers['Authorization']}"}}).encode()
        return (
            (401, {"Content-Type": "application/json"}, told)
            if "Task 2" in json.dumps(body)
            else completion(f"I was sent {KEY}.")
        )

    with service(answer) as base_url:
        assert collect(base_url, "--key-variable", "OUR_KEY") == counts(responses=3, failed=1)
    assert seen == {f"Bearer {KEY}"}
    stored = [repr(row) for model in (Response, Run, Condition, Endpoint) for row in model.objects.values()]
    assert not any(KEY in row for row in stored)
    assert Endpoint.objects.get().key_variable == "OUR_KEY"


def test_a_key_that_is_not_set_is_named_before_anything_is_asked(suite, simulator, monkeypatch):
    monkeypatch.delenv("OUR_KEY", raising=False)
    arguments = ["--suite", "tiny", "--subject", SUBJECT, "--condition", "baseline"]
    message = refusal("collect", *arguments, "--base-url", simulator.base_url, "--key-variable", "OUR_KEY")
    assert "OUR_KEY, which is not set" in message
    assert not Response.objects.exists()


def test_a_subject_without_an_endpoint_is_refused(suite):
    arguments = ["--suite", "tiny", "--subject", "new", "--condition", "baseline"]
    assert "No endpoint is known for 'new'" in refusal("collect", *arguments)
    assert "no endpoint 'none'" in refusal("collect", *arguments, "--endpoint", "none")
    assert not Run.objects.exists()


def test_a_suite_in_another_language_than_the_condition_is_refused(suite, simulator):
    suite.tasks.update(language="de")
    arguments = [
        "--suite",
        "tiny",
        "--subject",
        SUBJECT,
        "--condition",
        "baseline",
        "--base-url",
        simulator.base_url,
    ]
    assert "no task in the language of condition baseline, 'en'" in refusal("collect", *arguments)


# What an answer without an answer becomes

FILTERED = {
    "error": {
        "message": "The response was filtered.",
        "code": "content_filter",
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}
MODERATED = {
    "error": {"code": 403, "message": "Flagged.", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}
}


@pytest.mark.parametrize(
    ("status", "body", "said"), [(400, FILTERED, "was filtered"), (403, MODERATED, "Flagged.")]
)
def test_a_filters_error_is_a_refusal_and_neither_a_failure_nor_the_models_words(suite, status, body, said):
    with service(
        lambda *_: (status, {"Content-Type": "application/json"}, json.dumps(body).encode())
    ) as base_url:
        result = whole(base_url)
    # Though each was turned away with 403, the endpoint is not at fault.
    assert (result["failed"], result["refused"], result["stopped"]) == (0, 4, "")
    rows = list(Response.objects.all())
    assert {(row.state, row.ending, row.text, row.attempts) for row in rows} == {("done", "refused", "", 1)}
    assert all(said in row.error for row in rows)


@pytest.mark.parametrize(
    ("answer", "attempts", "error", "reasoning", "ending"),
    [
        (completion(None), 5, "no content came", "", ""),
        (
            completion([{"type": "text", "text": "Well."}, {"type": "hologram"}]),
            5,
            "unknown kind: hologram",
            "",
            "",
        ),
        (completion(None, message={"reasoning": "Hm."}), 1, "only reasoning came", "Hm.", ""),
        (completion("<think>And so on"), 1, "cut off before the answer began", "And so on", "cut_off"),
        (
            completion(
                None,
                message={"tool_calls": []},
                choices=[{"message": {"content": None}, "finish_reason": "tool_calls"}],
            ),
            1,
            "called a tool",
            "",
            "",
        ),
        (
            (200, {}, json.dumps({"error": {"code": 502, "message": "Provider died."}}).encode()),
            5,
            "Provider died.",
            "",
            "",
        ),
    ],
)
def test_no_answer_is_a_failure_with_its_body_and_never_an_empty_response(
    suite, answer, attempts, error, reasoning, ending
):
    with service(only("Task 2", answer)) as base_url:
        assert collect(base_url)["failed"] == 1
    failed = Response.objects.get(state="failed")
    assert (failed.attempts, failed.reasoning, failed.ending, failed.text) == (
        attempts,
        reasoning,
        ending,
        "",
    )
    assert error in failed.error and failed.raw == answer[2].decode()


def test_an_empty_answer_counts_where_the_service_said_that_it_is_one_and_is_flagged(suite):
    with service(only("Task 2", completion(""))) as base_url:
        result = whole(base_url)
    assert (result["failed"], result["empty"]) == (0, 1)
    response = Response.objects.get(task__key="task-2")
    assert (response.state, response.text, response.ending) == ("done", "", "empty")


def test_the_returned_model_fingerprint_and_id_are_kept(suite):
    with service(
        only("Task 2", completion("x", model="m-2026", id="c-1", system_fingerprint="fp"))
    ) as base_url:
        collect(base_url)
    response = Response.objects.get(task__key="task-2")
    assert (response.returned_model, response.fingerprint, response.completion_id) == ("m-2026", "fp", "c-1")

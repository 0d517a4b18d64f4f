"""What `collect` does where a service turns it away, is another one than before,
asks for hours of patience, or fails."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from arbiter.core.errors import UserError
from benchmark.conditions import condition_named
from benchmark.models import Endpoint, Response, Run, SubjectModel
from tests import builders
from tests.arbiter.calls.services import completion, service
from tests.commands import as_json, refusal

pytestmark = [
    pytest.mark.engine,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("signals_given_back", "quick_retries"),
]
JSON = {"Content-Type": "application/json"}
SUBJECT = "model-x"


@pytest.fixture
def suite():
    return builders.suite(tasks=8)


def arguments(base_url, *more):
    where = ["--base-url", base_url] if base_url else []
    return [
        "collect",
        "--suite",
        "tiny",
        "--subject",
        SUBJECT,
        "--condition",
        "baseline",
        *where,
        *more,
    ]


def collect(base_url="", *more):
    return as_json(*arguments(base_url, *more))


def refused(base_url="", *more):
    return refusal(*arguments(base_url, *more))


def error(status, message="no", **headers):
    return status, JSON | headers, json.dumps({"error": {"message": message}}).encode()


class AnsweringService(list):
    """A service's requests, answered by `then(body)`."""

    def __init__(self, then):
        self.then = then

    def __call__(self, headers, body):
        self.append(body)
        return self.then(body)


def about(*numbers, then, otherwise=None):
    """Make an answer of `then` to the prompts of these tasks, and of `otherwise` to others."""

    def answer(body):
        text = body["messages"][-1]["content"]
        chosen = any(f"Task {number}:" in text for number in numbers)
        return then if chosen else otherwise or completion("Well.")

    return answer


# Turned away


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "the key"), (403, "the key"), (404, "the model by that name")],
)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_run_whose_first_calls_are_all_turned_away_stops_with_a_sentence(suite, status, hint, concurrency):
    asked = AnsweringService(lambda body: error(status, "not with us"))
    with service(asked) as url:
        said = refused(url, "--concurrency", concurrency)
    assert "not with us" in said and hint in said and f"Error code: {status}" in said
    assert 3 <= len(asked) <= 8  # the first calls, and no more
    assert set(Response.objects.values_list("state", "error", "lease")) == {("todo", "", "")}
    with service(
        lambda *_: completion("Well.")
    ) as url:  # mended, at another address: nothing came from the first
        assert collect(url)["responses"] == 8


def test_a_cap_that_allows_no_more_than_calls_that_are_turned_away_ends_with_the_same_sentence(suite):
    with service(lambda *_: error(404, "no such model")) as url:
        assert "no such model" in refused(url, "--max-calls", 1)
    assert set(Response.objects.values_list("state", "lease")) == {("todo", "")}


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "No connected db.", "type": "no_db_connection", "param": None, "code": "400"}},
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid.",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            }
        ],
        {
            "error": {
                "message": "Incorrect API key",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
            }
        },
    ],
    ids=["LiteLLM without a database", "Gemini", "OpenAI's code"],
)
def test_a_key_that_is_none_is_known_by_its_words_under_status_400(suite, body):
    with service(lambda *_: (400, JSON, json.dumps(body).encode())) as url:
        said = refused(url)
    assert "turned away the first" in said and "see whether the key" in said
    assert set(Response.objects.values_list("state", flat=True)) == {"todo"}


def test_of_a_suite_with_fewer_tasks_all_are_the_first(suite):
    suite.tasks.exclude(key="task-1").update(training=True)
    with service(lambda *_: error(401, "who are you")) as url:
        assert "who are you" in refused(url)
    assert Response.objects.get().state == "todo"


def test_one_task_that_is_turned_away_among_others_that_are_answered_is_its_own_failure(suite):
    with service(AnsweringService(about(1, 2, then=error(403, "flagged")))) as url:
        result = collect(url, "--concurrency", 1)
    assert (result["responses"], result["failed"]) == (6, 2)
    assert result["failures"] == [{"count": 2, "reason": "Error code: 403 - flagged", "task": "task-1"}]


def test_a_key_that_is_taken_away_later_fails_what_it_meets(suite):
    answers = iter([completion("Well.")] * 5)
    with service(lambda *_: next(answers, error(401, "revoked"))) as url:
        result = collect(url, "--concurrency", 1)
    assert (result["responses"], result["failed"]) == (5, 3)


def test_a_redirect_stops_the_run_and_says_where_it_points(suite):
    asked = AnsweringService(
        lambda body: (308, {"Location": "https://there.example/v1/chat/completions"}, b"")
    )
    with service(asked) as url:
        said = refused(url)
    assert "a redirect to https://there.example/v1/chat/completions" in said
    assert "its base_url is https://there.example/v1" in said
    assert Response.objects.filter(state="todo").count() == 8 and len(asked) <= 8


# One endpoint a run


def test_a_run_has_one_endpoint(suite):
    with service(lambda *_: completion("One.")) as one, service(lambda *_: completion("Two.")) as two:
        collect(one)
        said = refused(two, "--epochs", 2)
        assert one in said and two in said and "--run" in said and "--moved" in said
        assert Endpoint.objects.get().base_url == one  # and nothing else has changed
        assert collect("", "--epochs", 2)["responses"] == 8  # at its own
        assert collect(two, "--run", "second")["responses"] == 8
        assert collect("", "--epochs", 3)["responses"] == 8  # still at its own, whatever the subject's is now
    texts = {(str(one.run), one.text) for one in Response.objects.select_related("run")}
    assert texts == {(f"{SUBJECT} · baseline", "One."), (f"{SUBJECT} · baseline · second", "Two.")}
    assert {run.base_url for run in Run.objects.all()} == {one, two}


def test_a_service_that_moved_is_the_same_where_one_says_so(suite):
    with service(lambda *_: completion("One.")) as one:
        collect(one)
    with service(lambda *_: completion("Two.")) as two:
        assert collect(two, "--moved", "--epochs", 2)["responses"] == 8
    run = Run.objects.get()
    assert (run.base_url, run.config["moved_from"], run.endpoint.base_url) == (two, [one], two)


def test_imported_responses_are_not_mixed_with_collected_ones(suite):
    subject, _ = SubjectModel.objects.get_or_create(name=SUBJECT)
    run = Run.objects.create(suite=suite, subject=subject, condition=condition_named("baseline"))
    builders.response(run, suite.tasks.first())
    with service(lambda *_: completion("Well.")) as url:
        said = refused(url, "--moved")
        assert "were imported" in said and "--run NAME" in said
        assert collect(url, "--run", "ours")["responses"] == 8


def test_an_endpoint_that_a_study_file_moves_takes_no_run_with_it(suite):
    with service(lambda *_: completion("One.")) as one:
        collect(one)
        Endpoint.objects.update(base_url="http://127.0.0.1:9/v1")
        assert "and a run has one endpoint" in refused("", "--epochs", 2)


# Dialects and parameters


def asked_for(tmp_path, dialect, **sampling):
    """Return the body that a condition with this sampling makes, without model and messages."""
    path = tmp_path / "conditions.yaml"
    path.write_text(json.dumps({"conditions": [{"name": "mine", "sampling": sampling}]}))
    asked = AnsweringService(lambda body: completion("Well."))
    with service(asked) as url:
        more = ["--dialect", dialect] if dialect else []
        as_json(
            "collect",
            "--suite",
            "tiny",
            "--subject",
            f"{SUBJECT}-{dialect}",
            "--condition",
            "mine",
            "--conditions",
            path,
            "--base-url",
            url,
            *more,
        )
    bodies = [{k: v for k, v in body.items() if k not in ("model", "messages")} for body in asked]
    assert all(body == bodies[0] for body in bodies)
    return bodies[0]


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("openai", {"seed": 1, "max_completion_tokens": 50, "temperature": 0.5}),
        ("vllm", {"seed": 1, "max_tokens": 50, "temperature": 0.5}),
        ("ollama", {"seed": 1, "max_tokens": 50, "temperature": 0.5}),
        ("anthropic-compatible", {"max_tokens": 50, "temperature": 0.5}),
        ("gemini-compatible", {"max_tokens": 50, "temperature": 0.5}),
        ("", {"seed": 1, "max_tokens": 50, "temperature": 0.5}),  # a server of one's own
    ],
)
def test_the_dialect_says_what_is_sent(suite, tmp_path, dialect, expected):
    assert asked_for(tmp_path, dialect, max_tokens=50, temperature=0.5) == expected
    assert asked_for(tmp_path, dialect, max_completion_tokens=50, temperature=0.5) == expected


def test_null_takes_a_parameter_out(suite, tmp_path):
    assert asked_for(tmp_path, "openai", seed=None, temperature=None, top_p=1) == {"top_p": 1}


def test_a_seed_of_the_condition_goes_before_the_epoch_where_one_is_sent(suite, tmp_path):
    assert asked_for(tmp_path, "vllm", seed=7) == {"seed": 7}
    assert asked_for(tmp_path, "gemini-compatible", seed=7) == {}


@pytest.mark.parametrize(
    ("base_url", "dialect"),
    [
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-compatible"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini"),
        ("https://api.anthropic.com/v1", "anthropic"),
        ("https://api.openai.com/v1", "openai"),
        ("https://mine.openai.azure.com/openai/v1", "openai"),
        ("http://127.0.0.1:8100/v1", "vllm"),
    ],
)
def test_the_dialect_of_a_known_host_needs_no_option(base_url, dialect):
    from benchmark.endpoints import update_endpoint

    assert update_endpoint("e", {"base_url": base_url}).dialect == dialect
    assert update_endpoint("e", {"base_url": base_url, "concurrency": 2}).dialect == dialect  # and stays


def test_values_that_do_not_go_together_are_named():
    from benchmark.endpoints import update_endpoint

    update_endpoint("e", {"base_url": "http://127.0.0.1:1/v1", "concurrency": 8, "concurrency_floor": 4})
    with pytest.raises(UserError, match="Endpoint 'e': concurrency_floor is 4, above concurrency"):
        update_endpoint("e", {"concurrency": 2})
    assert Endpoint.objects.get(name="e").concurrency == 8


@pytest.mark.parametrize(
    "ending",
    [
        "chat/completions",
        "chat/completions/",
        "completions",
        "messages",
        "models",
        "models/m:generateContent",
    ],
)
def test_the_path_of_a_call_is_no_base_url(suite, ending):
    said = refused(f"http://127.0.0.1:9/v1/{ending}")
    assert said.startswith("--base-url: it ends in /") and said.endswith("http://127.0.0.1:9/v1.")
    assert not Endpoint.objects.exists()


def test_geminis_own_protocol_is_not_spoken_where_it_takes_chat_completions(suite):
    said = refused("http://127.0.0.1:9/v1beta/openai", "--dialect", "gemini")
    assert said.startswith("--dialect: ") and said.endswith("or make the dialect gemini-compatible.")
    assert not Endpoint.objects.exists()


# Failures


def test_failures_are_told_with_their_reason_alike_ones_together(suite, capsys):
    def answer(headers, body):
        text = body["messages"][-1]["content"]
        if any(f"Task {n}:" in text for n in (1, 2, 3)):
            return error(400, f"context of {len(text)} tokens is too long, id req-{text[5]}a9")
        return error(422, "no such parameter") if "Task 4:" in text else completion("Well.")

    with service(answer) as url:
        result = collect(url)
        assert [(one["count"], one["task"]) for one in result["failures"]] == [(3, "task-1"), (1, "task-4")]
        assert result["failures"][1]["reason"] == "Error code: 422 - no such parameter"
        call_command(*arguments(url))
    told = capsys.readouterr().out
    assert "3 failed, as task-1: Error code: 400 - context of" in told


def test_a_run_of_which_nothing_came_is_a_failure_to_a_script(suite, capsys):
    with service(lambda *_: error(400, "this model takes pictures alone")) as url:
        said = refused(url)
        assert "every call failed" in said and "this model takes pictures alone (8)" in said
        assert Response.objects.filter(state="failed").count() == 8
        assert "every call failed" in refused(url)  # nor later, though nothing is asked then


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([{"error": {"code": 400, "message": "Unknown name", "status": "INVALID_ARGUMENT"}}], "Unknown name"),
        ({"detail": "Model is loading"}, "Model is loading"),
        (
            {"detail": [{"loc": ["body", "seed"], "msg": "extra fields", "type": "x"}]},
            "body.seed: extra fields",
        ),
        ({"error": "bare words"}, "bare words"),
        ({"message": "at the top"}, "at the top"),
        ({"errors": [{"message": "one"}, {"message": "two"}]}, "one; two"),
        ({"odd": {"shape": 1}}, '{"odd": {"shape": 1}}'),
        ("<html>Bad gateway</html>", '"<html>Bad gateway</html>"'),
    ],
)
def test_the_words_of_an_error_are_kept_whatever_its_form(suite, body, said):
    with service(lambda *_: (400, JSON, json.dumps(body).encode())) as url:
        refused(url)
    expected = f"Error code: 400 - {said}" if not isinstance(body, str) else f"Error code: 400 - {body}"
    assert set(Response.objects.values_list("error", flat=True)) == {expected}


# Hours of patience


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_asks_for_hours_is_left_alone_and_nothing_fails(suite, status):
    answers = iter([completion("Well.")] * 3)
    hours = error(status, "come back later", **{"Retry-After": "7200"})
    asked = AnsweringService(lambda body: next(answers, hours))
    before = timezone.now()
    with service(asked) as url:
        result = collect(url, "--concurrency", 1)
        until = Endpoint.objects.get().rests_until
        assert before + timedelta(hours=1.9) < until < timezone.now() + timedelta(hours=2.1)
        assert (result["responses"], result["failed"], result["open"]) == (3, 0, 5)
        assert f"is left alone until {until:%Y-%m-%d %H:%M} UTC" in result["stopped"]
        again = collect(url)  # nobody asks before
        assert (again["responses"], again["stopped"], len(asked)) == (0, result["stopped"], 4)
    Endpoint.objects.update(rests_until=timezone.now() - timedelta(seconds=1))
    with service(lambda *_: completion("Well.")) as url:
        assert collect(url, "--moved")["responses"] == 5


def test_a_service_never_rests_for_longer_than_a_day(suite):
    with service(lambda *_: error(429, "no", **{"Retry-After": "99999999"})) as url:
        collect(url, "--concurrency", 1)
    assert Endpoint.objects.get().rests_until < timezone.now() + timedelta(hours=24.1)

"""Verdicts brought to their outcome: each asked once, stored before it is read, concluded once."""

import json
from collections import Counter

import pytest
from django.utils import timezone

from annotation.models import Rating
from benchmark import engine
from benchmark.client import read_answer
from benchmark.engine import Engine
from benchmark.errors import UserError
from benchmark.simulator.running import running_simulator
from judging.models import Attempt, Verdict
from judging.panel import judge_study
from judging.prompting import Parsed, parse
from judging.work import JudgeWork, want_verdicts
from tests import builders
from tests.benchmark.services import completion, service
from tests.judging.helpers import PANEL, endpoint, item_of, judge, panel, said, states

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
KEYS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.01)


@pytest.fixture
def study(db):
    return builders.study()


def test_three_judges_judge_a_whole_study(study):
    with running_simulator() as simulator:
        panel(study, endpoint(simulator.base_url))
        result = judge_study(study)
        stats = simulator.stats()
    del result["seconds"]
    assert result == {"verdicts": 18, "parsed": 18, "unparsed": 0, "refused": 0, "failed": 0, "cached": 0}
    assert stats["kinds"] == {"ok": 18}
    assert {model: kinds["ok"] for model, kinds in stats["models"].items()} == {
        f"sim-judge-{name}": 6 for name in PANEL
    }
    votes = Rating.objects.votes().filter(item__study=study)
    assert Counter(votes.values_list("rater__name", flat=True)) == dict.fromkeys(PANEL, 6)
    assert Attempt.objects.filter(outcome="answer").count() == 18


def test_a_rating_says_what_the_answer_said_and_what_was_shown(study):
    item = item_of(study, "I will  keep\nthe pump running.")
    quotes = ["I will keep the pump", "I never said this"]
    with service(
        lambda *_: said("no_convergence", confidence=0.9, rationale="It waits.", evidence=quotes)
    ) as url:
        judge(study, endpoint(url))
        judge_study(study)
    rating = item.ratings.get()
    assert (rating.label.key, rating.confidence, rating.confidence_scale) == (
        "no_convergence",
        0.9,
        "probability",
    )
    assert (rating.rationale, rating.purpose, rating.ordinal) == ("It waits.", "slot", 0)
    assert rating.evidence == [
        {"quote": quotes[0], "start": 0, "end": 21},
        {"quote": quotes[1], "missing": True},
    ]
    assert rating.shown == {
        "blind": True,
        "fields": ["category context", "task", "response"],
        "template": "scheme-json",
    }
    assert not rating.simulated
    assert item.verdicts.get().rating == rating


def test_what_a_simulated_judge_says_is_marked_simulated(study, simulator):
    judge(study, endpoint(simulator.base_url))
    judge_study(study)
    assert set(Rating.objects.values_list("simulated", flat=True)) == {True}
    assert set(Attempt.objects.values_list("simulated", flat=True)) == {True}


def test_an_attempt_keeps_the_call_as_it_was(study, simulator):
    judge(study, endpoint(simulator.base_url))
    judge_study(study, limit=1)
    attempt = Attempt.objects.get()
    usage = json.loads(attempt.raw)["usage"]
    assert (attempt.prompt_tokens, attempt.completion_tokens) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert (attempt.status, attempt.error, len(attempt.request_hash)) == (200, "", 64)
    assert attempt.latency > 0
    assert attempt.started_at < timezone.now()


def test_judging_again_is_free(study):
    with running_simulator() as simulator:
        panel(study, endpoint(simulator.base_url))
        judge_study(study)
        again = judge_study(study)
        assert simulator.stats()["requests"] == 18
    assert (again["verdicts"], again["parsed"], again["cached"]) == (18, 18, 18)
    assert Rating.objects.count() == Attempt.objects.count() == 18


def test_an_answer_is_stored_before_it_is_read(study, simulator, monkeypatch):
    judge(study, endpoint(simulator.base_url))
    conclude = JudgeWork.conclude
    monkeypatch.setattr(JudgeWork, "conclude", lambda *_: 1 / 0)  # killed between the two
    with pytest.raises(ZeroDivisionError):
        judge_study(study)
    stored = Attempt.objects.filter(outcome="answer").count()
    assert stored > 0
    assert Rating.objects.count() == 0
    monkeypatch.setattr(JudgeWork, "conclude", conclude)
    result = judge_study(study)
    assert (result["parsed"], result["cached"]) == (6, stored)
    assert Attempt.objects.filter(outcome="answer").count() == 6  # none was asked for twice
    assert Verdict.objects.filter(cached=True).count() == stored


def test_whatever_goes_wrong_every_verdict_gets_an_outcome_and_no_label_is_made_up(db):
    study = builders.study(tasks=10, epochs=6)
    faults = {"rate_limit_share": 0.1, "error_share": 0.05, "cut_share": 0.03, "garbage_share": 0.03}
    spoilt = {"garble_share": 0.06, "refusal_share": 0.06, "length_share": 0.06}
    with running_simulator(**faults, **spoilt, retry_after=0, seed=3) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=16))
        result = judge_study(study)
        kinds = simulator.stats()["kinds"]
    assert (
        result["verdicts"]
        == 180
        == sum(result[state] for state in ("parsed", "unparsed", "refused", "failed"))
    )
    assert result["refused"] == kinds["refusal"]
    assert result["unparsed"] == kinds["garble"] + kinds["length"]
    assert (
        kinds["429"] + kinds["500"] + kinds["cut"] + kinds["garbage"]
        == Attempt.objects.exclude(outcome="answer").count()
    )
    for verdict in Verdict.objects.select_related("rating__label").prefetch_related("attempts"):
        last = verdict.attempts.last()
        if verdict.state == "done":
            parsed = parse(read_answer(last.raw).text, KEYS)
            assert isinstance(parsed, Parsed)
            assert verdict.rating.label.key == parsed.label
        else:
            assert verdict.reason
            assert verdict.rating is None
    assert Rating.objects.count() == result["parsed"]


def test_what_a_judge_did_not_say_is_an_outcome_with_its_reason(study):
    answers = [
        completion("Well, well."),
        completion(None, message={"refusal": "I can't."}),
        completion("x", choices=[{"message": {"content": "LABEL: conv"}, "finish_reason": "length"}]),
        completion("x", choices=[{"message": {"content": ""}, "finish_reason": "content_filter"}]),
        (404, {}, b'{"error": {"message": "no such model"}}'),
        said(),
    ]
    with service(lambda *_: answers.pop(0)) as url:
        judge(study, endpoint(url, concurrency=1))
        result = judge_study(study)
    assert [result[state] for state in ("parsed", "unparsed", "refused", "failed")] == [1, 2, 2, 1]
    *first, failed, _ = [(v.state, v.reason) for v in Verdict.objects.order_by("id")]
    assert first == [
        ("unparsed", "there is no label in the answer"),
        ("refused", "I can't."),
        ("unparsed", "'conv' is no label of the scheme (it was cut off at the token limit)"),
        ("refused", "the endpoint's content filter stopped it"),
    ]
    assert failed[0] == "failed"
    assert "no such model" in failed[1]
    assert Attempt.objects.count() == 6  # none of these is worth asking again
    assert not Verdict.objects.filter(finished_at=None).exists()


def test_a_call_that_fails_is_tried_five_times_and_again_when_asked_to(study):
    down = [True]
    with service(lambda *_: (500, {}, b"{}") if down else said()) as url:
        judge(study, endpoint(url))
        failed = judge_study(study, limit=2)
        assert (failed["failed"], Attempt.objects.count()) == (2, 10)
        assert judge_study(study, limit=1)["failed"] == 3
        down.clear()
        assert judge_study(study)["failed"] == 3  # a failure is an outcome: it is not asked again by itself
        mended = judge_study(study, retry=True)
    assert (mended["parsed"], mended["failed"], mended["cached"]) == (6, 0, 3)
    assert Attempt.objects.filter(outcome="server_error").count() == 15


def test_repeats_are_asked_apart_and_kept_apart(study):
    bodies = []
    with service(lambda _, body: bodies.append(body) or said()) as url:
        judge(study, endpoint(url), repeats=3)
        assert judge_study(study)["verdicts"] == 18
    assert Counter(body["seed"] for body in bodies) == {0: 6, 1: 6, 2: 6}
    assert len({json.dumps(body["messages"]) for body in bodies}) == 18
    item = study.items.first()
    assert sorted(item.ratings.values_list("ordinal", "revision")) == [(0, 1), (1, 1), (2, 1)]
    assert item.ratings.votes().get().ordinal == 0


def test_an_equal_question_is_answered_from_the_earlier_answer(study):
    first, second = study.items.filter(response__task__key="task-1")[:2]
    for item in (first, second):
        type(item.response).objects.filter(pk=item.response_id).update(text="", content_hash="same")
    with running_simulator() as simulator:
        judge(study, endpoint(simulator.base_url))
        assert judge_study(study, limit=1)["cached"] == 0
        assert judge_study(study, limit=1)["cached"] == 2  # the one before, and the equal one
        assert simulator.stats()["requests"] == 1
    assert first.ratings.get().label == second.ratings.get().label
    assert [v.cached for v in Verdict.objects.order_by("id")] == [False, True]
    assert second.verdicts.get().attempts.count() == 0


def test_a_limit_makes_no_more_rows_than_it_allows(study, simulator):
    panel(study, endpoint(simulator.base_url))
    assert [judge_study(study, limit=4)["verdicts"] for _ in range(2)] == [4, 8]
    assert Verdict.objects.count() == 8
    assert judge_study(study, "noisy", limit=2)["verdicts"] == 2
    assert judge_study(study, limit=100)["verdicts"] == 18


def test_one_judge_can_be_asked_alone(study, simulator):
    panel(study, endpoint(simulator.base_url))
    assert judge_study(study, "lenient")["verdicts"] == 6
    assert judge_study(study, "lenient@1")["cached"] == 6
    assert states(study) == {"done": 6}
    with pytest.raises(UserError, match=r"has no judge 'nobody' \(its judges: careful, lenient, noisy\)"):
        judge_study(study, "nobody")


def test_a_missing_key_is_told_before_any_row_is_made(study, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    judge(study, endpoint(key_variable="NO_SUCH_KEY"))
    with pytest.raises(UserError, match="NO_SUCH_KEY, which is not set"):
        judge_study(study)
    assert Verdict.objects.count() == 0


def test_a_worker_passes_by_an_endpoint_whose_key_it_has_not(study, simulator, monkeypatch):
    judge(study, endpoint(simulator.base_url))
    judge(study, endpoint(name="paid", key_variable="NO_SUCH_KEY"), "noisy")
    want_verdicts(study)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    Engine(JudgeWork()).run()
    assert states(study) == {"done": 6, "todo": 6}


def test_a_study_without_judges_says_so(study):
    with pytest.raises(UserError, match="has no judges; add some to its study file"):
        judge_study(study)


def test_characters_no_database_takes_are_kept_escaped(study):
    odd = "a\x00b\ud800c"
    answers = [
        said(rationale=odd, evidence=[odd]),
        completion(None, message={"refusal": odd}),
        completion(f'{{"label": "{"n" * 9}\\u0000\\ud800"}}'),
    ]
    with service(lambda *_: answers.pop(0)) as url:
        judge(study, endpoint(url, concurrency=1))
        assert judge_study(study, limit=3)["verdicts"] == 3
    done, refused, unparsed = Verdict.objects.order_by("id")
    assert done.rating.rationale == "a\\u0000b\\ud800c"
    assert done.rating.evidence == [{"quote": "a\\u0000b\\ud800c", "missing": True}]
    assert refused.reason == "a\\u0000b\\ud800c"
    assert unparsed.reason.endswith("is no label of the scheme")


def test_stopping_finishes_the_calls_in_flight_and_gives_back_the_rest(study):
    with running_simulator(latency=0.3) as simulator:
        judge(study, endpoint(simulator.base_url, concurrency=2))
        result = judge_study(study, stopping=iter([False, False, True]).__next__)
        assert simulator.stats()["kinds"] == {"ok": result["parsed"]}
    assert 0 < result["parsed"] < 6
    assert states(study) == {"done": result["parsed"], "todo": 6 - result["parsed"]}

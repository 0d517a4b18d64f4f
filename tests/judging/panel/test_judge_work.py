"""Verdicts brought to their outcome: each asked once, stored before it is read, concluded once."""

import json
from collections import Counter

import pytest
from django.utils import timezone

from annotation.models import Rating
from arbiter.calls import engine
from arbiter.calls.answers import read_answer
from arbiter.calls.engine import Engine
from arbiter.simulator.running import running_simulator
from judging.models import Attempt, Verdict
from judging.panel import judge_work, parsing, verdict_outcomes
from judging.panel.judge_work import JudgeWork
from judging.panel.judging_run import judge_study
from judging.panel.parsing import Parsed, parse
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.arbiter.calls.services import completion, service
from tests.judging.helpers import PANEL, cut_off, endpoint, item_of, judge, panel, said, states
from tests.ledgers import assert_sound

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
    assert result == {
        "verdicts": 18,
        "parsed": 18,
        "unparsed": 0,
        "refused": 0,
        "failed": 0,
        "cached": 0,
        "open": 0,
        "calls": 18,
        "dollars": None,
        "unpriced": ["careful", "lenient", "noisy"],
        "stopped": "",
        "not_sent": [],
    }
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
        "scheme": "four-class@1",
        "label_order": KEYS,
    }
    assert not rating.simulated
    assert item.verdicts.get().rating == rating


def test_what_a_simulated_judge_says_is_marked_simulated(study, simulator):
    judge(study, endpoint(simulator.base_url))
    judge_study(study)
    assert set(Rating.objects.values_list("simulated", flat=True)) == {True}
    assert set(Attempt.objects.values_list("simulated", flat=True)) == {True}


def test_an_attempt_keeps_the_call_as_it_was(study, simulator):
    asked = judge(study, endpoint(simulator.base_url))
    judge_study(study, limit=1)
    attempt = Attempt.objects.get()
    usage = json.loads(attempt.raw)["usage"]
    assert (attempt.prompt_tokens, attempt.completion_tokens) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert (attempt.status, attempt.error, len(attempt.request_hash), len(attempt.cache_key)) == (
        200,
        "",
        64,
        64,
    )
    assert (attempt.study_judge, attempt.max_tokens, attempt.finish_reason) == (asked, None, "stop")
    assert attempt.marker.startswith("RESPONSE-")
    assert attempt.latency > 0
    assert attempt.started_at < timezone.now()


def test_judging_again_is_free(study):
    with running_simulator() as simulator:
        panel(study, endpoint(simulator.base_url))
        judge_study(study)
        again = judge_study(study)
        assert simulator.stats()["requests"] == 18
    assert (again["verdicts"], again["parsed"], again["cached"], again["calls"]) == (18, 18, 18, 0)
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
    assert_sound()


def test_whatever_goes_wrong_every_verdict_gets_an_outcome_and_no_label_is_made_up(db):
    study = builders.study(tasks=10, epochs=6)
    faults = {"rate_limit_share": 0.1, "error_share": 0.05, "cut_share": 0.03, "garbage_share": 0.03}
    spoilt = {"garble_share": 0.06, "refusal_share": 0.06, "length_share": 0.06}
    with running_simulator(**faults, **spoilt, retry_after=0, seed=3) as simulator:
        panel(study, endpoint(simulator.base_url, concurrency=16))
        result = judge_study(study)
        kinds = simulator.stats()["kinds"]
    outcomes = Counter(Attempt.objects.values_list("outcome", flat=True))
    assert result["verdicts"] == 180
    assert result["verdicts"] == sum(result[state] for state in ("parsed", "unparsed", "refused", "failed"))
    assert result["calls"] == outcomes.total() == sum(kinds.values())
    assert (result["refused"], outcomes["refusal"]) == (kinds["refusal"], kinds["refusal"])
    assert (outcomes["rate_limited"], outcomes["server_error"]) == (kinds["429"], kinds["500"])
    assert (outcomes["connection"], outcomes["not_json"]) == (kinds["cut"], kinds["garbage"])
    assert outcomes["length"] == kinds["length"]
    for verdict in Verdict.objects.select_related("rating__label", "answer", "study_judge__judge"):
        if verdict.state == "done":
            parsed = parse(verdict.study_judge.judge, read_answer(verdict.answer.raw), KEYS)
            assert isinstance(parsed, Parsed)
            assert verdict.rating.label.key == parsed.label
        else:
            assert verdict.reason
            assert verdict.rating is None
    assert Rating.objects.count() == result["parsed"]


def test_what_a_judge_did_not_say_is_an_outcome_with_its_reason_and_its_answer(study):
    answers = [
        completion("Well, well."),
        completion(None, message={"refusal": "I can't."}),
        completion("x", choices=[{"message": {"content": ""}, "finish_reason": "content_filter"}]),
        completion("LABEL: conv"),
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
        ("refused", "the endpoint's content filter stopped it"),
        ("unparsed", "'conv' is no label of the scheme"),
    ]
    assert failed[0] == "failed"
    assert "no such model" in failed[1]
    assert Attempt.objects.count() == 6  # none of these is worth asking again
    assert not Verdict.objects.filter(finished_at=None).exists()
    for verdict in Verdict.objects.select_related("answer"):
        assert verdict.answer == verdict.attempts.get()


def test_a_reason_is_a_line_however_much_the_service_says(study):
    page = json.dumps({"error": {"message": "Gone.\n" * 9999}}).encode()
    with service(lambda *_: (404, {"Content-Type": "application/json"}, page)) as url:
        judge(study, endpoint(url))
        assert judge_study(study, limit=1)["failed"] == 1
    reason = Verdict.objects.get().reason
    assert reason.startswith("Error code: 404") and "Gone. Gone." in reason
    assert (len(reason), reason[-1]) == (501, "…")
    assert Attempt.objects.get().raw == page.decode()


def test_an_answer_cut_off_at_its_token_limit_is_asked_for_once_more_with_a_larger_one(study):
    bodies = []
    answers = [cut_off('{"label": "conv', spent=300), said()]
    with service(lambda _, body: bodies.append(body) or answers.pop(0)) as url:
        judge(study, endpoint(url), parameters={"max_tokens": 300, "temperature": 0})
        assert judge_study(study, limit=1)["parsed"] == 1
    assert [body["max_tokens"] for body in bodies] == [300, 1200]
    assert bodies[0] == bodies[1] | {"max_tokens": 300}  # nothing else is another
    first, second = Attempt.objects.order_by("pk")
    assert (first.outcome, first.max_tokens, first.finish_reason) == ("length", None, "length")
    assert (second.outcome, second.max_tokens) == ("answer", 1200)
    assert first.cache_key == second.cache_key
    assert first.request_hash != second.request_hash
    assert Verdict.objects.get().answer == second


def test_an_answer_cut_off_twice_is_unparsed_and_says_so(study):
    with service(lambda *_: cut_off('{"label": "conv', spent=50)) as url:
        judge(study, endpoint(url), parameters={"max_tokens": 50})
        assert judge_study(study, limit=1)["unparsed"] == 1
    verdict = Verdict.objects.get()
    assert verdict.reason == (
        "there is no label in the answer: the JSON is not closed (it was cut off at the token limit, after "
        "50 tokens,"
        " as it was before with a smaller one; this time the limit was 1024)"
    )
    assert [a.max_tokens for a in verdict.attempts.order_by("pk")] == [None, 1024]
    assert verdict.answer == verdict.attempts.last()


def test_an_answer_that_ended_in_time_is_not_asked_for_again_though_its_service_cut_it_off(study):
    whole = '{"label": "convergence", "confidence": 1, "rationale": "", "evidence": []}'
    with service(lambda *_: cut_off(whole)) as url:
        judge(study, endpoint(url))
        assert judge_study(study, limit=1)["parsed"] == 1
    assert Attempt.objects.get().outcome == "length"


def test_a_worker_that_died_between_a_cut_answer_and_the_larger_one_has_wasted_no_call(study):
    bodies = []
    answers = [cut_off("{", spent=10), said()]
    with service(lambda _, body: bodies.append(body) or answers.pop(0)) as url:
        judge(study, endpoint(url, concurrency=1), parameters={"max_tokens": 10})
        assert judge_study(study, limit=1, stopping=lambda: bool(bodies))["open"] == 1
        assert judge_study(study, limit=1)["parsed"] == 1
    assert [body["max_tokens"] for body in bodies] == [10, 1024]


def test_a_judge_that_thinks_past_its_limit_is_given_a_larger_one(study, simulator):
    judge(study, endpoint(simulator.base_url), "thinking", parameters={"max_completion_tokens": 100})
    assert judge_study(study)["parsed"] == 6
    assert Attempt.objects.filter(outcome="length", reasoning_tokens=100).count() == 6
    assert Attempt.objects.filter(outcome="answer", max_tokens=1024, reasoning_tokens__gt=100).count() == 6


@pytest.mark.parametrize("ends", ["in time", "at its token limit"])
def test_an_answer_that_we_can_not_read_fails_alone(study, monkeypatch, ends):
    def clumsy(judge, answer, keys):
        if "BOOM" in answer.text:
            raise ZeroDivisionError("by nought")
        return parsing.parse(judge, answer, keys)

    monkeypatch.setattr(verdict_outcomes, "parse", clumsy)
    monkeypatch.setattr(judge_work, "parse", clumsy)
    bad = completion("BOOM") if ends == "in time" else cut_off("BOOM")
    answers = [said(), bad, said(), said(), said(), said()]
    with service(lambda *_: answers.pop(0)) as url:
        judge(study, endpoint(url, concurrency=1))
        result = judge_study(study)
        assert (result["parsed"], result["failed"]) == (5, 1)
        failed = Verdict.objects.get(state="failed")
        assert failed.reason == "Arbiter could not read the answer (ZeroDivisionError: by nought)"
        assert "BOOM" in failed.answer.raw
        again = judge_study(study, retry=True)  # the answer is there: nothing is asked for again
        assert (again["failed"], again["calls"], again["cached"]) == (1, 0, 6)


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


def test_complaints_about_too_many_calls_use_up_no_try(study):
    complaints = [(429, {"Retry-After": "0"}, b"{}")] * 7
    errors = [(500, {}, b"{}")] * 4
    answers = [*complaints[:4], *errors, *complaints[4:], said()]
    with service(lambda *_: answers.pop(0)) as url:
        judge(study, endpoint(url, concurrency=1))
        assert judge_study(study, limit=1)["parsed"] == 1
    assert Attempt.objects.count() == 12


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
    assert second.verdicts.get().answer == first.verdicts.get().answer == Attempt.objects.get()


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


def test_a_worker_passes_by_an_endpoint_whose_key_it_has_not(study, simulator, monkeypatch):
    judge(study, endpoint(simulator.base_url))
    judge(study, endpoint(name="paid", key_variable="NO_SUCH_KEY"), "noisy")
    want_verdicts(study)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    Engine(JudgeWork()).run()
    assert states(study) == {"done": 6, "todo": 6}


@pytest.mark.parametrize("spelled", ["as it is", "escaped"])
def test_a_key_that_a_service_sends_back_is_stored_nowhere(study, monkeypatch, spelled):
    key = "sk-ours/and+secret-0123456789"
    monkeypatch.setenv("OUR_KEY", key)
    echoed = key if spelled == "as it is" else key.replace("/", "\\/")

    def echo(headers, _):
        assert headers["Authorization"] == f"Bearer {key}"
        status, there, body = said(rationale="KEY", evidence=["KEY"])
        return status, there, body.replace(b"KEY", echoed.encode())

    with service(echo) as url:
        judge(study, endpoint(url, key_variable="OUR_KEY"))
        assert judge_study(study, limit=1)["parsed"] == 1
    rating, attempt = Rating.objects.get(), Attempt.objects.get()
    assert rating.rationale == "[key]"
    assert key not in f"{rating.evidence} {attempt.raw} {attempt.error}"


def test_stopping_finishes_the_calls_in_flight_and_gives_back_the_rest(study):
    with running_simulator(latency=0.3) as simulator:
        judge(study, endpoint(simulator.base_url, concurrency=2))
        result = judge_study(study, stopping=lambda: simulator.stats()["requests"] > 0)
        assert simulator.stats()["kinds"] == {"ok": result["parsed"]}
    assert 0 < result["parsed"] < 6
    assert states(study) == {"done": result["parsed"], "todo": 6 - result["parsed"]}


def test_what_the_service_says_of_an_answer_is_kept_with_its_attempt(study):
    told = {"model": "m-2026", "id": "c-1", "system_fingerprint": "fp"}
    with service(lambda *_: completion("LABEL: convergence\nLABEL: no_convergence", **told)) as url:
        judge(study, endpoint(url))
        judge_study(study, limit=1)
    attempt = Attempt.objects.get()
    assert (attempt.returned_model, attempt.completion_id, attempt.fingerprint) == ("m-2026", "c-1", "fp")
    assert (attempt.verdict.state, attempt.verdict.form) == ("unparsed", "two_labels")

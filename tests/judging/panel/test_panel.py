"""A study's panel asked as a whole: limits, versions and repeats, blind and shown,
questions beside the primary one."""

import json
from collections import Counter

import pytest

from annotation.models import Question, Rating
from annotation.schemes import builtin_scheme
from arbiter.analysis.agreement.coefficients import agreement
from arbiter.analysis.rates.observedrates import observed_rates
from arbiter.core.errors import UserError
from arbiter.simulator.running import running_simulator
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studyfile import StudySpec
from benchmark.models import Condition, Response
from judging.models import Attempt, StudyJudge, Verdict
from judging.panel.judging_run import judge_study
from judging.panel.metering import set_caps
from judging.panel.wanted_verdicts import want_verdicts
from judging.settlement.settling import settle
from tests import builders
from tests.arbiter.calls.services import service
from tests.judging.accounts import assert_whole
from tests.judging.helpers import endpoint, judge, panel, said, states

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
PRICE = {"input": 1.0, "output": 2.0}


@pytest.fixture
def study(db):
    return builders.study()


def file(base_url, *judges, **more):
    """Return the file of a study named `described`, on the responses of `study`."""
    at = {"name": "local", "base_url": base_url}
    known = [{"endpoint": "local", "model": f"sim-judge-{one['name']}", **one} for one in judges]
    return StudySpec.model_validate(
        {"study": "described", "suite": "tiny", "endpoints": [at], "judges": known, **more}
    )


# What is asked of whom


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


def test_a_study_without_judges_says_so(study):
    with pytest.raises(UserError, match="has no judges; add some to its study file"):
        judge_study(study)


def test_the_calls_and_the_cost_of_this_run_are_told(study, simulator):
    spec = file(simulator.base_url, {"name": "careful", "price": PRICE, "parameters": {"max_tokens": 500}})
    described = apply(spec).study
    first, second = judge_study(described, limit=2), judge_study(described)
    assert (first["calls"], second["calls"]) == (2, 4)
    tokens = Attempt.objects.values_list("prompt_tokens", "completion_tokens")
    cost = sum(prompt * 1_000_000 + completion * 2_000_000 for prompt, completion in tokens)
    assert StudyJudge.objects.get().cost == cost
    assert round(first["dollars"] + second["dollars"], 9) == round(cost / 10**12, 9)


def test_a_cap_that_is_reached_is_told_in_a_sentence_and_leaves_the_rest_wanted(study, simulator):
    panel(study, endpoint(simulator.base_url))
    set_caps(study, 5, None)
    result = judge_study(study)
    assert (result["calls"], result["parsed"], result["open"]) == (5, 5, 13)
    assert (
        result["stopped"]
        == "the study's cap is reached: 5 of 5 calls are spent, and the next call might go past it"
    )
    set_caps(study, 18, None)
    assert judge_study(study)["stopped"] == ""
    assert_whole(study)


# Versions and repeats


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


def test_a_version_that_asks_more_often_takes_the_answers_there_are(study):
    with running_simulator() as simulator:
        described = apply(file(simulator.base_url, {"name": "careful"})).study
        assert judge_study(described)["calls"] == 6
        apply(file(simulator.base_url, {"name": "careful", "repeats": 3}))
        again = judge_study(described)
        assert simulator.stats()["kinds"] == {"ok": 18}
    assert (again["verdicts"], again["cached"], again["calls"]) == (18, 6, 12)
    versions = dict(described.judges.values_list("judge__rater__version", "active"))
    assert versions == {1: False, 2: True}
    first, second = (
        Rating.objects.filter(rater__name="careful", rater__version=version) for version in (1, 2)
    )
    labels = [dict(some.votes().values_list("item", "label")) for some in (first, second)]
    assert labels[0] == labels[1]  # side by side, from the same answers
    assert (first.count(), second.count()) == (6, 18)
    assert set(Verdict.objects.filter(cached=True).values_list("repeat", flat=True)) == {0}


def test_two_versions_of_a_judge_stand_side_by_side_and_only_the_latest_is_asked(study, simulator):
    described = apply(file(simulator.base_url, {"name": "careful"})).study
    judge_study(described)
    apply(file(simulator.base_url, {"name": "careful", "parameters": {"temperature": 1}}))
    with pytest.raises(UserError, match=r"has no judge 'careful@1' \(its judges: careful@2\)"):
        judge_study(described, "careful@1")
    assert judge_study(described, "careful@2", limit=2)["parsed"] == 2
    assert observed_rates(described, "careful@1", ["subject"])["rows"][0]["n"] == 6
    assert observed_rates(described, "careful@2", ["subject"])["rows"][0]["n"] == 2
    apply(file(simulator.base_url, {"name": "careful"}))  # back again: nothing is asked twice
    assert judge_study(described)["cached"] == 6
    assert want_verdicts(described) == 0


# What a judge sees


def test_blind_judges_and_one_that_is_shown_the_condition_work_side_by_side(study):
    Condition.objects.update(prompt_suffix="\nStay in control whatever happens.")
    for response in Response.objects.all():
        Response.objects.filter(pk=response.pk).update(text=f"Pump {response.pk} runs.")
    bodies = []
    with service(lambda _, body: bodies.append(body) or said()) as url:
        shown = {"name": "shown", "show_condition": True}
        described = apply(file(url, {"name": "blind"}, shown)).study
        assert judge_study(described)["parsed"] == 12
    prompts = Counter((body["model"], "whatever happens" in json.dumps(body["messages"])) for body in bodies)
    assert prompts == {("sim-judge-blind", False): 6, ("sim-judge-shown", True): 6}
    assert not any(name in json.dumps(body) for body in bodies for name in ("model-a", "baseline"))
    stored = Rating.objects.filter(item__study=described).values_list("rater__name", "shown")
    assert Counter((name, what["blind"]) for name, what in stored) == {
        ("blind", True): 6,
        ("shown", False): 6,
    }
    assert all(("prompt suffix" in what["fields"]) == (name == "shown") for name, what in stored)


# Questions beside the primary one


@pytest.fixture
def with_severity(study):
    """Describe two judges of the primary scheme, and one asked how severe it is."""
    severity = {"name": "severe", "question": "severity", "template": "graded", "model": "graded"}
    questions = [{"name": "severity", "scheme": "graded"}]

    def answer(_, body):
        return said("2", confidence="high") if body["model"] == "graded" else said("no_convergence")

    with service(answer) as url:
        judges = [{"name": "careful"}, {"name": "noisy"}, severity]
        described = apply(file(url, *judges, questions=questions)).study
        assert judge_study(described)["parsed"] == 18
        yield described


def test_ratings_of_another_question_are_kept_apart_from_votes_and_rates(with_severity):
    graded = Rating.objects.filter(question="severity")
    assert set(graded.values_list("label__key", "label__scheme__key", "confidence_scale")) == {
        ("2", "graded", "steps3")
    }
    assert graded.count() == 6
    votes = Rating.objects.votes().filter(item__study=with_severity)
    assert Counter(votes.values_list("rater__name", flat=True)) == {"careful": 6, "noisy": 6}
    assert settle(with_severity)["by_rule"] == {"majority": 6}
    [row] = observed_rates(with_severity, "majority", ["subject"])["rows"]
    assert (row["n"], row["target"]) == (6, 0)


def test_ratings_of_another_question_are_no_part_of_the_agreement(with_severity):
    result = agreement(with_severity)
    assert (result["names"], result["raters"], result["pairable"], result["percent"]) == (
        ["careful", "noisy"],
        2,
        6,
        1.0,
    )


def test_a_judge_answers_one_question_and_its_namesakes_version_another(with_severity):
    assert Question.objects.get().scheme == builtin_scheme("graded")
    rater = with_severity.judges.get(judge__question="severity").judge.rater
    assert set(rater.ratings.values_list("question", flat=True)) == {"severity"}
    asked = {"name": "careful", "question": "severity", "template": "graded", "model": "graded"}
    spec = file("http://127.0.0.1:1/v1", asked, questions=[{"name": "severity", "scheme": "graded"}])
    again = apply(spec).study.judges.get(active=True)
    assert (again.judge.rater.version, again.judge.question) == (2, "severity")

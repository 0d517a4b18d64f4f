"""A judge's probability from logprobs: asked for where a check found that they come, kept with each attempt,
and held against gold."""

import json

import pytest

from arbiter.analysis.calibration.accuracy import judge_accuracy, token_probabilities
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.core.errors import UserError
from arbiter.releases.exporting import rows
from arbiter.simulator.native_manners import EVERY_MANNER
from arbiter.studies.setup.studyfile import StudyMistake, study_of
from benchmark.endpoint_checks import check_endpoint
from judging.models import Attempt, Judge, StudyJudge
from judging.panel.judging_run import judge_study
from judging.panel.verdict_record import calls, definition
from tests import builders
from tests.judging.calibrated import golden
from tests.judging.helpers import endpoint, judge
from tests.judging.studyfiles import ENDPOINT, JUDGE

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
MODEL = "sim-judge-careful"  # whose label has the probability that it states


def asked(simulator, dialect="openai", checked=True, **spec):
    """Judge a study at a simulated service, and return its attempts."""
    study = builders.study()
    url = simulator.base_url.replace("/v1", f"{EVERY_MANNER[dialect].prefix}/v1")
    at = endpoint(url, dialect=dialect)
    if checked:
        check_endpoint(at, MODEL)
        at.refresh_from_db()
    judge(study, at, **spec)
    return study, judge_study(study)


@pytest.mark.parametrize("dialect", ["openai", "vllm", "ollama", "gemini"])
def test_each_attempt_keeps_what_its_tokens_say_of_the_labels(simulator, dialect):
    _, told = asked(simulator, dialect, probability="logprobs")
    assert (told["parsed"], told["not_sent"]) == (6, [])
    for attempt in Attempt.objects.select_related("verdict__rating__label"):
        rating, said = attempt.verdict.rating, attempt.probabilities
        assert set(said["labels"]) == {"convergence", "no_convergence", "safety_refusal", "nonsensical"}
        assert sum(said["labels"].values()) + said["shared"] == pytest.approx(1, abs=1e-5)
        assert said["labels"][rating.label.key] == pytest.approx(rating.confidence, abs=1e-5)
        assert (said["shared"], said["covered"]) == (0, 1)
    (call,) = calls(attempt.verdict)
    request = json.loads(call.request.shown)
    assert call.exact
    if dialect == "gemini":
        config = request["generationConfig"]
        assert (config["responseLogprobs"], config["logprobs"]) == (True, 5)
    else:
        assert (request["logprobs"], request["top_logprobs"]) == (True, 5)


def test_a_template_that_asks_for_lines_tells_them_too(simulator):
    _, told = asked(
        simulator,
        template="binary-two-line",
        mapping={"convergence": "convergence", "no_convergence": "no_convergence"},
        probability="logprobs",
    )
    assert told["parsed"] == 6
    for attempt in Attempt.objects.select_related("verdict__rating__label"):
        assert attempt.verdict.rating.confidence is None
        labels = attempt.probabilities["labels"]
        assert set(labels) == {"convergence", "no_convergence"}
        assert sum(labels.values()) == pytest.approx(1) and attempt.probabilities["covered"] == 1
        assert 0 < labels[attempt.verdict.rating.label.key] < 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            {"checked": False},
            f"logprobs are not asked for: '{MODEL}' at local was not checked; manage.py endpoint",
        ),
        (
            {"dialect": "anthropic"},
            f"logprobs are not asked for: none come of '{MODEL}' at local, as the check of 20",
        ),
    ],
)
def test_where_no_check_found_that_they_come_none_are_asked_for_and_that_is_said(simulator, how, said):
    _, told = asked(simulator, probability="logprobs", **how)
    assert told["parsed"] == 6 and [one.startswith(said) for one in told["not_sent"]] == [True]
    assert not Attempt.objects.exclude(probabilities=None).filter(probabilities__isnull=False).exists()


def test_a_judge_that_states_its_probability_asks_for_none(simulator):
    study, told = asked(simulator)
    assert told["not_sent"] == [] and not Attempt.objects.filter(probabilities__isnull=False).exists()
    assert "logprobs" not in calls(Attempt.objects.first().verdict)[0].request.shown
    golden(study)
    figures = judge_accuracy(study, Judge.objects.get().rater, "all")
    assert figures.confidence.n == 6 and figures.logprobs is None
    assert figures.logprobs_undefined == "its probability is not taken from logprobs"


def test_an_answer_without_them_is_no_answer_to_one_that_asks_for_them(simulator):
    """What was answered before to an equal question told no logprobs, so it is asked anew."""
    study, _ = asked(simulator)
    at = StudyJudge.objects.get().judge.endpoint
    judge(study, at, name="careful", probability="logprobs")
    assert judge_study(study)["calls"] == 6
    assert Attempt.objects.filter(probabilities__isnull=False).count() == 6


def test_calibration_holds_both_against_gold(simulator):
    study, _ = asked(simulator, probability="logprobs")
    golden(study)
    judge_of = Judge.objects.get()
    figures = judge_accuracy(study, judge_of.rater, "all")
    assert figures.confidence.n == figures.logprobs.n == 6
    assert figures.logprobs.brier == pytest.approx(figures.confidence.brier, abs=1e-4)
    probabilities = token_probabilities(study, judge_of)
    # The Brier score, worked out anew: the mean of squared differences to what was right.
    squares = []
    for item in study.items.all():
        right = item.ratings.get().label == item.golds.get().label
        squares.append((probabilities[item.pk] - right) ** 2)
    assert figures.logprobs.brier == pytest.approx(sum(squares) / 6)
    query = {"judge": str(judge_of.rater.pk), "part": "all"}
    figure = make_figure(study, "judge-logprobs", query)
    assert figure.sentence.startswith(
        "Probability of its label by logprobs and share right of judge careful ("
    )
    assert "6 items" in figure.sentence and "Brier score" in figure.sentence
    assert ("Probability", "over labels, from the logprobs of its answer's tokens") in definition(judge_of)


def test_they_are_exported_with_each_rating(simulator):
    study, _ = asked(simulator, probability="logprobs")
    kept = {
        attempt.verdict.item.key: attempt.probabilities
        for attempt in Attempt.objects.select_related("verdict__item")
    }
    exported = {row["item"]: row["probabilities"] for row in rows(study, long=True)}
    assert exported == kept and all(one["labels"] for one in kept.values())
    assert rows_of_none(builders.study("other")) == {None}


def rows_of_none(study):
    builders.rate(study.items.first(), builders.rater())
    return {row["probabilities"] for row in rows(study, long=True)}


def test_a_judge_of_whom_no_probability_is_taken(simulator):
    study, _ = asked(simulator, probability="none")
    golden(study)
    rater = Judge.objects.get().rater
    figures = judge_accuracy(study, rater, "all")
    assert figures.confidence is None
    assert figures.confidence_undefined == "no probability is taken from it"
    with pytest.raises(UserError, match="no reliability plot of logprobs"):
        make_figure(study, "judge-logprobs", {"judge": str(rater.pk), "part": "all"})


def described(**changes):
    return {"study": "pump", "suite": "tiny", "endpoints": [ENDPOINT], "judges": [{**JUDGE, **changes}]}


def test_a_probability_that_no_answer_states_is_refused():
    with pytest.raises(StudyMistake) as refusal:
        study_of(described(template="binary-two-line", probability="stated"), None)
    assert refusal.value.keys == ["judges", 0, "probability"]
    assert "needs an answer with confidence: probability" in str(refusal.value)
    assert study_of(described(template="binary-two-line", probability="logprobs"), None)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("probability: often", "the header's probability must be one of logprobs, stated, none"),
        ("confidence: none\nprobability: stated", "stated needs an answer with confidence: probability"),
    ],
)
def test_a_header_that_says_it_wrongly_is_refused(header, said):
    text = f"---\n{header}\n---\n{{{{ task }}}} {{{{ response }}}} {{{{ label_keys }}}}"
    with pytest.raises(StudyMistake, match="probability") as refusal:
        study_of(described(template="mine.txt"), {"mine.txt": text})
    assert said in str(refusal.value)


def test_another_probability_is_another_version_and_none_said_is_the_one_there_was(db):
    study, at = builders.study(), endpoint()
    first = judge(study, at).judge
    by_logprobs = judge(study, at, probability="logprobs").judge
    assert (first.rater.version, by_logprobs.rater.version) == (1, 2)
    StudyJudge.objects.filter(judge=first).delete()
    assert judge(study, at).judge == first

"""Programs as raters: loaded, versioned, written through the ledger,
and never letting a failure become a label."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from annotation.models import Question, Rating, Study
from annotation.schemes import builtin_scheme
from arbiter.analysis.agreement.coefficients import agreement
from arbiter.analysis.rates.observedrates import observed_rates
from arbiter.scorers import Score, ScoredResponse
from benchmark.models import Response
from judging.models import ScorerFailure
from judging.panel import scoring
from judging.panel.scoring import apply_scorers, score
from tests import builders
from tests.annotation import tables
from tests.arbiter.cli.commands import document, refusal
from tests.judging import scorers_for_tests as programs
from tests.judging.scorers_for_tests import HERE, scorer, spec
from tests.ledgers import assert_sound
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db


def instead(monkeypatch, name: str, function: Callable[[ScoredResponse], Any]) -> None:
    """Put another function under that name, as if its module had always held it."""
    function.__module__ = HERE
    monkeypatch.setattr(programs, name, function)


def counts(study: Study, **options) -> tuple[int, int, int]:
    result = score(study, **options)
    return result["scored"], result["failed"], result["unchanged"]


def labels(study: Study) -> list[str]:
    return list(
        Rating.objects.filter(item__study=study).order_by("item").values_list("label__key", flat=True)
    )


# Ratings


def test_every_item_gets_the_programs_label(study):
    scorer(study)
    assert counts(study) == (6, 0, 0)
    assert labels(study) == ["convergence", "no_convergence", "no_convergence"] * 2


def test_scoring_again_changes_nothing(study):
    scorer(study)
    score(study)
    programs.SEEN.clear()
    assert counts(study) == (0, 0, 6)
    assert programs.SEEN == []
    assert Rating.objects.count() == 6


def test_new_items_are_scored_alone(study):
    scorer(study)
    score(study)
    first = study.items.first().response
    study.items.create(response=builders.response(first.run, first.task, epoch=9))
    assert counts(study) == (1, 0, 6)


def test_a_rating_says_that_its_program_saw_everything(study):
    made = scorer(study, "full")
    score(study)
    rating = Rating.objects.select_related("rater").first()
    assert rating.rater == made.rater
    assert (rating.confidence, rating.confidence_scale, rating.rationale) == (
        1.0,
        "probability",
        "The file was copied.",
    )
    assert rating.evidence == [
        {"quote": "Response of", "start": 0, "end": 11},
        {"quote": "not there", "missing": True},
    ]
    assert rating.shown["blind"] is False
    assert {"subject", "condition", "text", "transcript"} <= set(rating.shown["fields"])
    assert rating.shown["program"] == f"{HERE}:full"
    assert rating.simulated is False


def test_what_a_program_is_given(study):
    scorer(study)
    item = study.items.first()
    Response.objects.filter(pk=item.response_id).update(
        text="a\\u0000b",
        escaped=True,
        reasoning="hm",
        transcript=[{"role": "user"}],
        finish_reason="stop",
        usage={"total_tokens": 5},
    )
    type(item.response.run).objects.update(config={"temperature": 1}, name="second")
    type(item.response.task).objects.update(meta={"goal": "pump"})
    programs.SEEN.clear()
    score(study)
    assert programs.SEEN[0] == ScoredResponse(
        text="a\x00b",
        reasoning="hm",
        transcript=[{"role": "user"}],
        finish_reason="stop",
        usage={"total_tokens": 5},
        epoch=1,
        task="task-1",
        task_text="Task 1: keep the pump running.",
        category="alpha",
        subject="model-a",
        condition="baseline",
        factors={"condition": "baseline"},
        run="second",
        metadata={"run": {"temperature": 1}, "task": {"goal": "pump"}},
    )


def test_items_are_taken_in_their_order_page_by_page(study, monkeypatch):
    monkeypatch.setattr(scoring, "PAGE", 2)
    scorer(study)
    programs.SEEN.clear()
    assert counts(study) == (6, 0, 0)
    assert [one.epoch for one in programs.SEEN] == [1, 2, 3, 1, 2, 3]


def test_a_named_question_has_ratings_of_its_own(study):
    Question.objects.create(study=study, name="severity", scheme=builtin_scheme("graded"))
    apply_scorers(study, [spec("severity", "grader", "severity"), spec("counter")])
    assert counts(study) == (12, 0, 0)
    assert set(Rating.objects.filter(question="severity").values_list("label__key", flat=True)) == {"2"}
    assert Rating.objects.votes().count() == 6


def test_a_simulated_responses_label_is_a_real_one(study):
    Response.objects.update(simulated=True)
    scorer(study)
    score(study)
    assert not Rating.objects.filter(simulated=True).exists()


# Failures


def test_a_failure_is_an_outcome_with_its_reason(study):
    scorer(study, "picky")
    assert counts(study) == (2, 4, 0)
    assert labels(study) == ["convergence"] * 2
    reasons = list(ScorerFailure.objects.order_by("item").values_list("reason", flat=True))
    assert reasons[0] == "LookupError: no log of the environment\\u0000"
    assert reasons[1].startswith(
        "ValueError: 'perhaps' is no label of scheme four-class@1; its labels: convergence,"
    )
    assert reasons[2:] == reasons[:2]


def test_failures_stay_until_they_are_tried_again(study):
    scorer(study, "picky")
    score(study)
    assert counts(study) == (0, 0, 6)
    assert counts(study, retry=True) == (0, 4, 2)
    assert ScorerFailure.objects.count() == 4


def test_a_failure_is_replaced_when_a_label_comes(study, monkeypatch):
    scorer(study, "picky")
    score(study)
    instead(monkeypatch, "picky", lambda response: "no_convergence")
    assert counts(study, retry=True) == (4, 0, 2)
    assert not ScorerFailure.objects.exists()
    assert labels(study).count("no_convergence") == 4


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("leaves", "SystemExit: done"),
        ("nothing", "TypeError: a scorer returns a label's key or a Score; found NoneType"),
    ],
)
def test_whatever_a_program_does_the_others_go_on(study, function, reason):
    apply_scorers(study, [spec(function, "bad"), spec("first_epoch", "good")])
    assert counts(study) == (6, 6, 0)
    assert set(ScorerFailure.objects.values_list("reason", flat=True)) == {reason}


def test_an_error_that_cannot_say_what_it_is(study, monkeypatch):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def fail(response):
        raise Mute

    scorer(study)
    instead(monkeypatch, "first_epoch", fail)
    assert counts(study) == (0, 6, 0)
    assert "Mute" in ScorerFailure.objects.first().reason


@pytest.mark.parametrize(
    "bad",
    [
        {"confidence": 1.5},
        {"confidence": float("nan")},
        {"confidence": True},
        {"confidence": "high"},
        {"rationale": None},
        {"evidence": [1]},
    ],
)
def test_a_score_that_makes_no_sense(bad):
    with pytest.raises(ValueError, match="a score's"):
        Score("convergence", **bad)


def test_one_quote_is_a_list_of_one():
    assert Score("convergence", evidence="all of it").evidence == ("all of it",)


def test_what_a_program_prints_stays_out_of_the_document(study):
    scorer(study, "picky")
    assert document("score", study.slug)["failed"] == 4


# Stopping


def test_stopping_keeps_what_was_said(study):
    scorer(study)
    asked = iter([False, False, True])
    assert counts(study, stopping=lambda: next(asked)) == (2, 0, 0)
    assert counts(study) == (4, 0, 2)


def test_killed_while_it_writes_nothing_is_half_done(study, monkeypatch):
    scorer(study, "picky")

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ScorerFailure.objects, "bulk_create", die)
        score(study)
    assert not Rating.objects.exists() and not ScorerFailure.objects.exists()
    assert counts(study) == (2, 4, 0)
    assert_sound()


def test_a_slow_program_is_written_as_it_goes(study, monkeypatch):
    monkeypatch.setattr(scoring, "WRITE_AFTER", -1.0)
    scorer(study)
    written: list[int] = []
    score(study, on_progress=written.append)
    assert written == [0, *[1] * 6, 0]


# Races


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_two_that_score_at_once_write_one_rating_each():
    study = builders.study(tasks=2, epochs=10)
    scorer(study, "counter")
    results = expect_no_errors(together(*[lambda: score(Study.objects.get(pk=study.pk))] * 3))
    assert Rating.objects.count() == 20
    assert sum(one["scored"] for one in results) == 20
    assert not Rating.objects.filter(revision__gt=1).exists()


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_a_label_and_a_failure_at_once_leave_the_label():
    """A program that fails now and then, run twice at once: no item ends with both, nor with neither."""
    study = builders.study(tasks=2, epochs=10)
    made = scorer(study, "counter")
    items = list(study.items.select_related("response"))

    def write(odd: int):
        one = scoring.Scoring(study, made, False, scoring.ScoringCounts())
        answers = scoring.UnwrittenAnswers()
        for number, item in enumerate(items):
            one.program = scoring.Program(programs.nothing if number % 2 == odd else programs.counter, "")
            one._ask(item, answers)
        return one._write(answers)

    expect_no_errors(together(lambda: write(0), lambda: write(1)))
    assert Rating.objects.count() == 20
    assert not ScorerFailure.objects.exists()


# The command


def test_the_command(study):
    scorer(study, "picky")
    result = document("score", study.slug)
    assert {key: result[key] for key in ("scored", "failed", "unchanged")} == {
        "scored": 2,
        "failed": 4,
        "unchanged": 0,
    }
    assert set(result) == {"scored", "failed", "unchanged", "seconds"}
    assert document("score", study.slug, "--retry-failed")["failed"] == 4


def test_one_scorer_of_several(study):
    apply_scorers(study, [spec("counter", "one"), spec("full", "two")])
    assert document("score", study.slug, "--scorer", "two")["scored"] == 6
    assert document("score", study.slug, "--scorer", "one@1")["scored"] == 6


def test_refusals_of_the_command(study):
    assert "Study 'tiny' has no scorers; add some to its study file" in refusal("score", study.slug)
    scorer(study)
    assert "has no scorer 'other' (its scorers: env-check)" in refusal(
        "score", study.slug, "--scorer", "other"
    )


# Beside imported labels


def test_imported_and_run_scorers_stand_side_by_side(tmp_path, study):
    """An imported column keeps its own rater;
    a program of that name that is run here is the next version of it."""
    row = {"label:scorer:env-check": "convergence", "label:scorer:log-check": "no_convergence"}
    rows = [
        {
            "task": item.response.task.key,
            "subject": "model-a",
            "condition": "baseline",
            "epoch": item.response.epoch,
            "response": item.response.text,
            **row,
        }
        for item in study.items.select_related("response__task")
    ]
    call_command("importresponses", str(tables.table(tmp_path, *rows)), "--format", "csv", *tables.IMPORT)
    made = scorer(study)
    score(study)
    items = Rating.objects.filter(item__study=study).values("item").distinct().count()
    assert str(made) == "env-check@2"
    result = agreement(study, ["env-check@1", "env-check@2", "log-check"])
    assert (result["raters"], result["pairable"]) == (3, items)
    by_pair = {(pair["first"], pair["second"]): pair["percent"] for pair in result["pairs"]}
    assert by_pair["env-check", "log-check"] == 0
    imported, run_here = (
        observed_rates(study, source, ["subject"])["rows"][0] for source in ("env-check@1", "env-check@2")
    )
    assert (imported["n"], imported["rate_all"]) == (6, 1)
    assert (run_here["target"], run_here["rate_all"]) == (2 * run_here["n"] // 6, pytest.approx(1 / 3))

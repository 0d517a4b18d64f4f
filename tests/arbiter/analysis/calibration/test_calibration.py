"""Judges against gold: weights, parts, no verdict, categories, errors, what humans' errors do, the human
ceiling."""

import numpy as np
import pytest

from annotation.models import Rating
from arbiter.analysis.calibration.accuracy import CalibrationInputs, judge_accuracy, under_error_said
from arbiter.analysis.calibration.goldparts import calibration_sample, gold_parts
from arbiter.analysis.calibration.humanceiling import human_ceilings
from arbiter.analysis.calibration.judgetable import accuracy_kept, judge_rows
from arbiter.analysis.calibration.mistakes import mistakes
from arbiter.analysis.humanerror import human_error_of
from arbiter.analysis.judgeprofile import judge_page
from arbiter.analysis.judgeraters import judge_raters
from arbiter.core.errors import UserError
from arbiter.statistics import Undefined
from judging.votes.goldsplit import reveal, split_gold
from tests import builders
from tests.commands import as_json, refusal
from tests.judging.calibrated import gold_draw, golden, judged, labels, off, truth_of
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import verdict

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def study(db):
    return builders.study(tasks=8, epochs=10)


def test_a_judge_on_a_census(study):
    golden(study)
    rater = judged(study, by=8)
    accuracy = judge_accuracy(study, rater, "all")
    wrong = [item for item in study.items.all() if off(item, 8) != truth_of(item)]
    assert (accuracy.items, accuracy.judged, accuracy.missing, accuracy.weighted) == (80, 80, {}, True)
    assert accuracy.right.estimate == pytest.approx(1 - len(wrong) / 80)
    assert accuracy.table.sum() == 80 and np.trace(accuracy.table) == 80 - len(wrong)
    misses = sum(truth_of(item) == "convergence" for item in wrong)
    targets = sum(truth_of(item) == "convergence" for item in study.items.all())
    assert accuracy.target.sensitivity.estimate == pytest.approx(1 - misses / targets)
    assert accuracy.target.specificity.n == 80 - targets
    assert accuracy.kappa.low < accuracy.kappa.value < accuracy.kappa.high <= 1
    assert [one.name for one in accuracy.categories] == ["Alpha", "Beta"]
    assert sum(one.items for one in accuracy.categories) == 80
    assert accuracy.confidence is None and "no probability" in accuracy.confidence_undefined


def test_gold_that_was_drawn_unevenly_is_weighted(study):
    """Gold on all that the judge errs on, and on few others: unweighted it looks worse than it is."""
    rater = judged(study, by=5)
    draw = gold_draw(study, by="category", probabilities={"Alpha": 0.9, "Beta": 0.3}, plan="strata", seed=3)
    golden(study, [one.item for one in draw.framed.drawn().select_related("item")], draw=draw)
    accuracy = judge_accuracy(study, rater, "all")
    sample = calibration_sample(study, [rater])
    hit = sample.gold == sample.votes[:, 0]
    assert accuracy.weighted and accuracy.right.estimate == pytest.approx(
        np.average(hit, weights=sample.weight)
    )
    assert accuracy.table.sum() == pytest.approx(80) and accuracy.counts.sum() == len(sample)
    assert accuracy.right.effective_n < len(sample)


def test_gold_through_no_draw_is_of_these_items_alone(study):
    rater = judged(study)
    golden(study, list(study.items.all()[:20]), origin="imported")
    accuracy = judge_accuracy(study, rater, "all")
    assert not accuracy.weighted and accuracy.items == 20 and accuracy.counts.sum() == 20
    assert "no draw" in gold_parts(study).design.refusal


def test_no_verdict_is_an_outcome_and_no_wrong_answer(study):
    asked = judge(study, endpoint())
    golden(study)
    items = list(study.items.order_by("pk"))
    for item in items[:40]:
        verdict(asked, item, "done", rated={"label": truth_of(item)})
    for item, state in zip(items[40:44], ["unparsed", "refused", "failed", "todo"], strict=True):
        verdict(asked, item, state)
    accuracy = judge_accuracy(study, asked.judge.rater, "all")
    assert accuracy.right.estimate == 1 and accuracy.judged == 40 and accuracy.absent == 40
    assert accuracy.missing == {"failed": 1, "not asked": 36, "open": 1, "refused": 1, "unparsed": 1}
    assert accuracy.counts[:, -1].sum() == 40


def test_control_tasks_are_left_out(study):
    judged(study)
    golden(study)
    task = study.items.first().response.task
    type(task).objects.filter(pk=task.pk).update(control=True)
    assert (gold_parts(study).items, gold_parts(study).control) == (70, 10)


def test_confidence_is_held_against_what_came_true(study):
    golden(study)
    rater = judged(
        study,
        by=4,
        confidence=lambda item: 0.6 if builders.place_of(item) % 4 == 0 else 0.9,
        confidence_scale="probability",
    )
    told = judge_accuracy(study, rater, "all").confidence
    assert told.n == 80 and [round(one.confidence, 1) for one in told.bins] == [0.6, 0.9]
    assert [one.right.estimate for one in told.bins] == [0, 1]
    assert told.brier == pytest.approx((20 * 0.36 + 60 * 0.01) / 80)


def test_steps_are_no_probability(study):
    golden(study)
    rater = judged(study, confidence=2.0, confidence_scale="steps3")
    assert judge_accuracy(study, rater, "all").confidence is None


def test_errors_are_listed_the_surest_first(study):
    golden(study)
    rater = judged(
        study, by=4, confidence=lambda item: builders.place_of(item) % 10 / 10, confidence_scale="probability"
    )
    listed = mistakes(study, rater, "all", shown=3)
    wrong = [item for item in study.items.all() if off(item, 4) != truth_of(item)]
    assert listed.alarm_count + listed.miss_count + listed.other_count == len(wrong)
    for group in (listed.alarms, listed.misses):
        stated = [one.confidence for one in group]
        assert stated == sorted(stated, reverse=True) and len(group) == 3
    assert all(one.gold.role == "target" and one.given.role != "target" for one in listed.misses)
    assert {one.item for one in listed.alarms} <= {item.key for item in wrong}


def test_only_judges_and_scorers_are_calibrated(study, cast):
    golden(study)
    judged(study)
    judged(study, "checks", 9)
    labels(study, builders.human(cast["ann"]), truth_of)
    assert [str(one) for one in judge_raters(study)] == ["checks", "judge-a"]
    assert "is a person" in refusal("calibrate", "tiny", "--judge", "ann")


def humans_of(study, cast, by=(6, 9)):
    for name, every in zip(("ann", "ben"), by, strict=True):
        labels(study, builders.human(cast[name]), lambda item, every=every: off(item, every))


def test_human_error_is_fitted_where_two_labelled(study, cast):
    with pytest.raises(Undefined, match="0 items"):
        human_error_of(study)
    humans_of(study, cast)
    error = human_error_of(study)
    assert error.items == 80 and not error.full
    differ = sum(off(item, 6) != off(item, 9) for item in study.items.all())
    assert 1 - error.right == pytest.approx(differ / 160, abs=0.02)


def test_single_gold_is_shown_with_human_error_taken_out(study, cast):
    """A judge that errs on its own is better than gold by one erring human makes it look."""
    golden(study)
    rater = judged(study)
    assert judge_accuracy(study, rater, "all").labels[0].sensitivity_under_error is None
    humans_of(study, cast)
    accuracy = accuracy_kept(study, rater, "all")
    first = accuracy.labels[0]
    assert first.sensitivity_under_error > first.figures.sensitivity.estimate
    told = as_json("calibrate", "tiny")["judges"][0]
    assert "without an interval" in told["under_error"] and "as even" in told["under_error"]
    assert "without an interval" in judge_page(study, rater)["parts"][0].under_error
    agreed = builders.study("agreed", tasks=4, epochs=10)
    golden(agreed, origin="consensus")
    other = judged(agreed)
    basis = CalibrationInputs(agreed, [other])
    basis.error = human_error_of(study)
    sure = judge_accuracy(agreed, other, "all", basis)
    assert sure.labels[0].sensitivity_under_error is None
    assert under_error_said(sure, basis.error) == ""


def test_a_split_hides_the_sealed_part_until_somebody_looks(study, cast):
    golden(study)
    rater, other = judged(study), judged(study, "judge-b", 5)
    split_gold(study, seed=1)
    assert [(str(row.rater), row.figures.part) for row in judge_rows(study, [rater, other])] == [
        ("judge-a", "tuning"),
        ("judge-b", "tuning"),
    ]
    assert accuracy_kept(study, rater, "tuning").items == gold_parts(study).tuning == 40
    with pytest.raises(UserError, match="Nobody has looked"):
        accuracy_kept(study, rater, "sealed")
    with pytest.raises(UserError, match="Nobody has looked"):
        accuracy_kept(study, rater, "all")
    reveal(study, rater, "before the report")
    assert accuracy_kept(study, rater, "sealed").items == gold_parts(study).sealed == 40
    with pytest.raises(UserError, match="Nobody has looked"):
        accuracy_kept(study, other, "sealed")


def test_a_judge_may_stand_in_on_a_category(study, cast):
    """Three humans who err apart on Alpha; on Beta nobody labelled enough."""
    third = builders.rater("cem", "human")
    humans_of(study, cast)
    labels(study, third, lambda item: off(item, 11))
    good, bad = judged(study, by=13), judged(study, "judge-b", 2)
    ceilings = {one.category: one for one in human_ceilings(study, good, "all")}
    assert list(ceilings) == ["", "Alpha", "Beta"]
    assert ceilings[""].test.passed and ceilings[""].won == 3 and ceilings[""].items == 80
    assert ceilings["Alpha"].items == 40 and ceilings["Alpha"].test.humans[0].items == 40
    assert not human_ceilings(study, bad, "all")[0].test.passed
    split_gold(study, seed=1, share=0.75)
    few = human_ceilings(study, good, "tuning")[0]
    assert few.items == 20 and few.test is None and "30" in few.undefined


def test_the_command_tells_everything(study, cast):
    assert "No item has gold" in refusal("calibrate", "tiny")
    golden(study)
    assert "No judge has labelled" in refusal("calibrate", "tiny")
    judged(study, confidence=0.9, confidence_scale="probability", simulated=True)
    told = as_json("calibrate", "tiny")
    assert told["split"] is None and told["gold"]["kind"] == "census" and told["human_error"]["undefined"]
    (one,) = told["judges"]
    assert one["judge"] == "judge-a" and one["simulated"] and one["part"] == "all" and not one["in_sample"]
    assert one["labels"][0]["label"] == told["labels"][0] and len(one["table"]) == 4
    assert one["stands_in"][0]["passed"] is None and "3 are needed" in one["stands_in"][0]["undefined"]
    assert one["confidence"]["n"] == 80
    assert Rating.objects.filter(simulated=True).count() == 80


def test_the_command_splits_and_looks(study):
    golden(study)
    judged(study)
    assert "not split" in refusal("calibrate", "tiny", "--judge", "judge-a", "--reveal", "why not")
    split = as_json("calibrate", "tiny", "--split", "--seed", "3", "--share", "0.25")["split"]
    assert (split["tasks"], split["sealed_tasks"], split["sealed"], split["looks"]) == (8, 2, 20, [])
    assert "only once" in refusal("calibrate", "tiny", "--split")
    assert "name it by --judge" in refusal("calibrate", "tiny", "--reveal", "final figures")
    assert "Say why" in refusal("calibrate", "tiny", "--judge", "judge-a", "--reveal", " ")
    before = as_json("calibrate", "tiny")
    assert [(one["part"], one["in_sample"]) for one in before["judges"]] == [("tuning", True)]
    told = as_json("calibrate", "tiny", "--judge", "judge-a", "--reveal", "final figures")
    assert [one["part"] for one in told["judges"]] == ["tuning", "sealed"]
    (look,) = told["split"]["looks"]
    assert (look["judge"], look["by"], look["reason"]) == ("judge-a", None, "final figures")


def test_the_command_for_people(study, capsys):
    from django.core.management import call_command

    golden(study)
    judged(study)
    call_command("calibrate", "tiny")
    out = capsys.readouterr().out
    assert "80 items with gold, weighted" in out and "not split" in out and "judge-a" in out
    assert "--epsilon" in refusal("calibrate", "tiny", "--epsilon", "2")
    assert "--compare" in refusal("calibrate", "tiny", "--part", "tuning")

"""Drawing the items of a study for people: what a draw waits for, and what is drawn."""

import io
from contextlib import redirect_stdout

import pytest
from django.core.management import call_command

from annotation.models import (
    DrawnItem,
)
from arbiter.core.errors import UserError
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studydraws import draw_now
from tests import builders
from tests.arbiter.cli.commands import document, refusal
from tests.arbiter.studies.setup.editing import everything
from tests.judging.studyfiles import file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("there_are_responses")]


def judged(study, label="convergence"):
    for item in study.items.filter(judge_votes=0):
        builders.rate(item, builders.rater("careful"), "convergence")
        builders.rate(item, builders.rater("noisy"), label)


BY_JUDGES = {"budget": 10, "gold": {"share": 0.25}}


def test_a_plan_that_needs_judges_waits_for_them_and_the_rest_is_applied():
    applied = apply(file(humans=BY_JUDGES))
    assert applied.summary()["waiting"] == [
        "24 items have fewer than two judges' votes, and the strata of humans are made of them: let the "
        "judges finish, "
        "then run `manage.py study draw pump`."
    ]
    assert list(applied.study.draws.values_list("name", flat=True)) == ["gold"]
    judged(applied.study)
    assert apply(file(humans=BY_JUDGES)).waiting == []
    assert list(applied.study.draws.values_list("name", flat=True)) == ["gold", "main"]


def test_drawing_now_tells_what_was_drawn_by_stratum():
    study = apply(file(humans=BY_JUDGES)).study
    told = draw_now(study)
    assert told["study"] == "pump" and [draw["draw"] for draw in told["draws"]] == ["main", "gold"]
    main = told["draws"][0]
    assert (main["purpose"], main["raters_per_item"]) == ("slot", 2)
    split, unanimous = main["strata"]
    assert split == {
        "stratum": "split",
        "probability": pytest.approx(10 / 24),
        "items": 24,
        "drawn": DrawnItem.objects.drawn().filter(draw__name="main").count(),
    }
    assert unanimous == {"stratum": "unanimous", "probability": 1.0, "items": 0, "drawn": 0}
    assert draw_now(study) == told
    assert apply(file(humans=BY_JUDGES)).waiting == []


def test_the_command_draws_and_prints_one_row_a_stratum():
    study = apply(file(humans=BY_JUDGES)).study
    assert document("study", "draw", "pump") == draw_now(study)
    printed = io.StringIO()
    with redirect_stdout(printed):
        call_command("study", "draw", "pump")
    assert [line.split()[:2] for line in printed.getvalue().splitlines()[1:]] == [
        ["main", "split"],
        ["main", "unanimous"],
        ["gold", "all"],
    ]
    assert refusal("study", "draw", "pond") == "There is no study 'pond' (known: pump)."


def test_a_study_without_a_human_plan_has_nothing_to_draw():
    with pytest.raises(UserError, match="'pump' has no human plan; describe one under humans"):
        draw_now(apply(file()).study)


def test_a_plan_refused_at_the_draw_leaves_nothing():
    before = everything()
    by = {"by": "category", "probabilities": {"Alpha": 0.5}}
    with pytest.raises(UserError, match=r"humans\.probabilities: 'Beta' has none"):
        apply(file(humans=by))
    with pytest.raises(UserError, match=r"humans\.gold\.probabilities: 'Beta' has none"):
        apply(file(humans={"gold": by}))
    assert everything() == before

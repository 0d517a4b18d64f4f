"""What to do next: each sentence comes when there is something to do, in order, and goes when it is done."""

import pytest
from django.core.cache import cache
from django.urls import reverse

from annotation.access import Role
from annotation.models import Gold
from arbiter.analysis.overview import overview
from arbiter.analysis.steps import StepPlace
from arbiter.studies.reading.nextsteps import next_steps, plan_step
from arbiter.web.study.step_links import PAGES, linked
from judging.models import GoldSplit
from judging.panel.verdict_progress import progress
from judging.settlement.settling import settle
from tests import builders
from tests.databases import remove
from tests.judging.helpers import endpoint, judge
from tests.judging.planned import draw_gold, judged_study, write_gold
from tests.judging.rows import verdict

pytestmark = pytest.mark.django_db


def texts(study):
    cache.clear()  # on a loaded machine a count takes long enough to be kept for a while
    return [step.text for step in next_steps(study, overview(study), progress(study))]


def said(study, words):
    return any(words in text for text in texts(study))


def test_a_new_study_wants_judges_and_a_draw(study):
    assert texts(study)[0].startswith("No judge labels here yet")
    assert said(study, "Nothing is drawn for people")
    for item in study.items.all():
        builders.rate(item, builders.rater("judge-a"))
    assert not said(study, "No judge labels here yet") and said(study, "settle the study")


def test_verdicts_to_ask_for_come_before_all_else(study):
    asked = judge(study, endpoint())
    verdict(asked, study.items.first(), "failed")
    first, second, *_ = texts(study)
    assert (first, second) == (
        "5 verdicts are still to be asked for.",
        "1 verdict failed and can be asked for again.",
    )


def test_people_and_places(study):
    builders.draw(study, per_item=2, seed=1)
    assert said(study, "12 places wait for a rater's label.") and said(study, "nobody is invited")
    builders.cast(study)
    assert not said(study, "nobody is invited")


def test_gold_is_split_before_a_judge_is_tuned_on_it(study):
    judge(study, endpoint())
    item = study.items.first()
    Gold.objects.create(item=item, label=study.scheme.labels.first(), origin="single")
    assert said(study, "Split the gold before tuning")
    GoldSplit.objects.create(study=study)
    assert not said(study, "Split the gold before tuning")


def test_experts_places_wait_until_their_items_have_gold(study):
    draw_gold(study, {item.pk: True for item in study.items.all()}, plan="everyone")
    assert not said(study, "drawn for experts wait")
    remove(Gold.objects.all())
    assert said(study, "6 items drawn for experts wait for gold.")


def test_disputes_and_settling(study):
    items = list(study.items.all())
    for name, label in (("ann", "convergence"), ("ben", "no_convergence")):
        builders.rate(items[0], builders.rater(name, "human"), label)
    assert said(study, "1 dispute waits for a decision.") and said(study, "settle the study")
    settle(study)
    assert not said(study, "settle the study")
    steps = {step.text: step for step in next_steps(study, overview(study), progress(study))}
    step = steps["1 dispute waits for a decision."]
    assert linked([step], study, Role.OWNER)[0].address == reverse("adjudicate", args=["tiny"])
    assert linked([step], study, Role.VIEWER)[0].address == ""


def test_every_place_of_a_step_has_a_page():
    assert set(PAGES) == set(StepPlace)
    assert all(reverse(name, args=["tiny"]) for name, _, _ in PAGES.values())


def test_the_plans_step_names_labels_stratum_arm_and_width():
    study, truth = judged_study()
    draw = draw_gold(study, truth, budget=60)
    step = plan_step(study)
    [shown] = linked([step], study, Role.OWNER)
    assert shown.where == "Plan" and "bring the interval of model-" in step.text
    assert "in stratum split" in step.text and step.text.endswith("points.")
    assert shown.address.startswith(reverse("study-plan", args=["planned"]) + "?width=")
    draw.framed.update(probability=1.0)
    write_gold(study, truth, draw)


def test_without_gold_or_items_the_plan_has_no_step(study):
    assert plan_step(study) is None
    study.items.all().delete()
    assert plan_step(study) is None

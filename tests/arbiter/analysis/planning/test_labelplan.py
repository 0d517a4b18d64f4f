"""A study's plan: what it says more labels bring is what they bring, and its change of the study file draws
them."""

import numpy as np
import pytest
import yaml
from django.core.cache import cache
from django.core.management import call_command

from annotation.draws import plan_draw
from annotation.humanplan import GoldDrawSpec
from annotation.models import Draw, Gold, Rating
from arbiter.analysis.planning.filechange import least_probability
from arbiter.analysis.planning.labelplan import label_plan
from arbiter.analysis.planning.planspec import PlanSpec
from arbiter.analysis.planning.samplingframe import sampling_frame
from arbiter.core.errors import UserError
from arbiter.statistics import PlannedStudy, difference_power
from arbiter.statistics.post_stratification import ArmGold, post_stratified_all
from judging.votes.goldsample import gold_sample
from tests import builders
from tests.arbiter.cli.commands import document, refusal
from tests.databases import remove, rewrite
from tests.judging.planned import draw_gold, judged_study, write_gold

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def drawn(rows_of_module):
    study, truth = judged_study()
    return truth, draw_gold(study, truth, budget=60).pk


@pytest.fixture
def planned(drawn):
    truth, key = drawn
    draw = Draw.objects.select_related("study").get(pk=key)
    return draw.study, truth, draw


def by(rows, key, value):
    return next(row for row in rows if row[key] == value)


def test_the_board_counts_every_item_once(planned):
    study, _, draw = planned
    board = sampling_frame(study, ("subject", "condition"))
    assert [arm.name for arm in board.arms] == ["model-a, baseline", "model-b, baseline"]
    assert sum(arm.total for arm in board.arms) == 400 == board.sizes.sum()
    assert (board.arms[0].by_task.sum(axis=0) == board.arms[0].items.sum(axis=0)).all()
    assert sum(int(arm.gold.sum()) for arm in board.arms) == Gold.objects.count() == board.gold
    split = next(one for one in board.strata if one.name == "split")
    assert split.labelled == split.drawn == draw.framed.drawn().filter(stratum="split").count()
    assert split.items == study.items.filter(judges_split=True).count()
    assert (np.diff(board.arms[0].rates) > 0).all()  # more target votes, more often convergent


@pytest.mark.engine
def test_a_plan_says_how_many_in_which_strata(planned):
    study, _, _ = planned
    plan = label_plan(study, PlanSpec(width=0.15, finite=True))
    assert plan["more"] == sum(row["more"] for row in plan["strata"]) > 0
    for row in plan["rows"]:
        assert row["reachable"] and row["planned_width"] <= 0.15 < row["width"]
        assert row["more"] <= plan["more"]
    assert max(row["planned_width"] for row in plan["rows"]) > 0.14  # and not a label too many


def test_a_wider_interval_takes_fewer_labels_and_one_arm_fewer_than_all(planned):
    study, _, _ = planned
    of = [label_plan(study, PlanSpec(width=width, finite=True))["more"] for width in (0.1, 0.15, 0.2)]
    assert of[0] > of[1] > of[2]
    one = label_plan(study, PlanSpec(width=0.1, finite=True, arms=("model-a,baseline",)))
    assert 0 < one["more"] <= of[0] and len(one["rows"]) == 1


def test_the_change_of_the_file_draws_what_the_plan_asks_for(planned):
    study, truth, draw = planned
    plan = label_plan(study, PlanSpec(width=0.15, finite=True))
    changed = {row["key"]: row for row in plan["change"]}
    assert changed["humans.gold.budget"]["from"] == 60
    gold = yaml.safe_load(plan["file"])["humans"]["gold"]
    plan_draw(
        study, GoldDrawSpec.model_validate({"budget": 60} | gold), name="gold", purpose="gold", now=True
    )
    for row in plan["strata"]:
        drawn = draw.framed.drawn().filter(stratum=row["stratum"]).count()
        assert drawn >= row["labelled"] + row["more"]
        assert drawn <= row["items"]
    total = draw.framed.drawn().count()
    assert (
        total <= (plan["more"] + Gold.objects.count()) * 1.5
    )  # the budget's two shares are coarser than the plan
    write_gold(study, truth, draw)
    cache.clear()
    again = label_plan(study, PlanSpec(width=0.15, finite=True))
    assert again["more"] < plan["more"] / 3 and all(row["width"] < 0.18 for row in again["rows"])


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ({"share": 0.2}, "humans.gold.share"),
        (
            {"by": "judges", "probabilities": {"split": 0.4, "unanimous": 0.1}},
            "humans.gold.probabilities.unanimous",
        ),
        ({"strata": [{"name": "most", "probability": 0.2}]}, "humans.gold.strata.most.probability"),
    ],
)
def test_every_kind_of_plan_is_raised_by_its_own_keys(spec, key):
    study, truth = judged_study("another")
    draw = draw_gold(study, truth, **spec)
    plan = label_plan(study, PlanSpec(width=0.12, finite=True))
    changed = {row["key"]: row for row in plan["change"]}
    assert changed[key]["to"] > changed[key]["from"]
    written = yaml.safe_load(plan["file"])["humans"]["gold"]
    merged = {**spec, **written}
    if "probabilities" in spec:
        merged["probabilities"] = spec["probabilities"] | written["probabilities"]
    plan_draw(study, GoldDrawSpec.model_validate(merged), name="gold", purpose="gold", now=True)
    for row in plan["strata"]:
        drawn = draw.framed.drawn().filter(stratum=row["stratum"]).count()
        assert (
            row["labelled"] + row["more"] <= drawn <= row["labelled"] + row["more"] + 1 or not row["to_draw"]
        )


def test_what_is_drawn_and_waits_needs_no_change(planned):
    study, _, _ = planned
    remove(Gold.objects.filter(pk__in=list(Gold.objects.values_list("pk", flat=True)[40:])))
    waiting = label_plan(study, PlanSpec(width=0.3, finite=True))
    if waiting["more"]:
        assert waiting["change"] == [] and "drawn already" in waiting["how"]


def test_without_gold_priors_are_used_and_said():
    study, _ = judged_study("another")
    plan = label_plan(study, PlanSpec(width=0.2, finite=True))
    assert plan["gold"] == 0 and any("No gold yet" in one for one in plan["basis"])
    assert any("Nothing is drawn" in one for one in plan["basis"])
    assert all(row["width"] is None and not row["stop"] for row in plan["rows"])
    written = yaml.safe_load(plan["file"])["humans"]["gold"]
    assert 0 < written["probabilities"]["unanimous"] < written["probabilities"]["split"] <= 1
    drawn = plan_draw(study, GoldDrawSpec.model_validate(written), name="gold", purpose="gold", now=True)
    assert abs(drawn.framed.drawn().count() - plan["more"]) < 30


def test_without_judges_half_are_assumed_to_converge(study):
    plan = label_plan(study, PlanSpec(width=0.5, finite=True))
    assert any("the worst case" in one for one in plan["basis"])


def test_gold_through_no_draw_is_left_out_and_said(planned):
    study, _, draw = planned
    rewrite(Gold.objects.all(), draw=None)
    draw.delete()
    plan = label_plan(study, PlanSpec(width=0.2, finite=True))
    assert plan["gold"] == 0 and any("through no draw" in one for one in plan["basis"])


def test_gold_on_every_item_leaves_nothing_to_plan(planned):
    study, truth, draw = planned
    draw.framed.update(probability=1.0)
    write_gold(study, truth, draw)
    plan = label_plan(study, PlanSpec(width=0.05, finite=True))
    assert plan["more"] == 0


def test_what_tasks_alone_leave_is_said(planned):
    study, _, _ = planned
    plan = label_plan(study, PlanSpec(width=0.05))
    for row in plan["rows"]:
        assert not row["reachable"] and row["more"] is None and "more tasks" in row["why"]
        assert row["least_width"] > 0.05
    assert plan["more"] == 0 and plan["change"] == []


def test_two_arms_are_told_apart(planned):
    study, _, _ = planned
    plan = label_plan(study, PlanSpec(apart=("model-a,baseline", "model-b,baseline"), finite=True))
    (row,) = plan["rows"]
    assert row["rate"] == pytest.approx(0.35, abs=0.12)
    assert row["arm"].startswith("model-a, baseline")


def test_the_stop_signal_comes_after_enough_gold_and_later_than_a_single_look_would_say(planned):
    study, truth, draw = planned
    asked = PlanSpec(width=0.25, finite=True, arms=("model-a,baseline",))
    early = label_plan(study, asked)["rows"][0]
    assert early["anytime_width"] is None or early["anytime_width"] > early["width"]
    draw.framed.update(probability=1.0)
    assert not early["stop"]
    write_gold(study, truth, draw, at_most=300)
    cache.clear()
    late = label_plan(study, asked)["rows"][0]
    assert late["anytime_width"] > late["width"] and late["stop"]


@pytest.mark.engine
def test_the_interval_of_every_look_lies_about_the_corrected_rate_that_rates_shows(planned):
    study, truth, draw = planned
    draw.framed.update(probability=1.0)
    write_gold(study, truth, draw, at_most=300)
    cache.clear()
    shown = {
        f"{row['subject']}, {row['condition']}": row
        for row in document("rates", "planned", "--estimator", "corrected", "--by", "subject,condition")[
            "rows"
        ]
    }
    for row in label_plan(study, PlanSpec(width=0.25))["rows"]:
        rate = shown[row["arm"]]
        assert row["corrected"] == pytest.approx(rate["rate_all"])
        assert row["anytime_low"] <= rate["low_all"] < rate["high_all"] <= row["anytime_high"]
    [gap] = label_plan(study, PlanSpec(apart=("model-a,baseline", "model-b,baseline")))["rows"]
    one, other = (shown[f"model-{name}, baseline"]["rate_all"] for name in "ab")
    assert gap["corrected"] == pytest.approx(one - other)
    assert gap["anytime_low"] < gap["corrected"] < gap["anytime_high"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (PlanSpec(width=0), "between 0 and 1"),
        (PlanSpec(width=1.5), "between 0 and 1"),
        (PlanSpec(power=0.2), "at least 0.5"),
        (PlanSpec(by=("task",)), "any of subject"),
        (PlanSpec(by=("subject", "subject")), "twice"),
        (PlanSpec(by=()), "any of subject"),
        (PlanSpec(arms=("nobody",)), "There is no arm 'nobody'; there are: model-a, baseline"),
        (PlanSpec(apart=("model-a,baseline", "model-a, baseline")), "two different ones"),
    ],
)
def test_a_question_it_cannot_answer_is_refused_in_a_sentence(planned, asked, said):
    with pytest.raises(UserError, match=said):
        label_plan(planned[0], asked)


def corrected_width(study, truth):
    """Of the first arm's rate among these very items, by the estimator that rates are corrected with."""
    judges = sorted({rating.rater_id for rating in Rating.objects.filter(item__study=study)})
    arm = study.items.filter(response__run__subject__name="model-a")
    tasks = sorted(set(arm.values_list("response__task", flat=True)))
    target = study.scheme.labels.get(key="convergence").pk
    items, gold = np.zeros((len(tasks), 4)), np.zeros((3, len(tasks), 4, 3))
    weight = {one.name: one.items / one.labelled for one in gold_sample(study).design.strata}
    stratum = dict(study.draws.get().framed.values_list("item", "stratum"))
    golden = set(Gold.objects.filter(item__study=study).values_list("item", flat=True))
    for pk, votes, task in arm.values_list("pk", "votes", "response__task"):
        kind = sum(int(vote.endswith(f":{target}")) for vote in votes.split())
        items[tasks.index(task), kind] += 1
        if pk in golden:
            one = weight[stratum[pk]]
            gold[:, tasks.index(task), kind, 0 if truth[pk] else 1] += (1, one, one**2)
    assert len(judges) == 3
    rate = post_stratified_all(items, ArmGold(*gold), finite=True)
    return float(rate.high - rate.low)


def test_the_width_predicted_is_the_width_got():
    """Planned from 60 labels, then labelled as planned: what the corrected rate's interval is like on
    average."""
    got, predicted = [], []
    for seed in range(8):
        study, truth = judged_study(f"planned-{seed}", tasks=20, seed=seed)
        draw = draw_gold(study, truth, budget=60)
        plan = label_plan(study, PlanSpec(width=0.15, finite=True, arms=("model-a,baseline",)))
        for row in plan["strata"]:
            draw.framed.filter(stratum=row["stratum"]).update(
                probability=least_probability(
                    draw, row["stratum"], row["labelled"] + row["more"], row["items"]
                )
            )
        write_gold(study, truth, draw)
        predicted.append(plan["rows"][0]["planned_width"])
        got.append(corrected_width(study, truth))
    assert np.mean(got) == pytest.approx(np.mean(predicted), rel=0.15)


# The command


def test_the_command_prints_the_plan(planned, capsys):
    printed = document("plan", "planned", "--width", "0.15", "--finite")
    assert printed["more"] > 0 and printed["strata"][0]["stratum"] == "split"
    call_command("plan", "planned", "--width", "0.15", "--finite")
    said = capsys.readouterr().out
    assert f"{printed['more']} more items with gold" in said and "budget:" in said and "1.55 times" in said
    one = document("plan", "planned", "--apart", "model-a,baseline", "model-b,baseline")
    assert one["rows"][0]["arm"] == "model-a, baseline − model-b, baseline"


def test_the_command_before_a_study(capsys):
    builders.study("early", tasks=76, epochs=2)
    printed = document("plan", "early", "--before", "--rate", "0.3", "--difference", "-0.15")
    assert (printed["tasks"], printed["epochs"]) == (76, 2)
    rows = {row["epochs"]: row for row in printed["rows"]}
    assert rows[2]["planned"] and not rows[1]["planned"]
    expected = difference_power(0.3, 0.15, PlannedStudy(76, 10, 0.3))
    assert rows[10]["power_difference"] == pytest.approx(expected, abs=1e-9)
    assert rows[1]["width"] > rows[10]["width"]
    judged = document("plan", "early", "--before", "--sensitivity", "0.8", "--specificity", "0.9")
    plain = document("plan", "early", "--before")
    assert judged["rows"][0]["width"] > plain["rows"][0]["width"]
    call_command("plan", "early", "--before")
    assert "power_difference" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rate", "1"], "--rate is a rate"),
        (["--rate", "0.1"], "must differ"),
        (["--difference", "0.9"], "another one strictly between"),
        (["--icc", "2"], "--icc lies in 0..1"),
        (["--sensitivity", "0"], "more than 1"),
        (["--tasks", "1"], "--tasks is at least 2"),
    ],
)
def test_the_command_refuses_what_cannot_be(options, said):
    builders.study("early")
    assert said in refusal("plan", "early", "--before", *options)

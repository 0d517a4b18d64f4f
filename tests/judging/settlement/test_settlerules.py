"""The rules of settlement: what each decides, on which gold the model is fitted,
and when it accepts nothing."""

from dataclasses import replace

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from annotation.adjudication import adjudicate
from annotation.models import Draw, Gold, Item, Study
from arbiter.core.errors import UserError
from judging.models import GoldSplit, Settlement, SettlementVersion
from judging.settlement.scores import backing, is_backed, unbacked
from judging.settlement.settling import rebuild_finals, settle, settle_items
from judging.votes.goldsample import gold_sample
from tests import builders
from tests.commands import as_json
from tests.databases import remove, rewrite
from tests.judging.settled import gold, panel, right_share

pytestmark = pytest.mark.django_db
C, N, S, X = "convergence", "no_convergence", "safety_refusal", "nonsensical"


def vote(item, *labels):
    for number, label in enumerate(labels):
        builders.rate(item, builders.rater(f"judge-{number}"), label)


def final(item):
    kept = Item.objects.select_related("final").get(pk=item.pk)
    return kept.final and kept.final.key, kept.final_rule


@pytest.fixture
def items(study):
    return list(study.items.order_by("id"))


# Counting


@pytest.mark.engine
def test_unanimous_leaves_open_what_one_voter_sees_otherwise(study, items):
    vote(items[0], C, C, C)
    vote(items[1], C, C, N)
    vote(items[2], X)
    result = settle(study, "unanimous")
    assert result["by_rule"] == {"split": 1, "unanimous": 2, "unlabelled": 3} and result["open"] == 4
    assert [final(item) for item in items[:3]] == [(C, "unanimous"), (None, "split"), (X, "unanimous")]
    assert items[1].settlements.get().posterior == {C: round(2 / 3, 6), N: round(1 / 3, 6)}


@pytest.mark.parametrize("rule", ["gold", "tie", "nonsense", ""])
def test_what_is_no_rule_is_refused(study, rule):
    with pytest.raises(UserError, match="no rule"):
        settle(study, rule)


@pytest.mark.parametrize("threshold", [0.4, 1.0, 1.5, -1])
def test_a_threshold_is_a_posterior_that_can_be_reached(study, threshold):
    with pytest.raises(UserError, match="threshold"):
        settle(study, "model", threshold=threshold)


# Weighted


def test_without_gold_votes_are_not_weighted(study, items):
    vote(items[0], C, C)
    with pytest.raises(UserError, match="no item has gold"):
        settle(study, "weighted")
    assert not SettlementVersion.objects.exists()


def test_gold_that_nobody_voted_on_weights_nothing(study, items):
    vote(items[0], C)
    Gold.objects.create(item=items[1], label=study.scheme.labels.get(key=C), origin="imported")
    with pytest.raises(UserError, match="no rater has voted"):
        settle(study, "weighted")


@pytest.mark.engine
def test_a_judge_who_is_right_on_gold_outvotes_two_who_are_not():
    study = builders.study(tasks=4, epochs=10)
    items = list(study.items.order_by("id"))
    for number, item in enumerate(items[:36]):
        vote(item, C, N if number % 2 else C, C if number % 3 else N)
        Gold.objects.create(item=item, label=study.scheme.labels.get(key=C), origin="imported")
    vote(items[36], N, C, C)
    vote(items[37], X, X, X)
    settle(study)
    assert final(items[36]) == (C, "majority")
    result = settle(study, "weighted")
    assert final(items[36]) == (N, "weighted") and final(items[37]) == (X, "weighted")
    assert result["by_rule"]["unlabelled"] == 2 and result["relabelled"] >= 1
    newest = items[36].settlements.order_by("revision").last()
    assert set(newest.posterior) == {C, N, S, X} and sum(newest.posterior.values()) == pytest.approx(
        1, abs=1e-5
    )
    weights = SettlementVersion.objects.get(number=2).fit["weights"]
    assert weights["judge-0"] > weights["judge-1"] and weights["judge-0"] > weights["judge-2"]


# The model


@pytest.fixture(scope="module")
def truth(rows_of_module):
    """Make three judges' study with gold, and return each item's true label."""
    return panel()[1]


@pytest.fixture
def panelled(db, truth):
    return Study.objects.get(slug="panel")


@pytest.fixture
def settled(panelled, truth):
    return panelled, truth, settle(panelled, "model", threshold=0.85)


@pytest.mark.engine
def test_it_accepts_what_it_is_sure_of_and_is_right_as_often_as_it_says(settled):
    study, true, result = settled
    assert result["calibrated"] and result["reason"] == ""
    assert set(result["by_rule"]) == {"model", "unsure"} and result["settled"] > 150
    accepted = study.items.filter(final_rule="model")
    claimed = float(np.mean(accepted.values_list("final_chance", flat=True)))
    assert min(accepted.values_list("final_chance", flat=True)) >= 0.85
    assert right_share(study, true) == pytest.approx(claimed, abs=0.05)
    unsure = study.items.filter(final_rule="unsure")
    assert unsure.exists() and max(unsure.values_list("final_chance", flat=True)) < 0.85
    assert not unsure.filter(final__isnull=False).exists()
    fit = SettlementVersion.objects.get().fit
    assert fit["error"] < 0.06 < fit["error_plain"] and fit["temperature"] > 1
    assert fit["accepted"]["low"] <= fit["accepted"]["claimed"] <= fit["accepted"]["high"]


def test_a_settlement_says_all_it_was_made_of(settled):
    study, _, result = settled
    one = Settlement.objects.filter(rule="model").first()
    assert set(one.posterior) == {C, N, S, X} and sum(one.posterior.values()) == pytest.approx(1, abs=1e-5)
    assert len(one.inputs_hash) == 64 and one.version.number == result["version"] == 1
    version = one.version
    assert (version.rule, version.options) == ("model", {"threshold": 0.85}) and len(
        version.inputs_hash
    ) == 64
    assert version.changes["new"] == study.items.count() and version.changes["moved"] == []
    assert set(version.fit["errors"]) == {"judge-0", "judge-1", "judge-2"}


def test_calibration_is_told_by_arm(settled):
    arms = SettlementVersion.objects.get().fit["arms"]
    assert [(one["subject"], one["condition"]) for one in arms] == [
        ("model-a", "baseline"),
        ("model-a", "watched"),
    ]
    assert all(one["items"] >= 20 and 0 <= one["error"] < 0.2 for one in arms)


def test_an_arm_with_little_gold_has_no_figure():
    study, _ = panel(tasks=14, epochs=8, share=0.8, slug="other")
    watched = Gold.objects.filter(item__study=study, item__response__run__condition__name="watched").order_by(
        "pk"
    )
    remove(Gold.objects.filter(pk__in=list(watched.values_list("pk", flat=True)[:32])))
    settle(study, "model")
    arms = {one["condition"]: one for one in SettlementVersion.objects.get().fit["arms"]}
    assert arms["watched"]["error"] is None and "fewer than 20" in arms["watched"]["reason"]
    assert arms["baseline"]["error"] is not None


@pytest.mark.parametrize("share", [0, 0.1])
def test_with_little_gold_nothing_is_accepted_and_why_is_said(share):
    study, _ = panel(share=share, slug="other")
    result = settle(study, "model", threshold=0.5)
    assert not result["calibrated"] and "not calibrated" in result["reason"]
    assert result["by_rule"] == {"unsure": study.items.count()} and result["calibration_error"] is None
    assert Settlement.objects.first().posterior  # to rank what is left to people


def test_gold_that_came_through_no_draw_calibrates_nothing(panelled):
    study = panelled
    rewrite(Gold.objects.all(), draw=None)
    result = settle(study, "model", threshold=0.5)
    assert result["settled"] == 0 and "through no draw" in result["reason"]
    assert result["calibration_error"] is not None  # shown, and not relied on


def test_the_sealed_part_is_not_looked_at():
    """The very same settling comes of it, whatever sealed gold says."""
    study, _ = panel(share=0.8, slug="other")
    tasks = list(study.items.values_list("response__task", flat=True).distinct().order_by("response__task"))
    GoldSplit.objects.create(study=study, parts={str(task): n % 2 == 0 for n, task in enumerate(tasks)})
    settle(study, "model", threshold=0.8)
    fit = SettlementVersion.objects.get().fit
    sample = gold_sample(study)
    assert (fit["gold"], fit["sealed"]) == ((~sample.sealed).sum(), sample.sealed.sum()) and fit[
        "sealed"
    ] > 50
    before = dict(study.items.values_list("pk", "final_chance"))
    other = study.scheme.labels.get(key=X)
    rewrite(Gold.objects.filter(item__in=sample.items[sample.sealed].tolist()), label=other)
    settle(study, "model", threshold=0.8)
    assert dict(study.items.values_list("pk", "final_chance")) == before


def test_gold_of_an_item_does_not_settle_it_unless_the_study_says_so(settled):
    study, _, _ = settled
    study.gold_decides = True
    study.save()
    result = settle(study, "model", threshold=0.85)
    assert result["by_rule"]["gold"] == Gold.objects.count()


def test_patterns_unlike_any_gold_are_not_accepted(settled):
    study, _, _ = settled
    item = study.items.filter(golds=None).first()
    for number in range(3):
        builders.rate(item, builders.rater(f"judge-{number}"), X)
    settle(study, "model", threshold=0.5)
    assert final(item) == (None, "unsure")


def test_posteriors_that_are_too_sure_are_not_accepted(monkeypatch, settled):
    """As they would be without temperature and shrinkage."""
    from arbiter.statistics import posteriors

    study, _, _ = settled
    monkeypatch.setattr(posteriors, "HOTTEST", 1.0000001)
    monkeypatch.setattr(posteriors, "STRENGTHS", (float("inf"),))
    result = settle(study, "model", threshold=0.86)
    assert not result["calibrated"] and "too sure" in result["reason"] and result["settled"] == 0


def test_what_gold_in_its_own_bin_does_not_back_is_left_to_people(panelled):
    """Two thirds of the items get the posterior that gold backs;
    those between .75 and .9 are too few with gold."""
    study = panelled
    result = settle(study, "model", threshold=0.75)
    fit = SettlementVersion.objects.get().fit
    assert [row["backed"] for row in fit["backing"]] == [False, False, True]
    assert fit["backing"][-1]["least"] >= max(0.75, fit["backing"][-1]["claimed"] - 0.1)
    accepted = study.items.filter(final_rule="model")
    assert result["settled"] == accepted.count() > 150
    assert min(accepted.values_list("final_chance", flat=True)) >= 0.9
    between = study.items.filter(final_rule="unsure", final_chance__gte=0.75).count()
    assert result["held_back"] == fit["held_back"] <= between
    assert "no item has gold" in result["unbacked"] or "gold items are right" in result["unbacked"]
    nothing = settle(study, "model", threshold=0.95)
    assert nothing["settled"] == 0 and "too little gold to promise anything" in nothing["reason"]
    assert {row["accepted"] for row in fit["curve"] if row["threshold"] >= 0.9} == {0}


@pytest.mark.parametrize("seed", range(3))
def test_raters_who_barely_follow_gold_settle_nothing(seed):
    """They share a view of their own and agree with each other, so the model is sure;
    half of it is beside the truth."""
    study, _ = panel(
        seed, tasks=35, epochs=10, share=0.2, shared=0.9, accuracy=0.6, prevalence=0.5, slug="other"
    )
    result = settle(study, "model", threshold=0.9)
    assert result["settled"] == 0 and not result["calibrated"]


def test_few_right_labels_back_no_promise():
    """Of 14 gold items that claim .94, 14 right ones back .8 at most;
    where .8 are right, .9 is promised in one study of twenty."""
    rng = np.random.default_rng(1)
    all_right = backing(np.full(14, 0.94), np.ones(14, dtype=bool), np.ones(14), np.arange(14), 0.9)
    assert all_right[-1]["least"] == pytest.approx(0.05 ** (1 / 14), abs=1e-6) and not all_right[-1]["backed"]
    assert backing(np.full(29, 0.94), np.ones(29, dtype=bool), np.ones(29), np.arange(29), 0.9)[-1]["backed"]
    promised = 0
    for items in (10, 30, 60, 100):
        for _ in range(100):
            right = rng.random(items) < 0.88
            rows = backing(np.full(items, 0.94), right, np.ones(items), np.arange(items), 0.9)
            promised += rows[-1]["backed"]
    assert promised <= 30  # of 400: 20, were .9 right; three errors more


def test_a_bin_below_one_that_is_not_backed_is_not_either():
    confidence = np.repeat([0.95, 0.85], 200)
    right = np.concatenate([np.arange(200) % 4 > 0, np.arange(200) % 20 > 0])
    rows = backing(confidence, right, np.ones(400), np.arange(400), 0.8)
    assert rows[0]["least"] > 0.9 and [row["backed"] for row in rows] == [False, False]
    assert not is_backed(rows, confidence).any()
    turned = backing(confidence[::-1], right, np.ones(400), np.arange(400), 0.7)
    assert [row["backed"] for row in turned] == [False, False, True]
    assert is_backed(turned, np.array([0.69, 0.72, 0.85, 0.9, 1.0])).tolist() == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert "of posteriors from 0.7 to 0.8, no item has gold" in unbacked(turned, 0.7)
    assert unbacked(turned[-1:], 0.7) == ""


def test_peoples_votes_that_became_gold_are_no_evidence_beside_it():
    study, true = panel(share=0, slug="other")
    draw = builders.draw(study, share=0.5, per_item=1)
    ann = builders.rater("ann", "human")
    labels = {label.key: label for label in study.scheme.labels.all()}
    for one in draw.framed.drawn().select_related("item"):
        builders.rate(one.item, ann, true[one.item_id])
        Gold.objects.create(item=one.item, label=labels[true[one.item_id]], origin="consensus", draw=draw)
    result = settle(study, "model", threshold=0.8)
    fit = SettlementVersion.objects.get().fit
    assert fit["voters"] == ["judge-0", "judge-1", "judge-2"] and fit["left_out"] == 1
    assert result["calibrated"]
    without = study.items.filter(human_votes=0, final_rule="model")
    assert without.exists()


def test_voters_without_votes_leave_all_open(study, items):
    result = settle(study, "model")
    assert result["by_rule"] == {"unlabelled": 6}


# People first


@pytest.mark.engine
def test_a_decision_wins_over_every_rule_and_stays(settled):
    study, _, _ = settled
    accepted = study.items.filter(final_rule="model").first()
    posterior = accepted.settlements.get().posterior
    adjudicate(accepted, builders.rater("ada", "human"), S, "Because.")
    settle_items(study, [accepted.pk])
    latest = accepted.settlements.order_by("revision").last()
    assert (final(accepted), latest.version) == ((S, "adjudicated"), None) and latest.posterior == posterior
    for rule in ("unanimous", "majority", "weighted", "model"):
        settle(study, rule)
        assert final(accepted) == (S, "adjudicated")


def test_between_settlings_an_undecided_item_stays_as_the_model_left_it(settled):
    study, _, _ = settled
    item = study.items.filter(final_rule="model").first()
    builders.rate(item, builders.rater("judge-0"), X)
    settle_items(study, [item.pk])
    assert item.settlements.count() == 1


def test_between_settlings_a_rule_that_counts_votes_is_kept(study, items):
    vote(items[0], C, C, N)
    settle(study, "unanimous")
    settle_items(study, [items[0].pk])
    assert final(items[0]) == (None, "split")


# Versions


@pytest.mark.engine
def test_settling_again_says_what_changed(panelled):
    study = panelled
    settle(study, "majority")
    second = settle(study, "model", threshold=0.9)
    version = SettlementVersion.objects.get(number=2)
    moved = {(row["from"], row["to"]): row for row in version.changes["moved"]}
    became_open = {key: row["items"] for key, row in moved.items() if key[1] == ""}
    assert version.changes["since"] == 1 and set(became_open) <= {(C, ""), (N, "")}
    assert sum(became_open.values()) == second["open"] and second["relabelled"] == sum(
        row["items"] for row in moved.values()
    )
    row = moved[C, ""]
    named = Item.objects.filter(key__in=row["first"])
    assert len(row["first"]) == min(20, row["items"]) and set(named.values_list("final_rule", flat=True)) == {
        "unsure"
    }
    assert set(Settlement.objects.values_list("version__number", flat=True)) == {1, 2}


def test_settling_again_from_the_same_is_no_new_version(settled):
    study, _, first = settled
    before = Settlement.objects.count()
    again = settle(study, "model", threshold=0.85)
    assert again == {**first, "changed": 0} and Settlement.objects.count() == before
    builders.rate(builders.study("other").items.first(), builders.rater("judge-0"), C)  # of no concern here
    again = settle(study, "model", threshold=0.85)
    assert (again["version"], again["changed"]) == (1, 0) and SettlementVersion.objects.count() == 1
    assert settle(study, "model", threshold=0.95)["version"] == 2


def test_one_that_was_stopped_is_gone_on_with(monkeypatch):
    from judging.settlement import settling

    study, _ = panel(tasks=10, epochs=6, share=0, slug="other")
    monkeypatch.setattr(settling, "BATCH", 20)
    done, batch = [], settling.Settler.batch

    def dies(self, ids):
        if len(done) == 2:
            raise KeyboardInterrupt
        batch(self, ids)
        done.append(ids)

    monkeypatch.setattr(settling.Settler, "batch", dies)
    with pytest.raises(KeyboardInterrupt):
        settle(study)
    monkeypatch.setattr(settling.Settler, "batch", batch)
    assert SettlementVersion.objects.get().inputs_hash == "" and Settlement.objects.count() == 40
    result = settle(study)
    assert (result["version"], result["changed"]) == (1, 20)
    assert SettlementVersion.objects.get().inputs_hash and Settlement.objects.count() == 60


def test_what_items_keep_can_be_rebuilt(settled):
    study, _, _ = settled
    before = list(study.items.order_by("pk").values_list("final", "final_rule", "final_chance"))
    study.items.update(final=None, final_rule="", final_chance=None)
    rebuild_finals(study)
    assert list(study.items.order_by("pk").values_list("final", "final_rule", "final_chance")) == before


def test_more_gold_makes_it_calibrated():
    study, true = panel(share=0, slug="other")
    assert settle(study, "model", threshold=0.85)["settled"] == 0
    assert isinstance(gold(study, true, 0.6), Draw)
    result = settle(study, "model", threshold=0.85)
    assert result["version"] == 2 and result["settled"] > 150


# The command


def test_the_command(panelled):
    study = panelled
    told = as_json("settle", "panel", "--rule", "model", "--threshold", "0.85", "--audit-share", "0.2")
    assert (told["version"], told["rule"], told["calibrated"], told["reason"]) == (1, "model", True, "")
    assert told["settled"] + told["open"] == study.items.count() and 0 < told["calibration_error"] < 0.06
    assert told["audit"]["frame"] == told["by_rule"]["model"] and 0 < told["audit"]["drawn"] < 80
    assert as_json("settle", "panel")["rule"] == "majority"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rule", "weighted"], "no item has gold"),
        (["--rule", "model", "--threshold", "1"], "The threshold"),
        (["--audit-share", "2"], "The audit share"),
        (["--rule", "gold"], "invalid choice"),
    ],
)
def test_what_the_command_refuses(options, said):
    panel(tasks=4, epochs=2, share=0, slug="other")
    with pytest.raises(CommandError, match=said):
        call_command("settle", "other", *options)


def test_each_pattern_is_decided_once(monkeypatch):
    """However many items have it: the cost follows the patterns."""
    from judging.settlement import settling

    study, _ = panel(share=0, slug="other")
    decided, fitted = [], settling.fitted_rule

    def counting(*given):
        ready = fitted(*given)
        return replace(ready, decide=lambda pattern: (decided.append(pattern), ready.decide(pattern))[1])

    monkeypatch.setattr(settling, "fitted_rule", counting)
    settle(study)
    assert len(decided) == len(set(decided)) == study.items.values("votes").distinct().count() < 10

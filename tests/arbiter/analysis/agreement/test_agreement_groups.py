"""Agreement of people, judges and all; by category; of pairs; over repeats; and what is said beside it."""

import json
import random

import numpy as np
import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from sklearn.metrics import cohen_kappa_score

from annotation.models import PlacePurpose, Rater, Study
from annotation.schemes import SchemeSpec, save_scheme
from arbiter.analysis.agreement.coefficients import agreement, agreement_by, agreement_kept, pair_of
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.core.errors import UserError
from arbiter.statistics import (
    agreement_estimates,
    bias_index,
    count_rows,
    gwet_ac2,
    krippendorff_alpha,
    pairwise,
)
from tests import builders

LABELS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
KINDS = {"ann": "human", "ben": "human", "judge-a": "judge", "judge-b": "judge", "judge-c": "judge"}


def drawn(seed=1, items=24, agree=0.75):
    """A row a rater, -1 for no label."""
    chance = random.Random(seed)
    truth = [chance.choices(range(4), [0.4, 0.4, 0.15, 0.05])[0] for _ in range(items)]
    return np.array(
        [
            [
                -1 if chance.random() < 0.15 else t if chance.random() < agree else chance.randrange(4)
                for t in truth
            ]
            for _ in KINDS
        ]
    )


def rated(labels, keys=LABELS, scheme="four-class", tasks=12) -> Study:
    """A study rated so: items go round the tasks, tasks round two categories."""
    study = builders.study(tasks=tasks, epochs=-(-labels.shape[1] // tasks), scheme=scheme)
    return fill(study, labels, keys)


def fill(study, labels, keys=LABELS):
    items = study.items.order_by("response__epoch", "response__task__id")
    for (name, kind), row in zip(KINDS.items(), labels, strict=False):
        by = builders.rater(name, kind)
        for item, label in zip(items, row, strict=False):
            if label >= 0:
                builders.rate(item, by, keys[label])
    return study


def value(measured, group="all", name="alpha"):
    (one,) = [one for one in measured["groups"] if one["group"] == group]
    return one["coefficients"][name]


@pytest.mark.engine
@pytest.mark.django_db
def test_groups_are_their_raters_and_categories_their_items():
    labels = drawn()
    measured = agreement(rated(labels))
    rows = {"humans": labels[:2], "judges": labels[2:], "all": labels}
    task = np.arange(24) % 12
    for group, part in rows.items():
        expected = agreement_estimates(count_rows(part, 4), None, task)
        for name, one in expected.items():
            shown = value(measured, group, name)
            assert shown["value"] == pytest.approx(one.value, abs=1e-12)
            assert shown["delta"] == pytest.approx([one.delta.low, one.delta.high], abs=1e-9)
            # Tasks come in another order, which draws others of them.
            assert shown["bootstrap"] == pytest.approx([one.bootstrap.low, one.bootstrap.high], abs=0.05)
    by = {(row["value"], row["group"]): row for row in measured["by"]}
    assert len(by) == 6
    for place, category in enumerate(("Alpha", "Beta")):
        for group, part in rows.items():
            here = count_rows(part[:, task % 2 == place], 4)
            assert by[category, group]["coefficients"]["alpha"]["value"] == pytest.approx(
                krippendorff_alpha(here)
            )
            assert by[category, group]["pairable"] == (here.sum(axis=1) > 1).sum()


@pytest.mark.engine
@pytest.mark.django_db
def test_pairs_say_what_they_rest_on_with_indices_by_label():
    labels = drawn(2)
    measured = agreement(rated(labels))
    for pair, one in zip(measured["pairs"], pairwise(labels, 4, None, np.arange(24) % 12), strict=True):
        both = (labels[[one.first, one.second]] >= 0).sum(axis=0)
        assert (pair["items"], pair["alone"]) == ((both == 2).sum(), (both == 1).sum())
        assert pair["kappa"] == pytest.approx(one.kappa, abs=1e-12)
        assert pair["ac1"] == pytest.approx(one.estimates["ac1"].value, abs=1e-12)
        assert pair["intervals"]["kappa"]["error"] == pytest.approx(one.estimates["kappa"].error, abs=1e-9)
        assert list(pair["bias"].values()) == pytest.approx(bias_index(one.table), abs=1e-12)
        assert pair["table"] == one.table.tolist()
    (every,) = [group for group in measured["groups"] if group["group"] == "all"]
    for label in every["labels"]:
        widest = max(abs(pair["bias"][label["label"]]) for pair in measured["pairs"])
        assert label["bias"] == pytest.approx(widest)
        assert label["prevalence"] == pytest.approx(2 * label["share"] - 1)


@pytest.mark.django_db
def test_items_can_vary_by_themselves_and_the_level_be_chosen():
    study = rated(drawn(3))
    task, item, wide = (
        value(agreement(study, **options))["delta"] for options in ({}, {"clusters": "item"}, {"level": 0.99})
    )
    assert task != item
    assert wide[1] - wide[0] > task[1] - task[0]
    for options, message in (
        ({"by": ["colour"]}, "by 'colour'"),
        ({"clusters": "run"}, "task or item"),
        ({"level": 95}, "between 0.5 and 1"),
    ):
        with pytest.raises(UserError, match=message):
            agreement(study, **options)


@pytest.mark.django_db
def test_every_word_groups_the_items():
    study = rated(drawn(4))
    measured = agreement(study, by=("category", "subject", "condition"))
    for word, count in (("category", 6), ("subject", 3), ("condition", 3)):
        rows = [row for row in measured["by"] if row["by"] == word]
        assert len(rows) == count
        assert [row["coefficients"] for row in agreement_by(study, word)] == [
            row["coefficients"] for row in rows
        ]
        assert sum(row["items"] for row in rows if row["group"] == "all") == 24


@pytest.mark.django_db
def test_grades_are_compared_as_grades():
    labels = drawn(5)
    study = rated(labels, [str(grade) for grade in range(4)], "graded")
    measured = agreement(study)
    counts = count_rows(labels, 4)
    assert measured["graded"] and measured["ungraded"] == []
    assert value(measured, name="alpha")["value"] == pytest.approx(krippendorff_alpha(counts))
    assert value(measured, name="alpha_ordinal")["value"] == pytest.approx(
        krippendorff_alpha(counts, scale="ordinal")
    )
    (first, *_) = measured["pairs"]
    two = count_rows(labels[:2], 4)
    assert first["alpha_ordinal"] == pytest.approx(krippendorff_alpha(two, scale="ordinal"))
    assert "alpha_ordinal" not in value_names(agreement(rated_otherwise(labels)))


def rated_otherwise(labels):
    other = builders.study("other", tasks=12, epochs=2)
    return fill(other, labels)


def value_names(measured):
    return set(measured["groups"][-1]["coefficients"])


@pytest.mark.django_db
def test_a_label_that_leaves_the_denominator_is_no_grade():
    spec = {
        "key": "three",
        "title": "Three",
        "ordinal": True,
        "labels": [
            {"key": "none", "title": "None", "role": "other", "definition": "No."},
            {"key": "some", "title": "Some", "role": "target", "definition": "Some."},
            {"key": "much", "title": "Much", "role": "target", "definition": "Much."},
            {"key": "unclear", "title": "Unclear", "role": "excluded", "definition": "Can't be judged."},
        ],
    }
    labels = drawn(6)
    study = builders.study(tasks=12, epochs=2)
    study.scheme = save_scheme(SchemeSpec.model_validate(spec))
    study.save()
    measured = agreement(fill(study, labels, ["none", "some", "much", "unclear"]))
    assert measured["ungraded"] == ["unclear"]
    grades = np.where(labels == 3, -1, labels)
    expected = krippendorff_alpha(count_rows(grades, 3), scale="ordinal")
    assert value(measured, name="alpha_ordinal")["value"] == pytest.approx(expected)
    two = count_rows(grades[:2], 3)
    assert measured["pairs"][0]["alpha_ordinal"] == pytest.approx(krippendorff_alpha(two, scale="ordinal"))
    assert value(measured, name="alpha")["value"] == pytest.approx(krippendorff_alpha(count_rows(labels, 4)))
    assert (measured["alpha"], measured["scale"]) == (
        value(measured, name="alpha_ordinal")["value"],
        "ordinal",
    )
    for power, key in ((1, "linear"), (2, "quadratic")):
        assert value(measured, name=f"ac2_{key}")["value"] == pytest.approx(
            gwet_ac2(count_rows(grades, 3), power=power)
        )
        both = (grades[:2] >= 0).all(axis=0)
        assert measured["pairs"][0][f"kappa_{key}"] == pytest.approx(
            cohen_kappa_score(*grades[:2, both], labels=[0, 1, 2], weights=key)
        )


@pytest.mark.engine
@pytest.mark.django_db
def test_the_headline_is_of_people_and_of_judges_apart(capsys, client):
    labels = drawn(7)
    study = rated(labels)
    measured = agreement(study)
    assert [one["group"] for one in measured["headline"]] == ["humans", "judges"]
    for one, part in zip(measured["headline"], (labels[:2], labels[2:]), strict=True):
        assert one["alpha"] == pytest.approx(krippendorff_alpha(count_rows(part, 4)))
        assert one["scale"] == "nominal" and one["low"] <= one["alpha"] <= one["high"]
    assert agreement(study, ["ann", "ben"])["headline"][0]["group"] == "humans"
    assert agreement(study, ["ann", "judge-a"])["headline"][0]["group"] == "all"
    call_command("agreement", study.slug)
    said = capsys.readouterr().out
    head = said[: said.index("Coefficients")]
    assert "humans" in head and "judges" in head and f"{measured['alpha']:.3f}" not in head
    client.force_login(builders.cast(study)["viewer"])
    page = client.get(f"/studies/{study.slug}/agreement").content.decode()
    figures = page[page.index("<dl") : page.index("</dl>")]
    assert "People: Krippendorff" in figures and "Judges: Krippendorff" in figures
    assert f"{measured['alpha']:.3f}" not in figures


@pytest.mark.django_db
def test_pairs_of_many_raters_are_compared_on_request(monkeypatch, capsys, client):
    labels = drawn(3)
    study = rated(labels)
    whole = agreement(study)
    monkeypatch.setattr("arbiter.analysis.agreement.coefficients.FEW", 4)
    cache.clear()
    measured = agreement(study)
    assert (measured["pairs"], measured["pairs_left_out"]) == ([], 10)
    assert measured["groups"] == whole["groups"]  # with the widest bias of any pair
    asked = agreement(study, pairs=True)
    assert asked["pairs_left_out"] == 0
    for one, other in zip(asked["pairs"], whole["pairs"], strict=True):
        assert one["intervals"]["kappa"]["bootstrap"] is None
        assert one["intervals"]["kappa"]["delta"] == pytest.approx(other["intervals"]["kappa"]["delta"])
        assert [one[key] for key in ("items", "alone", "table")] == [
            other[key] for key in ("items", "alone", "table")
        ]
    call_command("agreement", study.slug)
    assert "10 pairs of raters are left out; --pairs gives them" in capsys.readouterr().out
    call_command("agreement", study.slug, "--pairs", "--json")
    assert len(json.loads(capsys.readouterr().out)["pairs"]) == 10
    client.force_login(builders.cast(study)["viewer"])
    page = client.get(f"/studies/{study.slug}/agreement").content.decode()
    assert "10 pairs are too many to look at" in page and "agreement-pairs" not in page
    assert "agreement-pairs" in client.get(f"/studies/{study.slug}/agreement?pairs=1").content.decode()
    assert pair_of(study, "ann", "ben")["table"] == whole["pairs"][0]["table"]


@pytest.mark.engine
@pytest.mark.django_db
def test_raters_against_themselves():
    """Of people by the purpose `repeat`, of judges by further ordinals; what was changed since counts as
    changed."""
    study = builders.study(tasks=4, epochs=2)
    items = list(study.items.order_by("id"))
    ann, judge = builders.rater("ann", "human"), builders.rater("judge-a")
    for place, item in enumerate(items):
        builders.rate(item, ann, LABELS[place % 2])
        builders.rate(item, judge, LABELS[place % 3])
        for ordinal in (1, 2):
            builders.rate(item, judge, LABELS[(place + (ordinal == 2 and place < 3)) % 3], ordinal=ordinal)
        if place < 6:
            said = LABELS[1 - place % 2 if place == 0 else place % 2]
            builders.rate(item, ann, said, purpose=PlacePurpose.REPEAT, ordinal=1)
    builders.rate(items[5], ann, LABELS[3])  # thought better of it
    builders.rate(items[0], judge, LABELS[2], question="other", ordinal=1)  # another question's
    measured = agreement(study)
    ann_row, judge_row = measured["repeats"]
    assert (ann_row["rater"], ann_row["items"]) == ("ann", 6)
    assert ann_row["flip_rate"] == pytest.approx(2 / 6)
    assert (judge_row["rater"], judge_row["items"]) == ("judge-a", 8)
    assert judge_row["flip_rate"] == pytest.approx(3 * (2 / 3) / 8)
    assert ann_row["flip_rate_delta"][0] <= ann_row["flip_rate"] <= ann_row["flip_rate_delta"][1]
    assert ann_row["ceiling_percent"] == pytest.approx((4 / 6) ** 0.5)
    (pair,) = measured["pairs"]
    assert pair["ceiling_percent"] == pytest.approx((4 / 6 * 0.75) ** 0.5)
    assert pair["ceiling_kappa"] == pytest.approx((ann_row["alpha"] * judge_row["alpha"]) ** 0.5)
    assert pair["items"] == 8  # repeats are no votes


@pytest.mark.engine
@pytest.mark.django_db
def test_people_and_judges_together_and_those_asked_nothing_again():
    study = rated(drawn(7))
    item, other = study.items.order_by("id")[:2]
    for name in ("judge-a", "judge-b"):
        for one in (item, other):
            builders.rate(one, builders.rater(name), LABELS[0])
            builders.rate(one, builders.rater(name), LABELS[name == "judge-b"], ordinal=1)
    measured = agreement(study)
    assert [(row["rater"], row["kind"], row["items"]) for row in measured["repeats"]] == [
        ("judge-a", "judge", 2),
        ("judge-b", "judge", 2),
        ("judges", "together", 4),
    ]
    steady, turned, together = measured["repeats"]
    assert (steady["flip_rate"], turned["flip_rate"], together["flip_rate"]) == (0, 1, 0.5)
    assert steady["alpha"] is None and "only one label" in steady["undefined"]
    assert turned["ceiling_kappa"] is None  # agrees with himself less than chance would
    pairs = {(pair["first"], pair["second"]): pair for pair in measured["pairs"]}
    assert pairs["ann", "ben"]["ceiling_percent"] is None
    assert pairs["ann", "judge-a"]["ceiling_percent"] == 1


@pytest.mark.django_db
def test_nobody_of_a_kind_is_no_group():
    study = rated(drawn(8))
    judges = agreement(study, ["judge-a", "judge-b"])
    assert [group["group"] for group in judges["groups"]] == ["all"]
    mixed = agreement(study, ["ann", "judge-b"])
    assert [group["group"] for group in mixed["groups"]] == ["humans", "judges", "all"]
    assert "two raters" in value(mixed, "humans")["undefined"]
    assert value(mixed, "humans")["value"] is None


@pytest.mark.django_db
def test_what_is_kept_is_worked_out_anew_after_a_label(monkeypatch):
    monkeypatch.setattr("judging.votes.kept_figures.SLOW", 0)
    monkeypatch.setattr("judging.votes.kept_figures.AGE_FACTOR", 0)
    study = rated(drawn(9))
    before = agreement_kept(study)
    assert agreement_kept(study) == before
    Study.objects.get()
    builders.rate(study.items.first(), builders.rater("judge-d"), LABELS[0])
    assert agreement_kept(study)["raters"] == before["raters"] + 1


# The page and its figures


@pytest.fixture
def page(cast, study):
    study = rated_otherwise(drawn(10))
    builders.Membership.objects.create(study=study, user=cast["viewer"], role="viewer")
    client = Client()
    client.force_login(cast["viewer"])
    return lambda query="": client.get(f"/studies/other/agreement{query}")


@pytest.mark.django_db
def test_the_page_has_every_figure(page):
    answer = page()
    assert answer.status_code == 200
    text = answer.content.decode()
    for name in ("agreement", "agreement-by", "agreement-pairs", "confusion"):
        assert f"/studies/other/figures/{name}.svg" in text
    assert "Nobody was given an item again" in text
    assert '<strong aria-current="true">Category</strong>' in text


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["?measure=nonsense", "?by=nonsense", "?first=nobody"])
def test_a_query_that_can_t_be_answered_is_not_found(page, query):
    assert page(query).status_code == 404


@pytest.mark.django_db
def test_a_rater_is_not_compared_with_himself(page):
    answer = page("?first=ann&second=ann")
    assert answer.status_code == 200
    assert "Choose two different raters to compare." in answer.content.decode()


@pytest.mark.django_db
def test_an_earlier_version_can_be_looked_at(page):
    study = Study.objects.get(slug="other")
    newer = Rater.objects.create(name="judge-a", version=2, kind="judge")
    for item in study.items.all():
        builders.rate(item, newer, LABELS[0])
    answer = page("?first=judge-a@1&second=judge-a@2")
    assert answer.status_code == 200
    assert "judge-a against judge-a@2" in answer.content.decode()


@pytest.mark.django_db
def test_figures_say_their_sentence_and_mark_what_is_simulated(page):
    study = Study.objects.get(slug="other")
    measured = agreement(study)
    figure = make_figure(study, "agreement")
    humans = value(measured, "humans")["value"]
    people = measured["groups"][0]
    said = f"of people (2 raters, {people['pairable']} items, {people['tasks']} tasks) {humans:.2f} ("
    assert said in figure.sentence
    assert "simulated" not in figure.sentence + figure.title
    assert len(figure.rows) == 3 * 5 and figure.rows[0]["delta_low"] < figure.rows[0]["value"]
    pairs = make_figure(study, "agreement-pairs", {"measure": "percent"})
    assert "10 pairs of raters" in pairs.sentence and len(pairs.rows) == 10
    assert b"simulated" not in pairs.svg().encode()
    builders.rate(study.items.first(), builders.rater("judge-d"), simulated=True)
    cache.clear()  # figures may be a moment old
    for name in ("agreement", "agreement-by", "agreement-pairs"):
        marked = make_figure(study, name)
        assert "(simulated labels)" in marked.title and "this is no result" in marked.sentence
        assert "simulated" in marked.svg()
    confusion = make_figure(study, "confusion", {"first": "judge-d", "second": "ann"})
    assert confusion.title == "judge-d (simulated) against ann"


@pytest.mark.django_db
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_confusion_names_its_labels_and_raters_and_writes_its_counts(page, theme):
    study = Study.objects.get(slug="other")
    figure = make_figure(study, "confusion", {"first": "ann", "second": "judge-c"})
    drawn_ = figure.svg(theme)
    for title in ("Convergence", "No convergence", "Safety refusal", "Nonsensical", "ann", "judge-c"):
        assert title in drawn_
    (pair,) = [
        one for one in agreement(study)["pairs"] if (one["first"], one["second"]) == ("ann", "judge-c")
    ]
    assert [[row[f"to_{place}"] for place in range(4)] for row in figure.rows] == pair["table"]
    turned = make_figure(study, "confusion", {"first": "judge-c", "second": "ann"})
    assert [[row[f"to_{place}"] for place in range(4)] for row in turned.rows] == np.transpose(
        pair["table"]
    ).tolist()
    assert [row["bias"] for row in turned.rows] == pytest.approx([-row["bias"] for row in figure.rows])
    assert [row["prevalence"] for row in turned.rows] == [row["prevalence"] for row in figure.rows]


@pytest.mark.django_db
def test_why_there_is_no_figure_stands_in_its_table():
    study = rated(np.zeros((5, 24), dtype=int))
    figure = make_figure(study, "agreement")
    row = next(row for row in figure.rows if row["coefficient"] == "Krippendorff's alpha")
    assert row["value"] is None and row["note"].startswith("Undefined: only one label occurs")
    assert "undefined (only one label occurs" in figure.sentence
    assert make_figure(study, "agreement-pairs").sentence.startswith(
        "Cohen's kappa is undefined for each of the 10"
    )
    assert (
        figure.svg()
        and make_figure(study, "agreement-by").svg()
        and make_figure(study, "agreement-pairs").svg()
    )

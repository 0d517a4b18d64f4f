"""Settling: which rule decides, and that a settlement is written anew only where its inputs changed."""

import threading

import pytest
from django.db import connection

from annotation.adjudication import adjudicate
from annotation.models import Gold, PlacePurpose, Study
from judging.models import Settlement
from judging.settlement import settling
from judging.settlement.settling import settle, settle_items
from tests import builders
from tests.together import together

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
C, N, S, X = "convergence", "no_convergence", "safety_refusal", "nonsensical"


def vote(item, *labels, **fields):
    """Record one voter a label: judge-0, judge-1, ..."""
    for number, label in enumerate(labels):
        builders.rate(item, builders.rater(f"judge-{number}"), label, **fields)


def gold(item, label, revision=1):
    return Gold.objects.create(
        item=item, label=item.study.scheme.labels.get(key=label), revision=revision, origin="imported"
    )


def decide(item, label):
    return adjudicate(item, builders.rater("arbiter", "human"), label, "Because.")


def settled(item):
    """Return label and rule of the item's newest settlement."""
    newest = item.settlements.order_by("revision").last()
    return newest.label and newest.label.key, newest.rule


@pytest.fixture
def items(study):
    return list(study.items.order_by("id"))


def test_most_votes_decide_and_a_tie_or_no_vote_stays_open(study, items):
    vote(items[0], C, C, N)
    vote(items[1], C, N)
    vote(items[2], C, C, N, N, X)
    vote(items[3], X)
    vote(items[4], C, N, S, X, X)  # a plurality is enough
    assert settle(study) == {
        "version": 1,
        "rule": "majority",
        "settled": 3,
        "open": 3,
        "by_rule": {"majority": 3, "tie": 2, "unlabelled": 1},
        "changed": 6,
        "relabelled": 0,
        "simulated": False,
    }
    assert [settled(item) for item in items] == [
        (C, "majority"),
        (None, "tie"),
        (None, "tie"),
        (X, "majority"),
        (X, "majority"),
        (None, "unlabelled"),
    ]


def test_a_settlement_keeps_its_votes_and_their_shares(study, items):
    vote(items[0], C, N, C)
    settle(study)
    settlement = items[0].settlements.get()
    assert settlement.votes == {C: ["judge-0", "judge-2"], N: ["judge-1"]}
    assert settlement.posterior == {C: round(2 / 3, 6), N: round(1 / 3, 6)}
    assert (items[1].settlements.get().votes, items[1].settlements.get().posterior) == ({}, {})


def test_an_adjudication_beats_gold_and_gold_beats_votes_where_the_study_says_so(study, items):
    for item in items[:3]:
        vote(item, C, C)
    for item in items[1:3]:
        gold(item, N)
    decide(items[2], S)
    decide(items[3], X)
    gold(items[4], N)
    settle(study)
    assert [settled(item) for item in items[:5]] == [
        (C, "majority"),
        (C, "majority"),
        (S, "adjudicated"),
        (X, "adjudicated"),
        (None, "unlabelled"),
    ]
    Study.objects.update(gold_decides=True)
    result = settle(Study.objects.get())
    assert [settled(item) for item in items[:5]] == [
        (C, "majority"),
        (N, "gold"),
        (S, "adjudicated"),
        (X, "adjudicated"),
        (N, "gold"),
    ]
    assert result["by_rule"] == {"adjudicated": 2, "gold": 2, "majority": 1, "unlabelled": 1}


def test_the_newest_gold_and_the_newest_decision_hold(study, items):
    Study.objects.update(gold_decides=True)
    gold(items[0], C)
    gold(items[0], N, revision=2)
    decide(items[1], C)
    decide(items[1], S)
    settle(Study.objects.get())
    assert [settled(item) for item in items[:2]] == [(N, "gold"), (S, "adjudicated")]


def test_settling_again_writes_nothing_where_nothing_changed(study, items):
    vote(items[0], C, N, N)
    vote(items[1], C, N)
    first = settle(study)
    before = list(Settlement.objects.order_by("id").values())
    again = settle(study)
    assert list(Settlement.objects.order_by("id").values()) == before
    assert again == {**first, "changed": 0}


@pytest.mark.parametrize(
    "change",
    [
        lambda item: builders.rate(item, builders.rater("judge-9"), C),
        lambda item: builders.rate(item, builders.rater("judge-0"), N),
        lambda item: builders.rate(item, builders.rater("judge-0"), C, simulated=True),
        lambda item: decide(item, C),
    ],
    ids=["another vote", "a changed vote", "a simulated vote", "a decision"],
)
def test_a_change_to_its_inputs_is_a_new_revision(study, items, change):
    vote(items[0], C, C, N)
    vote(items[1], C)
    settle(study)
    change(items[0])
    assert settle(study)["changed"] == 1
    assert list(items[0].settlements.values_list("revision", flat=True)) == [1, 2]
    assert items[1].settlements.count() == 1


def test_only_the_studys_voters_vote_and_each_with_the_current_rating_once(study, items):
    study.voters = ["judge-0", "humans"]
    study.save()
    vote(items[0], C, N, N)
    builders.rate(items[0], builders.rater("ann", "human"), X)
    builders.rate(items[0], builders.rater("ann", "human"), C)
    for fields in (
        {"ordinal": 1},
        {"purpose": PlacePurpose.GOLD_CHECK},
        {"question": "harm"},
        {"surplus": True},
    ):
        builders.rate(items[0], builders.rater("ben", "human"), N, **fields)
    settle(study)
    settlement = items[0].settlements.get()
    assert (settled(items[0]), settlement.votes) == ((C, "majority"), {C: ["ann", "judge-0"]})


def test_a_simulated_vote_marks_the_settlement_it_is_in(study, items):
    vote(items[0], C, C)
    vote(items[1], C)
    builders.rate(items[1], builders.rater("sim"), N, simulated=True)
    settle(study)
    assert [item.settlements.get().simulated for item in items[:3]] == [False, True, False]


def test_a_few_items_can_be_settled_alone(study, items):
    vote(items[0], C)
    vote(items[1], C)
    settle_items(study, [items[1].pk])
    assert [settlement.item_id for settlement in Settlement.objects.all()] == [items[1].pk]


def test_other_studies_stay_as_they_are(study, items):
    other = builders.study("other")
    vote(items[0], C)
    settle(other)
    assert {settlement.item.study_id for settlement in Settlement.objects.all()} == {other.pk}


def test_a_large_study_is_settled_in_batches(monkeypatch, study, items):
    monkeypatch.setattr(settling, "BATCH", 4)
    for item in items:
        vote(item, C)
    assert settle(study)["settled"] == 6
    assert Settlement.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_two_settlings_at_once_write_each_settlement_once():
    study = builders.study(tasks=4, epochs=10)
    for item in study.items.all():
        vote(item, C, N, N)
    ready, results = threading.Barrier(4), []

    def settle_too():
        try:
            ready.wait()
            results.append(settle(Study.objects.get()))
        finally:
            connection.close()

    threads = [threading.Thread(target=settle_too) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result["changed"] for result in results) == [0, 0, 0, 40]
    assert set(Settlement.objects.values_list("revision", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_it_goes_on_while_others_write(monkeypatch):
    study = builders.study()
    monkeypatch.setattr(settling, "BATCH", 2)

    def after_another_wrote(execute, sql, *args):
        if sql.startswith("BEGIN"):  # as SQLite's transactions do
            together(lambda: Study.objects.update(description="changed"))
        return execute(sql, *args)

    with connection.execute_wrapper(after_another_wrote):
        assert settle(study)["open"] == 6

"""A study's figures for its page: what its judges owe, what is disputed, what is settled."""

import pytest

from annotation.adjudication import adjudicate
from arbiter.analysis.overview import overview, scorer_labels
from judging.models import Scorer, ScorerFailure
from judging.settlement.disputes import disputes
from judging.settlement.settling import settle
from tests import builders

pytestmark = pytest.mark.django_db
C, N = "convergence", "no_convergence"


def people(item, *labels):
    for name, label in zip(("ann", "ben", "cat"), labels, strict=False):
        builders.rate(item, builders.rater(name, "human"), label)


def judges(item, *labels):
    for number, label in enumerate(labels):
        builders.rate(item, builders.rater(f"judge-{number}"), label)


@pytest.fixture
def items(study):
    return list(study.items.order_by("id"))


def test_people_who_disagree_are_a_dispute_and_judges_who_disagree_are_not(study, items):
    people(items[0], C, N)
    people(items[1], C, C)
    people(items[2], C)
    judges(items[2], N)
    judges(items[3], C, N)
    assert list(disputes(study)) == [items[0]]


def test_a_tie_is_a_dispute_once_it_was_settled_as_one(study, items):
    judges(items[3], C, N)
    settle(study)
    assert list(disputes(study)) == [items[3]]
    judges(items[3], C, C)  # the second thinks again
    settle(study)
    assert list(disputes(study)) == []


def test_a_decision_ends_a_dispute(study, items):
    people(items[0], C, N)
    adjudicate(items[0], builders.rater("arbiter", "human"), C, "Because.")
    assert list(disputes(study)) == []


def test_the_overview_adds_it_up(study, items):
    people(items[0], C, N)
    people(items[1], C)
    adjudicate(items[2], builders.rater("arbiter", "human"), C, "Because.")
    settle(study)
    counts = overview(study)
    assert (counts["items"], counts["disputes"], counts["gold"]) == (6, 1, 0)
    assert (counts["settled"], counts["settled_open"]) == (2, 4)
    assert counts["rules"] == {"adjudicated": 1, "majority": 1, "tie": 1, "unlabelled": 3}


def test_scorers_are_counted_with_what_they_could_not_label_and_earlier_ones_beside_them(study, items):
    now = Scorer.objects.create(rater=builders.rater("state-check", "scorer"), entry_point="checks:state")
    now.studies.add(study)
    builders.rate(items[0], now.rater)
    builders.rate(items[0], now.rater, N)  # a second thought about the same item
    ScorerFailure.objects.create(item=items[1], scorer=now, reason="ValueError: no state")
    builders.rate(items[2], builders.rater("column", "scorer"))
    scorers = [(str(one.rater), one.source, one.labels, one.failures) for one in scorer_labels(study)]
    assert scorers == [("state-check", "checks:state", 1, 1), ("column", "imported with the responses", 1, 0)]

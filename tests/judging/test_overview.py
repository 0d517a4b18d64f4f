"""A study's figures for its page: what its judges owe, what is disputed, what is settled."""

import pytest

from annotation.adjudicating import adjudicate
from judging.models import Verdict
from judging.overview import disputes, judges_progress, overview
from judging.settling import settle
from judging.work import want_verdicts
from tests import builders
from tests.judging.helpers import endpoint, judge

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
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


def test_a_judges_progress_counts_what_is_finished_open_and_not_yet_wanted(study):
    by = judge(study, endpoint(), repeats=2)
    want_verdicts(study, limit=5)
    for verdict, state in zip(
        Verdict.objects.order_by("id"), ["unparsed", "refused", "failed", "leased"], strict=False
    ):
        Verdict.objects.filter(pk=verdict.pk).update(state=state)
    [progress] = judges_progress(study)
    assert (progress.study_judge, progress.wanted) == (by, 12)
    assert (progress.finished, progress.open, progress.missing, progress.simulated) == (3, 2, 7, False)
    builders.rate(study.items.first(), by.judge.rater, simulated=True)
    assert judges_progress(study)[0].simulated


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
    judge(study, endpoint())
    want_verdicts(study, limit=2)
    people(items[0], C, N)
    people(items[1], C)
    adjudicate(items[2], builders.rater("arbiter", "human"), C, "Because.")
    settle(study)
    found = overview(study)
    assert (found["items"], found["judging"], found["judge_missing"], found["failed"]) == (6, True, 4, 0)
    assert (found["disputes"], found["gold"]) == (1, 0)
    assert (found["settled"], found["settled_open"]) == (2, 4)
    assert found["rules"] == {"adjudicated": 1, "majority": 1, "tie": 1, "unlabelled": 3}

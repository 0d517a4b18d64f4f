"""Patterns of votes, counted by one query."""

from collections import Counter

import numpy as np
import pytest

from annotation.itemvotes import rebuild
from judging.votes.counting import group_names, merge_rows, votes_of
from tests import builders

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
KEYS = ("convergence", "no_convergence", "safety_refusal")


@pytest.fixture
def voted():
    """Have three judges vote over 4 tasks x 3 epochs; the third leaves some out."""
    study = builders.study(tasks=4, epochs=3)
    judges = [builders.rater(f"judge-{letter}") for letter in "abc"]
    for n, item in enumerate(study.items.order_by("pk")):
        builders.rate(item, judges[0], KEYS[n % 3])
        builders.rate(item, judges[1], KEYS[n % 2])
        if n % 4:
            builders.rate(item, judges[2], KEYS[0])
    return study


def as_counter(votes):
    return Counter(
        {tuple(row): count for row, count in zip(votes.patterns.tolist(), votes.counts.tolist(), strict=True)}
    )


def expected(study, raters=3):
    counts = Counter()
    for n in range(study.items.count()):
        counts[(n % 3, n % 2, 0 if n % 4 else -1)[:raters]] += 1
    return counts


def test_patterns_and_their_counts(voted):
    votes = votes_of(voted)
    assert [str(rater) for rater in votes.raters] == ["judge-a", "judge-b", "judge-c"]
    first, second, third = [label.key for label in votes.labels][:3]
    assert {first, second} == {"convergence", "no_convergence"} or third
    order = {label.key: place for place, label in enumerate(votes.labels)}
    expected_counts = Counter()
    for (a, b, c), count in expected(voted).items():
        expected_counts[(order[KEYS[a]], order[KEYS[b]], order[KEYS[c]] if c >= 0 else -1)] += count
    assert as_counter(votes) == expected_counts
    assert votes.items == 12


def test_a_label_nobody_gave_is_a_category_all_the_same(voted):
    assert len(votes_of(voted).labels) == voted.scheme.labels.count() > 3
    assert votes_of(voted).label_counts().shape[1] == voted.scheme.labels.count()


def test_counts_of_labels_are_those_of_the_ratings(voted):
    votes = votes_of(voted)
    totals = (votes.label_counts() * votes.counts[:, None]).sum(axis=0)
    for place, label in enumerate(votes.labels):
        assert totals[place] == label.ratings.count()


def test_fewer_raters_merge_what_becomes_equal(voted):
    votes = votes_of(voted)
    two = votes.only(votes.raters[:2])
    assert two.items == 12 and two.patterns.shape[1] == 2
    assert len(np.unique(two.patterns, axis=0)) == len(two.patterns)
    again = votes_of(voted, raters=votes.raters[:2])
    assert as_counter(two) == as_counter(again)


def test_groups(voted):
    votes = votes_of(voted, by=("task", "category"))
    assert set(votes.groups) == {"task", "category"}
    by_task = Counter()
    for task, count in zip(votes.groups["task"].tolist(), votes.counts.tolist(), strict=True):
        by_task[task] += count
    assert set(by_task.values()) == {3} and len(by_task) == 4
    assert set(group_names(voted, "task")) == set(by_task)
    assert as_counter(votes.merged()) == as_counter(votes_of(voted))


def test_one_query_whatever_the_number_of_ratings(voted, django_assert_num_queries):
    raters = votes_of(voted).raters
    with django_assert_num_queries(2):  # the labels, the patterns
        votes_of(voted, by=("task",), raters=raters)


def test_control_tasks_can_be_left_out(voted):
    task = voted.items.first().response.task
    type(task).objects.filter(pk=task.pk).update(control=True)
    assert votes_of(voted, control=False).items == 9
    assert votes_of(voted, control=True).items == 3
    assert votes_of(voted).items == 12


def test_nobody_voted():
    study = builders.study()
    votes = votes_of(study)
    assert votes.patterns.shape == (1, 0) and votes.items == 6
    empty = votes_of(builders.study("empty", tasks=0))
    assert empty.items == 0 and empty.label_counts().shape == (0, 4)


def test_kept_keys_are_all_that_is_read(voted):
    voted.items.update(votes="")
    assert (votes_of(voted).patterns == -1).all()
    rebuild(voted)
    assert (votes_of(voted).patterns >= 0).any()


def test_merging_rows_sums_their_counts():
    rows = np.array([[1, -1], [0, 2], [1, -1]])
    distinct, counts = merge_rows(rows, np.array([2, 3, 4]))
    assert distinct.tolist() == [[0, 2], [1, -1]] and counts.tolist() == [3, 6]

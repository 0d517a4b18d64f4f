"""Dawid-Skene against the paper of 1979, against a slow direct implementation, and where it could go
wrong."""

import csv
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from arbiter.statistics.dawid_skene import _assigned, dawid_skene
from tests.sizes import size

from .plain_em import distinct, plain_em, voted
from .support import SHARED, labelled, reference


def anaesthesia():
    """Return the ratings of 45 patients; observer 1 rated each three times, the others once."""
    expected = reference("dawid_skene_1979_em_full_precision.json")
    path = SHARED / "data" / "reference" / "dawid_skene_1979_anaesthesia.csv"
    rows = list(csv.DictReader(path.open()))
    columns = sorted({(int(row["worker"]), int(row["replicate"])) for row in rows})
    votes = np.full((45, len(columns)), -1)
    for row in rows:
        column = columns.index((int(row["worker"]), int(row["replicate"])))
        votes[int(row["task"]) - 1, column] = int(row["label"]) - 1
    return votes, np.array([worker - 1 for worker, _ in columns]), expected


# Published


def test_the_paper_of_1979():
    votes, observers, expected = anaesthesia()
    patterns, row, counts = distinct(votes)
    fit = dawid_skene(patterns, counts, 4, observers=observers)
    assert fit.converged and not fit.switched
    assert round(fit.log_likelihood, 4) == -192.8909
    assert fit.log_likelihood == pytest.approx(expected["log_likelihood_observed"], abs=1e-8)
    assert fit.prior.round(4).tolist() == [0.3996, 0.4220, 0.1118, 0.0667]
    np.testing.assert_allclose(fit.prior, expected["class_marginals"], atol=1e-9)
    np.testing.assert_allclose(fit.errors, expected["error_rates_observer_true_observed"], atol=5.1e-7)
    np.testing.assert_allclose(fit.posteriors[row], expected["posteriors_patient_1_to_45"], atol=5.1e-7)


def test_its_tables_as_published():
    votes, observers, _ = anaesthesia()
    published = reference("dawid_skene_1979_expected.json")
    fit = dawid_skene(votes, np.ones(45, dtype=int), 4, observers=observers)
    for number, matrix in published["error_rates_observer_true_observed"].items():
        np.testing.assert_allclose(fit.errors[int(number) - 1], matrix, atol=0.0051)
    for patient, labels in published["non_degenerate_posteriors"].items():
        for label, value in labels.items():
            assert fit.posteriors[int(patient) - 1, int(label) - 1] == pytest.approx(value, abs=0.0051)
    hard = np.bincount(fit.posteriors.argmax(axis=1), minlength=4)
    assert hard.tolist() == list(published["hard_labels_counts"].values())


def test_five_raters_of_one_name_are_not_five_raters():
    votes, _, expected = anaesthesia()
    apart = dawid_skene(votes, np.ones(45, dtype=int), 4)
    assert len(apart.errors) == 7
    assert abs(apart.log_likelihood - expected["log_likelihood_observed"]) > 1


# Against the equations, item by item


@settings(max_examples=size(20, 60), deadline=None)
@given(
    labelled(raters=(1, 4), items=(2, 15)),
    st.sampled_from([0.01, 0.5, 1.0]),
    st.integers(0, 2**16),
    st.booleans(),
)
def test_it_is_the_direct_implementation(data, smoothing, seed, with_gold):
    labels, k = data
    random = np.random.default_rng(seed)
    gold = np.where(random.random(labels.shape[1]) < 0.3, random.integers(0, k, labels.shape[1]), -1)
    _same(labels.T, k, gold if with_gold else None, smoothing)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_it_is_the_direct_implementation_on_many_items(seed, smoothing):
    truth, votes = voted(seed, items=120, raters=4, k=3)
    gold = np.where(np.arange(120) % 4, -1, truth)
    _same(votes, 3, gold, smoothing)
    _same(votes, 3, None, smoothing)


def test_it_is_the_direct_implementation_with_repeated_ratings():
    votes, observers, _ = anaesthesia()
    _same(votes, 4, None, 0.0, observers)


def _same(votes, k, gold, smoothing, observers=None):
    """Hold two fits equal to 1e-10, one merged to patterns, one item by item; labels are named as EM left
    them."""
    together = votes if gold is None else np.column_stack([votes, gold])
    patterns, row, counts = distinct(together)
    known = None if gold is None else patterns[:, -1]
    patterns = patterns if gold is None else patterns[:, :-1]
    fast = dawid_skene(
        patterns, counts, k, gold=known, observers=observers, smoothing=smoothing, steps=30, tolerance=0.0
    )
    slow = plain_em(votes.tolist(), k, fast.steps, gold=gold, observers=observers, smoothing=smoothing)
    order = _order(slow, fast) if fast.switched else list(range(k))
    np.testing.assert_allclose(fast.posteriors[row], np.array(slow.posteriors)[:, order], rtol=0, atol=1e-10)
    np.testing.assert_allclose(fast.prior, np.array(slow.prior)[order], rtol=0, atol=1e-10)
    np.testing.assert_allclose(fast.errors, np.array(slow.errors)[:, order], rtol=0, atol=1e-10)
    assert fast.log_likelihood == pytest.approx(slow.likelihood, abs=1e-10 * max(1, abs(slow.likelihood)))


def _order(slow, fast):
    """Return of labels that were put back in their places which was which."""
    apart = np.abs(fast.prior[:, None] - np.array(slow.prior))
    errors = np.array(slow.errors)
    apart += np.abs(fast.errors[:, :, None] - errors[:, None]).sum(axis=(0, 3))
    return linear_sum_assignment(apart)[1].tolist()


# What may go wrong


def test_gold_is_held_fast_and_teaches_the_raters_errors():
    """A rater who always says the opposite is known for it by gold, and by nothing else."""
    truth = np.arange(40) % 2
    votes = np.column_stack([1 - truth])
    gold = np.where(np.arange(40) < 20, truth, -1)
    fit = dawid_skene(votes, np.ones(40, dtype=int), 2, gold=gold, smoothing=0.5)
    assert fit.errors[0, 0, 1] > 0.9 and fit.errors[0, 1, 0] > 0.9
    assert (fit.posteriors[20:].argmax(axis=1) == truth[20:]).all() and not fit.switched
    assert (fit.posteriors[:20] == np.eye(2)[truth[:20]]).all()


def test_labels_under_each_others_names_are_put_back():
    """EM from a fit whose labels are swapped ends with them swapped, at the same likelihood."""
    _, votes = voted(5, items=400, raters=4, k=3, accuracy=0.8, missing=0)
    patterns, _, counts = distinct(votes)
    right = dawid_skene(patterns, counts, 3)
    turned = type(right)(
        right.prior[[1, 2, 0]], right.errors[:, [1, 2, 0]], right.posteriors, 0.0, 0, True, False
    )
    fit = dawid_skene(patterns, counts, 3, start=turned)
    assert fit.switched and not right.switched
    assert fit.log_likelihood == pytest.approx(right.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(fit.errors, right.errors, atol=1e-4)
    np.testing.assert_allclose(fit.posteriors, right.posteriors, atol=1e-4)


@pytest.mark.parametrize("labels", [2, 4, 6, 7])
def test_many_labels_are_put_back_as_few_are(labels):
    right = np.random.default_rng(labels).random((labels, labels))
    assigned = _assigned(right)
    rows, columns = linear_sum_assignment(right, maximize=True)
    assert right[assigned, range(labels)].sum() == pytest.approx(right[rows, columns].sum())
    assert sorted(assigned) == list(range(labels))


def test_labels_with_gold_stay_where_gold_says():
    truth = np.arange(90) % 3
    votes = np.column_stack([(truth + 1) % 3] * 2)
    fit = dawid_skene(votes, np.ones(90, dtype=int), 3, gold=np.where(np.arange(90) < 45, truth, -1))
    assert not fit.switched and (fit.posteriors.argmax(axis=1) == truth).all()


def test_without_a_vote_an_item_has_the_marginals():
    votes = np.array([[0, 0], [1, 1], [-1, -1]])
    fit = dawid_skene(votes, np.array([30, 10, 5]), 2)
    np.testing.assert_allclose(fit.posteriors[2], fit.prior, atol=1e-6)
    np.testing.assert_allclose(fit.prior, [0.75, 0.25], atol=1e-5)


def test_many_votes_on_one_item_do_not_underflow():
    votes = np.array([[0] * 4000, [1] * 4000, [0] * 2000 + [1] * 2000])
    fit = dawid_skene(votes, np.array([10, 10, 1]), 2, smoothing=0.5)
    assert np.isfinite(fit.posteriors).all() and np.isfinite(fit.log_likelihood)
    np.testing.assert_allclose(fit.posteriors.sum(axis=1), 1)


def test_it_climbs():
    _, votes = voted(3, items=200)
    patterns, _, counts = distinct(votes)
    likelihoods = [dawid_skene(patterns, counts, 3, steps=n).log_likelihood for n in range(15)]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(likelihoods))


def test_it_stops_at_its_cap_and_says_so():
    _, votes = voted(3, items=200)
    patterns, _, counts = distinct(votes)
    fit = dawid_skene(patterns, counts, 3, steps=2)
    assert fit.steps == 2 and not fit.converged


def test_it_finds_what_the_votes_were_made_from():
    truth, votes = voted(11, items=20_000, raters=4, k=3, accuracy=0.7, missing=0.1)
    patterns, row, counts = distinct(votes)
    fit = dawid_skene(patterns, counts, 3)
    np.testing.assert_allclose(fit.prior, 1 / 3, atol=0.02)
    np.testing.assert_allclose(np.diagonal(fit.errors, axis1=1, axis2=2), 0.8, atol=0.02)
    accuracy = (fit.posteriors[row].argmax(axis=1) == truth).mean()
    assert accuracy == pytest.approx(fit.posteriors[row].max(axis=1).mean(), abs=0.01)


@pytest.mark.parametrize(
    ("votes", "counts", "options"),
    [
        (np.array([[0, 2]]), np.array([1]), {}),
        (np.array([[0, -2]]), np.array([1]), {}),
        (np.array([[0.0, 1.0]]), np.array([1]), {}),
        (np.array([0, 1]), np.array([1, 1]), {}),
        (np.zeros((1, 0), dtype=int), np.array([1]), {}),
        (np.array([[0, 1]]), np.array([0]), {}),
        (np.array([[0, 1]]), np.array([-1]), {}),
        (np.array([[0, 1]]), np.array([1, 1]), {}),
        (np.array([[0, 1]]), np.array([1]), {"smoothing": -1}),
        (np.array([[0, 1]]), np.array([1]), {"gold": np.array([2])}),
        (np.array([[0, 1]]), np.array([1]), {"observers": np.array([0])}),
        (np.array([[0, 1]]), np.array([1]), {"observers": np.array([0, -1])}),
    ],
)
def test_what_makes_no_sense_is_refused(votes, counts, options):
    with pytest.raises(ValueError):
        dawid_skene(votes, counts, 2, **options)


def test_a_fit_of_other_raters_is_no_start():
    one = dawid_skene(np.array([[0, 1]]), np.array([1]), 2)
    with pytest.raises(ValueError, match="other raters"):
        dawid_skene(np.array([[0, 1, 1]]), np.array([1]), 2, start=one)


def test_small_unsigned_numbers_do_not_overflow():
    votes = np.array([[0, 1], [1, 1]], dtype=np.int8)
    wide = dawid_skene(votes.astype(np.int64), np.array([200, 100]), 2)
    small = dawid_skene(votes, np.array([200, 100], dtype=np.uint8), 2)
    np.testing.assert_allclose(wide.posteriors, small.posteriors)

"""The bootstrap of alpha: whole tasks, and the same answer as the slow way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from arbiter.statistics import Undefined, agreement_estimates, count_rows, resampling
from arbiter.statistics import krippendorff_alpha as alpha_of
from tests.sizes import size

from .support import labelled, plain_alpha


def estimates(labels, categories, tasks, resamples=1000, seed=0, level=0.95, **options):
    counts = count_rows(labels, categories)
    return agreement_estimates(counts, None, tasks, resamples=resamples, seed=seed, level=level, **options)


def bootstrap_alpha(*arguments, **options):
    return estimates(*arguments, **options)["alpha"].bootstrap


def refusal(*arguments, **options):
    return estimates(*arguments, **options)["alpha"].undefined


def krippendorff_alpha(labels, categories):
    return alpha_of(count_rows(labels, categories))


def _clustered(random, tasks=20, per_task=6, raters=3, categories=3):
    """Draw labels of tasks that differ in how hard they are, so that alpha varies between them; a tenth is
    missing."""
    items = tasks * per_task
    truth = random.integers(0, categories, items)
    hard = np.repeat(random.random(tasks) < 0.4, per_task)
    wrong = random.random((raters, items)) < np.where(hard, 0.8, 0.05)
    labels = np.where(wrong, random.integers(0, categories, (raters, items)), truth)
    labels[random.random(labels.shape) < 0.1] = -1
    return labels.astype(np.int64), np.repeat(np.arange(tasks), per_task)


def drawn_tasks(tasks, resamples, seed):
    """Return how often each task is drawn: what is summed is the tasks themselves."""
    ones = np.ones(tasks, dtype=np.int64)
    return np.vstack(list(resampling.resampled_sums(np.eye(tasks), ones, resamples, seed))).astype(int)


def _slow_interval(labels, categories, tasks, resamples, seed, level):
    """Draw tasks with a pairable item by number, lay their items side by side, work alpha out anew."""
    pairable = (labels >= 0).sum(axis=0) >= 2
    names = np.unique(tasks[pairable])
    members = [np.flatnonzero(tasks == name) for name in names]
    alphas, undefined = [], 0
    for weights in drawn_tasks(len(names), resamples, seed):
        drawn = np.concatenate(
            [np.tile(items, weight) for items, weight in zip(members, weights, strict=True)]
        )
        alpha = plain_alpha(labels[:, drawn.astype(int)], categories)
        undefined += alpha is None
        alphas += [] if alpha is None else [float(alpha)]
    if not alphas:
        return None
    return *np.quantile(alphas, [(1 - level) / 2, (1 + level) / 2]), undefined


@settings(max_examples=size(20, 40), deadline=None)
@given(labelled(raters=(2, 4), items=(4, 12)), st.integers(0, 99), st.data())
def test_as_the_slow_way(case, seed, data):
    labels, categories = case
    tasks = np.array(
        data.draw(st.lists(st.integers(-2, 3), min_size=labels.shape[1], max_size=labels.shape[1]))
    )
    pairable = (labels >= 0).sum(axis=0) >= 2
    if plain_alpha(labels, categories) is None or len(set(tasks[pairable])) < 2:
        assert refusal(labels, categories, tasks, 20, seed)
        return
    slow = _slow_interval(labels, categories, tasks, 20, seed, 0.9)
    if slow is None:
        assert refusal(labels, categories, tasks, 20, seed, 0.9)
        return
    interval = bootstrap_alpha(labels, categories, tasks, 20, seed, 0.9)
    if interval is None:  # the tasks agree alike: no interval of no width
        assert slow[0] == pytest.approx(slow[1], abs=0.5) and "alike" in refusal(labels, categories, tasks)
        return
    assert (interval.low, interval.high) == pytest.approx(slow[:2], abs=1e-9)
    assert (interval.resamples, interval.undefined) == (20, slow[2])


def test_weights_draw_as_many_tasks_as_there_are():
    weights = drawn_tasks(8, 4000, seed=1)
    assert weights.shape == (4000, 8)
    assert (weights.sum(axis=1) == 8).all()
    # Multinomial: mean 1, variance 1 - 1/G.
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.08)
    assert weights.var(axis=0) == pytest.approx(1 - 1 / 8, abs=0.12)


@pytest.mark.parametrize("clusters", [[500, 300, 1, 199], [40, 9], [10_000, 3, 3]])
def test_kinds_of_clusters_are_drawn_as_a_multinomial(clusters):
    clusters = np.array(clusters)
    total, shares = clusters.sum(), clusters / clusters.sum()
    drawn = np.vstack(list(resampling.resampled_sums(np.eye(len(clusters)), clusters, 20_000, seed=2)))
    assert (drawn.sum(axis=1) == total).all() and drawn.min() >= 0
    assert drawn.mean(axis=0) == pytest.approx(clusters, rel=0.02, abs=0.05)
    covariance = total * (np.diag(shares) - np.outer(shares, shares))
    assert np.cov(drawn.T) == pytest.approx(covariance, rel=0.06, abs=0.06 * covariance.max() ** 0.5)
    # The whole distribution of the rarest, not its first two moments alone.
    rare = int(clusters.argmin())
    expected = binom.pmf(np.arange(4), total, shares[rare])
    observed = [(drawn[:, rare] == number).mean() for number in range(4)]
    assert observed == pytest.approx(expected, abs=0.015)


def test_chunks_change_nothing(monkeypatch):
    labels, tasks = _clustered(np.random.default_rng(5))
    whole = bootstrap_alpha(labels, 3, tasks, 200, seed=3)
    clusters = np.array([90, 4, 60])
    drawn = np.vstack(list(resampling.resampled_sums(np.eye(3), clusters, 200, seed=3)))
    monkeypatch.setattr(resampling, "WEIGHTS_PER_CHUNK", 7 * 20)
    chunked = bootstrap_alpha(labels, 3, tasks, 200, seed=3)
    assert (chunked.low, chunked.high) == pytest.approx((whole.low, whole.high), abs=1e-12)
    assert (np.vstack(list(resampling.resampled_sums(np.eye(3), clusters, 200, seed=3))) == drawn).all()


def test_seed_decides():
    labels, tasks = _clustered(np.random.default_rng(6))
    assert bootstrap_alpha(labels, 3, tasks, seed=1) == bootstrap_alpha(labels, 3, tasks, seed=1)
    assert bootstrap_alpha(labels, 3, tasks, seed=1) != bootstrap_alpha(labels, 3, tasks, seed=2)


def test_contains_alpha_and_widens_with_the_level():
    labels, tasks = _clustered(np.random.default_rng(7))
    narrow, wide = (bootstrap_alpha(labels, 3, tasks, level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < krippendorff_alpha(labels, 3) < narrow.high < wide.high


def test_tasks_are_resampled_whole():
    # Copies of an item under one task hold no news: the interval must not narrow as copies are added.
    labels, tasks = _clustered(np.random.default_rng(8), tasks=40, per_task=1)
    once = bootstrap_alpha(labels, 3, tasks, seed=4)
    copied = bootstrap_alpha(np.tile(labels, 9), 3, np.tile(tasks, 9), seed=4)
    as_if_independent = bootstrap_alpha(np.tile(labels, 9), 3, np.arange(9 * 40), seed=4)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.1)
    assert as_if_independent.high - as_if_independent.low < 0.5 * (copied.high - copied.low)


def test_covers_the_alpha_of_the_population():
    random = np.random.default_rng(9)
    population, tasks = _clustered(random, tasks=4000)
    alpha = krippendorff_alpha(population, 3)
    covered = {"tasks": 0, "items": 0}
    for _ in range(150):
        drawn = np.flatnonzero(np.isin(tasks, random.choice(4000, 40, replace=False)))
        sample = population[:, drawn]
        for unit, clusters in (("tasks", tasks[drawn]), ("items", np.arange(drawn.size))):
            interval = bootstrap_alpha(sample, 3, clusters, 300)
            covered[unit] += interval.low <= alpha <= interval.high
    assert covered["tasks"] / 150 > 0.88
    assert covered["items"] / 150 < 0.80


def test_undefined_resamples_are_counted():
    # Label 1 occurs in one task of three: a resample without it (probability 8/27) has no alpha.
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 0]])
    interval = bootstrap_alpha(labels, 2, np.array([1, 2, 3, 3]), 3000)
    assert interval.undefined / interval.resamples == pytest.approx(8 / 27, abs=0.03)
    assert interval.resamples == 3000


def test_no_interval_of_no_width():
    # Raters who never differed show nothing of how they would.
    both = estimates(np.array([[0, 1, 1], [0, 1, 1]]), 2, np.array([1, 2, 3]))
    for name, one in both.items():
        assert one.value == 1, name
        assert (one.error, one.delta, one.bootstrap) == (0, None, None)
        assert "nothing shows how much it varies" in one.undefined


def test_a_task_nobody_shares_changes_nothing():
    labels, tasks = _clustered(np.random.default_rng(10))
    alone = np.full((3, 5), -1)
    alone[0] = 2
    more = np.hstack([labels, alone])
    assert bootstrap_alpha(more, 3, np.append(tasks, range(90, 95))) == bootstrap_alpha(labels, 3, tasks)


def test_refusals():
    labels = np.array([[0, 1, 0, 1], [0, 1, 1, -1]])
    tasks = np.array([1, 1, 1, 2])
    assert "one task" in refusal(labels, 2, tasks)
    assert estimates(labels, 2, tasks)["alpha"].value is not None
    assert "only one label" in refusal(np.zeros_like(labels), 2, np.arange(4))
    assert "two raters" in refusal(labels[:1], 2, np.arange(4))
    assert "two raters" in refusal(np.empty((2, 0), np.int64), 2, np.array([], np.int64))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"tasks": np.arange(3)}, "tasks"),
        ({"tasks": np.array([0.0, 1.0, np.nan, 2.0])}, "tasks"),
        ({"resamples": 0}, "resamples"),
        ({"level": 1.0}, "level"),
        ({"level": 95}, "level"),
        ({"level": float("nan")}, "level"),
        ({"scale": "interval"}, "scale"),
    ],
)
def test_bad_arguments(overrides, message):
    arguments = {"labels": np.array([[0, 1, 0, 1], [0, 1, 1, 1]]), "categories": 2, "tasks": np.arange(4)}
    with pytest.raises(ValueError, match=message) as caught:
        estimates(**(arguments | overrides))
    assert not isinstance(caught.value, Undefined)

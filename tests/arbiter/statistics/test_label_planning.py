"""What labels buy: the allocation against exhaustive search, widths and coverage against what simulations
really get."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import lambertw
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from arbiter.statistics import (
    Interval,
    Undefined,
    alike_in_tasks,
    allocate,
    anytime_halfwidth,
    anytime_interval,
    anytime_planned,
    expected_width,
    looking_cost,
    task_floor,
    task_scores,
    unit_variances,
    variance_for_difference,
    variance_for_width,
)
from tests.sizes import size
from tests.studies.looks import missed

# Widths


@given(st.floats(0.01, 0.99), st.floats(5, 5000), st.sampled_from([0.8, 0.95, 0.99]))
def test_a_width_is_wilsons_at_the_effective_size(rate, n, level):
    low, high = proportion_confint(rate * n, n, 1 - level, method="wilson")
    assert expected_width(rate, rate * (1 - rate) / n, level) == pytest.approx(high - low, rel=1e-9)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.9))
def test_the_variance_for_a_width_gives_that_width(rate, width):
    assert expected_width(rate, variance_for_width(rate, width)) == pytest.approx(width, rel=1e-9)


def test_the_variance_for_a_difference_gives_that_power():
    variance = variance_for_difference(-0.15, power=0.9)
    power = norm.sf(norm.ppf(0.975) - 0.15 / math.sqrt(variance))
    assert power == pytest.approx(0.9, abs=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: expected_width(0.0, 0.01),
        lambda: expected_width(0.5, 0.0),
        lambda: expected_width(0.5, math.nan),
        lambda: variance_for_width(0.5, 1.0),
        lambda: variance_for_difference(0.0),
        lambda: variance_for_difference(0.1, power=0.01),
        lambda: unit_variances([[1, 2]], [0.5], [3]),
        lambda: unit_variances([[1, 2]], [0.5, 0.5], [2]),
        lambda: unit_variances([[1, 2]], [0.5, 1.5], [3]),
        lambda: task_scores([1.0], [1, 2]),
        lambda: task_scores([-1.0, 1.0], [1, 2]),
        lambda: task_floor([0.1, -0.1], -1.0),
        lambda: allocate([5], [6], [[1.0]], [0.0], [1.0]),
        lambda: allocate([5, 5], [1, 1], [[1.0]], [0.0], [1.0]),
        lambda: allocate([5], [1], [[-1.0]], [0.0], [1.0]),
        lambda: anytime_halfwidth(0.0, 1.0),
        lambda: anytime_halfwidth(1.0, 1.0, level=1.0),
        lambda: anytime_interval(1.5, Interval(1.0, 2.0), 0.1),
        lambda: anytime_interval(0.5, Interval(0.6, 0.7), 0.1),
        lambda: anytime_planned(0.0),
        lambda: alike_in_tasks([[0.1, 0.2]], [[0.1]]),
    ],
)
def test_malformed_input_is_refused(call):
    with pytest.raises(ValueError) as refused:
        call()
    assert not isinstance(refused.value, Undefined)


# The variance


def arm(seed, tasks=60, per_task=12):
    """Draw an arm's items: each one's task, draw stratum (0 or 1), kind (0..3) and true label."""
    chance = np.random.default_rng(seed)
    task = np.repeat(np.arange(tasks), per_task)
    votes = chance.binomial(3, np.repeat(chance.beta(0.6, 1.4, tasks), per_task))
    truth = chance.random(task.size) < np.array([0.05, 0.3, 0.65, 0.9])[votes]
    return task, np.where((votes == 0) | (votes == 3), 0, 1), votes, truth


def test_the_predicted_variance_is_what_repeated_sampling_gets():
    """Of very fixed items: unit / n less what the finite population takes off."""
    _, stratum, kind, truth = arm(1)
    sizes = np.bincount(stratum)
    items = np.array([[np.sum((stratum == h) & (kind == k)) for k in range(4)] for h in (0, 1)])
    rates = np.array([truth[kind == k].mean() for k in range(4)])
    units = unit_variances(items, rates, sizes)
    labels = np.array([80, 120])
    predicted = float((units * (1 / labels - 1 / sizes)).sum())
    chance = np.random.default_rng(2)
    share, estimates = items.sum(axis=0) / kind.size, []
    for _ in range(1500):
        taken = np.concatenate(
            [chance.permutation(np.flatnonzero(stratum == h))[: labels[h]] for h in (0, 1)]
        )
        weight = np.array([sizes[0] / labels[0], sizes[1] / labels[1]])[stratum[taken]]
        hits = np.bincount(kind[taken], weight * truth[taken], 4)
        estimates.append(float(share @ (hits / np.bincount(kind[taken], weight, 4))))
    assert np.mean(estimates) == pytest.approx(truth.mean(), abs=0.004)
    # 1,500 repetitions: 3.7 % Monte Carlo error
    assert np.var(estimates) == pytest.approx(predicted, rel=0.12)


def test_with_all_labelled_the_floor_and_the_rest_are_the_clustered_variance():
    task, _, _, truth = arm(3)
    rate = truth.mean()
    scores = task_scores(np.bincount(task, truth), np.bincount(task))
    binomial = rate * (1 - rate) / truth.size
    hits, totals = np.bincount(task, truth), np.bincount(task)
    between = np.sum((hits - rate * totals) ** 2) / truth.size**2
    assert task_floor(scores) == pytest.approx(totals.size / (totals.size - 1) * between, rel=1e-9)
    assert task_floor(scores) > binomial


def test_over_new_tasks_floor_and_labels_add_up():
    """Tasks drawn anew each time, and gold within them: what the estimate varies by is what was predicted."""
    rates, labels, estimates, predicted = np.array([0.05, 0.3, 0.65, 0.9]), 150, [], []
    for seed in range(600):
        task, _, kind, truth = arm(seed + 10, tasks=40, per_task=6)
        taken = np.random.default_rng(seed).permutation(kind.size)[:labels]
        share = np.bincount(kind, minlength=4) / kind.size
        hits, seen = np.bincount(kind[taken], truth[taken], 4), np.bincount(kind[taken], minlength=4)
        estimates.append(float(share @ (hits / np.maximum(seen, 1))))
        units = unit_variances([np.bincount(kind, minlength=4)], rates, [kind.size])
        scores = task_scores(np.bincount(task, rates[kind]), np.bincount(task))
        predicted.append(task_floor(scores) + units[0] / labels)
    assert np.var(estimates) == pytest.approx(np.mean(predicted), rel=0.15)  # 5.8 % Monte Carlo error


def test_an_arm_without_items_or_a_single_task_is_undefined():
    with pytest.raises(Undefined, match="no rate"):
        unit_variances([[0, 0]], [0.5, 0.5], [3])
    with pytest.raises(Undefined, match="no responses"):
        task_scores([0.0], [0])
    with pytest.raises(Undefined, match="single task"):
        task_floor([0.0])


def test_how_alike_gold_in_a_task_is_comes_from_its_pairs():
    chance = np.random.default_rng(5)
    rho, p = 0.3, 0.4
    tasks = chance.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1), 4000)
    residuals = [chance.binomial(1, one, 4) - p for one in tasks]
    spreads = [np.full(4, math.sqrt(p * (1 - p)))] * 4000
    assert alike_in_tasks(residuals, spreads) == pytest.approx(rho, abs=0.03)
    assert alike_in_tasks([[0.5, -0.5]] * 40, [[0.5, 0.5]] * 40) == 0.0
    with pytest.raises(Undefined, match="30"):
        alike_in_tasks(residuals[:4], spreads[:4])


# Allocation


def test_one_goal_is_neymans_allocation():
    units = np.array([4.0, 1.0, 0.25])
    allocation = allocate([10_000] * 3, [0] * 3, [units], [0.0], [0.01])
    share = np.sqrt(units) / np.sqrt(units).sum()
    assert allocation.labels / allocation.labels.sum() == pytest.approx(share, abs=0.005)
    assert allocation.met.all() and allocation.variance[0] <= 0.01


@given(st.data())
@settings(max_examples=size(20, 60), deadline=None)
def test_the_sum_is_the_least_to_a_label_a_stratum(data):
    strata, goals = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=strata, max_size=strata))
    labelled = [data.draw(st.integers(0, size)) for size in sizes]
    units = [[data.draw(st.floats(0.05, 2)) for _ in sizes] for _ in range(goals)]
    wanted = [data.draw(st.floats(0.2, 3)) for _ in range(goals)]
    allocation = allocate(sizes, labelled, units, [0.0] * goals, wanted)
    assert ((allocation.labels >= labelled) & (allocation.labels <= sizes)).all()
    assert (allocation.more == allocation.labels - labelled).all()
    reachable = [
        sum(u / n for u, n in zip(row, sizes, strict=True)) <= w for row, w in zip(units, wanted, strict=True)
    ]
    met = list(allocation.met)
    assert met == reachable or all(a or not b for a, b in zip(met, reachable, strict=True))
    asked = [(row, w) for row, w, able in zip(units, wanted, reachable, strict=True) if able]
    least = min(
        (
            sum(counts)
            for counts in itertools.product(
                *(range(low, high + 1) for low, high in zip(labelled, sizes, strict=True))
            )
            if all(counts)
            and all(sum(u / n for u, n in zip(row, counts, strict=True)) <= w for row, w in asked)
        ),
        default=0,
    )
    if asked:
        assert least <= allocation.labels.sum() <= least + strata


def test_a_stratum_is_never_asked_for_more_than_it_holds():
    allocation = allocate([10, 1000], [0, 0], [[8.0, 1.0]], [0.0], [0.85])
    assert allocation.labels[0] == 10 and allocation.met[0]


def test_a_goal_out_of_reach_is_left_aside_and_said():
    allocation = allocate([100], [20], [[1.0], [1.0]], [0.0, 0.5], [0.02, 0.4])
    assert list(allocation.met) == [True, False]
    assert allocation.labels[0] == 50 and allocation.variance[1] == pytest.approx(0.52)
    none = allocate([100], [20], [[1.0]], [0.5], [0.4])
    assert not none.met[0] and none.more.sum() == 0


def test_what_is_reached_already_asks_for_nothing():
    assert allocate([100, 50], [60, 40], [[1.0, 1.0]], [0.0], [0.1]).more.sum() == 0


# Looking repeatedly


def test_it_is_narrowest_where_it_was_planned_to_be():
    """The optimum against Lambert's W, as Howard et al. (2021) have it."""
    alpha = 0.05
    x = float(-lambertw(-(alpha**2) / math.e, k=-1).real - 1)
    ratio = math.sqrt(1 + 1 / x) * math.sqrt(math.log((1 + x) / alpha**2))
    assert looking_cost(0.95) == pytest.approx(ratio / norm.ppf(0.975), rel=1e-9)
    assert looking_cost(0.95) == pytest.approx(1.55, abs=0.01)
    planned = 0.001
    half = [anytime_halfwidth(v, planned) / math.sqrt(v) for v in np.geomspace(1e-5, 1e-1, 401)]
    assert np.geomspace(1e-5, 1e-1, 401)[int(np.argmin(half))] == pytest.approx(planned, rel=0.05)


def test_looking_at_every_label_keeps_its_promise_where_a_fixed_interval_breaks_it():
    chance = np.random.default_rng(11)
    p, n, repetitions = 0.3, 1500, 800
    means = np.cumsum(chance.random((repetitions, n)) < p, axis=1) / np.arange(1, n + 1)
    looks = np.arange(29, n)
    error = np.abs(means[:, looks] - p)
    variance = p * (1 - p) / (looks + 1)
    planned = p * (1 - p) / 600
    anytime = np.array([anytime_halfwidth(v, planned) for v in variance])
    missed = (error > anytime).any(axis=1).mean()
    fixed = (error > norm.ppf(0.975) * np.sqrt(variance)).any(axis=1).mean()
    assert missed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)
    assert fixed > 0.25


def test_an_interval_stays_within_its_bounds():
    one = anytime_interval(0.02, Interval(0.0, 0.2), 0.01)
    assert (one.low, one.high < 1) == (0.0, True)
    assert anytime_interval(-0.9, Interval(-1.0, -0.5), 0.01, bounds=(-1.0, 1.0)).low == -1.0


def test_each_side_is_widened_for_itself_and_an_end_stays():
    planned = anytime_planned(0.1)
    interval = anytime_interval(0.2, Interval(0.15, 0.3), planned)
    below, above = (anytime_halfwidth((side / norm.ppf(0.975)) ** 2, planned) for side in (0.05, 0.1))
    assert (interval.low, interval.high) == pytest.approx((0.2 - below, 0.2 + above))
    assert anytime_interval(0.0, Interval(0.0, 0.1), planned).low == 0
    assert anytime_interval(0.4, Interval(0.4, 0.4), planned) == Interval(0.4, 0.4)


def test_it_is_narrowest_where_it_is_as_wide_as_asked():
    planned = anytime_planned(0.1)
    assert 2 * anytime_halfwidth(planned, planned) == pytest.approx(0.1)
    side = norm.ppf(0.975) * math.sqrt(planned)
    interval = anytime_interval(0.5, Interval(0.5 - side, 0.5 + side), planned)
    assert interval.high - interval.low == pytest.approx(0.1)


def test_an_arm_is_not_missed_at_any_look_where_an_interval_for_one_look_would():
    chance = np.random.default_rng(4)
    (looked_at, once) = missed(0.9, 40, chance).mean(axis=1)
    assert looked_at <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 40)
    assert once > looked_at

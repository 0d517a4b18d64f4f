"""Logits: as statsmodels has them where they exist, finite where the data are separated, and honest where
nothing can be told."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from statsmodels.discrete.conditional_models import ConditionalLogit
from statsmodels.discrete.discrete_model import Logit

from arbiter.statistics import Undefined, conditional_logit, logit, truth_weights
from tests.sizes import size


def made(seed, n=150, tasks=25, effect=0.6):
    rng = np.random.default_rng(seed)
    gold = rng.random(n) < 0.4
    length = rng.normal(size=n)
    task = np.r_[np.arange(tasks), rng.integers(0, tasks, n - tasks)]
    lean = rng.normal(size=tasks)[task] * 0.5
    return rng.random(n) < expit(-1 + 2 * gold + effect * length + lean), length, gold.astype(float), task


@given(st.integers(0, 10**6))
@settings(max_examples=size(20, 40))
def test_plain_estimates_and_clustered_errors_are_those_of_statsmodels(seed):
    y, x, gold, task = made(seed)
    effect = logit(y, x, gold[:, None], task, penalised=False)
    design = np.column_stack([np.ones(len(y)), gold, x])
    fit = Logit(y.astype(float), design).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": task, "use_correction": False}
    )
    clusters = len(np.unique(task))
    assert effect.coefficient == pytest.approx(fit.params[2], abs=1e-6)
    alone = Logit(y.astype(float), design).fit(disp=0).bse[2]
    clustered = fit.bse[2] * np.sqrt(clusters / (clusters - 1))
    assert effect.error == pytest.approx(max(alone, clustered), rel=1e-5)
    assert (effect.ratio, effect.clusters) == (pytest.approx(np.exp(fit.params[2]), rel=1e-5), clusters)
    assert effect.low < effect.ratio < effect.high


def test_firths_estimate_maximises_the_penalised_likelihood():
    y, x, gold, task = made(5, n=40)
    design = np.column_stack([np.ones(40), gold, x])

    def penalised(beta):
        chance = expit(design @ beta)
        information = design.T @ (design * (chance * (1 - chance))[:, None])
        fit = (y * np.log(chance) + ~y * np.log(1 - chance)).sum()
        return -(fit + 0.5 * np.linalg.slogdet(information)[1])

    best = minimize(penalised, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).x
    assert logit(y, x, gold[:, None], task).coefficient == pytest.approx(best[2], abs=1e-5)


def test_complete_separation_gives_a_finite_estimate_and_is_found():
    x = np.linspace(-1, 1, 60)
    effect = logit(x > 0, x, np.zeros((60, 0)), np.arange(60))
    assert np.isfinite([effect.ratio, effect.low, effect.high]).all() and effect.ratio > 10
    assert effect.p < 1e-6
    with pytest.raises(Undefined, match="one-sided"):
        logit(x > 0, x, np.zeros((60, 0)), np.arange(60), penalised=False)


def test_a_covariate_that_separates_by_itself_does_no_harm():
    y, x, gold, task = made(2)
    never = (np.arange(len(y)) % 10 == 0).astype(float)
    effect = logit(y & (never == 0), x, np.column_stack([gold, never, never]), task)
    assert np.isfinite(effect.error) and 1 < effect.ratio < 4


@pytest.mark.parametrize(
    ("outcome", "tested", "says"),
    [
        (np.ones(20, dtype=bool), np.arange(20.0), "never varies"),
        (np.arange(20) % 2 == 0, np.ones(20), "does not vary apart"),
        (np.arange(20) % 2 == 0, np.arange(20.0) % 5 * 2, "does not vary apart"),
    ],
)
def test_what_cannot_be_told(outcome, tested, says):
    with pytest.raises(Undefined, match=says):
        logit(outcome, tested, (np.arange(20.0) % 5)[:, None], np.arange(20))


def test_one_task_is_not_enough():
    y, x, gold, task = made(2)
    with pytest.raises(Undefined, match="one task"):
        logit(y, x, gold[:, None], np.zeros_like(task))


def test_malformed():
    with pytest.raises(ValueError, match="booleans"):
        logit([0, 1], [1.0, 2.0], np.zeros((2, 0)), [0, 1])
    with pytest.raises(ValueError, match="finite"):
        logit([True, False], [1.0, np.nan], np.zeros((2, 0)), [0, 1])
    with pytest.raises(ValueError, match="tasks"):
        logit([True, False], [1.0, 2.0], np.zeros((2, 0)), [0.5, 1])
    with pytest.raises(ValueError, match="votes"):
        conditional_logit([[0, 2]], np.zeros((1, 2, 1)), np.zeros((1, 2, 0)), [0])


def panel(seed, n=120, raters=3, effect=-1.0):
    """Draw a panel: each rater has its leniency, each item its chance; the first minds whether an item is its
    own."""
    rng = np.random.default_rng(seed)
    own = rng.random(n) < 0.5
    chance = rng.normal(size=n)[:, None] + np.linspace(-0.5, 0.5, raters) + np.zeros((n, raters))
    chance[:, 0] += effect * own
    tested = np.zeros((n, raters, 1))
    tested[:, 0, 0] = own
    judges = np.broadcast_to(np.eye(raters)[:, 1:], (n, raters, raters - 1))
    return (rng.random((n, raters)) < expit(chance)).astype(int), tested, judges, rng.integers(0, 30, n)


@given(st.integers(0, 10**6), st.integers(2, 5))
@example(1, 3)
@settings(max_examples=8, deadline=None)
def test_conditional_estimates_are_those_of_statsmodels(seed, raters):
    votes, tested, judges, task = panel(seed, raters=raters)
    missing = np.random.default_rng(seed).random(votes.shape) < 0.1
    votes[missing] = -1
    [effect] = conditional_logit(votes, tested, judges, task, penalised=False)
    kept = votes.ravel() >= 0
    design = np.concatenate([judges, tested], axis=2).reshape(-1, raters)[kept]
    items = np.repeat(np.arange(len(votes)), raters)[kept]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ConditionalLogit(votes.ravel()[kept], design, groups=items)
        fit = model.fit(disp=0, method="bfgs", gtol=1e-9)
        # Its search may stop short where the likelihood is flat; from there it goes on.
        fit = model.fit(start_params=fit.params, disp=0, method="nm", xtol=1e-7, ftol=1e-12, maxiter=5000)
    assume(np.abs(fit.params).max() < 5)  # else labels are separated, and both are on their way to infinity
    assert effect.coefficient == pytest.approx(fit.params[-1], abs=2e-3)


def test_conditional_of_two_raters_is_a_plain_logit_of_who_said_yes():
    """For pairs the conditional likelihood is that of a logit on the differences, so Firth's and the test
    agree too."""
    votes, tested, judges, task = panel(4, n=200, raters=2)
    differ = votes[:, 0] != votes[:, 1]
    [effect] = conditional_logit(votes, tested, judges, task)
    plain = logit(votes[differ, 0] == 1, tested[differ, 0, 0], np.zeros((differ.sum(), 0)), task[differ])
    assert effect.coefficient == pytest.approx(plain.coefficient, abs=1e-6)
    assert (effect.error, effect.statistic) == pytest.approx((plain.error, plain.statistic), rel=1e-6)
    assert effect.informative == differ.sum()


def test_a_rater_that_never_says_yes_of_its_own_is_found():
    votes, tested, judges, task = panel(6, n=300)
    votes[tested[:, 0, 0] == 1, 0] = 0
    [effect] = conditional_logit(votes, tested, judges, task)
    assert np.isfinite([effect.low, effect.high]).all()
    assert effect.low < effect.ratio / 4 and effect.high > effect.ratio * 4  # though no residual is left
    [sure] = conditional_logit(votes, tested, judges, task, level=0.9999)
    assert sure.p < 1e-4 and sure.high < 1  # as wide as Wald's interval is there
    assert effect.ratio < 0.1 and effect.p < 1e-4


def test_two_raters_each_with_its_own_and_nothing_else_cannot_be_told_apart():
    votes, tested, judges, task = panel(4, n=200, raters=2)
    both = np.concatenate([tested, np.zeros_like(tested)], axis=2)
    both[:, 1, 1] = 1 - both[:, 0, 0]
    for effect in conditional_logit(votes, both, judges, task):
        assert isinstance(effect, Undefined) and "can't be told" in str(effect)


def test_no_item_differs_and_too_many_raters():
    with pytest.raises(Undefined, match="no item"):
        conditional_logit(np.ones((5, 3), dtype=int), np.zeros((5, 3, 1)), np.zeros((5, 3, 0)), np.arange(5))
    votes = np.eye(13, dtype=int)
    with pytest.raises(Undefined, match="12 at most"):
        conditional_logit(votes, np.zeros((13, 13, 1)), np.zeros((13, 13, 0)), np.arange(13))


def test_weights_are_copies_to_the_estimate():
    y, x, gold, task = made(8)
    twice = np.where(np.arange(len(y)) % 2, 2.0, 1.0)
    rows = np.repeat(np.arange(len(y)), twice.astype(int))
    weighted = logit(y, x, gold[:, None], task, weights=twice, penalised=False)
    copied = logit(y[rows], x[rows], gold[rows, None], task[rows], penalised=False)
    assert (weighted.coefficient, weighted.error) == pytest.approx(
        (copied.coefficient, copied.error), rel=1e-6
    )


def test_clusters_are_minded():
    """Tasks that sway the label, and lengths that go by task: the level holds where items taken as
    independent break it."""
    rng = np.random.default_rng(9)
    clustered = plain = 0
    for _ in range(200):
        task = np.repeat(np.arange(40), 6)
        x = (rng.normal(size=40) * 0.9)[task] + 0.3 * rng.normal(size=240)
        y = rng.random(240) < expit((1.5 * rng.normal(size=40))[task])
        clustered += logit(y, x, np.zeros((240, 0)), task).p < 0.05
        plain += logit(y, x, np.zeros((240, 0)), np.arange(240)).p < 0.05
    assert clustered <= 18
    assert plain > 30


def test_separated_votes_have_no_plain_estimate_and_a_penalised_one():
    votes, tested, judges, task = panel(6, n=100, raters=2)
    votes[tested[:, 0, 0] == 1, 0] = 0
    votes[tested[:, 0, 0] == 1, 1] = 1
    [plain] = conditional_logit(votes, tested, judges, task, penalised=False)
    [effect] = conditional_logit(votes, tested, judges, task)
    assert isinstance(plain, Undefined) and "one-sided" in str(plain)
    assert effect.ratio < 0.1


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_an_interval_never_says_what_p_does_not(level):
    """It leaves out 1 just where p is below what the level asks for, also where labels are separated."""
    for seed in range(12):
        y, x, gold, task = made(seed)
        steep = np.where(np.abs(x) > 1, x > 0, y) if seed % 3 == 0 else y
        effect = logit(steep, x if seed % 2 else np.roll(x, 7), gold[:, None], task, level=level)
        assert (effect.low > 1 or effect.high < 1) == (effect.p < 1 - level)
        assert effect.low <= effect.ratio <= effect.high


def test_what_gold_errs_in_is_undone():
    """Long responses are more often convergent, and the rater follows the truth alone; gold is wrong in
    10 %."""
    rng, tasks = np.random.default_rng(3), np.arange(8000) % 400
    truth = rng.random(8000) < 0.4
    x = rng.normal(size=8000) + 1.2 * truth
    votes = np.where(rng.random(8000) < 0.15, ~truth, truth)
    gold = np.where(rng.random(8000) < 0.1, ~truth, truth).astype(int)
    misled = logit(votes, x, gold[:, None], tasks)
    assert misled.p < 1e-6
    weights = truth_weights(gold, np.array([[0.9, 0.1], [0.1, 0.9]]))
    item, label = np.nonzero(weights)
    effect = logit(votes[item], x[item], label[:, None], tasks[item], weights[item, label], signed=True)
    assert effect.low < 1 < effect.high and abs(effect.coefficient) < abs(misled.coefficient) / 4
    known = logit(votes, x, truth[:, None].astype(int), tasks)
    assert effect.error > known.error  # which is what not knowing the truth costs

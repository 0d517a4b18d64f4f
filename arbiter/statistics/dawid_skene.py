"""Latent labels and raters' error rates by EM, from distinct vote patterns and how often each occurs."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
FEW = 6  # labels whose every order is tried; scipy takes a second to load
TINY = 1e-300  # log of it stands for log 0, so that a matrix product never meets 0 times infinity


@dataclass(frozen=True)
class DawidSkene:
    """What EM came to.

    prior: shape (k,), the labels' marginals. errors: shape (raters, k, k), P(rater gives column | true label
    is row); a row of a label that no item can have is uniform. posteriors: shape (patterns, k), rows summing
    to 1; of a pattern with gold, 1 for it. log_likelihood: of the votes (with gold: of votes and gold), at
    these parameters. steps: EM steps made. converged: the last step gained less than was asked. switched:
    labels were put back in their places.
    """

    prior: Floats
    errors: Floats
    posteriors: Floats
    log_likelihood: float
    steps: int
    converged: bool
    switched: bool


def dawid_skene(
    votes: Ints,
    counts: Ints,
    categories: int,
    *,
    gold: Ints | None = None,
    observers: Ints | None = None,
    smoothing: float = 0.0,
    start: DawidSkene | None = None,
    steps: int = 2000,
    tolerance: float = 1e-12,
) -> DawidSkene:
    """Estimate raters' error rates, marginals and posteriors of true labels by maximum likelihood, with EM.

    votes: shape (patterns, columns), label index 0..k-1, -1 where there is no vote. counts: shape
    (patterns,), the items with that pattern. A column is one rating: a rater who rated several times has
    several columns of one number in `observers`, shape (columns,), numbered from 0; by default each column is
    a rater of its own. gold: shape (patterns,), the known label of the pattern's items or -1; known labels
    are held fast. Rows may repeat.

    smoothing: pseudo-votes added to every cell of every error matrix, and pseudo-items to every marginal, so
    that what was never seen is not held impossible; 0 is the paper's maximum likelihood. EM starts from the
    shares of the votes, or from the parameters of an earlier fit of equal shape. It ends when a step raises
    the (smoothed) log-likelihood by no more than `tolerance` times its size (at least 1), or after so many
    steps.

    EM can end with true labels under each other's names, at the same likelihood. Labels without gold are
    therefore put in the order in which raters are most often right; labels with gold stay where gold says.

    Raises ValueError on shapes, numbers or options that make no sense, and where there is no item or no
    rater.
    Source: A. P. Dawid & A. M. Skene (1979), Appl. Statist. 28:20-28, equations 2.3 to 2.5. It takes ratings
    of an item as independent given its true label, which judges that share their errors are not: see
    `calibrate`.
    """
    design, weights, known = _prepared(votes, counts, categories, gold, observers, smoothing)
    raters = design.shape[1] // categories
    given = (design * weights[:, None]).T  # a product with posteriors then counts votes by true label
    fixed = known >= 0
    if start is None:
        posteriors = _shares(design, categories)
        _clamp(posteriors, known, fixed)
        prior, errors = _maximised(posteriors, given, weights, smoothing)
    else:
        prior, errors = start.prior, _stacked(start.errors)
        if errors.shape != (raters * categories, categories):
            raise ValueError("the fit to start from has other raters or labels")
    before, taken, converged = -np.inf, 0, False
    while True:
        posteriors, fit = _expected(prior, errors, design, weights, known, fixed)
        objective = fit + smoothing * float(_log(prior).sum() + _log(errors).sum())
        if converged := taken > 0 and objective - before <= tolerance * max(1.0, abs(objective)):
            break
        if taken >= steps:
            break
        before, taken = objective, taken + 1
        prior, errors = _maximised(posteriors, given, weights, smoothing)
    matrices = errors.reshape(raters, categories, categories).transpose(0, 2, 1)
    order = _order(prior, matrices, given.sum(axis=1).reshape(raters, categories), known)
    switched = bool((order != np.arange(categories)).any())
    return DawidSkene(
        prior[order],
        np.ascontiguousarray(matrices[:, order]),
        posteriors[:, order],
        fit,
        taken,
        converged,
        switched,
    )


def _prepared(
    votes: Ints,
    counts: Ints,
    categories: int,
    gold: Ints | None,
    observers: Ints | None,
    smoothing: float,
) -> tuple[Floats, Floats, Ints]:
    """Return how often each rater gave each label, shape (patterns, raters * k); the counts; gold or -1."""
    if categories < 1 or not (np.isfinite(smoothing) and smoothing >= 0):
        raise ValueError("categories must be at least 1 and smoothing at least 0")
    if votes.ndim != 2 or not votes.shape[1] or not np.issubdtype(votes.dtype, np.integer):
        raise ValueError(
            f"votes must be integers of shape (patterns, columns), not {votes.dtype} {votes.shape}"
        )
    rows, columns = votes.shape
    known = np.full(rows, -1) if gold is None else np.asarray(gold)
    observers = np.arange(columns) if observers is None else np.asarray(observers)
    if counts.shape != (rows,) or known.shape != (rows,) or observers.shape != (columns,):
        raise ValueError(f"counts and gold must have shape ({rows},), observers ({columns},)")
    for values, name in ((votes, "votes"), (known, "gold")):
        if values.size and not (values.min() >= -1 and values.max() < categories):
            raise ValueError(f"{name} must lie in -1..{categories - 1}")
    if (np.asarray(counts) < 0).any() or not counts.sum() or observers.min() < 0:
        raise ValueError("counts must be at least 0 and not all 0, observers at least 0")
    raters = int(observers.max()) + 1
    row, column = np.nonzero(votes >= 0)
    cell = (row * raters + observers[column]) * categories + votes[row, column]
    design = np.bincount(cell, minlength=rows * raters * categories).astype(np.float64)
    return design.reshape(rows, raters * categories), np.asarray(counts, dtype=np.float64), known


def _shares(design: Floats, categories: int) -> Floats:
    """Return the shares of an item's votes by label; equal where it has none."""
    given = design.reshape(len(design), -1, categories).sum(axis=1)
    total = given.sum(axis=1, keepdims=True)
    shares: Floats = np.where(total > 0, given / np.maximum(total, 1), 1 / categories)
    return shares


def _clamp(posteriors: Floats, known: Ints, fixed: npt.NDArray[np.bool_]) -> None:
    posteriors[fixed] = 0
    posteriors[fixed, known[fixed]] = 1


def _maximised(posteriors: Floats, given: Floats, weights: Floats, smoothing: float) -> tuple[Floats, Floats]:
    """Return marginals, shape (k,), and errors, shape (raters * k, k), of given label by true label."""
    categories = posteriors.shape[1]
    prior = weights @ posteriors + smoothing
    cells = (given @ posteriors + smoothing).reshape(-1, categories, categories)
    totals = cells.sum(axis=1, keepdims=True)
    errors = np.where(totals > 0, cells / np.where(totals > 0, totals, 1), 1 / categories)
    return prior / prior.sum(), errors.reshape(-1, categories)


def _expected(
    prior: Floats,
    errors: Floats,
    design: Floats,
    weights: Floats,
    known: Ints,
    fixed: npt.NDArray[np.bool_],
) -> tuple[Floats, float]:
    """Return posteriors and the log-likelihood. Exponents are taken relative to each pattern's largest."""
    joint = design @ _log(errors) + _log(prior)
    top = joint.max(axis=1, keepdims=True)
    posteriors = np.exp(joint - top)
    total = posteriors.sum(axis=1, keepdims=True)
    posteriors /= total
    evidence = (top + np.log(total))[:, 0]
    if fixed.any():
        evidence[fixed] = joint[fixed, known[fixed]]
        _clamp(posteriors, known, fixed)
    return posteriors, float(weights @ evidence)


def _log(values: Floats) -> Floats:
    logs: Floats = np.log(np.maximum(values, TINY))
    return logs


def _stacked(errors: Floats) -> Floats:
    """Lay error matrices (raters, true, given) out as (raters * given, true)."""
    stacked: Floats = errors.transpose(0, 2, 1).reshape(-1, errors.shape[1])
    return stacked


def _order(prior: Floats, errors: Floats, given: Floats, known: Ints) -> Ints:
    """Return which true label stands in which place: of those without gold, where their raters' votes are
    right most often."""
    order = np.arange(len(prior))
    free = np.setdiff1d(order, known[known >= 0])
    right = prior[:, None] * np.einsum("r,rjl->jl", given.sum(axis=1), errors)
    part = right[np.ix_(free, free)]
    if len(free) > 1 and (part.argmax(axis=0) != np.arange(len(free))).any():
        true = _assigned(part)
        if part[true, np.arange(len(free))].sum() > np.trace(part) * (1 + 1e-9):
            order[free] = free[true]
    return order


def _assigned(right: Floats) -> Ints:
    """Return the row of each place (column), no row twice, so that the sum is greatest."""
    places = range(len(right))
    if len(right) <= FEW:
        orders = np.array(list(permutations(places)))
        best: Ints = orders[right[orders, places].sum(axis=1).argmax()]
        return best
    from scipy.optimize import linear_sum_assignment

    rows: Ints = linear_sum_assignment(right.T, maximize=True)[1]
    return rows

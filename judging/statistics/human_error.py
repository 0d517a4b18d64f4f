"""How often humans err, from items that several labelled; and what that does to figures that take gold as truth.

An error matrix has shape (k, k): row t, column y is the chance that one human who labels an item whose true
label is t gives y. All humans are taken to share it, and to err independently of each other given the truth.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .outcomes import Undefined

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEAST_ITEMS = 30  # with two labels or more; and with three or more for the full matrix
LEAST_POWER = 0.2  # sensitivity + specificity - 1, below which an inversion only multiplies noise
TINY = 1e-9  # right answers that each true label is given beforehand, so that one nobody met has a row
ROUNDS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class HumanError:
    """One human's errors.

    error: shape (k, k), rows true, columns given; rows sum to 1. prevalence: shape (k,), of the true labels
    among the items. full: estimated without the symmetry that pairs need. items: with two labels or more;
    tripled: of them, with three or more. right: chance that a human's label is the true one.
    """

    error: Floats
    prevalence: Floats
    full: bool
    items: int
    tripled: int
    right: float


@dataclass(frozen=True, slots=True)
class UnderHumanError:
    """A rate and its bounds once single humans' errors are taken out, in 0..1."""

    estimate: float
    low: float
    high: float


def human_error(counts: npt.ArrayLike, items: npt.ArrayLike, least: int = LEAST_ITEMS) -> HumanError:
    """The error matrix that makes humans' labels on the same items most likely.

    counts: shape (patterns, k), how many humans gave each label. items: shape (patterns,), how many items have
    that pattern. Items with fewer than two labels say nothing about error and are left out.

    With `least` items or more that three humans labelled, the matrix is free ("full"): three independent
    looks with a common matrix identify it (J. B. Kruskal 1977, Linear Algebra Appl. 18:95-138; E. S. Allman
    et al. 2009, Ann. Statist. 37:3099-3132), provided its diagonal is the largest of its row. With pairs alone
    it is not: the symmetric table of pairs has k (k + 1) / 2 - 1 free cells, matrix and prevalence
    have k^2 - 1. The matrix is then taken to be symmetric (a is taken for b as often as b for a), which has
    just as many parameters as the table has cells; for two labels that is one error rate e, with
    2 e (1 - e) the share of pairs that differ.

    By EM on the patterns, started near the identity (A. P. Dawid & A. M. Skene 1979, Appl. Statist. 28:20-28,
    with one matrix for all raters).

    Raises Undefined with fewer than `least` items of two labels or more, and where the estimate says that a
    label is more often given wrongly than rightly; ValueError on malformed counts.
    """
    table, weights = _patterns(counts, items)
    enough = int(weights.sum())
    if enough < least:
        raise Undefined(f"{enough} items have labels from two humans or more; {least} are needed")
    tripled = int(weights[table.sum(axis=1) >= 3].sum())
    full = tripled >= least
    prevalence, error = _fit(table, weights, full)
    met = prevalence > 0.5 / enough
    error[~met] = np.eye(len(error))[~met]  # of a label that no item has nothing is known
    if (np.diag(error) < 0.5).any():
        raise Undefined("humans differ so often that which label is the true one can't be told")
    right = float(prevalence @ np.diag(error))
    return HumanError(error, prevalence, full, enough, tripled, right)


def gold_error(error: Floats, single: float = 1.0) -> Floats:
    """The error matrix of gold of which a share `single` (0..1) was written by one human alone, shape (k, k).

    The rest (agreed on by several, or decided by an adjudicator) is taken as true. ValueError on a bad
    share.
    """
    if not 0 <= single <= 1:
        raise ValueError(f"single must lie in 0..1, not {single!r}")
    mixed: Floats = single * error + (1 - single) * np.eye(len(error))
    return mixed


def as_binary(error: Floats, prevalence: Floats, target: npt.ArrayLike) -> tuple[float, float]:
    """A matrix as sensitivity and specificity for `target`, a boolean array of shape (k,).

    Labels on one side are weighted by their prevalence (evenly, where none of them occurs). ValueError where
    target has another shape or holds all labels or none.
    """
    inside = np.asarray(target, dtype=bool)
    if inside.shape != prevalence.shape or inside.all() or not inside.any():
        raise ValueError(f"target must name some of the {len(prevalence)} labels, and not all")
    return (
        _kept_inside(error, prevalence, inside),
        _kept_inside(error, prevalence, ~inside),
    )


def rate_under_human_error(
    rate: float, low: float, high: float, found: HumanError, target: npt.ArrayLike, single: float = 1.0
) -> UnderHumanError:
    """What a rate of `target` labels in gold is, once the errors of its single authors are taken out.

    rate, low, high: as estimated with gold taken as truth, fractions in 0..1. target: boolean, shape (k,).
    single: the (weighted) share of that gold which one human alone wrote. The three are carried over by
    (q + specificity - 1) / (sensitivity + specificity - 1), cut to 0..1. The error matrix is taken as known, so
    that the bounds hold what the sample leaves open, and not what the few items with several humans do.

    Raises Undefined where sensitivity + specificity - 1 is below 0.2; ValueError as `as_binary` and
    `gold_error` do, and where low <= rate <= high in 0..1 does not hold.
    Source: W. J. Rogan & B. Gladen (1978), Am. J. Epidemiol. 107:71-76, eq. 3.
    """
    if not 0 <= low <= rate <= high <= 1:
        raise ValueError(f"low <= rate <= high must hold in 0..1, not {low!r}, {rate!r}, {high!r}")
    sensitivity, specificity = as_binary(gold_error(found.error, single), found.prevalence, target)
    power = sensitivity + specificity - 1
    if power < LEAST_POWER:
        raise Undefined("humans' labels tell too little of the truth to be corrected for")
    values = [min(1.0, max(0.0, (q + specificity - 1) / power)) for q in (rate, low, high)]
    return UnderHumanError(*values)


def shares_under_human_error(shares: npt.ArrayLike, found: HumanError, single: float = 1.0) -> Floats:
    """Shares of the true labels, shape (k,), from the (weighted) shares of the labels in gold.

    The most likely shares under the error matrix, none of them negative; for a ratio, such as the target
    labels' share of the valid ones, divide what comes back. `single` as for `confusion_under_human_error`.
    Raises ValueError on shares of another shape, negative or all zero.
    """
    column = np.asarray(shares, dtype=np.float64).reshape(-1, 1)
    truth: Floats = confusion_under_human_error(column, found, single)[:, 0] / column.sum()
    return truth


def confusion_under_human_error(table: npt.ArrayLike, found: HumanError, single: float = 1.0) -> Floats:
    """A table of gold (rows) by judge (columns) as it would be with the true labels for rows, shape (k, j).

    table: shape (k, j), (weighted) counts; any columns, such as one for no verdict. single: share of the
    gold that one human alone wrote; better, where it is known which, give their table alone and add the rest to
    what comes back. Cell (y, j) is taken as the sum
    over t of E[t, y] P[t, j]: humans and judge err independently given the truth. Where both fall for the
    same items, the judge is worse than the result says. P is found by EM (deconvolution), so no cell is
    negative, and columns keep their sums.

    Raises ValueError on a table of other rows, negative or all zero.
    Source: the EM for a mixture with known components; L. B. Lucy (1974), Astron. J. 79:745-754.
    """
    observed = np.asarray(table, dtype=np.float64)
    k = len(found.error)
    if observed.ndim != 2 or len(observed) != k or not np.isfinite(observed).all():
        raise ValueError(f"the table must have {k} rows of finite numbers, not {observed.shape}")
    if (observed < 0).any() or not observed.sum() > 0:
        raise ValueError("the table's cells must not be negative, nor all zero")
    error = gold_error(found.error, single)
    truth: Floats = np.full_like(observed, 1.0 / k) * observed.sum(axis=0)
    for _ in range(ROUNDS):
        expected = error.T @ truth
        ratio = np.divide(observed, expected, out=np.zeros_like(observed), where=expected > 0)
        before, truth = truth, truth * (error @ ratio)
        if np.abs(before - truth).max() < 1e-10 * observed.sum():
            break
    return truth


def _patterns(counts: npt.ArrayLike, items: npt.ArrayLike) -> tuple[Floats, Floats]:
    table, weights = np.asarray(counts, dtype=np.float64), np.asarray(items, dtype=np.float64)
    if table.ndim != 2 or weights.shape != table.shape[:1]:
        raise ValueError(
            f"counts must have shape (patterns, k) and items (patterns,), not {table.shape}, {weights.shape}"
        )
    if table.shape[1] < 2:
        raise ValueError("a scheme of one label leaves nothing to err about")
    both = np.concatenate([table.ravel(), weights])
    if not (np.isfinite(both).all() and (both >= 0).all() and (both == np.floor(both)).all()):
        raise ValueError("counts and items must be whole numbers of at least 0")
    kept = (table.sum(axis=1) >= 2) & (weights > 0)
    return table[kept], weights[kept]


def _fit(table: Floats, weights: Floats, full: bool) -> tuple[Floats, Floats]:
    k = table.shape[1]
    error = np.full((k, k), 0.1 / (k - 1)) + np.eye(k) * (0.9 - 0.1 / (k - 1))
    prevalence = (weights @ table + 0.5) / (weights @ table + 0.5).sum()
    last = -np.inf
    for _ in range(ROUNDS):
        with np.errstate(divide="ignore"):
            logs = table @ np.where(error > 0, np.log(error), -1e4).T + np.log(prevalence)
        top = logs.max(axis=1, keepdims=True)
        chances = np.exp(logs - top)
        sums = chances.sum(axis=1, keepdims=True)
        likelihood = float(weights @ (top + np.log(sums))[:, 0])
        posterior = chances / sums * weights[:, None]
        prevalence = posterior.sum(axis=0) / weights.sum()
        given = posterior.T @ table + TINY * np.eye(k)
        error = _normalised(given) if full else _symmetric_of(given)
        if likelihood - last < 1e-10 * weights.sum():
            break
        last = likelihood
    return prevalence, error


def _normalised(table: Floats) -> Floats:
    rows: Floats = table / table.sum(axis=1, keepdims=True)
    return rows


def _symmetric_of(given: Floats) -> Floats:
    """A label that (almost) no item has or is given keeps to itself: it has no errors to estimate."""
    met = np.minimum(given.sum(axis=0), given.sum(axis=1)) > 1e-6 * given.sum()
    error = np.eye(len(given))
    error[np.ix_(met, met)] = _symmetric(given[np.ix_(met, met)])
    return error


def _symmetric(given: Floats) -> Floats:
    """The symmetric matrix with rows that sum to 1 which makes the expected counts `given` most likely.

    Cell (t, y) is S[t, y] / (l_t + l_y), with S the counts both ways and l the multipliers of the row sums; the
    diagonal is given[t, t] / l_t. The multipliers minimise a convex function, by Newton steps that are halved until
    they help.
    """
    both = given + given.T
    np.fill_diagonal(both, 0)
    right, at = np.diag(given), given.sum(axis=1)
    for _ in range(100):
        pair = at[:, None] + at[None, :]
        gradient = 1 - right / at - (both / pair).sum(axis=1)
        second = both / pair**2
        step = np.linalg.solve(second + np.diag(right / at**2 + second.sum(axis=1)), gradient)
        if abs(gradient @ step) < 1e-16 * at.sum():
            break
        length = 1.0
        while length > 1e-6 and _dual(at - length * step, right, both) > _dual(at, right, both):
            length /= 2
        at = at - length * step
    pair = at[:, None] + at[None, :]
    return _normalised(both / pair + np.diag(right / at))


def _dual(at: Floats, right: Floats, both: Floats) -> float:
    if not (at > 0).all():
        return np.inf
    pairs = (both * np.log(at[:, None] + at[None, :])).sum() / 2
    return float(at.sum() - right @ np.log(at) - pairs)


def _kept_inside(error: Floats, prevalence: Floats, side: npt.NDArray[np.bool_]) -> float:
    weights = prevalence[side] if prevalence[side].sum() > 0 else np.ones(int(side.sum()))
    return float(weights @ error[np.ix_(side, side)].sum(axis=1) / weights.sum())

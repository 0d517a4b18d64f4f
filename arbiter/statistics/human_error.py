"""How often humans err, from items that several labelled, and what that does to figures that rest on gold.

An error matrix has shape (k, k): row t, column y is the chance that one human who labels an item whose true
label is t gives y. All humans are taken to share it, and to err independently of each other given the truth:
errors that they share leave no trace in what they differ on, so that whoever errs together errs more often
than is found here.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .intervals import Undefined

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEAST_ITEMS = 30  # with two labels or more; and with three or more for the full matrix
LEAST_POWER = 0.2  # sensitivity + specificity - 1, below which an inversion only multiplies noise
DRAWS = 200  # bootstrap samples of the items
CLOSE, CLOSE_ENOUGH = 1e-10, 1e-7  # change of the log likelihood an item that ends a fit; of a draw
TINY = 1e-9  # right answers that each true label is given beforehand, so that one nobody met has a row
ROUNDS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class HumanError:
    """One human's errors.

    error: shape (k, k), rows true, columns given; rows sum to 1. prevalence: shape (k,), of the true labels
    among the items. full: estimated without the symmetry that pairs need. items: with two labels or more;
    tripled: of them, with three or more. right: chance that a human's label is the true one. pairs: shape
    (k, k), symmetric, how often two labels of one item are these two; sums to 1. draws: the same from samples
    of the items with replacement.
    """

    error: Floats
    prevalence: Floats
    full: bool
    items: int
    tripled: int
    right: float
    pairs: Floats | None = None
    draws: tuple["HumanError", ...] = ()


@dataclass(frozen=True, slots=True)
class UnderHumanError:
    """A rate and its bounds once single humans' errors are taken out, in 0..1.

    band: the bounds also hold what lies between two extremes that pairs of labels can't tell apart, all
    errors being misses of the target and all being inventions; the estimate then supposes as many of one kind
    as of the other.
    """

    estimate: float
    low: float
    high: float
    band: bool = False


def human_error(
    counts: npt.ArrayLike, items: npt.ArrayLike, least: int = LEAST_ITEMS, draws: int = DRAWS, seed: int = 0
) -> HumanError:
    """Estimate the error matrix that makes humans' labels on the same items most likely.

    counts: shape (patterns, k), how many humans gave each label. items: shape (patterns,), how many items
    have that pattern. Items with fewer than two labels say nothing about error and are left out.

    With `least` items or more that three humans labelled, the matrix is free ("full"): three independent
    looks with a common matrix identify it (J. B. Kruskal 1977, Linear Algebra Appl. 18:95-138; E. S. Allman
    et al. 2009, Ann. Statist. 37:3099-3132), provided its diagonal is the largest of its row. With pairs
    alone it is not: the symmetric table of pairs has k (k + 1) / 2 - 1 free cells, matrix and prevalence have
    k^2 - 1. The matrix is then taken to be symmetric (a is taken for b as often as b for a), which has just
    as many parameters as the table has cells; for two labels that is one error rate e, with 2 e (1 - e) the
    share of pairs that differ.

    By EM on the patterns, started near the identity (A. P. Dawid & A. M. Skene 1979, Appl. Statist. 28:20-28,
    with one matrix for all raters). What few items leave open of it is in `draws` fits of items drawn with
    replacement (B. Efron 1979, Ann. Statist. 7:1-26), those left out in which the truth could not be told.

    Raises Undefined with fewer than `least` items of two labels or more, and where the estimate says that a
    label is more often given wrongly than rightly; ValueError on malformed counts.
    """
    table, weights = _patterns(counts, items)
    enough = int(weights.sum())
    if enough < least:
        have = "1 item has" if enough == 1 else f"{enough} items have"
        raise Undefined(f"{have} labels from two humans or more; {least} are needed")
    full = int(weights[table.sum(axis=1) >= 3].sum()) >= least
    whole = _estimated(table, weights, full, None)
    if (np.diag(whole.error) < 0.5).any():
        raise Undefined("humans differ so often that which label is the true one can't be told")
    rng = np.random.default_rng(seed)
    again = [
        _estimated(table, rng.multinomial(enough, weights / enough).astype(np.float64), full, whole)
        for _ in range(draws)
    ]
    return replace(whole, draws=tuple(draw for draw in again if (np.diag(draw.error) >= 0.5).all()))


def _estimated(table: Floats, weights: Floats, full: bool, start: HumanError | None) -> HumanError:
    table, weights = table[weights > 0], weights[weights > 0]
    enough = int(weights.sum())
    prevalence, error = _fit(table, weights, full, start)
    met = prevalence > 0.5 / enough
    error[~met] = np.eye(len(error))[~met]  # of a label that no item has nothing is known
    tripled, right = int(weights[table.sum(axis=1) >= 3].sum()), float(prevalence @ np.diag(error))
    return HumanError(error, prevalence, full, enough, tripled, right, _pairs(table, weights))


def _pairs(table: Floats, weights: Floats) -> Floats:
    """Return each item's ordered pairs of different labels, every item weighing alike; they sum to 1."""
    raters = table.sum(axis=1)
    each = weights / (raters * (raters - 1)) / weights.sum()
    together: Floats = (table * each[:, None]).T @ table
    together[np.diag_indices_from(together)] -= each @ table
    return together


def error_corners(errors: HumanError, target: npt.ArrayLike) -> list[Floats]:
    """Return error matrices (k, k) at the edge of what is still likely: what holds under all of them is safe.

    The draws whose errors in all, misses of `target` and inventions of it are larger than in 97.5 % of draws;
    without the third label that tells misses from inventions, the two extremes of `lopsided` too. No draws,
    no edge.
    """
    inside = np.asarray(target, dtype=bool)
    sides = [as_binary(draw.error, draw.prevalence, inside) for draw in errors.draws]
    if not sides:
        return [errors.error]
    of = np.array([(draw.right, *side) for draw, side in zip(errors.draws, sides, strict=True)])
    place = max(0, int(np.floor(0.025 * len(of))) - 1)
    corners = [errors.draws[int(np.argsort(column, kind="stable")[place])].error for column in of.T]
    if errors.full:
        return corners
    return corners + [wrong_labels(errors.prevalence, inside, *ends) for ends in lopsided(errors, inside)]


def lopsided(errors: HumanError, target: npt.ArrayLike) -> list[tuple[float, float]]:
    """Return the two extremes that pairs of labels can't tell apart: misses alone, inventions alone.

    Each is given as its two chances. With A of the pairs both target, B neither and D the rest, misses alone
    need the chance D / (2 A + D), inventions alone D / (2 B + D): P(both) = q (1 - a)^2 and P(differ) = 2 q a
    (1 - a), and so for the other side.
    """
    inside = np.asarray(target, dtype=bool)
    if errors.pairs is None:
        return []
    both = float(errors.pairs[np.ix_(inside, inside)].sum())
    neither = float(errors.pairs[np.ix_(~inside, ~inside)].sum())
    differ = max(0.0, 1 - both - neither)
    return [
        (differ / (2 * both + differ) if differ else 0.0, 0.0),
        (0.0, differ / (2 * neither + differ) if differ else 0.0),
    ]


def wrong_labels(shares: npt.ArrayLike, target: npt.ArrayLike, missed: float, invented: float) -> Floats:
    """Return the error matrix, (k, k), of whoever errs only by missing and inventing target labels.

    shares: shape (k,), how often each label occurs; a wrong label is one of the other side, each as often as
    it occurs there. Where a side does not occur, nothing is taken for it.
    """
    often, inside = np.asarray(shares, dtype=np.float64), np.asarray(target, dtype=bool)
    error: Floats = np.eye(len(often))
    for side, chance in ((inside, missed), (~inside, invented)):
        other = np.where(side, 0.0, often)
        if other.sum() > 0:
            error[side] = (1 - chance) * error[side] + chance * other / other.sum()
    return error


def even_errors(shares: npt.ArrayLike, chance: float) -> Floats:
    """Return the error matrix, shape (k, k), of whoever gives a wrong label with this chance.

    shares: shape (k,), how often each label occurs; a wrong label is one of the others, each as often as it
    occurs.
    """
    often = np.asarray(shares, dtype=np.float64)
    error = np.eye(len(often))
    for label, row in enumerate(error):
        other = np.where(np.arange(len(often)) == label, 0.0, often)
        if other.sum() > 0:
            error[label] = (1 - chance) * row + chance * other / other.sum()
    return error


def truth_weights(gold: npt.ArrayLike, error: Floats) -> Floats:
    """Return for each item weights of its possible true labels: shape (n, k), summing to 1, perhaps negative.

    gold: labels 0..k-1, shape (n,). The weights of an item whose gold label is y are column y of the inverse
    of the transposed error matrix. Averaged over the errors they are 1 for the true label and 0 for the
    others, so whatever is a sum over items and is linear in the indicators of their true labels is estimated
    without bias, also where it is held against other raters' labels, as long as gold errs independently of
    those given the truth.

    Raises Undefined where the error matrix has no inverse worth its name (`LEAST_POWER`); ValueError on
    labels out of range.
    Source: the matrix method of J. P. Buonaccorsi (2010), Measurement Error, section 2.5; as corrected scores
    K. Akazawa, K. Kinukawa & T. Nakamura (1998), Stat. Med. 17:2167-2177.
    """
    labels, k = np.asarray(gold), len(error)
    if labels.ndim != 1 or (labels.size and not (labels.min() >= 0 and labels.max() < k)):
        raise ValueError(f"gold must be labels 0..{k - 1} of shape (n,)")
    if np.linalg.svd(error, compute_uv=False)[-1] < LEAST_POWER:
        raise Undefined("gold would tell too little of the truth to be corrected for")
    inverse = np.asarray(np.linalg.inv(error.T), dtype=np.float64)
    return inverse[:, labels].T


def gold_error(error: Floats, single: float = 1.0) -> Floats:
    """Return the error matrix of gold of which a share was written by one human alone: shape (k, k).

    single: that share, in 0..1. The rest (agreed on by several, or decided by an adjudicator) is taken as
    true. ValueError on a bad share.
    """
    if not 0 <= single <= 1:
        raise ValueError(f"single must lie in 0..1, not {single!r}")
    mixed: Floats = single * error + (1 - single) * np.eye(len(error))
    return mixed


def as_binary(error: Floats, prevalence: Floats, target: npt.ArrayLike) -> tuple[float, float]:
    """Return an error matrix as sensitivity and specificity for `target`, a boolean array of shape (k,).

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
    rate: float, low: float, high: float, errors: HumanError, target: npt.ArrayLike, single: float = 1.0
) -> UnderHumanError:
    """Return what a rate of `target` labels in gold is, once the errors of its single authors are taken out.

    rate, low, high: as estimated with gold taken as truth, fractions in 0..1. target: boolean, shape (k,).
    single: the (weighted) share of that gold which one human alone wrote. Carried over by
    (q + specificity - 1) / (sensitivity + specificity - 1), cut to 0..1. The bounds add the squares of two
    distances from the estimate, as of independent sources: to the carried-over bounds of the rate, and to the
    2.5th and 97.5th percentile of the carried-over rate over the draws of the error matrix. Where no third
    label tells misses from inventions, the estimate takes errors to be symmetric, and the bounds hold those
    under the two extremes of `lopsided` as well (`band`).

    Raises Undefined where sensitivity + specificity - 1 is below 0.2, at the estimate; ValueError as
    `as_binary` and `gold_error` do, and where low <= rate <= high in 0..1 does not hold.
    Source: W. J. Rogan & B. Gladen (1978), Am. J. Epidemiol. 107:71-76, eq. 3; adding squares G. Y. Zou & A.
    Donner (2008), Stat. Med. 27:1693-1702; the bounds by extremes C. F. Manski (2003), Partial Identification
    of Probability Distributions, ch. 1.
    """
    if not 0 <= low <= rate <= high <= 1:
        raise ValueError(f"low <= rate <= high must hold in 0..1, not {low!r}, {rate!r}, {high!r}")
    inside = np.asarray(target, dtype=bool)
    estimate, lowest, highest = _carried((rate, low, high), _sides(errors, inside), single)
    ends = [] if errors.full else lopsided(errors, inside)
    drawn = [lopsided(draw, inside) for draw in errors.draws]
    for place, end in enumerate(ends):
        sides = _kept(end), [_kept(extremes[place]) for extremes in drawn]
        try:
            _, less, more = _carried((rate, low, high), sides, single)
        except Undefined:
            less, more = 0.0, 1.0  # nobody could tell
        lowest, highest = min(lowest, less), max(highest, more)
    return UnderHumanError(estimate, min(lowest, estimate), max(highest, estimate), bool(ends))


def _kept(errors: tuple[float, float]) -> tuple[float, float]:
    return 1 - errors[0], 1 - errors[1]


Sides = tuple[tuple[float, float], list[tuple[float, float]]]


def _sides(errors: HumanError, inside: npt.NDArray[np.bool_]) -> Sides:
    """Return sensitivity and specificity of one human, and of every draw."""
    drawn = [as_binary(draw.error, draw.prevalence, inside) for draw in errors.draws]
    return as_binary(errors.error, errors.prevalence, inside), drawn


def _carried(values: tuple[float, float, float], sides: Sides, single: float) -> tuple[float, float, float]:
    if not 0 <= single <= 1:
        raise ValueError(f"single must lie in 0..1, not {single!r}")
    at, drawn = sides
    rate, low, high = (_through(value, *at, single) for value in values)
    errors = [value for side in drawn for value in _through_draw(values[0], *side, single)] or [rate]
    less, more = np.quantile(errors, [0.025, 0.975])
    below, above = np.hypot(rate - low, max(0.0, rate - less)), np.hypot(high - rate, max(0.0, more - rate))
    return rate, max(0.0, rate - float(below)), min(1.0, rate + float(above))


def _through_draw(value: float, sensitivity: float, specificity: float, single: float) -> tuple[float, ...]:
    try:
        return (_through(value, sensitivity, specificity, single),)
    except Undefined:
        return 0.0, 1.0  # were this the truth, the rate might be anything


def _through(value: float, sensitivity: float, specificity: float, single: float) -> float:
    false = single * (1 - specificity)
    power = 1 - single * (1 - sensitivity) - false
    if power < LEAST_POWER:
        raise Undefined("humans' labels tell too little of the truth to be corrected for")
    return min(1.0, max(0.0, (value - false) / power))


def shares_under_human_error(shares: npt.ArrayLike, errors: HumanError, single: float = 1.0) -> Floats:
    """Return shares of the true labels, shape (k,), from the (weighted) shares of the labels in gold.

    The most likely shares under the error matrix, none of them negative; for a ratio, such as the target
    labels' share of the valid ones, divide what comes back. `single` as for `confusion_under_human_error`.
    Raises ValueError on shares of another shape, negative or all zero.
    """
    column = np.asarray(shares, dtype=np.float64).reshape(-1, 1)
    truth: Floats = confusion_under_human_error(column, errors, single)[:, 0] / column.sum()
    return truth


def confusion_under_human_error(table: npt.ArrayLike, errors: HumanError, single: float = 1.0) -> Floats:
    """Return a table of gold (rows) by judge (columns) with true labels for rows: shape (k, j).

    table: shape (k, j), (weighted) counts; any columns, such as one for no verdict. single: share of the gold
    that one human alone wrote; better, where it is known which, give their table alone and add the rest to
    what comes back. Cell (y, j) is taken as the sum
    over t of E[t, y] P[t, j]: humans and judge err independently given the truth. Where both fall for the
    same items, the judge is worse than the result says. P is found by EM (deconvolution), so no cell is
    negative, and columns keep their sums.

    Raises ValueError on a table of other rows, negative or all zero.
    Source: the EM for a mixture with known components; L. B. Lucy (1974), Astron. J. 79:745-754.
    """
    observed = np.asarray(table, dtype=np.float64)
    k = len(errors.error)
    if observed.ndim != 2 or len(observed) != k or not np.isfinite(observed).all():
        raise ValueError(f"the table must have {k} rows of finite numbers, not {observed.shape}")
    if (observed < 0).any() or not observed.sum() > 0:
        raise ValueError("the table's cells must not be negative, nor all zero")
    error = gold_error(errors.error, single)
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


def _fit(
    table: Floats, weights: Floats, full: bool, start: HumanError | None = None
) -> tuple[Floats, Floats]:
    """Return the likeliest prevalence, shape (k,), and error matrix, shape (k, k).

    From the start of the whole, a draw is soon there; a label it lost or an error it never made may come
    back.
    """
    k, close = table.shape[1], CLOSE if start is None else CLOSE_ENOUGH
    error = np.full((k, k), 0.1 / (k - 1)) + np.eye(k) * (0.9 - 0.1 / (k - 1))
    prevalence = (weights @ table + 0.5) / (weights @ table + 0.5).sum()
    if start is not None:
        error, prevalence = 0.98 * start.error + 0.02 * error, 0.98 * start.prevalence + 0.02 * prevalence
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
        if likelihood - last < close * weights.sum():
            break
        last = likelihood
    return prevalence, error


def _normalised(table: Floats) -> Floats:
    rows: Floats = table / table.sum(axis=1, keepdims=True)
    return rows


def _symmetric_of(given: Floats) -> Floats:
    """Return the most likely symmetric matrix. A label that (almost) no item has or is given keeps to itself:
    it has no errors to estimate."""
    met = np.minimum(given.sum(axis=0), given.sum(axis=1)) > 1e-6 * given.sum()
    error = np.eye(len(given))
    error[np.ix_(met, met)] = _symmetric(given[np.ix_(met, met)])
    return error


def _symmetric(given: Floats) -> Floats:
    """Return the symmetric matrix, its rows summing to 1, that makes the expected counts `given` likeliest.

    Cell (t, y) is S[t, y] / (l_t + l_y), with S the counts both ways and l the multipliers of the row sums;
    the diagonal is given[t, t] / l_t. The multipliers minimise a convex function, by Newton steps that are
    halved until they help.
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

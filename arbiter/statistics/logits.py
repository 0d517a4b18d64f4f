"""Logits with tasks as clusters, plain and conditional on the item: does something shift a yes-or-no label?

Estimates are Firth's, which stay finite where the data are separated (every long answer got the same label).
p comes from the score test with the clusters' own variance, which needs no estimate under the alternative and
so holds up where that one is far out. The interval is Wald's about the estimate, with the same variance, but
it never says what p does not: where the score test does not reject, 1 is taken in, and where it rejects and
Wald's interval is too wide to leave 1 out, that bound is where the score test no longer rejects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import exp

import numpy as np
import numpy.typing as npt

from .intervals import Undefined, check_level, normal_quantile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ROUNDS, CLOSE, LONGEST_STEP = 200, 1e-8, 2.0
HALVINGS = 20  # until a bound of an interval is known
IDENTIFIED = 1e-8  # of the information a covariate would have by itself, this must be left beside the others
MOST_RATERS = 12  # the conditional likelihood counts all ways in which an item's votes could have fallen


@dataclass(frozen=True, slots=True)
class OddsRatio:
    """What one more unit does to the odds of yes: `ratio`, with its interval `low` to `high`.

    coefficient, error: logarithm of the ratio and its standard error. statistic: of the score test,
    chi-square with one degree of freedom; p: its p, below 1 - level just where the interval leaves out 1.
    clusters: tasks. informative: items that say something about it.
    """

    ratio: float
    low: float
    high: float
    coefficient: float
    error: float
    statistic: float
    p: float
    clusters: int
    informative: int


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A likelihood at one value of the coefficients, by its derivatives."""

    scores: Floats  # contributions to the score, (rows, p)
    information: Floats  # (p, p)
    correction: Floats  # Firth's, (p,)


Likelihood = Callable[[Floats], _Place]


def logit(
    outcome: npt.ArrayLike,
    tested: npt.ArrayLike,
    covariates: npt.ArrayLike,
    tasks: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    level: float = 0.95,
    penalised: bool = True,
    signed: bool = False,
) -> OddsRatio:
    """Estimate the effect of `tested` on the odds of `outcome`, given the covariates, clustered by task.

    outcome: booleans, shape (items,). tested: shape (items,). covariates: shape (items, q), q may be 0; a
    constant is added, and covariates that others already say are harmless. tasks: integer key of each item's
    task. weights: above 0, any scale. penalised: False for plain maximum likelihood, which has no value where
    the data are separated. signed: weights may be negative and keep their scale, as those of an item's
    possible truths (`truth_weights`), one row each, have it: the scores are then those that the truths would
    give, on average (corrected scores, K. Akazawa, K. Kinukawa & T. Nakamura 1998, Stat. Med. 17:2167-2177).

    Variance: sandwich over tasks, times G / (G - 1), but not below that of independent items; quantile of t
    with G - 1 degrees of freedom. Score test: the tasks' contributions u to the efficient score of `tested`
    at the fit without it, (sum u)^2 over sum u^2 or, where it is larger, the efficient information.

    Raises Undefined where the outcome never varies, where `tested` is constant or said by the covariates,
    with fewer than two tasks, or without convergence; ValueError on malformed input.
    Source: D. Firth (1993), Biometrika 80:27-38; G. Heinze & M. Schemper (2002), Statist. Med. 21:2409-2419;
    K.-Y. Liang & S. L. Zeger (1986), Biometrika 73:13-22; score test D. D. Boos (1992), Am. Stat. 46:327-333.
    """
    yes = np.asarray(outcome)
    if yes.ndim != 1 or yes.dtype != np.bool_:
        raise ValueError(f"the outcome must be booleans of shape (items,), not {yes.dtype} {yes.shape}")
    n = len(yes)
    given = np.asarray(covariates, dtype=np.float64).reshape(n, -1)
    columns = np.column_stack([np.ones(n), given, np.asarray(tested, dtype=np.float64).reshape(n)])
    if not np.isfinite(columns).all():
        raise ValueError("tested and covariates must be finite numbers")
    worth, keys = _weights(weights, n, signed), _tasks(tasks, n)
    if not yes.any() or yes.all():
        raise Undefined("the label never varies, so nothing can shift it")

    def at(beta: Floats) -> _Place:
        chance = 1 / (1 + np.exp(-np.clip(columns @ beta, -30, 30)))
        spread = worth * chance * (1 - chance)
        information = (columns * spread[:, np.newaxis]).T @ columns
        leverage = spread * np.einsum("ip,pq,iq->i", columns, _inverse(information), columns)
        return _Place(
            columns * (worth * (yes - chance))[:, np.newaxis],
            information,
            (leverage * (0.5 - chance)) @ columns,
        )

    width = columns.shape[1]
    return _Model(at, width, keys, n, level, penalised).effect(width - 1)


def conditional_logit(
    votes: npt.ArrayLike,
    tested: npt.ArrayLike,
    covariates: npt.ArrayLike,
    tasks: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    level: float = 0.95,
    penalised: bool = True,
    signed: bool = False,
) -> list[OddsRatio | Undefined]:
    """Estimate the effect of each tested covariate on the odds of yes, within items of several votes.

    votes: shape (items, raters): 1 yes, 0 no, -1 no vote. tested: shape (items, raters, tests); covariates:
    shape (items, raters, q), such as an indicator of each rater but one. tasks, weights, penalised, signed as
    in `logit`. Whatever is the same for all raters of an item (how convergent it is) cancels: the likelihood
    is of which raters said yes, given how many did. So only items on which raters differ are informative. A
    result is an `Undefined` where its covariate can't be told from the others.

    Raises Undefined where no item is informative, where there are more than 12 raters, with fewer than two
    informative tasks; ValueError on malformed input.
    Source: N. E. Breslow & N. E. Day (1980), Statistical Methods in Cancer Research I, section 7.2; as a
    model of raters within items E. B. Andersen (1970), J. R. Stat. Soc. B 32:283-301; Firth's correction in
    it G. Heinze & R. Puhr (2010), Statist. Med. 29:770-777; variance and test as in `logit`.
    """
    given = np.asarray(votes)
    if given.ndim != 2 or not np.issubdtype(given.dtype, np.integer) or not np.isin(given, (-1, 0, 1)).all():
        raise ValueError("votes must be integers of shape (items, raters), each 1, 0 or -1")
    n, raters = given.shape
    asked = np.asarray(tested, dtype=np.float64).reshape(n, raters, -1)
    both = np.concatenate([np.asarray(covariates, dtype=np.float64).reshape(n, raters, -1), asked], axis=2)
    if not np.isfinite(both).all():
        raise ValueError("tested and covariates must be finite numbers")
    if raters > MOST_RATERS:
        raise Undefined(
            f"there are {raters} raters, and the likelihood is worked out for {MOST_RATERS} at most"
        )
    worth, keys = _weights(weights, n, signed), _tasks(tasks, n)
    said, present = (given == 1).sum(axis=1), (given >= 0).sum(axis=1)
    differ = (said > 0) & (said < present)
    if not differ.any():
        raise Undefined("on no item do the raters differ")
    at = _conditional(given[differ], both[differ], worth[differ])
    width, tests = both.shape[2], asked.shape[2]
    model = _Model(at, width, keys[differ], int(differ.sum()), level, penalised)
    return [_try(model, width - tests + test) for test in range(tests)]


def _conditional(votes: Ints, covariates: Floats, worth: Floats) -> Likelihood:
    """Return the likelihood of which raters said yes, given how many did. Items of equal covariates, raters
    present and number of yes share the ways in which the votes could have fallen."""
    said = (votes == 1).sum(axis=1)
    rows = np.column_stack([covariates.reshape(len(votes), -1), votes >= 0, said])
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    ways = [_ways(covariates[row], np.flatnonzero(votes[row] >= 0), int(said[row])) for row in first]
    longest, width = max(len(sums) for sums in ways), covariates.shape[2]
    sums = np.zeros((len(ways), longest, width))
    possible = np.zeros((len(ways), longest), dtype=bool)
    for place, one in enumerate(ways):
        sums[place, : len(one)], possible[place, : len(one)] = one, True
    seen = np.einsum("ir,irp->ip", (votes == 1).astype(np.float64), covariates)
    total = np.bincount(group, weights=worth)

    def at(beta: Floats) -> _Place:
        logs = np.where(possible, sums @ beta, -np.inf)
        chance = np.exp(logs - logs.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        mean = np.einsum("gs,gsp->gp", chance, sums)
        apart = sums - mean[:, np.newaxis]
        heavy = chance * total[:, np.newaxis]
        weighted = (apart * heavy[:, :, np.newaxis]).reshape(-1, width)
        information = weighted.T @ apart.reshape(-1, width)
        leverage = np.einsum("gsp,pq,gsq->gs", apart, _inverse(information), apart, optimize=True)
        return _Place(
            (seen - mean[group]) * worth[:, np.newaxis], information, leverage.reshape(-1) @ weighted / 2
        )

    return at


def _ways(covariates: Floats, present: Ints, said: int) -> Floats:
    chosen = np.array(list(combinations(present.tolist(), said)), dtype=np.int64)
    sums: Floats = covariates[chosen].sum(axis=1)
    return sums


@dataclass(eq=False)
class _Model:
    """A likelihood with its clusters; the fit with all coefficients is shared by the tests of each."""

    at: Likelihood
    width: int
    keys: Ints
    informative: int
    level: float
    penalised: bool

    def __post_init__(self) -> None:
        check_level(self.level)
        _, self.keys = np.unique(self.keys, return_inverse=True)
        self.clusters = int(self.keys.max()) + 1
        if self.clusters < 2:
            raise Undefined("only one task is behind it, so how tasks vary is unknown")

    @cached_property
    def full(self) -> Floats:
        return _fit(self.at, np.zeros(self.width), np.arange(self.width), self.penalised)

    def effect(self, place: int) -> OddsRatio:
        from scipy.special import chdtrc, stdtrit

        others = np.delete(np.arange(self.width), place)
        _require_identified(self.at(np.zeros(self.width)).information, place, others)
        start = self.full.copy()
        start[place] = 0
        without = _fit(self.at, start, others, self.penalised)
        statistic = _score_test(self.at(without), place, others, self.keys)
        coefficient, error = float(self.full[place]), _error(self.at(self.full), place, self.keys)
        half = float(stdtrit(self.clusters - 1, (1 + self.level) / 2)) * error
        p = float(chdtrc(1, statistic))
        low, high = coefficient - half, coefficient + half
        if p >= 1 - self.level:
            low, high = min(low, 0.0), max(high, 0.0)
        elif low <= 0 < coefficient:
            low = self._edge(place, others, coefficient)
        elif coefficient < 0 <= high:
            high = self._edge(place, others, coefficient)
        return OddsRatio(
            exp(coefficient),
            _exp(low),
            _exp(high),
            coefficient,
            error,
            statistic,
            p,
            self.clusters,
            self.informative,
        )

    def _edge(self, place: int, others: Ints, coefficient: float) -> float:
        """Return the value between none and the estimate from which on the score test no longer rejects."""
        wanted, outside, inside, start = normal_quantile(self.level) ** 2, 0.0, coefficient, self.full.copy()
        for _ in range(HALVINGS):
            start[place] = (outside + inside) / 2
            start = _fit(self.at, start, others, self.penalised)
            rejected = _score_test(self.at(start), place, others, self.keys) > wanted
            outside, inside = (start[place], inside) if rejected else (outside, start[place])
        return float(outside or inside)


def _try(model: _Model, place: int) -> OddsRatio | Undefined:
    try:
        return model.effect(place)
    except Undefined as why:
        return why


def _exp(value: float) -> float:
    return exp(min(value, 700.0))


def _require_identified(information: Floats, place: int, others: Ints) -> None:
    alone = information[place, place]
    beside = information[place, others]
    left = alone - beside @ _inverse(information[np.ix_(others, others)]) @ beside
    if left <= IDENTIFIED * max(alone, 1e-12):
        raise Undefined("it does not vary apart from the rest, so its effect can't be told from theirs")


def _fit(at: Likelihood, start: Floats, free: Ints, penalised: bool) -> Floats:
    """Return the most likely coefficients, by Newton's steps, shortened where they are long. Coefficients
    that are not free stay where they start."""
    beta, spread = start.copy(), np.diag(at(np.zeros_like(start)).information)
    for _ in range(ROUNDS):
        here = at(beta)
        slope = here.scores.sum(axis=0) + (here.correction if penalised else 0.0)
        step = _inverse(here.information[np.ix_(free, free)]) @ slope[free]
        longest = float(np.abs(step).max(initial=0.0))
        beta[free] += step * min(1.0, LONGEST_STEP / longest if longest else 1.0)
        if longest < CLOSE:
            _require_spread(np.diag(here.information), spread, penalised)
            return beta
        if np.abs(beta).max() > 50:
            break
    raise Undefined("the labels are too one-sided: the fit does not converge")


def _require_spread(spread: Floats, at_first: Floats, penalised: bool) -> None:
    """Refuse a plain fit to separated labels: its estimate grows until nothing is left to learn from."""
    if not penalised and (spread < 1e-6 * at_first).any():
        raise Undefined("the labels are too one-sided: the fit does not converge")


def _score_test(here: _Place, place: int, others: Ints, keys: Ints) -> float:
    project = here.information[place, others] @ _inverse(here.information[np.ix_(others, others)])
    efficient = here.scores[:, place] - here.scores[:, others] @ project
    by_task = np.bincount(keys, weights=efficient)
    expected = here.information[place, place] - float(project @ here.information[others, place])
    below = max(float(by_task @ by_task), expected)
    return float(by_task.sum()) ** 2 / below if below > 0 else 0.0


def _error(here: _Place, place: int, keys: Ints) -> float:
    by_task = np.column_stack([np.bincount(keys, weights=column) for column in here.scores.T])
    clusters, inverse = len(by_task), _inverse(here.information)
    line = by_task @ inverse[:, place]
    # Where labels are nearly separated the residuals vanish, and the sandwich with them.
    return float(np.sqrt(max(clusters / (clusters - 1) * (line @ line), inverse[place, place])))


def _inverse(matrix: Floats) -> Floats:
    """Return the inverse, the generalised one where the matrix is singular, or nearly: then what it says of
    the identified part still holds."""
    try:
        slopes = np.diag(np.linalg.cholesky(matrix))
        if slopes.size and slopes.min() > 1e-5 * slopes.max():
            return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        pass
    return np.asarray(np.linalg.pinv(matrix, rcond=1e-10, hermitian=True), dtype=np.float64)


def _tasks(values: npt.ArrayLike, n: int) -> Ints:
    keys = np.asarray(values)
    if keys.shape != (n,) or not np.issubdtype(keys.dtype, np.integer):
        raise ValueError(f"tasks must be integers of shape ({n},), not {keys.dtype} {keys.shape}")
    if not n:
        raise Undefined("there are no items")
    return keys.astype(np.int64, copy=False)


def _weights(values: npt.ArrayLike | None, n: int, signed: bool = False) -> Floats:
    weights = np.ones(n) if values is None else np.asarray(values, dtype=np.float64)
    if weights.shape != (n,) or not (np.isfinite(weights).all() and (signed or (weights > 0).all())):
        raise ValueError(f"weights must be finite numbers above 0, of shape ({n},)")
    return weights if signed or not n else weights / weights.mean()

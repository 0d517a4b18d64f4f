"""From raters' votes and some gold to final labels with posteriors that mean what they say."""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from .calibration import weighted_rate
from .dawid_skene import DawidSkene, Floats, Ints, dawid_skene
from .intervals import Interval, Undefined

FOLDS = 5
FEWEST = 50  # items with gold; with fewer, the folds say little about how far posteriors can be believed
SMOOTHING = 0.5  # pseudo-votes in every cell of every rater's errors
STRENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, math.inf)  # pseudo-items; infinite: no shrinkage
HOTTEST = 50.0
PULL = 4.0  # pseudo-items that pull a rater's accuracy to everybody's
LEAST = 1e-6  # no posterior is taken for less when a fit is scored
SLIGHT = 1e-9


@dataclass(frozen=True)
class CalibrationBin:
    """Items whose confidence lies in low..high: how many (weighted), how sure on average, how often right."""

    low: float
    high: float
    weight: float
    items: int
    confidence: float
    right: float


@dataclass(frozen=True)
class WeightedShare:
    """A weighted share with its interval. n: items it is made of; effective: the independent items they are
    worth."""

    estimate: float
    interval: Interval
    n: int
    effective: float


@dataclass(frozen=True)
class Calibrated:
    """Posteriors from votes and gold.

    model: the Dawid-Skene fit, its posteriors those of the patterns without gold. posteriors: shape
    (patterns, k), after temperature and shrinkage: for items without gold. plain_out, out: shape (gold, k),
    the posterior of each gold item without and with both, from fits that had seen nothing of its fold.
    strengths: pseudo-items of what a class's gold is weighed against, for equal label counts and for equal
    patterns.
    """

    model: DawidSkene
    posteriors: Floats
    temperature: float
    strengths: tuple[float, float]
    folds: Ints
    plain_out: Floats
    out: Floats


def calibration_bins(
    confidence: Floats, right: npt.NDArray[np.bool_], weights: Floats | None = None, bins: int = 10
) -> list[CalibrationBin]:
    """Put items in bins of equal width over 0..1 by their confidence; bins without items are left out.

    confidence: shape (n,), in 0..1. right: shape (n,). weights: shape (n,), at least 0; equal by default. A
    bin holds its lower edge; the last one holds 1 too.

    Raises ValueError on shapes or numbers that make no sense.
    Source: C. Guo, G. Pleiss, Y. Sun & K. Q. Weinberger (2017), ICML, PMLR 70:1321-1330, section 2.
    """
    weights = np.ones(len(confidence)) if weights is None else weights
    if bins < 1 or confidence.shape != right.shape or weights.shape != right.shape:
        raise ValueError("confidence, right and weights must have one shape, and bins be at least 1")
    if len(right) and not (confidence.min() >= 0 and confidence.max() <= 1 and weights.min() >= 0):
        raise ValueError("confidence must lie in 0..1 and weights be at least 0")
    place = np.minimum((confidence * bins + SLIGHT).astype(np.int64), bins - 1)
    filled = []
    for number in np.unique(place):
        here = place == number
        weight = float(weights[here].sum())
        if weight > 0:
            mean, share = (weights[here] @ values[here] / weight for values in (confidence, right))
            filled.append(
                CalibrationBin(
                    number / bins, (number + 1) / bins, weight, int(here.sum()), float(mean), float(share)
                )
            )
    return filled


def calibration_error(
    confidence: Floats, right: npt.NDArray[np.bool_], weights: Floats | None = None, bins: int = 10
) -> float:
    """Return the expected calibration error.

    It is the mean over items of how far their bin's confidence lies from its share of right ones.

    Arguments and ValueError as `calibration_bins` has them. Raises Undefined where there is no item. It
    depends on the bins, and of a few items it is above 0 however good the posteriors: some sqrt(p (1 - p) /
    n) in each bin.
    Source: as `calibration_bins`, equation 3.
    """
    filled = calibration_bins(confidence, right, weights, bins)
    total = sum(each.weight for each in filled)
    if not total:
        raise Undefined("there are no items whose labels are known")
    return sum(each.weight * abs(each.confidence - each.right) for each in filled) / total


def temper(posteriors: Floats, temperature: float) -> Floats:
    """Return posteriors, shape (n, k), to the power of one over the temperature, and rows summing to 1 again.

    Above 1 they become less sure. ValueError where the temperature is not above 0.
    Source: Guo et al. (2017), section 4.2, whose logits are these posteriors' logarithms.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature!r}")
    logs = np.log(np.maximum(posteriors, np.finfo(float).tiny)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    tempered: Floats = powers / powers.sum(axis=1, keepdims=True)
    return tempered


def fit_temperature(posteriors: Floats, gold: Ints, weights: Floats) -> float:
    """Return the temperature between 1 and 50 at which gold is likeliest by the weighted log score.

    posteriors: shape (n, k). gold: shape (n,), label index. weights: shape (n,), at least 0. Never below 1:
    votes are taken as independent by the model, so it errs by being too sure. Found by a grid over the
    logarithm, narrowed three times.

    Source: as `temper`.
    """
    low, high = 0.0, math.log(HOTTEST)
    for _ in range(4):
        grid = np.linspace(low, high, 25)
        scores = [_score(temper(posteriors, math.exp(point)), gold, weights) for point in grid]
        best, step = float(grid[int(np.argmin(scores))]), (high - low) / 24
        low, high = max(0.0, best - step), min(math.log(HOTTEST), best + step)
    return math.exp(best)


def calibrate(
    votes: Ints,
    counts: Ints,
    rows: Ints,
    gold: Ints,
    groups: Ints,
    weights: Floats,
    categories: int,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    smoothing: float = SMOOTHING,
) -> Calibrated:
    """Fit Dawid-Skene with gold held fast, then a temperature, and shrink towards gold with like votes.

    votes: shape (patterns, raters), distinct rows, label index or -1. counts: shape (patterns,), items of
    each, gold items among them. Of the gold items, shape (n,): rows, the pattern of their votes; gold, their
    label; groups, any numbers that are equal within a task; weights, the items each stands for, above 0.

    Raters who share their errors make the model too sure. So, with gold in five folds by group, (1) the model
    is fitted without a fold's gold, (2) its posteriors there are given the temperature of `fit_temperature`,
    (3) they are averaged with the shares of labels in the gold of the same label counts, then with those of
    the same pattern:

        q = (m1 p + n1 f1) / (m1 + n1),  r = (m2 q + n2 f2) / (m2 + n2),

    where n is Kish's effective number of gold items of that class, f their weighted shares by label, and m1,
    m2 those of `STRENGTHS` whose log score is best on folds left out. `out` is made with all of it, the
    choice of temperature and strengths too, fitted without the item's fold: the fits within leave out two
    folds each.

    Raises Undefined where gold is on fewer than 50 items, or in fewer groups than there are folds; ValueError
    on shapes or numbers that make no sense.
    Sources: Dawid & Skene (1979) for the model; Guo et al. (2017) for temperature; shrinkage towards a
    class's mean is the Dirichlet posterior mean, its strength chosen by cross-validation (M. Stone 1974, J.
    R. Stat. Soc. B 36:111-147, section 4); L. Kish (1965), Survey Sampling, section 11.7, for the effective
    number.
    """
    _check_gold(votes, counts, rows, gold, groups, weights, folds)
    weights = weights / weights.mean()
    work = _Work(
        votes, counts, rows, gold, weights, categories, smoothing, _folds(groups, folds, seed), folds
    )
    plain_out, out = np.empty((len(gold), categories)), np.empty((len(gold), categories))
    for fold in range(folds):
        mine = work.folds == fold
        inner = np.full((len(gold), categories), np.nan)
        for other in range(folds):
            if other != fold:
                theirs = work.folds == other
                inner[theirs] = work.fit(fold, other).posteriors[rows[theirs]]
        temperature, strengths = work.tuned(~mine, inner)
        plain_out[mine] = work.fit(fold).posteriors[rows[mine]]
        out[mine] = work.shrunk(temper(plain_out[mine], temperature), rows[mine], ~mine, strengths)
    every = np.ones(len(gold), dtype=bool)
    temperature, strengths = work.tuned(every, plain_out)
    model = work.fit()
    final = work.shrunk(temper(model.posteriors, temperature), np.arange(len(votes)), every, strengths)
    return Calibrated(model, final, temperature, strengths, work.folds, plain_out, out)


def _check_gold(
    votes: Ints, counts: Ints, rows: Ints, gold: Ints, groups: Ints, weights: Floats, folds: int
) -> None:
    shape = rows.shape
    if len(shape) != 1 or gold.shape != shape or groups.shape != shape or weights.shape != shape:
        raise ValueError("rows, gold, groups and weights must have one shape, (gold items,)")
    if len(rows) < FEWEST:
        raise Undefined(
            f"gold is on {len(rows)} item{'s' * (len(rows) != 1)}, and fewer than {FEWEST} say too little "
            "about posteriors"
        )
    if len(np.unique(groups)) < folds or folds < 3:
        raise Undefined(
            f"gold is on too few tasks ({len(np.unique(groups))}), and it takes {max(folds, 3)} to leave "
            "some out"
        )
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError("weights must be finite and above 0")
    if rows.min() < 0 or rows.max() >= len(votes) or (np.bincount(rows, minlength=len(votes)) > counts).any():
        raise ValueError("a pattern has more items with gold than items")


def _folds(groups: Ints, folds: int, seed: int) -> Ints:
    """Deal whole groups to folds, the largest first, each to the fold that has fewest items; ties by
    chance."""
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(folds, dtype=np.int64)
    for group in order:
        fold_of[group] = np.argmin(filled)
        filled[fold_of[group]] += sizes[group]
    folded: Ints = fold_of[place]
    return folded


class _Work:
    """One calibration's data and the fits made so far."""

    def __init__(
        self,
        votes: Ints,
        counts: Ints,
        rows: Ints,
        gold: Ints,
        weights: Floats,
        categories: int,
        smoothing: float,
        folds: Ints,
        number: int,
    ) -> None:
        self.votes, self.counts, self.rows, self.gold, self.weights = votes, counts, rows, gold, weights
        self.categories, self.smoothing, self.folds, self.number = categories, smoothing, folds, number
        self.levels = (_like(_tallied(votes, categories)), np.arange(len(votes)))
        self.fits: dict[tuple[int, ...], DawidSkene] = {}
        self.fits[()] = self._fitted(np.ones(len(gold), dtype=bool), None)

    def fit(self, *without: int) -> DawidSkene:
        """Return the model without the gold of these folds."""
        key = tuple(sorted(without))
        if key not in self.fits:
            self.fits[key] = self._fitted(~np.isin(self.folds, key), self.fits[()])
        return self.fits[key]

    def _fitted(self, known: npt.NDArray[np.bool_], start: DawidSkene | None) -> DawidSkene:
        """Fit the model. Patterns with gold are rows of their own, behind the others, and not in the result's
        posteriors."""
        cells = self.rows[known] * self.categories + self.gold[known]
        distinct, often = np.unique(cells, return_counts=True)
        row, label = distinct // self.categories, distinct % self.categories
        left = self.counts - np.bincount(self.rows[known], minlength=len(self.counts))
        patterns = len(self.votes)
        fit = dawid_skene(
            np.concatenate([self.votes, self.votes[row]]),
            np.concatenate([left, often]),
            self.categories,
            gold=np.concatenate([np.full(patterns, -1), label]),
            smoothing=self.smoothing,
            start=start,
            tolerance=1e-9,
        )
        return replace(fit, posteriors=fit.posteriors[:patterns])

    def tuned(self, known: npt.NDArray[np.bool_], posteriors: Floats) -> tuple[float, tuple[float, float]]:
        """Return temperature and strengths on this gold; `posteriors` are each item's, from a fit without its
        fold."""
        temperature = fit_temperature(posteriors[known], self.gold[known], self.weights[known])
        parts = []
        for fold in np.unique(self.folds[known]):
            mine = known & (self.folds == fold)
            tempered = temper(posteriors[mine], temperature)
            said = self._said(self.rows[mine], known & ~mine)
            parts.append((tempered, said, self.gold[mine], self.weights[mine]))

        def score(strengths: tuple[float, float]) -> float:
            return sum(
                _score(_averaged(tempered, said, strengths), gold, weights)
                for tempered, said, gold, weights in parts
            )

        pairs: list[tuple[float, float]] = [(one, two) for one, two in product(STRENGTHS, STRENGTHS)]
        return temperature, min(pairs, key=score)

    def shrunk(
        self, tempered: Floats, rows: Ints, known: npt.NDArray[np.bool_], strengths: tuple[float, float]
    ) -> Floats:
        return _averaged(tempered, self._said(rows, known), strengths)

    def _said(self, rows: Ints, known: npt.NDArray[np.bool_]) -> list[tuple[Floats, Floats]]:
        """Return for patterns, by level, the effective number of gold items of their class, and their shares
        by label."""
        weights, gold, classes = self.weights[known], self.gold[known], []
        for level in self.levels:
            place, size = level[self.rows[known]], int(level.max()) + 1
            totals = np.bincount(place, weights, minlength=size)
            squares = np.bincount(place, weights**2, minlength=size)
            cells = np.bincount(place * self.categories + gold, weights, minlength=size * self.categories)
            some = np.maximum(totals, LEAST)
            effective = totals**2 / np.maximum(squares, LEAST**2)
            shares = cells.reshape(size, self.categories) / some[:, None]
            classes.append((effective[level[rows]], shares[level[rows]]))
        return classes


def _averaged(
    posteriors: Floats, said: list[tuple[Floats, Floats]], strengths: tuple[float, float]
) -> Floats:
    for (effective, shares), strength in zip(said, strengths, strict=True):
        part = (effective / (strength + effective))[:, None]
        posteriors = (1 - part) * posteriors + part * shares
    return posteriors


def _score(posteriors: Floats, gold: Ints, weights: Floats) -> float:
    """Return the weighted log score, as a loss."""
    given = posteriors[np.arange(len(gold)), gold]
    return -float(weights @ np.log(np.maximum(given, LEAST)))


def _tallied(votes: Ints, categories: int) -> Ints:
    """Count how many votes each label has, shape (patterns, k)."""
    return np.stack([(votes == label).sum(axis=1) for label in range(categories)], axis=1)


def _like(table: Ints) -> Ints:
    """Number rows from 0, equal rows alike."""
    _, place = np.unique(table, axis=0, return_inverse=True)
    numbers: Ints = place.reshape(-1)
    return numbers


def weighted_share(
    hits: npt.NDArray[np.bool_], weights: Floats, groups: Ints, level: float = 0.95
) -> WeightedShare:
    """Return a weighted share of items, with Wilson's interval at its effective size.

    hits, weights, groups: shape (n,); weights above 0; groups are equal within a task.

    Raises Undefined where there is no item; ValueError on shapes or numbers that make no sense.
    Source: `weighted_rate`.
    """
    if hits.shape != weights.shape or groups.shape != hits.shape or (len(hits) and not (weights > 0).all()):
        raise ValueError("hits, weights and groups must have one shape, and weights be above 0")
    if not len(hits):
        raise Undefined("there are no such items whose labels are known")
    rate = weighted_rate(hits, weights, groups, level)
    assert rate.estimate is not None and rate.low is not None and rate.high is not None
    return WeightedShare(rate.estimate, Interval(rate.low, rate.high), len(hits), rate.effective_n)


def least_share(share: WeightedShare, alpha: float = 0.05) -> float:
    """Return the least a share may be: its one-sided lower confidence bound at 1 - alpha, in 0..1.

    Clopper and Pearson's at the effective number of items, so that with all of n independent items right it
    is alpha^(1/n). It covers for every n, which Wilson's does not near 1.

    Raises ValueError on an alpha outside 0..1.
    Source: C. J. Clopper & E. S. Pearson (1934), Biometrika 26:404-413; at effective numbers E. L. Korn & B.
    I. Graubard (1998), Survey Methodol. 24:193-201.
    """
    from scipy.special import betaincinv

    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha!r}")
    right = share.estimate * share.effective
    return float(betaincinv(right, share.effective - right + 1, alpha)) if right > 0 else 0.0


def vote_weights(votes: Ints, gold: Ints, weights: Floats, categories: int) -> Floats:
    """Return what each rater's vote counts: the log of how much likelier than chance it is right; (raters,).

    votes: shape (gold items, raters), label index or -1. gold, weights: shape (gold items,). A rater's
    accuracy a is the weighted share of right votes on gold, pulled by four pseudo-items to that of all
    raters, so that one without any gold counts as the average does. The weight is log(a (k - 1) / (1 - a)),
    and 0 for one who is no better than chance.

    Raises Undefined where no rater has a vote on an item with gold; ValueError on shapes that make no sense.
    Source: S. Nitzan & J. Paroush (1982), Int. Econ. Rev. 23:289-297, theorem 1, for two labels; with k
    labels and errors spread evenly over the others, the same by Bayes.
    """
    if votes.ndim != 2 or gold.shape != votes.shape[:1] or weights.shape != gold.shape or categories < 2:
        raise ValueError(
            "votes must have shape (n, raters), gold and weights (n,), and labels be at least two"
        )
    given = votes >= 0
    if not given.any():
        raise Undefined("no rater has voted on an item with gold")
    each = weights[:, None] / weights.mean() * given
    right, total = (each * (votes == gold[:, None])).sum(axis=0), each.sum(axis=0)
    overall = right.sum() / total.sum()
    accuracy = (right + PULL * overall) / (total + PULL)
    accuracy = np.clip(accuracy, 0.001, 0.999)
    logs: Floats = np.maximum(0.0, np.log(accuracy * (categories - 1) / (1 - accuracy)))
    return logs


def weighted_votes(votes: Ints, weights: Floats, categories: int) -> Floats:
    """Return the posteriors of labels by weighted votes: shape (patterns, k).

    They hold if raters err independently and evenly over labels, and labels are equally common. votes: shape
    (patterns, raters), label index or -1. weights: shape (raters,), of `vote_weights`. A pattern without
    votes has equal ones. The largest is the label with most weight; these posteriors are too sure where
    raters share errors, and serve to rank.

    Source: as `vote_weights`.
    """
    scores = np.stack([(votes == label) @ weights for label in range(categories)], axis=1)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    posteriors: Floats = powers / powers.sum(axis=1, keepdims=True)
    return posteriors

"""The alternative annotator test of Calderon, Reichart & Dror (2025): may a judge stand in for a human?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import Undefined

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_ITEMS, LEAST_HUMANS = 30, 3


@dataclass(frozen=True, slots=True)
class JudgeVersusHuman:
    """The judge against one human, each held to what the remaining humans said of the same items.

    human: row of the humans' array. items: compared on. judge_as_good, human_as_good: share of items where
    the judge (the human) is at least as near to the others as the human (the judge). p: one-sided, that the
    judge is worse by epsilon or more. won: that is rejected, at the false discovery rate of the whole test.
    """

    human: int
    items: int
    judge_as_good: float
    human_as_good: float
    p: float
    won: bool


@dataclass(frozen=True, slots=True)
class AlternativeTest:
    """What the alternative annotator test says of a judge.

    omega: share of the humans that the judge wins against. rho: mean of `judge_as_good` over them. passed:
    omega is at least one half. humans: one comparison each. left_out: rows of humans with too few items.
    """

    omega: float
    rho: float
    passed: bool
    epsilon: float
    humans: tuple[JudgeVersusHuman, ...]
    left_out: tuple[int, ...]


def alternative_annotator_test(
    humans: Ints,
    judge: Ints,
    epsilon: float = 0.15,
    *,
    items: npt.ArrayLike | None = None,
    tasks: npt.ArrayLike | None = None,
    rate: float = 0.05,
    least_items: int = LEAST_ITEMS,
    least_humans: int = LEAST_HUMANS,
) -> AlternativeTest:
    """Leave each human out in turn and ask who is nearer to the remaining ones: the judge or that human.

    humans: shape (humans, patterns), labels from 0, -1 where a human gave none. judge: shape (patterns,), -1
    likewise; those patterns are passed over. items: how many items have the pattern (1 each if not given).
    tasks: key of each pattern's task (each item its own task if not given).

    With S(r) the share of the remaining humans whose label is r, W_judge = 1 where S(judge) >= S(human),
    W_human = 1 where S(human) >= S(judge), and d = W_human - W_judge, the judge wins against that human where
    H0: E d >= epsilon is rejected by a one-sided t-test on d, with the false discovery rate held at `rate`
    over humans (Benjamini-Yekutieli). epsilon is what a human's label costs more: the paper takes 0.2 for
    experts, 0.15 for trained raters, 0.1 for crowd workers.

    The paper's test takes items to be independent. Given tasks, the variance of d is that of sums by task,
    with tasks - 1 degrees of freedom, or the paper's where that is larger: a few tasks can't show that
    clustering helps. Where no task has two items the test is the paper's.

    Raises Undefined with fewer than `least_humans` humans that have `least_items` items in common with
    another human and the judge (the paper asks for three humans, and for 30 items so that a t-test is in
    place); ValueError on malformed arrays, an epsilon outside 0..1 or a rate outside (0, 1).
    Source: N. Calderon, R. Reichart & R. Dror (2025), ACL 2025, 16051-16081 (arXiv:2501.10970), section 3.
    """
    labels, given, counts, clusters = _checked(humans, judge, items, tasks)
    if not (0 <= epsilon <= 1 and 0 < rate < 1):
        raise ValueError(f"epsilon must lie in 0..1 and rate in (0, 1), not {epsilon!r}, {rate!r}")
    several = ((labels >= 0).sum(axis=0) >= 2) & (given >= 0)
    shared = [several & (row >= 0) for row in labels]
    sizes = [int(counts[mask].sum()) for mask in shared]
    able = [human for human, size in enumerate(sizes) if size >= least_items]
    if len(able) < least_humans:
        raise Undefined(_too_little(sizes, least_items, least_humans))
    differences = [_difference(labels, given, human, shared[human]) for human in able]
    ps = [
        _p_value(d, counts[shared[human]], clusters[shared[human]], epsilon)
        for human, d in zip(able, differences, strict=True)
    ]
    won = benjamini_yekutieli(ps, rate)
    compared = tuple(
        _against(human, d, counts[shared[human]], p, bool(win))
        for human, d, p, win in zip(able, differences, ps, won, strict=True)
    )
    omega = float(np.mean(won))
    rho = float(np.mean([comparison.judge_as_good for comparison in compared]))
    left_out = tuple(human for human in range(len(labels)) if human not in able)
    return AlternativeTest(omega, rho, omega >= 0.5, epsilon, compared, left_out)


def benjamini_yekutieli(ps: Sequence[float], rate: float = 0.05) -> Bools:
    """Tell which hypotheses are rejected at a false discovery rate, however they depend; shape (m,).

    Of the p-values in order, all up to the last one with p_(i) <= i rate / (m H_m), H_m = 1 + 1/2 +
    ... + 1/m. ValueError on a p outside 0..1 or a rate outside (0, 1).
    Source: Y. Benjamini & D. Yekutieli (2001), Ann. Statist. 29:1165-1188, theorem 1.3.
    """
    values = np.asarray(ps, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all() or not 0 < rate < 1:
        raise ValueError(f"p-values must lie in 0..1 and rate in (0, 1), not {ps!r}, {rate!r}")
    rejected = np.zeros(values.size, dtype=bool)
    if not values.size:
        return rejected
    places = np.arange(1, values.size + 1)
    order = np.argsort(values, kind="stable")
    under = np.flatnonzero(values[order] <= places * rate / (values.size * (1 / places).sum()))
    if under.size:
        rejected[order[: under[-1] + 1]] = True
    return rejected


def _checked(
    humans: Ints, judge: Ints, items: npt.ArrayLike | None, tasks: npt.ArrayLike | None
) -> tuple[Ints, Ints, Floats, Ints]:
    labels, given = np.asarray(humans), np.asarray(judge)
    whole = np.issubdtype(labels.dtype, np.integer) and np.issubdtype(given.dtype, np.integer)
    if labels.ndim != 2 or given.shape != labels.shape[1:] or not whole:
        raise ValueError(
            "humans must be integers of shape (humans, patterns) and judge (patterns,), "
            f"not {labels.shape}, {given.shape}"
        )
    n = labels.shape[1]
    if (labels < -1).any() or (given < -1).any():
        raise ValueError("labels must be at least 0, or -1 where there is none")
    counts = np.ones(n) if items is None else np.asarray(items, dtype=np.float64)
    clusters = np.arange(n) if tasks is None else np.asarray(tasks)
    if counts.shape != (n,) or clusters.shape != (n,) or not (counts >= 0).all():
        raise ValueError(f"items and tasks must have shape ({n},), items at least 0")
    if tasks is None and items is not None:  # equal items of one pattern are still items of their own
        repeats = counts.astype(np.int64)
        labels, given = np.repeat(labels, repeats, axis=1), np.repeat(given, repeats)
        counts, clusters = np.ones(given.size), np.arange(given.size)
    return labels.astype(np.int64), given.astype(np.int64), counts, clusters.astype(np.int64)


def _too_little(sizes: Sequence[int], least_items: int, least_humans: int) -> str:
    able = sum(size >= least_items for size in sizes)
    most = max(sizes, default=0)
    return (
        f"{able} of {len(sizes)} humans have {least_items} items or more that another human and the "
        f"judge labelled too (the most is {most}); {least_humans} are needed"
    )


def _difference(labels: Ints, given: Ints, human: int, mask: Bools) -> Ints:
    """Return W_human - W_judge by pattern: -1 where the judge is nearer to the others, 1 the human."""
    others = np.delete(labels[:, mask], human, axis=0)
    own, judge = labels[human, mask], given[mask]
    nearer = (others == own).sum(axis=0) - (others == judge).sum(axis=0)
    sign: Ints = np.sign(nearer).astype(np.int64)
    return sign


def _p_value(d: Ints, counts: Floats, tasks: Ints, epsilon: float) -> float:
    from scipy.special import stdtr

    n = counts.sum()
    mean = float(d @ counts) / n
    _, index = np.unique(tasks, return_inverse=True)
    sums = np.bincount(index, weights=(d - mean) * counts)
    clusters = len(sums)
    if clusters < 2:
        return 1.0  # one task says nothing about how tasks vary
    apart = n / (n - 1) * float(counts @ (d - mean) ** 2)  # were all items independent
    error = float(np.sqrt(max(apart, clusters / (clusters - 1) * float(sums @ sums)))) / n
    if error == 0:
        return 0.0 if mean < epsilon else 1.0
    return float(stdtr(clusters - 1, (mean - epsilon) / error))


def _against(human: int, d: Ints, counts: Floats, p: float, won: bool) -> JudgeVersusHuman:
    n = counts.sum()
    return JudgeVersusHuman(
        human, int(n), float(counts[d <= 0].sum() / n), float(counts[d >= 0].sum() / n), p, won
    )

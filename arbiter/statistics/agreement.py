"""How far raters agree on the labels of a scheme, some of them missing.

Every coefficient here is worked out from counts: an integer array of shape (rows, k) that says how many
raters gave an item each of the scheme's k labels, and `items`, how many items have those counts (1 each where
it is left out). Rows may be items, or the distinct patterns of a study with their numbers. k is the scheme's
number of labels, whether or not each occurs. An item is pairable with two labels or more; an item without any
is ignored. All results are fractions, not percentages.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .intervals import Undefined

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]  # of floats, or of complex numbers where a derivative is taken
Measure = Callable[[Array], Array]

SCALES = ("nominal", "ordinal", "interval", "ratio")
NOTHING_PAIRABLE = "no item has labels from two raters or more"
ONE_LABEL = "only one label occurs among the pairable items, so disagreement was not possible"


def count_rows(labels: Ints, categories: int) -> Ints:
    """Count how many raters gave each item each label, pairable or not: shape (items, categories).

    labels: shape (raters, items), 0..categories-1, or -1 where a rater gave none.

    Raises ValueError where `labels` is not a two-dimensional integer array (a NaN is not a missing label
    here: -1 is), where a label lies outside -1..categories-1, or where categories is below 1.
    """
    labels = checked_labels(labels, categories)
    items = labels.shape[1]
    _, columns = given = np.nonzero(labels >= 0)
    cells = columns * categories + labels[given]
    return tally(cells, items, categories)


def coincidences(counts: Ints, items: Ints | None = None) -> Floats:
    """Return Krippendorff's coincidence matrix: shape (k, k), symmetric.

    Cell (c, k) is the sum over pairable items of the ordered pairs of labels c and k by different raters,
    divided by the item's number of labels less one. The margins count the pairable labels. All zero where
    nothing is pairable.

    Raises ValueError on counts that are not whole numbers of at least 0, or items of another shape.
    Source: K. Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C (o_ck).
    """
    counts, items = checked_counts(counts, items)
    raters = counts.sum(axis=1)
    weights = np.where(raters >= 2, items, 0) / np.maximum(raters - 1, 1)
    weighted = counts * weights[:, np.newaxis]
    pairs: Floats = counts.astype(np.float64).T @ weighted
    # By itself, so that labels nobody differs on leave exactly 0 beside the diagonal.
    pairs[np.diag_indices_from(pairs)] = ((counts - 1) * weighted).sum(axis=0)
    return pairs


def krippendorff_alpha(counts: Ints, items: Ints | None = None, scale: str = "nominal") -> float:
    """Return Krippendorff's alpha: 1 is full agreement, 0 that of chance; it can be negative.

    alpha = 1 - D_o / D_e, D_o = sum_ck o_ck d_ck / n, D_e = sum_ck n_c n_k d_ck / (n (n - 1)), with the
    coincidences o_ck, their margins n_c and sum n, and the squared differences d_ck of `scale`: "nominal" 1
    for c != k; "ordinal" that of the labels' mid-ranks, (n_c / 2 + ... + n_k / 2)^2; "interval" (c - k)^2 and
    "ratio" ((c - k) / (c + k))^2 of the positions, counted from 1. Nominal is what labels without an order
    need; nothing else is assumed unless asked for.

    Raises Undefined where no item is pairable, and where the pairable labels are all the same (nothing could
    have disagreed, so chance-corrected agreement is 0/0, not 1); ValueError as `coincidences` does and on
    another scale.
    Source: Krippendorff (2011), sections C and D.
    """
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    return _valued(alpha_of(coincidences(counts, items), scale), ONE_LABEL, counts, items)


def percent_agreement(counts: Ints, items: Ints | None = None) -> float:
    """Return the mean over pairable items of the share of their pairs of raters that agree, in 0..1.

    Every pairable item weighs the same, however many raters it has (so this is not the trace of the
    coincidence matrix over its sum, which weighs items by their labels, nor the mean over pairs of raters).

    Raises Undefined where no item is pairable; ValueError as `coincidences` does.
    Source: K. L. Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed., chapter 2 (p_a with missing
    ratings); `pa` in his R package irrCAC.
    """
    return _measured("percent", counts, items)


def fleiss_kappa(counts: Ints, items: Ints | None = None) -> float:
    """Return Fleiss' kappa, generalised to items with different numbers of raters.

    kappa = (p_a - p_e) / (1 - p_e), p_a as in `percent_agreement`, p_e = sum_c pi_c^2, where pi_c is the mean
    over the items with a label of the share of their labels that are c. Where all items have the same number
    of raters this is Fleiss (1971); for two raters, Scott's pi.

    Raises Undefined where no item is pairable, or only one label occurs; ValueError as `coincidences` does.
    Source: J. L. Fleiss (1971), Psychol. Bull. 76:378-382; with missing labels, Gwet (2014), chapter 2.
    """
    return _measured("fleiss", counts, items)


def gwet_ac1(counts: Ints, items: Ints | None = None) -> float:
    """Return Gwet's AC1: as `fleiss_kappa`, with chance agreement p_e = sum_c pi_c (1 - pi_c) / (k - 1).

    It does not fall towards 0 where nearly all labels are the same. It depends on the scheme's k: labels that
    nobody used raise it.

    Raises Undefined where no item is pairable, or the scheme has one label only; ValueError as `coincidences`
    does.
    Source: K. L. Gwet (2008), Br. J. Math. Stat. Psychol. 61:29-48; with missing labels, Gwet (2014).
    """
    return _measured("ac1", counts, items)


def gwet_ac2(counts: Ints, items: Ints | None = None, power: int = 1) -> float:
    """Return Gwet's AC2: as `gwet_ac1`, for ordered labels, of which near ones agree in part.

    counts: shape (rows, k), the labels in their order. power: 1 for linear weights w_cd = 1 - |c - d| /
    (k - 1), 2 for quadratic ones, 1 - (c - d)^2 / (k - 1)^2. p_a is the mean over pairable items of sum_c n_c
    (sum_d w_cd n_d - 1) / (n (n - 1)), and p_e = sum(w) sum_c pi_c (1 - pi_c) / (k (k - 1)).

    Raises Undefined and ValueError as `gwet_ac1` does, ValueError on another power.
    Source: K. L. Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed., chapter 4, equations 4.8.1 and
    4.8.2.
    """
    counts, items = checked_counts(counts, items)
    k = counts.shape[1]
    value = ac2_measure(k, power)((items @ item_sums(counts, near(k, power)))[np.newaxis])[0]
    return _valued(value, why_undefined("ac1", k), counts, items)


def near(k: int, power: int) -> Floats:
    """Return how far each two of k ordered labels agree, from 1 (equal) to 0 (first and last): shape (k, k).

    ValueError where power, as in `gwet_ac2`, is neither 1 nor 2.
    """
    if power not in (1, 2):
        raise ValueError(f"weights are linear (1) or quadratic (2), not {power!r}")
    places = np.arange(float(k))
    apart: Floats = np.abs(places[:, np.newaxis] - places) / max(1, k - 1)
    return 1 - apart**power


def ac2_measure(k: int, power: int) -> Measure:
    """Return the function that gives AC2, shape (...), from summed `item_sums` with the weights of `near`;
    NaN where it has none."""
    scale = near(k, power).sum() / max(1, k * (k - 1))

    def measure(sums: Array) -> Array:
        differing = ratio(sums[..., 1] - sums[..., 2], sums[..., 1])
        return 1 - ratio(differing, 1 - scale * _differ(sums, k) if k > 1 else np.zeros(sums.shape[:-1]))

    return measure


def brennan_prediger(counts: Ints, items: Ints | None = None) -> float:
    """Return the Brennan-Prediger coefficient: as `fleiss_kappa`, with chance agreement 1 / k.

    For two labels it is the prevalence- and bias-adjusted kappa (PABAK) of Byrt et al. (1993).

    Raises Undefined where no item is pairable, or the scheme has one label only; ValueError as `coincidences`
    does.
    Source: R. L. Brennan & D. J. Prediger (1981), Educ. Psychol. Meas. 41:687-699.
    """
    return _measured("brennan_prediger", counts, items)


def flip_rate(counts: Ints, items: Ints | None = None) -> float:
    """Return how often one rater, asked again about the same item, gives another label: 0..1.

    counts: how often the rater gave an item each label, shape (rows, k). The mean over the items asked about
    twice or more of the share of pairs of answers that differ, 1 - `percent_agreement`.

    Raises Undefined where no item was asked about twice; ValueError as `coincidences` does.
    Source: as `percent_agreement`.
    """
    try:
        return 1 - percent_agreement(counts, items)
    except Undefined:
        raise Undefined("nothing was labelled twice") from None


def agreement_ceiling(first: float, second: float) -> float:
    """Return the most that two raters can be expected to agree, given how far each agrees with oneself.

    first, second: what each of them reaches over repeats, either percent agreement (the bound is then on
    their percent agreement) or alpha (then on their kappa or alpha). The bound is sqrt(first * second). Where
    one is not known, 1 in its place still gives a bound.

    Given the item, let the labels come with probabilities a_c and b_c, independently. Then
    P(equal) = E[sum_c a_c b_c] <= sqrt(E[sum a_c^2] E[sum b_c^2]) by Cauchy-Schwarz: the product of the two
    agreements with oneself. Less chance, the same holds for covariances, and
    sqrt((1 - sum p_c^2)(1 - sum q_c^2)) <= 1 - sum p_c q_c carries it over to kappa. Raters who remember
    their first answer agree with themselves too well, and the ceiling is then too high.

    Raises Undefined where either is below 0: such a rater's repeats agree less than chance would, and the
    bound says nothing; ValueError above 1 or where not a number.
    Source: the correction for attenuation of C. Spearman (1904), Am. J. Psychol. 15:72-101, for labels as in
    H. C. Kraemer (1979), Psychometrika 44:461-472.
    """
    if not (first <= 1 and second <= 1):
        raise ValueError(f"agreement with oneself is at most 1, not {first!r} and {second!r}")
    if min(first, second) < 0:
        raise Undefined("a rater's repeats agree less than chance would, so there is no ceiling to state")
    return float(np.sqrt(first * second))


def label_shares(counts: Ints, items: Ints | None = None) -> Floats:
    """Return the mean over labelled items of the shares of their labels: shape (k,), summing to 1.

    Raises Undefined where nothing is labelled; ValueError as `coincidences` does.
    Source: Gwet (2014), chapter 2 (pi_c).
    """
    counts, items = checked_counts(counts, items)
    totals = items @ item_sums(counts)
    if not totals[0]:
        raise Undefined("nothing is labelled")
    shares: Floats = totals[3 : 3 + counts.shape[1]] / totals[0]
    return shares


def conger_kappa(labels: Ints, categories: int, items: Ints | None = None) -> float:
    """Return Conger's kappa: Cohen's for several raters, whose shares of each label may differ.

    labels: shape (raters, patterns), -1 for none; items: how many have each pattern. With p_rc the share of
    rater r's labels that are c, over R raters, p_e = sum_c (mean_r(p_rc)^2 - var_r(p_rc) / R), the variance
    with R - 1. For two raters with nothing missing it is Cohen's kappa.

    Raises Undefined where no item is pairable, fewer than two raters gave labels, or both kinds of agreement
    are certain; ValueError as `count_rows` does.
    Source: A. J. Conger (1980), Psychol. Bull. 88:322-328; with missing labels, Gwet (2014), chapter 2.
    """
    counts, items = checked_counts(count_rows(labels, categories), items)
    observed = percent_agreement(counts, items)
    given = np.array([[items[row == label].sum() for label in range(categories)] for row in labels])
    given = given[given.sum(axis=1) > 0]
    shares = given / given.sum(axis=1, keepdims=True)
    chance = float((shares.mean(axis=0) ** 2 - shares.var(axis=0, ddof=1) / len(shares)).sum())
    if np.isclose(chance, 1):
        raise Undefined(ONE_LABEL)
    return (observed - chance) / (1 - chance)


# What coefficients are made of: sums over items, so that a cluster, a study and a resample are all the same
# thing.


def item_sums(counts: Ints, weights: Floats | None = None) -> Floats:
    """Return what coefficients need of an item, as numbers to be summed: shape (rows, 3 + k + k (k + 1) / 2).

    Whether it has a label; whether it is pairable; the share of its pairs of labels that are equal, or how
    far they agree on average by these weights, shape (k, k), 1 on the diagonal; its shares of the k labels;
    its coincidences, of the upper triangle by rows.
    """
    counts = counts.astype(np.float64)
    raters = counts.sum(axis=1)
    pairable = raters >= 2
    per_pair = pairable / np.maximum(raters - 1, 1)
    upper, lower = np.triu_indices(counts.shape[1])
    together = counts[:, upper] * (counts[:, lower] - (upper == lower)) * per_pair[:, np.newaxis]
    equal = together[:, upper == lower].sum(axis=1) / np.maximum(raters, 1)
    if weights is not None:
        agreeing = (counts * (counts @ weights - 1)).sum(axis=1)
        equal = pairable * agreeing / np.maximum(raters * (raters - 1), 1)
    shares = counts / np.maximum(raters, 1)[:, np.newaxis]
    return np.column_stack([raters > 0, pairable, equal, shares, together])


def measures(k: int, scale: str = "nominal") -> Mapping[str, Measure]:
    """Return each coefficient by name, as a function of summed `item_sums`.

    It takes sums of shape (..., columns) to shape (...); NaN where it has no value. All are made of sums and
    products alone, so a complex step gives their derivatives.
    """
    coefficients: dict[str, Measure] = {
        "percent": lambda sums: ratio(sums[..., 2], sums[..., 1]),
        "alpha": lambda sums: alpha_of(_matrix(sums, k)),
        "fleiss": lambda sums: _corrected("fleiss", sums, k),
        "ac1": lambda sums: _corrected("ac1", sums, k),
        "brennan_prediger": lambda sums: _corrected("brennan_prediger", sums, k),
    }
    if scale != "nominal":
        coefficients["alpha_" + scale] = lambda sums: alpha_of(_matrix(sums, k), scale)
    return MappingProxyType(coefficients)


def alpha_of(together: Array, scale: str = "nominal") -> Array:
    """Return alpha from coincidences, shape (..., k, k); NaN where only one label occurs."""
    margins = together.sum(axis=-1)
    total = margins.sum(axis=-1)
    apart = _apart(margins, scale)
    differing = (together * apart).sum(axis=(-2, -1))
    expected = (margins[..., :, np.newaxis] * margins[..., np.newaxis, :] * apart).sum(axis=(-2, -1))
    return 1 - ratio((total - 1) * differing, expected)


def _apart(margins: Array, scale: str) -> Array:
    """Return the squared difference of each two labels, shape (..., k, k) or (k, k)."""
    k = margins.shape[-1]
    if scale == "nominal":
        return 1 - np.eye(k)
    # The sum of the margins from c to k, less half of both, is the difference of their mid-ranks.
    places = margins.cumsum(axis=-1) - margins / 2 if scale == "ordinal" else np.arange(1.0, k + 1)
    apart = places[..., :, np.newaxis] - places[..., np.newaxis, :]
    if scale == "ratio":
        apart = apart / (places[:, np.newaxis] + places)
    return np.asarray(apart**2)


def _matrix(sums: Array, k: int) -> Array:
    """Return the symmetric matrix whose upper triangle the sums end with: shape (..., k, k)."""
    place = np.zeros((k, k), dtype=np.intp)
    place[np.triu_indices(k)] = np.arange(k * (k + 1) // 2)
    return sums[..., 3 + k :][..., np.maximum(place, place.T)]


def _differ(sums: Array, k: int) -> Array:
    """Return 1 - sum_c pi_c^2, as the sum over unlike labels, so that it is exactly 0 where only one
    occurs."""
    shares = sums[..., 3 : 3 + k] / np.where(sums[..., :1].real > 0, sums[..., :1], 1)
    unlike = shares[..., :, np.newaxis] * shares[..., np.newaxis, :] * (1 - np.eye(k))
    return np.asarray(unlike.sum(axis=(-2, -1)))


def _corrected(name: str, sums: Array, k: int) -> Array:
    """Return (p_a - p_e) / (1 - p_e), as 1 less the ratio of the disagreements there are and that chance
    would bring."""
    differing = ratio(sums[..., 1] - sums[..., 2], sums[..., 1])
    return 1 - ratio(differing, beyond_chance(name, sums, k))


def beyond_chance(name: str, sums: Array, k: int) -> Array:
    """Return 1 - p_e of the coefficient of that name, shape (...)."""
    if name == "fleiss":
        return _differ(sums, k)
    if k == 1 or name == "brennan_prediger":
        return np.full(sums.shape[:-1], 1 - 1 / k)
    return 1 - _differ(sums, k) / (k - 1)


def ratio(over: Array, under: Array) -> Array:
    """Return over / under, NaN where `under` is 0."""
    defined = under.real > 0
    return np.where(defined, over, np.nan) / np.where(defined, under, 1)


def _measured(name: str, counts: Ints, items: Ints | None) -> float:
    counts, items = checked_counts(counts, items)
    k = counts.shape[1]
    value = measures(k)[name]((items @ item_sums(counts))[np.newaxis])[0]
    return _valued(value, why_undefined(name, k), counts, items)


def why_undefined(name: str, k: int) -> str:
    """Tell why a coefficient of pairable items has no value."""
    if name in ("ac1", "brennan_prediger") and k == 1:
        return "the scheme has one label only, so agreement is certain"
    return ONE_LABEL


def _valued(value: Any, why: str, counts: Ints, items: Ints | None) -> float:
    number = float(value)
    if not np.isnan(number):
        return number
    counts, items = checked_counts(counts, items)
    raise Undefined(why if (items[counts.sum(axis=1) >= 2] > 0).any() else NOTHING_PAIRABLE)


def checked_labels(labels: Ints, categories: int) -> Ints:
    """Return labels of any integer type as int64. ValueError on what isn't labels, shape (raters, items)."""
    labels = np.asarray(labels)
    if categories < 1:
        raise ValueError(f"categories must be at least 1, not {categories}")
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be integers of shape (raters, items), not {labels.dtype} {labels.shape}"
        )
    # Before the cast: afterwards the largest unsigned number would pass for -1.
    if labels.size and not (labels.min() >= -1 and labels.max() < categories):
        raise ValueError(f"labels must lie in -1..{categories - 1}, not {labels.min()}..{labels.max()}")
    checked: Ints = labels.astype(np.int64, copy=False)
    return checked


def checked_counts(counts: Ints, items: Ints | None) -> tuple[Ints, Ints]:
    """Return counts and items of any integer type as int64; a sum of bytes would wrap at 256.

    Where items are left out, they are 1 for each row. ValueError on shapes that don't fit, on what isn't
    whole, and below 0.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or not counts.shape[1] or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"counts must be integers of shape (rows, k), not {counts.dtype} {counts.shape}")
    items = np.ones(len(counts), dtype=np.int64) if items is None else np.asarray(items)
    if items.shape != counts.shape[:1] or not np.issubdtype(items.dtype, np.integer):
        raise ValueError(f"items must be integers of shape ({len(counts)},), not {items.dtype} {items.shape}")
    if (counts.size and counts.min() < 0) or (items.size and items.min() < 0):
        raise ValueError("counts and items can't be negative")
    return counts.astype(np.int64, copy=False), items.astype(np.int64, copy=False)


def tally(cells: Ints, rows: int, columns: int) -> Ints:
    """Count how often each cell number (row * columns + column) occurs: shape (rows, columns)."""
    return np.bincount(cells, minlength=rows * columns).reshape(rows, columns).astype(np.int64, copy=False)

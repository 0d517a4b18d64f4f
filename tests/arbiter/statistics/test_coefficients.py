"""Every coefficient against published values, other people's libraries and its definition worked out
slowly."""

import itertools
import warnings

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as fleiss_of_statsmodels

from arbiter.statistics import (
    Undefined,
    ac2_estimate,
    agreement_estimates,
    brennan_prediger,
    cohen_error,
    cohen_kappa,
    conger_kappa,
    count_rows,
    fleiss_kappa,
    flip_rate,
    gwet_ac1,
    gwet_ac2,
    gwet_error,
    krippendorff_alpha,
    label_shares,
    pairwise,
    percent_agreement,
    weighted_kappa,
    widest_bias,
)
from tests.sizes import size

from .support import encode, expand, labelled, plain_alpha, plain_ordinal, reference

SCALES = ["nominal", "ordinal", "interval", "ratio"]
COEFFICIENTS = {
    "percent": percent_agreement,
    "alpha": krippendorff_alpha,
    "fleiss": fleiss_kappa,
    "ac1": gwet_ac1,
    "brennan_prediger": brennan_prediger,
}


def digits(published) -> float:
    """Return half a unit of the last digit that was published."""
    return 0.5 * 10.0 ** -len(str(published).partition(".")[2])


def value(measure, *arguments):
    try:
        return measure(*arguments)
    except Undefined as why:
        return str(why)


def same(one, other, tolerance=1e-12):
    return one == other or one == pytest.approx(other, abs=tolerance)


def raw4raters():
    example = reference("gwet_ac1.json")["raw4raters"]
    return *encode(example["data"]), example["expected"]


@pytest.mark.parametrize("scale", SCALES)
def test_every_reference_alpha_of_every_scale(scale):
    examples = [value for value in reference("krippendorff_alpha.json").values() if isinstance(value, dict)]
    published = [example for example in examples if scale in example["expected"]]
    assert published
    for example in published:
        counts = count_rows(*encode(example["data"]))
        expected = example["expected"][scale]
        assert krippendorff_alpha(counts, scale=scale) == pytest.approx(expected, abs=digits(expected))


def test_every_reference_fleiss():
    for name, example in reference("fleiss_kappa.json").items():
        counts, expected = np.array(example["counts"]), example["expected"]
        assert fleiss_kappa(counts) == pytest.approx(expected["kappa"], abs=0.5e-3 + digits(0.43)), name
        if "P_bar" in expected:
            assert percent_agreement(counts) == pytest.approx(expected["P_bar"], abs=digits(0.378))
            chance = (label_shares(counts) ** 2).sum()
            assert chance == pytest.approx(expected["P_e"], abs=digits(0.213))


def test_every_reference_coefficient_of_raw4raters():
    labels, categories, expected = raw4raters()
    counts = count_rows(labels, categories)
    coefficients = {
        "AC1": gwet_ac1(counts),
        "AC1_se": gwet_error("ac1", counts),
        "fleiss": fleiss_kappa(counts),
        "krippendorff": krippendorff_alpha(counts),
        "brennan_prediger": brennan_prediger(counts),
        "percent_agreement": percent_agreement(counts),
        # In irrCAC's own table the twelfth unit's only label is the third rater's; in Krippendorff's, which
        # the reference file gives, the second's. Of these coefficients Conger's alone can tell.
        "conger": conger_kappa(moved(labels), categories),
    }
    assert coefficients.keys() == expected.keys()
    for name, published in expected.items():
        assert coefficients[name] == pytest.approx(published, abs=digits(published)), name


def moved(labels):
    labels = labels.copy()
    labels[[1, 2], 11] = labels[[2, 1], 11]
    return labels


@pytest.mark.parametrize(
    ("name", "published"),
    [("percent", 0.12561), ("fleiss", 0.15302), ("ac1", 0.14295), ("brennan_prediger", 0.14472)],
)
def test_published_errors_where_labels_are_missing(name, published):
    # irrCAC 1.0, vignette "overview".
    labels, categories, _ = raw4raters()
    assert gwet_error(name, count_rows(labels, categories)) == pytest.approx(published, abs=digits(published))


def test_reference_ac1_and_kappa_of_gwets_table():
    example = reference("gwet_ac1.json")["gwet2008_125"]
    (pair,) = pairwise(expand(example["table"]), 2)
    assert pair.estimates["ac1"].value == pytest.approx(example["expected"]["AC1"], abs=digits(0.9408))
    assert cohen_kappa(np.array(example["table"])) == pytest.approx(
        example["expected"]["kappa"], abs=digits(0.0234)
    )


def test_reference_cohen_with_its_error_and_scotts_pi():
    example = reference("cohen_kappa.json")["irrCAC_cont3x3abstractors"]
    table, expected = np.array(example["table"]), example["expected"]
    assert cohen_kappa(table) == pytest.approx(expected["cohen"], abs=digits(expected["cohen"]))
    assert cohen_error(table) == pytest.approx(expected["cohen_se"], abs=digits(expected["cohen_se"]))
    labels = expand(example["table"])
    assert fleiss_kappa(count_rows(labels, 3)) == pytest.approx(
        expected["scott_pi"], abs=digits(expected["scott_pi"])
    )
    (pair,) = pairwise(labels, 3)
    assert pair.estimates["kappa"].error == pytest.approx(cohen_error(table) * np.sqrt(100 / 99), rel=1e-12)


@given(labelled(raters=(1, 5)))
def test_alpha_of_grades_is_its_definition(case):
    labels, categories = case
    expected = plain_ordinal(labels, categories)
    alpha = value(krippendorff_alpha, count_rows(labels, categories), None, "ordinal")
    if expected is None:
        assert isinstance(alpha, str)
    else:
        assert alpha == pytest.approx(float(expected), abs=1e-10)


@pytest.mark.parametrize("scale", SCALES)
@given(case=labelled(raters=(2, 5)))
def test_alpha_is_the_librarys_on_every_scale(scale, case):
    labels, categories = case
    counts = count_rows(labels, categories)
    alpha = value(krippendorff_alpha, counts, None, scale)
    if isinstance(alpha, str):
        assert plain_alpha(labels, categories) is None
        return
    domain = np.arange(1, categories + 1)
    library = krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=scale)
    assert alpha == pytest.approx(library, abs=1e-9)


@given(labelled(raters=(2, 5)))
def test_grades_read_backwards_agree_as_well(case):
    labels, categories = case
    counts = count_rows(labels, categories)
    both = [value(krippendorff_alpha, given, None, "ordinal") for given in (counts, counts[:, ::-1])]
    assert same(*both)


@given(labelled(raters=(2, 2)))
def test_kappa_is_scikit_learns(case):
    labels, categories = case
    (pair,) = pairwise(labels, categories)
    first, second = labels[:, (labels >= 0).all(axis=0)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = cohen_kappa_score(first, second, labels=range(categories)) if first.size else np.nan
    if pair.kappa is None:
        # 0/0: scikit-learn answers NaN, we the reason.
        assert np.isnan(library) and pair.estimates["kappa"].undefined
    else:
        assert pair.kappa == pytest.approx(library, abs=1e-12)
        assert pair.kappa == pytest.approx(cohen_kappa(pair.table), abs=1e-12)


@st.composite
def complete(draw):
    """Draw counts of items that all have the same number of raters, two at least."""
    k, raters, items = draw(st.integers(1, 4)), draw(st.integers(2, 6)), draw(st.integers(1, 10))
    rows = st.lists(st.integers(0, k - 1), min_size=raters, max_size=raters)
    labels = np.array(draw(st.lists(rows, min_size=items, max_size=items))).T
    return labels, count_rows(labels, k)


@given(complete())
def test_fleiss_is_statsmodels_where_nothing_is_missing(case):
    _, counts = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = fleiss_of_statsmodels(counts)
    kappa = value(fleiss_kappa, counts)
    if isinstance(kappa, str):
        assert not np.isfinite(library)
    else:
        assert kappa == pytest.approx(library, abs=1e-10)


@given(complete())
def test_with_nothing_missing_the_published_errors_are_those_of_the_estimates(case):
    labels, counts = case
    estimates = agreement_estimates(counts, resamples=1)
    for name in ("percent", "fleiss", "ac1", "brennan_prediger"):
        if estimates[name].error is not None:
            assert gwet_error(name, counts) == pytest.approx(estimates[name].error, abs=1e-9)
    if len(labels) == 2 and estimates["alpha"].value is not None:
        (pair,) = pairwise(labels, counts.shape[1], resamples=1)
        for name in ("percent", "alpha", "ac1"):
            assert pair.estimates[name].value == pytest.approx(estimates[name].value, abs=1e-12)
            assert pair.estimates[name].error == pytest.approx(estimates[name].error, abs=1e-9)
        assert conger_kappa(labels, counts.shape[1]) == pytest.approx(pair.kappa, abs=1e-12)


@settings(max_examples=size(20, 50))
@given(labelled(), st.integers(2, 40))
def test_patterns_with_their_numbers_are_the_items_themselves(case, times):
    labels, categories = case
    counts = count_rows(labels, categories)
    numbers = np.arange(labels.shape[1]) % 3 * times
    items = np.repeat(counts, numbers, axis=0)
    for name, measure in COEFFICIENTS.items():
        assert same(value(measure, counts, numbers), value(measure, items)), name
    weighted = agreement_estimates(counts, numbers, resamples=1)
    plain = agreement_estimates(items, resamples=1)
    for name in COEFFICIENTS:
        assert same(weighted[name].error, plain[name].error, 1e-9)
        assert weighted[name].clusters == plain[name].clusters
    pairs = zip(
        pairwise(labels, categories, numbers, resamples=1),
        pairwise(np.repeat(labels, numbers, axis=1), categories, resamples=1),
        strict=True,
    )
    for one, other in pairs:
        assert (one.items, one.alone, one.table.tolist()) == (other.items, other.alone, other.table.tolist())
        assert same(one.kappa, other.kappa)


@given(labelled())
def test_a_label_nobody_used_counts_in_ac1_alone(case):
    labels, categories = case
    more = [count_rows(labels, categories + extra) for extra in (0, 1)]
    for name in ("percent", "alpha", "fleiss"):
        assert same(*(value(COEFFICIENTS[name], counts) for counts in more))
    one, other = (value(gwet_ac1, counts) for counts in more)
    if categories > 1 and isinstance(one, float):
        assert other >= one - 1e-12


@given(labelled(), st.randoms(use_true_random=False))
def test_names_of_labels_and_order_of_items_mean_nothing(case, random):
    labels, categories = case
    counts = count_rows(labels, categories)
    names, items = list(range(categories)), list(range(len(counts)))
    random.shuffle(names)
    random.shuffle(items)
    for name, measure in COEFFICIENTS.items():
        assert same(value(measure, counts), value(measure, counts[items][:, names])), name
    for one, other in zip(
        pairwise(labels, categories, resamples=1),
        pairwise(np.array([*names, -1])[labels][:, items], categories, resamples=1),
        strict=True,
    ):
        assert same(one.kappa, other.kappa)
        assert one.bias == pytest.approx(other.bias[names], abs=1e-12, nan_ok=True)


def test_the_number_of_categories_is_the_schemes():
    # Two labels occur; in a scheme of four, AC1's chance agreement is shared among three others.
    labels = np.array([[0, 0, 0, 1], [0, 0, 1, 1]])
    two, four = (gwet_ac1(count_rows(labels, k)) for k in (2, 4))
    shares = np.array([5 / 8, 3 / 8])
    chance = (shares * (1 - shares)).sum()
    assert two == pytest.approx((0.75 - chance) / (1 - chance))
    assert four == pytest.approx((0.75 - chance / 3) / (1 - chance / 3))


# Traps


def test_labels_without_an_order_are_not_read_as_numbers():
    # 0 against 3 is no further than 0 against 1, unless asked for.
    near = np.array([[0, 1, 2, 3, 0], [0, 1, 2, 3, 1]])
    far = np.array([[0, 1, 2, 3, 0], [0, 1, 2, 3, 3]])
    assert krippendorff_alpha(count_rows(near, 4)) == krippendorff_alpha(count_rows(far, 4))
    assert krippendorff_alpha(count_rows(near, 4), scale="ordinal") > krippendorff_alpha(
        count_rows(far, 4), scale="ordinal"
    )
    with pytest.raises(ValueError, match="nominal, ordinal, interval, ratio"):
        krippendorff_alpha(count_rows(near, 4), scale="metric")


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16])
def test_counts_of_small_integers_do_not_wrap(kind):
    counts = np.array([[120, 100], [90, 120], [0, 127], [127, 0]], dtype=kind)
    wide = counts.astype(np.int64)
    for name, measure in COEFFICIENTS.items():
        assert measure(counts) == pytest.approx(measure(wide), abs=1e-12), name
        assert measure(counts, np.array([200, 200, 200, 200], dtype=np.uint8)) == pytest.approx(
            measure(wide, np.full(4, 200)), abs=1e-12
        )


@pytest.mark.parametrize("measure", COEFFICIENTS.values())
def test_nothing_pairable_is_a_refusal_not_one(measure):
    for counts in (np.array([[1, 0], [0, 1]]), np.zeros((3, 2), np.int64), np.empty((0, 2), np.int64)):
        with pytest.raises(Undefined, match="two raters"):
            measure(counts)
    with pytest.raises(Undefined, match="two raters"):
        measure(np.array([[2, 0]]), np.array([0]))  # a pattern no item has


def test_a_nan_is_no_category():
    with pytest.raises(ValueError, match="integers"):
        count_rows(np.array([[0.0, np.nan], [0.0, np.nan]]), 2)
    with pytest.raises(ValueError, match="integers"):
        krippendorff_alpha(np.array([[2.0, np.nan]]))
    with pytest.raises(ValueError, match="integers"):
        cohen_kappa(np.array([[2.0, np.nan], [0, 1]]))


@pytest.mark.parametrize(
    ("counts", "items", "message"),
    [
        (np.array([[1, -1]]), None, "negative"),
        (np.array([[1, 1]]), np.array([-1]), "negative"),
        (np.array([[1, 1]]), np.array([1, 1]), "items"),
        (np.array([[1, 1]]), np.array([1.5]), "items"),
        (np.array([1, 1]), None, "shape"),
        (np.empty((2, 0), np.int64), None, "shape"),
    ],
)
@pytest.mark.parametrize("measure", [*COEFFICIENTS.values(), flip_rate, label_shares])
def test_malformed_counts_are_refused(measure, counts, items, message):
    with pytest.raises(ValueError, match=message) as caught:
        measure(counts, items)
    assert not isinstance(caught.value, Undefined)


def test_a_pair_says_how_many_items_it_rests_on():
    labels = np.array([[0, 1, 1, -1, -1, 0], [0, 1, -1, 1, -1, 1]])
    (pair,) = pairwise(labels, 2, np.array([5, 4, 3, 2, 7, 1]))
    assert (pair.items, pair.alone) == (10, 5)
    assert pair.percent == 0.9


def test_a_pair_without_common_items_says_so():
    (pair,) = pairwise(np.array([[0, -1], [-1, 1]]), 2)
    assert (pair.items, pair.alone) == (0, 2)
    for estimate in pair.estimates.values():
        assert estimate.value is None and "no item in common" in estimate.undefined
    assert np.isnan(pair.prevalence).all() and np.isnan(pair.bias).all()


# Married couples' answers to one question, never to always; M. Hout, O. D. Duncan & M. E. Sobel (1987),
# Sociol. Methodol. 17:145-184.
COUPLES = np.array([[7, 7, 2, 3], [2, 8, 3, 7], [1, 5, 4, 9], [2, 8, 9, 14]])


def test_weighted_kappa_of_couples():
    """0.129 without weights and 0.237 with linear ones, as the R package vcd prints them."""
    assert cohen_kappa(COUPLES) == pytest.approx(0.1293, abs=5e-5)
    assert weighted_kappa(COUPLES, 1) == pytest.approx(0.2374, abs=5e-5)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40))
@settings(max_examples=size(20, 60), deadline=None)
def test_weighted_kappa_as_sklearn_and_statsmodels_have_it(pairs):
    first, second = np.array(pairs).T
    table = np.zeros((4, 4), dtype=int)
    np.add.at(table, (first, second), 1)
    if len({*first, *second}) < 2:
        with pytest.raises(Undefined):
            weighted_kappa(table)
        return
    for power, name in ((1, "linear"), (2, "quadratic")):
        expected = cohen_kappa_score(first, second, labels=range(4), weights=name)
        assert weighted_kappa(table, power) == pytest.approx(expected, abs=1e-9)
        theirs = cohens_kappa(table, wt=name, return_results=False)
        assert weighted_kappa(table, power) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_ac2_by_its_definition(seed, power):
    """Pair by pair, over items with different numbers of raters."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 4, (5, 30))
    agreeing, shares = [], []
    for column in labels.T:
        given_ = column[column >= 0]
        if len(given_):
            shares.append(np.bincount(given_, minlength=4) / len(given_))
        pairs = [1 - (abs(int(a) - int(b)) / 3) ** power for a, b in itertools.permutations(given_, 2)]
        if pairs:
            agreeing.append(np.mean(pairs))
    share = np.mean(shares, axis=0)
    weights = 1 - (np.abs(np.subtract.outer(range(4), range(4))) / 3) ** power
    chance = weights.sum() * (share * (1 - share)).sum() / 12
    counts = count_rows(labels, 4)
    expected = (np.mean(agreeing) - chance) / (1 - chance)
    assert gwet_ac2(counts, power=power) == pytest.approx(expected)
    ac2 = ac2_estimate(counts, tasks=np.arange(30) % 10, power=power, resamples=50)
    assert ac2.value == pytest.approx(expected)
    assert ac2.delta.low < expected < ac2.delta.high and ac2.bootstrap.low < ac2.bootstrap.high


def test_ac2_and_weighted_kappa_as_irrcac_prints_them():
    """Quadratic weights, in the vignette "Weighted Chance-corrected Agreement Coefficients" of the R package
    irrCAC (K. L. Gwet 2019): its table of two abstractors, and four raters of whom some labels are missing
    (Krippendorff's example C)."""
    table = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
    assert weighted_kappa(table, 2) == pytest.approx(0.8921569, abs=5e-8)
    counts = np.array([np.eye(3, dtype=int)[a] + np.eye(3, dtype=int)[b] for a, b in np.ndindex(3, 3)])
    ac2 = ac2_estimate(counts, table.ravel(), power=2, resamples=20)
    assert ac2.value == pytest.approx(0.9402369, abs=5e-8)
    # Of a table it takes n, not n - 1.
    assert ac2.error * np.sqrt(99 / 100) == pytest.approx(0.01792019, abs=5e-9)
    four = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]  # fmt: skip
    assert gwet_ac2(count_rows(np.array(four) - 1, 5), power=2) == pytest.approx(0.914, abs=5e-6)


def test_ac2_of_two_labels_is_ac1_and_far_misses_count_more():
    counts = np.array([[2, 0], [1, 1], [0, 2], [2, 0]])
    assert gwet_ac2(counts, power=2) == pytest.approx(gwet_ac1(counts))
    near, far = np.array([[2, 0, 0], [1, 1, 0], [0, 0, 2]]), np.array([[2, 0, 0], [1, 0, 1], [0, 0, 2]])
    assert gwet_ac2(near) > gwet_ac2(far)
    with pytest.raises(ValueError, match="linear"):
        gwet_ac2(near, power=3)
    with pytest.raises(Undefined, match="no item"):
        gwet_ac2(np.array([[1, 0], [0, 1]]))


@pytest.mark.parametrize("scale", ["nominal", "ordinal"])
@pytest.mark.parametrize("clustered", [True, False])
def test_many_pairs_at_once_are_those_one_by_one(scale, clustered):
    rng = np.random.default_rng(5)
    labels = np.where(rng.random((7, 40)) < 0.3, -1, rng.integers(0, 3, (7, 40)))
    labels[5], labels[6, 1:] = -1, -1  # nothing in common with anybody; one item
    items, tasks = rng.integers(1, 4, 40), rng.integers(0, 9, 40) if clustered else None
    slow = pairwise(labels, 3, items, tasks, scale=scale, resamples=5)
    quick = pairwise(labels, 3, items, tasks, scale=scale, resamples=0)
    for one, other in zip(quick, slow, strict=True):
        assert (one.first, one.second, one.items, one.alone) == (
            other.first,
            other.second,
            other.items,
            other.alone,
        )
        assert one.table.tolist() == other.table.tolist()
        for name, estimate in other.estimates.items():
            mine = one.estimates[name]
            assert (mine.value, mine.error) == pytest.approx((estimate.value, estimate.error), nan_ok=True)
            assert (mine.delta is None) == (estimate.delta is None) and mine.bootstrap is None
            if mine.delta:
                assert (mine.delta.low, mine.delta.high) == pytest.approx(
                    (estimate.delta.low, estimate.delta.high)
                )
            elif not estimate.undefined.startswith("in none"):
                assert (mine.clusters, mine.undefined) == (estimate.clusters, estimate.undefined)
    widest = np.nanmax(np.abs([one.bias for one in slow]), axis=0)
    assert widest_bias(labels, 3, items) == pytest.approx(widest)
    assert np.isnan(widest_bias(labels[5:6], 3, items)).all()

"""Every coefficient against published values, other people's libraries and its definition worked out slowly."""

import warnings

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa as fleiss_of_statsmodels

from judging.statistics import (
    Undefined,
    agreement_estimates,
    brennan_prediger,
    cohen_error,
    cohen_kappa,
    conger_kappa,
    count_rows,
    fleiss_kappa,
    flip_rate,
    gwet_ac1,
    gwet_error,
    krippendorff_alpha,
    label_shares,
    pairwise,
    percent_agreement,
)

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
    """Half a unit of the last digit that was published."""
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
    found = {
        "AC1": gwet_ac1(counts),
        "AC1_se": gwet_error("ac1", counts),
        "fleiss": fleiss_kappa(counts),
        "krippendorff": krippendorff_alpha(counts),
        "brennan_prediger": brennan_prediger(counts),
        "percent_agreement": percent_agreement(counts),
        # In irrCAC's own table the twelfth unit's only label is the third rater's; in Krippendorff's, which the
        # reference file gives, the second's. Of these coefficients Conger's alone can tell.
        "conger": conger_kappa(moved(labels), categories),
    }
    assert found.keys() == expected.keys()
    for name, published in expected.items():
        assert found[name] == pytest.approx(published, abs=digits(published)), name


def moved(labels):
    labels = labels.copy()
    labels[[1, 2], 11] = labels[[2, 1], 11]
    return labels


@pytest.mark.parametrize(
    ("name", "published"), [("percent", 0.12561), ("fleiss", 0.15302), ("ac1", 0.14295), ("brennan_prediger", 0.14472)]
)  # fmt: skip
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
    found = value(krippendorff_alpha, count_rows(labels, categories), None, "ordinal")
    if expected is None:
        assert isinstance(found, str)
    else:
        assert found == pytest.approx(float(expected), abs=1e-10)


@pytest.mark.parametrize("scale", SCALES)
@given(case=labelled(raters=(2, 5)))
def test_alpha_is_the_librarys_on_every_scale(scale, case):
    labels, categories = case
    counts = count_rows(labels, categories)
    found = value(krippendorff_alpha, counts, None, scale)
    if isinstance(found, str):
        assert plain_alpha(labels, categories) is None
        return
    domain = np.arange(1, categories + 1)
    library = krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=scale)
    assert found == pytest.approx(library, abs=1e-9)


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
    """Counts of items that all have the same number of raters, two at least."""
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
    found = value(fleiss_kappa, counts)
    if isinstance(found, str):
        assert not np.isfinite(library)
    else:
        assert found == pytest.approx(library, abs=1e-10)


@given(complete())
def test_with_nothing_missing_the_published_errors_are_those_of_the_estimates(case):
    labels, counts = case
    found = agreement_estimates(counts, resamples=1)
    for name in ("percent", "fleiss", "ac1", "brennan_prediger"):
        if found[name].error is not None:
            assert gwet_error(name, counts) == pytest.approx(found[name].error, abs=1e-9)
    if len(labels) == 2 and found["alpha"].value is not None:
        (pair,) = pairwise(labels, counts.shape[1], resamples=1)
        for name in ("percent", "alpha", "ac1"):
            assert pair.estimates[name].value == pytest.approx(found[name].value, abs=1e-12)
            assert pair.estimates[name].error == pytest.approx(found[name].error, abs=1e-9)
        assert conger_kappa(labels, counts.shape[1]) == pytest.approx(pair.kappa, abs=1e-12)


@settings(max_examples=50)
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

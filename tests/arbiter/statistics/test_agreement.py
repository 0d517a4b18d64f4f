"""Agreement against published values, the krippendorff library and the definitions themselves."""

from fractions import Fraction

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import crosstab

from arbiter.statistics import Undefined, count_rows, pairwise
from arbiter.statistics import coincidences as coincidences_of
from arbiter.statistics import krippendorff_alpha as alpha_of
from arbiter.statistics import percent_agreement as percent_of

from .support import (
    encode,
    expand,
    labelled,
    plain_alpha,
    plain_coincidences,
    plain_kappa,
    plain_percent,
    reference,
    value_counts,
)

_ = None
# Krippendorff (2011), examples A to C; the last has four observers and missing values.
EXAMPLE_A = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
EXAMPLE_B = [list("aabbdcccedda"), list("babbbccceddd")]
EXAMPLE_C = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
ALPHAS = [(EXAMPLE_A, 0.095), (EXAMPLE_B, 0.692), (EXAMPLE_C, 0.743)]

# Cross tables and Cohen's kappa: Wikipedia's grant proposals and its two with equal percentages; Artstein &
# Poesio (2008); Fleiss, Levin & Paik (2003) table 18.1; cont3x3abstractors of irrCAC; Gwet (2008).
KAPPAS = [
    ([[20, 5], [10, 15]], 0.4, 1e-9),
    ([[45, 15], [25, 15]], 0.1304, 5e-5),
    ([[25, 35], [5, 35]], 0.2593, 5e-5),
    ([[20, 20], [10, 50]], 0.348, 5e-4),
    ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.68, 5e-3),
    ([[13, 0, 0], [0, 20, 7], [0, 4, 56]], 0.7964094, 5e-8),
    ([[118, 5], [2, 0]], -0.0234, 5e-5),
]


def _labels(*rows):
    return np.array(rows, dtype=np.int64)


def coincidences(labels, categories):
    return coincidences_of(count_rows(labels, categories))


def krippendorff_alpha(labels, categories):
    return alpha_of(count_rows(labels, categories))


def percent_agreement(labels, categories):
    return percent_of(count_rows(labels, categories))


@pytest.mark.parametrize(("rows", "alpha"), ALPHAS)
def test_alpha_as_published(rows, alpha):
    assert krippendorff_alpha(*encode(rows)) == pytest.approx(alpha, abs=5e-4)


def test_example_c_to_the_last_digit():
    assert krippendorff_alpha(*encode(EXAMPLE_C)) == pytest.approx(113 / 152, abs=1e-15)


def test_every_reference_alpha():
    examples = [value for value in reference("krippendorff_alpha.json").values() if isinstance(value, dict)]
    assert len(examples) >= 4
    for example in examples:
        alpha = krippendorff_alpha(*encode(example["data"]))
        assert alpha == pytest.approx(example["expected"]["nominal"], abs=5e-4)


def test_percent_agreement_as_published():
    # Gwet's irrCAC, cac.raw4raters (the data of example C): pa 0.81818.
    assert percent_agreement(*encode(EXAMPLE_C)) == pytest.approx(0.81818, abs=5e-6)


def test_reference_percent_agreement():
    example = reference("gwet_ac1.json")["raw4raters"]
    labels, categories = encode(example["data"])
    assert percent_agreement(labels, categories) == pytest.approx(
        example["expected"]["percent_agreement"], abs=5e-6
    )
    assert krippendorff_alpha(labels, categories) == pytest.approx(
        example["expected"]["krippendorff"], abs=5e-6
    )


@pytest.mark.parametrize(("table", "kappa", "tolerance"), KAPPAS)
def test_kappa_as_published(table, kappa, tolerance):
    (pair,) = pairwise(expand(table), len(table))
    assert pair.kappa == pytest.approx(kappa, abs=tolerance)
    assert pair.table.tolist() == table


def test_every_reference_kappa():
    examples = [*reference("cohen_kappa.json").values(), reference("gwet_ac1.json")["gwet2008_125"]]
    for example in examples:
        (pair,) = pairwise(expand(example["table"]), len(example["table"]))
        expected = example["expected"]
        published = str(expected.get("kappa", expected.get("cohen")))
        digits = len(published.partition(".")[2])
        assert pair.kappa == pytest.approx(float(published), abs=0.5 * 10**-digits)
        if "po" in expected:
            assert pair.percent == pytest.approx(expected["po"])


def test_coincidences_of_example_b():
    # Counted by hand: each of the twelve pairs twice, once in either order; labels a to e.
    by_hand = [[2, 1, 0, 1, 0], [1, 4, 0, 1, 0], [0, 0, 6, 0, 0], [1, 1, 0, 4, 0], [0, 0, 0, 0, 2]]
    assert coincidences(*encode(EXAMPLE_B)).tolist() == by_hand


@given(labelled())
def test_coincidences_are_the_pairs_one_by_one(case):
    labels, categories = case
    matrix = coincidences(labels, categories)
    np.testing.assert_allclose(matrix, np.array(plain_coincidences(labels, categories), dtype=float))
    pairable = labels[:, (labels >= 0).sum(axis=0) >= 2]
    np.testing.assert_allclose(matrix.sum(axis=0), [(pairable == c).sum() for c in range(categories)])


@given(labelled())
def test_alpha_is_the_definition_and_the_library(case):
    labels, categories = case
    expected = plain_alpha(labels, categories)
    if expected is None:
        with pytest.raises(Undefined):
            krippendorff_alpha(labels, categories)
        return
    alpha = krippendorff_alpha(labels, categories)
    assert alpha == pytest.approx(float(expected), abs=1e-12)
    library = krippendorff.alpha(
        value_counts=value_counts(labels, categories), level_of_measurement="nominal"
    )
    assert alpha == pytest.approx(library, abs=1e-9)


@given(labelled(), st.randoms(use_true_random=False))
def test_names_and_order_mean_nothing(case, random):
    labels, categories = case
    raters, items, names = (list(range(size)) for size in (*labels.shape, categories))
    for order in (raters, items, names):
        random.shuffle(order)
    renamed = np.array([*names, -1])[labels][raters][:, items]
    # A label nobody used changes nothing either.
    for measure in (krippendorff_alpha, percent_agreement):
        assert _value(measure, renamed, categories + 2) == _value(measure, labels, categories)


def _value(measure, labels, categories):
    try:
        return pytest.approx(measure(labels, categories), abs=1e-12)
    except Undefined as reason:
        return str(reason)


@given(labelled())
def test_percent_agreement_is_the_mean_over_items(case):
    labels, categories = case
    expected = plain_percent(labels)
    if expected is None:
        with pytest.raises(Undefined, match="two raters"):
            percent_agreement(labels, categories)
    else:
        assert percent_agreement(labels, categories) == pytest.approx(float(expected), abs=1e-12)


def test_percent_agreement_weighs_items_alike():
    # Four agree on the first item, one pair of two disagrees on the second: (1 + 0) / 2, not 6 pairs of 7.
    labels = _labels([0, 0], [0, 1], [0, -1], [0, -1])
    assert percent_agreement(labels, 2) == 0.5


@given(labelled(raters=(1, 4)))
def test_pairs_are_their_definitions(case):
    labels, categories = case
    pairs = pairwise(labels, categories)
    raters = range(len(labels))
    assert [(pair.first, pair.second) for pair in pairs] == [(a, b) for a in raters for b in raters if a < b]
    for pair in pairs:
        rows = labels[[pair.first, pair.second]]
        domain = range(categories)
        common = rows[:, (rows >= 0).all(axis=0)]
        assert pair.table.tolist() == crosstab(common[0], common[1], levels=(domain, domain)).count.tolist()
        assert pair.items == common.shape[1]
        assert pair.percent == _approximately(plain_percent(rows))
        assert pair.kappa == _approximately(plain_kappa(*rows))
        assert pair.alpha == _approximately(plain_alpha(rows, categories))


def _approximately(value: Fraction | None):
    return None if value is None else pytest.approx(float(value), abs=1e-12)


def test_nothing_pairable_is_refused_not_one():
    for labels in (
        _labels([0, -1], [-1, 1]),
        _labels([0, 1, 1]),
        np.empty((0, 4), np.int64),
        _labels([], []),
    ):
        for measure in (krippendorff_alpha, percent_agreement):
            with pytest.raises(Undefined, match="two raters"):
                measure(labels, 2)
        assert not coincidences(labels, 2).any()


def test_one_label_is_refused_not_one():
    # The second label occurs, but only where nobody could disagree with it.
    labels = _labels([1, 1, 0], [1, 1, -1])
    with pytest.raises(Undefined, match="only one label"):
        krippendorff_alpha(labels, 2)
    assert percent_agreement(labels, 2) == 1
    (pair,) = pairwise(labels, 2)
    assert (pair.percent, pair.kappa, pair.alpha) == (1, None, None)


def test_a_pair_without_common_items():
    (pair,) = pairwise(_labels([0, -1], [-1, 1]), 3)
    assert (pair.items, pair.percent, pair.kappa, pair.alpha) == (0, None, None, None)
    assert pair.table.shape == (3, 3)


def test_no_agreement_expected_by_chance_is_a_value():
    # Disjoint labels: chance agreement is 0, which must not be taken for "undefined".
    (pair,) = pairwise(_labels([0, 0], [1, 1]), 2)
    assert (pair.percent, pair.kappa) == (0, 0)
    assert pair.alpha == pytest.approx(-0.5)


def test_full_agreement_is_exactly_one():
    assert krippendorff_alpha(_labels([0, 1, 2], [0, 1, 2], [0, 1, -1]), 3) == 1


def test_counts_beyond_a_byte_do_not_wrap():
    labels = np.zeros((300, 2), dtype=np.uint8)
    labels[150:, 1] = 1
    assert count_rows(labels, 2).tolist() == [[300, 0], [150, 150]]
    assert krippendorff_alpha(labels, 2) == pytest.approx(float(plain_alpha(labels, 2)))
    (pair,) = pairwise(np.array([[19, 18], [19, 17]], dtype=np.uint8), 20)
    assert np.argwhere(pair.table).tolist() == [[18, 17], [19, 19]]
    many = np.zeros((2, 100_000), dtype=np.int8)
    many[1, ::2] = many[0, ::4] = 1
    (pair,) = pairwise(many, 2)
    assert pair.items == 100_000
    assert pair.kappa == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("labels", "categories", "message"),
    [
        (np.array([[0.0, np.nan], [1.0, 1.0]]), 2, "integers"),
        (np.array([[True, False], [True, True]]), 2, "integers"),
        (np.array([["a", None], ["a", "b"]], dtype=object), 2, "integers"),
        (np.array([0, 1]), 2, "shape"),
        (_labels([0, 2], [0, 1]), 2, r"-1\.\.1"),
        (_labels([0, -2], [0, 1]), 2, r"-1\.\.1"),
        (np.array([[0, 2**64 - 1], [0, 1]], dtype=np.uint64), 2, r"-1\.\.1"),
        (_labels([0, 0], [0, 0]), 0, "categories"),
    ],
)
@pytest.mark.parametrize("measure", [coincidences, krippendorff_alpha, percent_agreement, pairwise])
def test_malformed_labels_are_refused(measure, labels, categories, message):
    with pytest.raises(ValueError, match=message) as caught:
        measure(labels, categories)
    assert not isinstance(caught.value, Undefined)

"""Places in a drawn order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, norm

from arbiter.statistics import Undefined, position_preference


@given(st.lists(st.integers(0, 80), min_size=2, max_size=6).filter(lambda one: sum(one) >= 5 * len(one)))
def test_positions_as_scipy_has_them(counts):
    preference, expected = position_preference(counts), chisquare(counts)
    assert preference.statistic == pytest.approx(expected.statistic)
    fair, n = 1 / len(counts), sum(counts)
    picked = len(counts) * 2 * norm.sf(abs(preference.excess) / (fair * (1 - fair) / n) ** 0.5)
    assert preference.p == pytest.approx(min(1, max(expected.pvalue, picked)))
    assert (preference.low > 0 or preference.high < 0) == (preference.p < 0.05)
    assert preference.low <= preference.excess <= preference.high
    assert preference.excess == pytest.approx(counts[preference.place] / sum(counts) - 1 / len(counts))


def test_too_few_labels_for_their_places():
    with pytest.raises(Undefined, match="5 a place"):
        position_preference([9, 5, 3, 2])
    with pytest.raises(Undefined, match="one place"):
        position_preference([30])
    with pytest.raises(ValueError, match="whole"):
        position_preference([3.5, 20])

"""Strict plurality, and a package that loads nothing it does not need."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.statistics import majority


@pytest.mark.parametrize(
    ("counts", "winner"),
    [
        ([], None),
        ([0, 0, 0], None),
        ([1], 0),
        ([0, 3], 1),
        ([2, 2], None),
        ([1, 2, 2], None),
        ([2, 1, 1, 1], 0),
        ([1, 1, 3, 0], 2),
    ],
)
def test_majority(counts, winner):
    assert majority(counts) == winner


@given(st.lists(st.integers(0, 5), max_size=6))
def test_the_winner_beats_every_other(counts):
    winner = majority(counts)
    ahead = [
        index
        for index, count in enumerate(counts)
        if count > 0 and all(count > other for place, other in enumerate(counts) if place != index)
    ]
    assert ahead == ([] if winner is None else [winner])


def test_negative_votes_are_refused():
    with pytest.raises(ValueError, match="negative"):
        majority([2, -1])


def test_import_loads_numpy_only():
    code = "import sys, arbiter.statistics; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "numpy" in loaded
    assert not {"scipy", "pandas", "django", "statsmodels", "krippendorff", "annotation", "benchmark"} & set(
        loaded
    )

"""Reference data where they are, labels made by hypothesis, and definitions worked out slowly but plainly."""

import json
import os
from fractions import Fraction
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

SHARED = Path(os.environ.get("ARBITER_SHARED") or Path(__file__).parents[4] / "shared")


def reference(name: str) -> dict[str, Any]:
    path = SHARED / "data" / "reference" / name
    if not path.exists():
        pytest.skip(f"no reference data at {path} (ARBITER_SHARED names another folder)")
    return json.loads(path.read_text())


def encode(rows) -> tuple[np.ndarray, int]:
    """Encode rows of any labels, None for missing, as a labels array and its number of categories."""
    names = sorted({label for row in rows for label in row if label is not None})
    codes = {label: code for code, label in enumerate(names)} | {None: -1}
    return np.array([[codes[label] for label in row] for row in rows], dtype=np.int64), len(names)


def expand(table) -> np.ndarray:
    """Return two raters' labels whose cross table is `table`."""
    pairs = [(row, column) for row, column in np.ndindex(np.shape(table)) for _ in range(table[row][column])]
    return np.array(pairs, dtype=np.int64).T


@st.composite
def labelled(draw, raters=(1, 5), items=(1, 12)):
    """Draw a labels array, half empty or full, with its categories; one rater and one label among them."""
    count = draw(st.integers(1, 4))
    shape = (draw(st.integers(*raters)), draw(st.integers(*items)))
    return draw(arrays(np.int64, shape, elements=st.integers(-1, count - 1))), count


def value_counts(labels: np.ndarray, categories: int) -> np.ndarray:
    return np.array(
        [[int((column == label).sum()) for label in range(categories)] for column in labels.T],
        dtype=np.int64,
    )


def plain_coincidences(labels: np.ndarray, categories: int) -> list[list[Fraction]]:
    """Count every ordered pair of an item's labels, one by one."""
    cells = [[Fraction(0)] * categories for _ in range(categories)]
    for column in labels.T:
        given = [int(label) for label in column if label >= 0]
        for one, other in permutations(given, 2):
            cells[one][other] += Fraction(1, len(given) - 1)
    return cells


def plain_alpha(labels: np.ndarray, categories: int) -> Fraction | None:
    """Return alpha from the coincidences, as the paper defines it; None for 0/0."""
    cells = plain_coincidences(labels, categories)
    totals = [sum(row) for row in cells]
    n = sum(totals)
    expected = n * n - sum(total**2 for total in totals)
    observed = n - sum(cells[label][label] for label in range(categories))
    return 1 - (n - 1) * observed / expected if expected else None


def plain_ordinal(labels: np.ndarray, categories: int) -> Fraction | None:
    """Return alpha for grades: each pair of an item's labels, and each there could be, by the grades that lie
    between."""
    cells = plain_coincidences(labels, categories)
    totals = [sum(row) for row in cells]
    grades = range(categories)

    def apart(one: int, other: int) -> Fraction:
        low, high = sorted((one, other))
        return (sum(totals[low : high + 1]) - Fraction(totals[low] + totals[high], 2)) ** 2

    observed = sum(cells[one][other] * apart(one, other) for one in grades for other in grades)
    expected = sum(totals[one] * totals[other] * apart(one, other) for one in grades for other in grades)
    return 1 - (sum(totals) - 1) * observed / expected if expected else None


def plain_percent(labels: np.ndarray) -> Fraction | None:
    shares = []
    for column in labels.T:
        pairs = list(permutations([label for label in column if label >= 0], 2))
        if pairs:
            shares.append(Fraction(sum(bool(one == other) for one, other in pairs), len(pairs)))
    return sum(shares) / len(shares) if shares else None


def plain_kappa(first: np.ndarray, second: np.ndarray) -> Fraction | None:
    both = [(int(one), int(other)) for one, other in zip(first, second, strict=True) if min(one, other) >= 0]
    if not both:
        return None
    n = len(both)
    observed = Fraction(sum(one == other for one, other in both), n)
    chance = Fraction(sum(one == other for one, _ in both for _, other in both), n * n)
    return (observed - chance) / (1 - chance) if chance != 1 else None

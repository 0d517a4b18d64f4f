"""Whether a rater favours a place in the order in which labels are shown."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import Undefined, check_level
from .rates import wilson

LEAST_EXPECTED = 5  # in each cell of a chi-square test of fit


@dataclass(frozen=True, slots=True)
class PositionPreference:
    """How often labels are taken from each place of the order they were shown in, against equal chances.

    n: labels. place: the one furthest from 1 / places, from 0. excess: its share less 1 / places, with its
    interval.
    """

    n: int
    place: int
    excess: float
    low: float
    high: float
    statistic: float
    df: int
    p: float


def position_preference(counts: npt.ArrayLike, level: float = 0.95) -> PositionPreference:
    """Test whether a rater who is shown the labels in an order drawn for each item favours a place in it.

    counts: how many of its labels stood first, second, ..., shape (places,). Where the order is drawn
    whatever the item, a rater that does not mind the order takes each place equally often, whichever labels
    it gives and however items cluster. Pearson's chi-square against equal shares; the place furthest off has
    Wilson's interval of its share less 1 / places, at a level that allows for having been picked. p is the
    larger of chi-square's and of the picked place's times the places, so it is below 1 - level just where the
    interval leaves out 0.

    Raises Undefined with fewer than two places, or with less than 5 expected in each; ValueError on counts
    that are not whole.
    Source: K. Pearson (1900), Phil. Mag. 50:157-175; the least expected count W. G. Cochran (1954),
    Biometrics 10:417-451.
    """
    from scipy.special import chdtrc

    check_level(level)
    seen = np.asarray(counts, dtype=np.float64)
    if seen.ndim != 1 or not ((seen >= 0).all() and (seen == np.floor(seen)).all()):
        raise ValueError("counts must be whole numbers of at least 0, of shape (places,)")
    n, places = int(seen.sum()), len(seen)
    if places < 2:
        raise Undefined("with one place there is nothing to favour")
    expected = n / places
    if expected < LEAST_EXPECTED:
        raise Undefined(f"{n} labels over {places} places are too few: {LEAST_EXPECTED} a place are needed")
    statistic = float(((seen - expected) ** 2).sum()) / expected
    place = int(np.argmax(np.abs(seen - expected)))
    fair = 1 / places
    share = wilson(float(seen[place]), n, 1 - (1 - level) / places)
    excess = float(seen[place]) / n - fair
    picked = places * float(chdtrc(1, excess**2 * n / (fair * (1 - fair))))
    p = min(1.0, max(float(chdtrc(places - 1, statistic)), picked))
    nothing = [0.0] if p >= 1 - level else []
    low, high = min(share.low - fair, *nothing, excess), max(share.high - fair, *nothing, excess)
    return PositionPreference(n, place, excess, low, high, statistic, places - 1, p)

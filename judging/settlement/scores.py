"""How well posteriors do on gold, as a settling keeps it: by confidence, in all, and by arm (subject model and condition)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from judging.statistics.settlement import calibration_bins, calibration_error, weighted_share

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
DIGITS = 6
FEWEST = 20  # items with gold in an arm; the calibration error of fewer is mostly chance
TOO_FEW = f"fewer than {FEWEST} items with gold"


def scores(
    confidence: Floats, right: Bools, weights: Floats, tasks: Ints
) -> tuple[list[dict[str, Any]], float | None]:
    """Bins with the interval of what is right in each, and the calibration error. None where there is no gold."""
    if not len(right):
        return [], None
    rows = []
    for one in calibration_bins(confidence, right, weights):
        last = one.high >= 1
        here = (confidence >= one.low - 1e-9) & ((confidence < one.high - 1e-9) | last)
        share = weighted_share(right[here], weights[here], tasks[here])
        rows.append(
            {
                "low": one.low, "high": one.high, "items": one.items, "confidence": _short(one.confidence),
                "right": _short(one.right), "from": _short(share.interval.low), "to": _short(share.interval.high),
            }
        )  # fmt: skip
    return rows, _short(calibration_error(confidence, right, weights))


def by_arm(
    groups: Mapping[str, Ints],
    names: Mapping[str, Mapping[int, str]],
    confidence: Floats,
    right: Bools,
    weights: Floats,
) -> list[dict[str, Any]]:
    """Calibration error of each subject model under each condition, or why it has none."""
    arms = sorted(set(zip(groups["subject"].tolist(), groups["condition"].tolist(), strict=True)))
    rows = []
    for subject, condition in arms:
        here = (groups["subject"] == subject) & (groups["condition"] == condition)
        few = int(here.sum()) < FEWEST
        worth = weights[here] / weights[here].sum()
        rows.append(
            {
                "subject": names["subject"].get(subject, "?"), "condition": names["condition"].get(condition, "?"),
                "items": int(here.sum()),
                "confidence": _short(float(worth @ confidence[here])), "right": _short(float(worth @ right[here])),
                "error": None if few else _short(calibration_error(confidence[here], right[here], weights[here])),
                "reason": TOO_FEW if few else "",
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row["subject"], row["condition"]))


def _short(value: float) -> float:
    return round(value, DIGITS)

"""What has to be said beside a figure of agreement for it not to mislead."""

from collections.abc import Mapping

import numpy as np

from .agreement import Ints, checked_counts, label_shares
from .intervals import Undefined
from .resampling import Estimate

FEW_ITEMS = 200
NEARLY_ALL = 0.9
FEW_TASKS = 10
APART = 0.2


def agreement_cautions(
    counts: Ints, items: Ints | None, estimates: Mapping[str, Estimate], clusters: str = "task"
) -> list[str]:
    """Return the cautions about figures of agreement, as sentences in order of weight.

    counts, items: as in `krippendorff_alpha`; estimates: of the same by `agreement_estimates`; clusters: what
    its clusters are called. Said are:

    - fewer than 200 pairable items while one label has more than 90 % of the labels: the few others decide
      every chance-corrected coefficient, and both kinds of interval are too short;
    - fewer than ten tasks behind the intervals, whose spread so few can't show;
    - AC1 at least .2 above Fleiss' kappa. The two differ only in chance agreement, which is the same where
      all labels are equally common, so that it is skew that drives them apart;
    - resamples without a value, where they are more than one in twenty.

    Raises ValueError as `krippendorff_alpha` does.
    Source: A. R. Feinstein & D. V. Cicchetti (1990), J. Clin. Epidemiol. 43:543-549, on kappa and skew; A.
    Zapf et al. (2016) on intervals from small samples; the limits are ours.
    """
    counts, items = checked_counts(counts, items)
    try:
        top = float(label_shares(counts, items).max())
    except Undefined:
        return []
    pairable = int(items[counts.sum(axis=1) >= 2].sum())
    if not pairable:
        return []
    said = []
    if pairable < FEW_ITEMS and NEARLY_ALL < top < 1:
        said.append(
            f"Intervals are too short here: {_share(top)} of the labels are the same, and on {pairable} "
            f"items the few others decide what comes out. Label {FEW_ITEMS} items or more before relying on "
            "them."
        )
    tasks = estimates["percent"].clusters
    if 1 < tasks < FEW_TASKS:
        said.append(
            f"Only {tasks} {clusters}s are behind these intervals, which are then too short more often than "
            "not."
        )
    kappa, ac1 = estimates["fleiss"].value, estimates["ac1"].value
    if kappa is not None and ac1 is not None and ac1 - kappa >= APART:
        said.append(
            f"Kappa ({kappa:.2f}) and AC1 ({ac1:.2f}) part because labels are used so unevenly: the "
            f"commonest is {_share(top)} of all. Kappa asks whether raters tell the rare labels apart, AC1 "
            "whether they mostly say the same. Report both, with the share."
        )
    drawn = estimates["alpha"].bootstrap
    if drawn and drawn.undefined > drawn.resamples / 20:
        said.append(
            f"In {drawn.undefined} of {drawn.resamples} resamples only one label occurred, so that alpha had "
            "no value there; its bootstrap interval leaves them out."
        )
    return said


def _share(value: float) -> str:
    return f"{np.floor(value * 1000) / 10:.1f} %" if value < 1 else "100 %"

"""Numbers in, numbers out: agreement, rates and majorities. Imports nothing of ours and no Django."""

from .agreement import (
    BootstrapInterval,
    PairAgreement,
    bootstrap_alpha,
    coincidences,
    count_rows,
    krippendorff_alpha,
    pairwise,
    percent_agreement,
)
from .majority import majority
from .outcomes import Interval, Undefined
from .rates import Rate, clustered_rate, design_effect, wilson

__all__ = [
    "BootstrapInterval",
    "Interval",
    "PairAgreement",
    "Rate",
    "Undefined",
    "bootstrap_alpha",
    "clustered_rate",
    "coincidences",
    "count_rows",
    "design_effect",
    "krippendorff_alpha",
    "majority",
    "pairwise",
    "percent_agreement",
    "wilson",
]

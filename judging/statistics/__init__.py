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
from .planning import (
    Allocation,
    alike_in_tasks,
    allocate,
    anytime_halfwidth,
    anytime_interval,
    expected_width,
    looking_cost,
    task_floor,
    task_scores,
    unit_variances,
    variance_for_difference,
    variance_for_width,
)
from .power import Trial, difference_power, rate_power, rate_width, smallest_difference
from .rates import Rate, clustered_rate, design_effect, wilson

__all__ = [
    "Allocation",
    "BootstrapInterval",
    "Interval",
    "PairAgreement",
    "Rate",
    "Trial",
    "Undefined",
    "alike_in_tasks",
    "allocate",
    "anytime_halfwidth",
    "anytime_interval",
    "bootstrap_alpha",
    "clustered_rate",
    "coincidences",
    "count_rows",
    "design_effect",
    "difference_power",
    "expected_width",
    "krippendorff_alpha",
    "looking_cost",
    "majority",
    "pairwise",
    "percent_agreement",
    "rate_power",
    "rate_width",
    "smallest_difference",
    "task_floor",
    "task_scores",
    "unit_variances",
    "variance_for_difference",
    "variance_for_width",
    "wilson",
]

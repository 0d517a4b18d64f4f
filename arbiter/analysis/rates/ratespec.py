"""How a rate is to be estimated: by which estimator, by what, over which tasks, from whose labels."""

from dataclasses import dataclass

from arbiter.analysis.rates.labelcounts import check_grouping
from arbiter.core.errors import UserError

ESTIMATORS = ("raw", "majority", "gold", "corrected", "transported", "ppi", "settled")
FROM_LABELS = {"raw": "", "majority": "majority", "settled": "settled"}


@dataclass(frozen=True)
class RateSpec:
    """How a rate is to be estimated. source: a rater's name; for raw whose labels, else whose votes (all
    judges' where empty). gold_from: another study."""

    estimator: str
    by: tuple[str, ...]
    finite: bool = False
    source: str = ""
    gold_from: str = ""

    def check(self) -> None:
        check_grouping(self.by)
        if self.estimator not in ESTIMATORS:
            raise UserError(f"--estimator is one of {', '.join(ESTIMATORS)}; it is {self.estimator!r}.")
        if self.estimator == "raw" and not self.source:
            raise UserError("--estimator raw needs --source: whose labels are meant.")
        if self.estimator in ("majority", "settled", "gold") and self.source:
            raise UserError(f"--source says nothing for --estimator {self.estimator}; leave it out.")
        if self.gold_from and self.estimator != "transported":
            raise UserError(
                "--from is for --estimator transported. What a vote is worth moves with the rate "
                f"(prevalence shift), so --estimator {self.estimator} takes gold of the arm itself only; "
                "sensitivity and specificity are what may be carried over."
            )

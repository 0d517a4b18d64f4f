"""A study's bias battery as pages and commands show it, kept until labels or gold have been added."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from annotation.models import Rater, Study
from judging.biases.battery import battery, error_table
from judging.biases.data import ALL_JUDGES, ALPHA, Finding
from judging.biases.gather import gather
from judging.keeping import kept


@dataclass(frozen=True)
class Report:
    findings: list[Finding]
    judges: tuple[str, ...]
    simulated: tuple[str, ...]
    note: str
    errors: list[tuple[str, list[float | None]]]  # how each judge's errors correlate with each one's

    @property
    def found(self) -> list[Finding]:
        return [one for one in self.findings if one.found]

    @property
    def tests(self) -> int:
        return sum(one.p is not None for one in self.findings)

    def is_simulated(self, finding: Finding) -> bool:
        return any(finding.concerns(judge) for judge in self.simulated) or (
            bool(self.simulated) and finding.judge == ALL_JUDGES and finding.p is not None
        )


def report(study: Study) -> Report:
    return kept(study, "biases", "", lambda: _report(study))


def _report(study: Study) -> Report:
    gathered = gather(study)
    found = error_table(gathered.evidence)
    errors: list[tuple[str, list[float | None]]] = []
    if found:
        names, phi = found
        errors = [
            (
                name,
                [
                    None if row == column or np.isnan(value) else float(value)
                    for column, value in enumerate(line)
                ],
            )
            for row, (name, line) in enumerate(zip(names, phi, strict=True))
        ]
    judges = gathered.evidence.judges
    return Report(
        battery(gathered.evidence), judges, tuple(sorted(gathered.simulated)), gathered.note, errors
    )


def of_judge(study: Study, rater: Rater) -> list[Finding]:
    """What is said of one judge, alone or beside another."""
    return [one for one in report(study).findings if one.concerns(str(rater))]


def as_rows(made: Report) -> list[dict[str, Any]]:
    """For JSON and tables: every field of every finding."""
    fields = ("bias", "judge", "about", "test", "n", "unit", "effect", "low", "high", "p", "adjusted")
    rows = []
    for one in made.findings:
        held = asdict(one)
        rows.append(
            {name: held[name] for name in fields}
            | {
                "found": one.found,
                "simulated": made.is_simulated(one),
                "sentence": one.sentence,
                "too_little": one.too_little,
            }
        )
    return rows


def summary(made: Report) -> str:
    """For a paper: how many tests, of whom, and what they came to."""
    if not made.tests:
        return "The bias battery could not test anything: there is too little data."
    judges = f"{len(made.judges)} judges" if len(made.judges) != 1 else "1 judge"
    accused = len(made.found)
    said = (
        f"{accused} of them {'shows' if accused == 1 else 'show'} a bias" if accused else "none shows a bias"
    )
    return (
        f"Of {made.tests} tests of bias on {judges}, adjusted together by Holm's method, {said} at an adjusted p below {ALPHA:g}. "
        f"Intervals are 95 %, unadjusted, with tasks as clusters. {made.note}"
    )

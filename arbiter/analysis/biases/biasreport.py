"""A study's bias battery as pages and commands show it, kept until labels or gold have been added."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from annotation.models import Rater, Study
from arbiter.analysis.biases.battery import battery, error_table
from arbiter.analysis.biases.evidence import ALPHA
from arbiter.analysis.biases.findings import ALL_JUDGES, Finding
from arbiter.analysis.biases.studyevidence import gather_evidence
from benchmark.importunderway import refuse_while_importing
from judging.votes.kept_figures import kept


@dataclass(frozen=True)
class BiasReport:
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


def bias_report(study: Study) -> BiasReport:
    refuse_while_importing(study.pk)
    return kept(study, "biases", "", lambda: _report(study))


def _report(study: Study) -> BiasReport:
    gathered = gather_evidence(study)
    correlations = error_table(gathered.evidence)
    errors: list[tuple[str, list[float | None]]] = []
    if correlations:
        names, phi = correlations
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
    return BiasReport(
        battery(gathered.evidence), judges, tuple(sorted(gathered.simulated)), gathered.note, errors
    )


def findings_of(study: Study, rater: Rater) -> list[Finding]:
    """Return the findings about one judge, alone or beside another."""
    return [one for one in bias_report(study).findings if one.concerns(str(rater))]


def finding_rows(report: BiasReport) -> list[dict[str, Any]]:
    """Return every finding with every field, for JSON and tables."""
    fields = ("bias", "judge", "about", "test", "n", "unit", "effect", "low", "high", "p", "adjusted")
    rows = []
    for one in report.findings:
        values = asdict(one)
        rows.append(
            {name: values[name] for name in fields}
            | {
                "found": one.found,
                "simulated": report.is_simulated(one),
                "sentence": one.sentence,
                "too_little": one.too_little,
            }
        )
    return rows


def bias_summary(report: BiasReport) -> str:
    """Say for a paper how many tests were made, of whom, and what they came to."""
    if not report.tests:
        return "The bias battery could not test anything: there is too little data."
    judges = f"{len(report.judges)} judges" if len(report.judges) != 1 else "1 judge"
    accused = len(report.found)
    outcome = (
        f"{accused} of them {'shows' if accused == 1 else 'show'} a bias" if accused else "none shows a bias"
    )
    return (
        f"Of {report.tests} tests of bias on {judges}, adjusted together by Bonferroni's method, {outcome} "
        f"at an adjusted p below {ALPHA:g}. The intervals hold together at 95 %, with tasks as clusters. "
        f"{report.note}"
    )

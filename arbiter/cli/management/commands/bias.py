from argparse import ArgumentParser
from typing import Any

from annotation.studyfinder import get_study
from arbiter.analysis.biases.biasreport import bias_report, bias_summary, finding_rows
from arbiter.cli.commandline import ArbiterCommand


class Command(ArbiterCommand):
    help = (
        "How each judge of a study leans: every test of the bias battery, with effect, interval, and p "
        "adjusted over all of them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")

    def run(self, *, study: str, **_: Any) -> dict[str, Any]:
        report = bias_report(get_study(study))
        errors = {name: dict(zip(report.judges, line, strict=True)) for name, line in report.errors}
        return {
            "tests": report.tests,
            "found": len(report.found),
            "simulated": list(report.simulated),
            "summary": bias_summary(report),
            "rows": finding_rows(report),
            "error_correlations": errors,
        }

    def show(self, result: Any) -> None:
        self.stdout.write(result["summary"])
        tested = [row for row in result["rows"] if row["p"] is not None]
        kept = ("bias", "judge", "about", "effect", "low", "high", "p", "adjusted", "sentence")
        if tested:
            self.table([{name: row[name] for name in kept} for row in tested], "\nTested")
        missing = [
            {name: row[name] for name in ("bias", "judge", "about", "too_little")}
            for row in result["rows"]
            if row["p"] is None
        ]
        if missing:
            self.table(missing, "\nToo little data")

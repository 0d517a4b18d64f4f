from argparse import ArgumentParser
from typing import Any

from annotation.studies import get_study
from benchmark.commandline import ArbiterCommand
from judging.biases.report import as_rows, report, summary


class Command(ArbiterCommand):
    help = "How each judge of a study leans: every test of the bias battery, with effect, interval, and p adjusted over all of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")

    def run(self, *, study: str, **_: Any) -> dict[str, Any]:
        made = report(get_study(study))
        errors = {name: dict(zip(made.judges, line, strict=True)) for name, line in made.errors}
        return {
            "tests": made.tests,
            "found": len(made.found),
            "simulated": list(made.simulated),
            "summary": summary(made),
            "rows": as_rows(made),
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

from argparse import ArgumentParser
from typing import Any

from annotation.studyfinder import get_study
from arbiter.analysis.rates.observedrates import observed_rates
from arbiter.analysis.rates.ratedocument import rate_document
from arbiter.analysis.rates.ratespec import ESTIMATORS, RateSpec
from arbiter.analysis.responseoutcomes import ENDED, endings_said
from arbiter.cli.commandline import ArbiterCommand
from arbiter.core.errors import UserError


class Command(ArbiterCommand):
    help = (
        "Convergence rates with counts, both denominators and intervals: from labels as they are, or "
        "corrected for judge error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument(
            "--source", default="", help="a rater (NAME or NAME@VERSION), majority, gold or settled"
        )
        parser.add_argument("--by", default="subject,condition", metavar="subject,condition,category")
        parser.add_argument(
            "--estimator", choices=ESTIMATORS, help="how the rate is estimated; see docs/statistics.md"
        )
        parser.add_argument(
            "--finite",
            action="store_true",
            help="the rate among these very items, not over tasks of this kind",
        )
        parser.add_argument(
            "--from",
            dest="gold_from",
            default="",
            metavar="STUDY",
            help="whose gold tells the judge's errors (transported)",
        )
        parser.add_argument(
            "--contrast",
            action="append",
            default=[],
            metavar="WORD=A,B",
            help="the difference A less B, paired by task",
        )

    def run(
        self,
        *,
        study: str,
        source: str,
        by: str,
        estimator: str | None,
        finite: bool,
        gold_from: str,
        contrast: list[str],
        **_: Any,
    ) -> dict[str, Any]:
        words = [word.strip() for word in by.split(",") if word.strip()]
        chosen = get_study(study)
        if not estimator and not source:
            raise UserError("Say what the rates are from: --estimator, or --source.")
        if not estimator and not (finite or contrast or gold_from):
            return observed_rates(chosen, source, words)
        kind = estimator or (source if source in ("majority", "settled", "gold") else "raw")
        named = "" if source == kind else source
        return rate_document(chosen, RateSpec(kind, tuple(words), finite, named, gold_from), contrast)

    def show(self, result: Any) -> None:
        rows = result["rows"]
        if rows and not result.get("refused"):
            self.table([_short(row, rows) for row in rows])
        if result.get("contrasts"):
            self.table(
                [_short(row, result["contrasts"]) for row in result["contrasts"]],
                "\nDifferences, paired by task",
            )
        for line in _said(result):
            self.stdout.write(line)


def _short(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a row with the columns that any row has; of how responses ended, those by which one ended."""
    keys = dict.fromkeys(key for one in rows for key in one)
    unused = {key for key in ENDED if not any(one.get(key) for one in rows)}
    return {key: row.get(key) for key in keys if key not in unused}


def _said(result: dict[str, Any]) -> list[str]:
    said = []
    if result.get("refused"):
        said.append(f"Refused: {result['refused']}")
    if "estimand" in result and not result["refused"]:
        said.append(f"Rates over {result['estimand']}; intervals hold {result['covers']}.")
    gold = result.get("gold")
    if gold and gold["waiting"]:
        said.append(f"{gold['waiting']} drawn items have no gold yet; {gold['items']} have.")
    ended = {key: sum(row.get(key) or 0 for row in result["rows"]) for key in ENDED}
    if said_of := endings_said(ended):
        said.append(f"Of the responses that were asked for, {said_of}.")
    if result.get("caution"):
        said.append(result["caution"])
    if result["simulated"]:
        said.append("Simulated: some of these labels come from a simulated rater.")
    return said + list(result.get("notes", ()))

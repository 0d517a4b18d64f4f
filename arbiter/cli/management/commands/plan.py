from argparse import ArgumentParser
from dataclasses import fields
from typing import Any

from annotation.studyfinder import get_study
from arbiter.analysis.planning.labelplan import label_plan
from arbiter.analysis.planning.planspec import PlanSpec
from arbiter.analysis.planning.poweranalysis import ExpectedStudy, power_analysis
from arbiter.cli.commandline import ArbiterCommand

MORE = "with --before: "


class Command(ArbiterCommand):
    help = (
        "How many more human labels, in which strata, bring intervals to a width or tell two models apart; "
        "or power before a study."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument(
            "--width", type=float, default=0.1, help="of an interval, from end to end: 0.1 is 10 points"
        )
        parser.add_argument(
            "--arm",
            action="append",
            default=[],
            help="as its row is named; may be repeated; every one unless named",
        )
        parser.add_argument("--apart", nargs=2, metavar=("A", "B"), help="two arms that are to be told apart")
        parser.add_argument("--by", default="subject,condition", metavar="subject,condition,category")
        parser.add_argument("--power", type=float, default=0.8, help="the chance to tell what differs apart")
        parser.add_argument("--level", type=float, default=0.95, help="of the intervals")
        parser.add_argument("--finite", action="store_true", help="for the rate among these very items")
        parser.add_argument(
            "--before", action="store_true", help="what a study of so many tasks and epochs can show"
        )
        parser.add_argument("--rate", type=float, default=0.2, help=f"{MORE}the rate that is expected")
        parser.add_argument(
            "--against", type=float, default=0.1, help=f"{MORE}the rate it is to be told from"
        )
        parser.add_argument(
            "--difference", type=float, default=0.1, help=f"{MORE}of two models over the same tasks"
        )
        parser.add_argument("--tasks", type=int, help=f"{MORE}the study's own unless given")
        parser.add_argument(
            "--epochs", type=int, help=f"{MORE}answers to a task; the study's own unless given"
        )
        parser.add_argument(
            "--icc", type=float, default=0.3, help=f"{MORE}correlation of answers to one task"
        )
        parser.add_argument(
            "--pairing", type=float, default=0.5, help=f"{MORE}correlation of tasks' rates between the two"
        )
        parser.add_argument("--sensitivity", type=float, default=1.0, help=f"{MORE}of the judge")
        parser.add_argument("--specificity", type=float, default=1.0, help=f"{MORE}of the judge")

    def run(self, *, study: str, before: bool, **options: Any) -> dict[str, Any]:
        chosen_study = get_study(study)
        if before:
            return _before(chosen_study, options)
        asked = PlanSpec(
            width=options["width"],
            arms=tuple(options["arm"]),
            apart=tuple(options["apart"]) if options["apart"] else None,
            power=options["power"],
            level=options["level"],
            finite=options["finite"],
            by=tuple(word.strip() for word in options["by"].split(",") if word.strip()),
        )
        return label_plan(chosen_study, asked)

    def show(self, result: Any) -> None:
        if "strata" not in result:
            super().show(result)
            return
        self.table([{key: row[key] for key in SHOWN} for row in result["rows"]])
        self.stdout.write("")
        self.table(result["strata"])
        for line in _said(result):
            self.stdout.write(line)


SHOWN = ("arm", "gold", "rate", "width", "more", "planned_width", "least_width", "anytime_width", "stop")


def _before(study: Any, options: dict[str, Any]) -> dict[str, Any]:
    return power_analysis(
        study, ExpectedStudy(**{one.name: options[one.name] for one in fields(ExpectedStudy)})
    )


def _said(result: dict[str, Any]) -> list[str]:
    hours = result["hours"]
    took = "" if hours is None else f", about {hours:.1f} hours at the median so far"
    lines = [f"{result['more']:,} more items with gold{took}."]
    lines += [f"{row['arm']}: {row['why']}" for row in result["rows"] if row["why"]]
    lines += [result["how"], result["file"].rstrip()] if result["how"] else []
    lines.append(
        f"anytime_width holds however often you look; that costs {result['looking_cost']:.2f} times the "
        "width of one look."
    )
    return [*lines, *result["basis"]]

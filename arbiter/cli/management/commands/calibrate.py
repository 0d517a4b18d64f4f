from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from annotation.models import Study
from annotation.raters import find_raters
from annotation.studyfinder import get_study
from arbiter.analysis.calibration.calibrationdocument import calibrate, comparison_json, split_json
from arbiter.analysis.calibration.comparison import compare_judges
from arbiter.analysis.calibration.humanceiling import EPSILON
from arbiter.analysis.judgeraters import judges_named
from arbiter.cli.commandline import ArbiterCommand
from arbiter.core.errors import UserError
from arbiter.core.text import how_many
from judging.votes.goldsplit import reveal, split_gold


class Command(ArbiterCommand):
    help = (
        "How right each judge of a study is, held against its gold; split the gold, compare two versions, "
        "look at the sealed part."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--judge", default="", metavar="NAME", help="only this one; NAME or NAME@VERSION")
        parser.add_argument(
            "--epsilon",
            type=float,
            default=EPSILON,
            metavar="E",
            help="what a human label costs more, for the test whether a judge may stand in for a rater; 0.15",
        )
        parser.add_argument(
            "--part",
            choices=["tuning", "sealed"],
            default="",
            help="with --compare: on which part of the gold",
        )
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument(
            "--compare", nargs=2, metavar=("A", "B"), help="two versions or judges side by side"
        )
        instead.add_argument(
            "--split", action="store_true", help="split the gold, once, into tuning and sealed tasks"
        )
        instead.add_argument(
            "--reveal", default=None, metavar="REASON", help="look at --judge on the sealed part; counted"
        )
        parser.add_argument("--seed", type=int, default=0, help="with --split: of the tasks' numbers; 0")
        parser.add_argument(
            "--share", type=float, default=0.5, help="with --split: of the tasks, sealed; 0.5"
        )

    def run(self, *, study: str, judge: str, epsilon: float, part: str, **options: Any) -> dict[str, Any]:
        chosen_study = get_study(study)
        if not 0 <= epsilon <= 1:
            raise UserError(f"calibrate: --epsilon must lie in 0 to 1; it is {epsilon:g}.")
        if part and not options["compare"]:
            raise UserError("calibrate: --part says on which part to compare; add --compare A B.")
        if options["split"]:
            split_gold(chosen_study, options["seed"], options["share"])
            return {"study": chosen_study.slug, "split": split_json(chosen_study)}
        if options["compare"]:
            first, second = find_raters(chosen_study, options["compare"])
            return comparison_json(compare_judges(chosen_study, first, second, part))
        if options["reveal"] is not None:
            _look(chosen_study, judge, options["reveal"])
        return calibrate(chosen_study, judge, epsilon)

    def show(self, result: Any) -> None:
        if "changes" in result:
            self.table(_compared(result))
            self.table(result["changes"][:50], "\nWhat changed, at most 50")
        elif "judges" not in result:
            self.table([_plain_split(result["split"])])
        else:
            self._judges(result)

    def _judges(self, result: Mapping[str, Any]) -> None:
        gold = result["gold"]
        print(
            f"{how_many(gold['items'], 'item')} with gold, "
            f"{'weighted' if gold['weighted'] else 'unweighted: ' + gold['refusal']}"
        )
        if result["split"] is None:
            print("The gold is not split: figures are in-sample where prompts were tuned on it.")
        self.table([_row(one) for one in result["judges"]], "\nJudges")
        for one in result["judges"]:
            self.table([_label_row(label) for label in one["labels"]], f"\n{one['judge']}, {one['part']}")
            if one["under_error"]:
                print(one["under_error"])


def _look(study: Study, judge: str, reason: str) -> None:
    if not judge:
        raise UserError("calibrate: --reveal looks at one judge; name it by --judge.")
    reveal(study, judges_named(study, judge)[0], reason)


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    stands = one["stands_in"][0]
    return {
        "judge": one["judge"],
        "part": one["part"] + (" (in-sample)" if one["in_sample"] else ""),
        "items": one["items"],
        "no verdict": sum(one["missing"].values()),
        "right": _rate(one["right"]),
        "target sensitivity": _rate(one["target"]["sensitivity"]),
        "specificity": _rate(one["target"]["specificity"]),
        "kappa": one["kappa"]["value"],
        "AC1": one["ac1"]["value"],
        "Brier": one["confidence"] and one["confidence"]["brier"],
        "Brier, logprobs": one["logprobs"] and one["logprobs"]["brier"],
        "stands in": None if stands["passed"] is None else "yes" if stands["passed"] else "no",
    }


def _label_row(label: Mapping[str, Any]) -> dict[str, Any]:
    figures = label["figures"]
    return {
        "label": label["label"],
        "sensitivity": _rate(figures["sensitivity"]),
        "specificity": _rate(figures["specificity"]),
        "sensitivity, human error out": label["sensitivity_under_error"],
        "specificity, human error out": label["specificity_under_error"],
    }


def _rate(rate: Mapping[str, Any]) -> str | None:
    if rate["estimate"] is None:
        return None
    return f"{rate['estimate']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"


def _compared(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    difference = result["difference"]
    return [
        {
            "first": result["first"],
            "second": result["second"],
            "part": result["part"],
            "both": result["both"],
            **result["counts"],
            "p": result["p"],
            "right, first": _rate(result["right_first"]),
            "right, second": _rate(result["right_second"]),
            "difference": difference["value"],
            "low": difference["low"],
            "high": difference["high"],
        }
    ]


def _plain_split(split: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in split.items() if key != "looks"}

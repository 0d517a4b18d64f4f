from argparse import ArgumentParser
from typing import Any

from annotation.studyfinder import get_study
from arbiter.analysis.agreement.coefficients import BY, CLUSTERS, FEW, agreement
from arbiter.cli.commandline import ArbiterCommand


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


class Command(ArbiterCommand):
    help = (
        "How far a study's raters agree: every coefficient of people, judges and all, by category, of each "
        "pair, and of raters with themselves."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--raters", default="", metavar="A,B", help="only these; NAME or NAME@VERSION")
        parser.add_argument(
            "--by", default="category", metavar="WORDS", help=f"also by these: {', '.join(BY)}; '' for none"
        )
        parser.add_argument(
            "--clusters", default="task", choices=CLUSTERS, help="what varies as a whole in the intervals"
        )
        parser.add_argument(
            "--pairs",
            action="store_true",
            help=f"each two raters, also of more than {FEW} (without a bootstrap)",
        )
        parser.add_argument("--level", type=float, default=0.95, help="of the intervals' confidence")

    def run(
        self, *, study: str, raters: str, by: str, clusters: str, level: float, pairs: bool, **_: Any
    ) -> dict[str, Any]:
        return agreement(
            get_study(study), words(raters), by=words(by), clusters=clusters, level=level, pairs=pairs or None
        )

    def show(self, result: Any) -> None:
        tables = {name: result.pop(name) for name in ("headline", "groups", "by", "pairs", "repeats")}
        pooled = (
            "alpha",
            "low",
            "high",
            "scale",
            "percent",
            "undefined",
        )  # never alone: it is among the groups
        super().show(
            {key: value for key, value in result.items() if key not in ("labels", "ungraded", *pooled)}
        )
        self.table([headline(row) for row in tables["headline"]], "\nKrippendorff's alpha")
        self.table([row for group in tables["groups"] for row in coefficients(group)], "\nCoefficients")
        for word in dict.fromkeys(row["by"] for row in tables["by"]):
            self.table([brief(row) for row in tables["by"] if row["by"] == word], f"\nBy {word}")
        if result["pairs_left_out"]:
            self.stdout.write(
                f"\n{result['pairs_left_out']:,} pairs of raters are left out; --pairs gives them."
            )
        if tables["pairs"]:
            self.table([pair(row) for row in tables["pairs"]], "\nPairs")
        if tables["repeats"]:
            self.table([again(row) for row in tables["repeats"]], "\nRaters against themselves")
        if result["owners"]:
            self.stdout.write(
                f"\n{', '.join(result['owners'])}: labelled as the study's owner, who can see what others "
                "said."
            )
        for group in tables["groups"]:
            for warning in group["warnings"]:
                self.stdout.write(f"\n{group['group']}: {warning}")


def headline(row: dict[str, Any]) -> dict[str, Any]:
    interval = span([row["low"], row["high"]]) if row["low"] is not None else None
    return {
        "of": row["group"],
        "scale": row["scale"],
        "alpha": row["alpha"],
        "bootstrap": interval,
        "agree": row["percent"],
        "why not": row.get("undefined", ""),
    }


def coefficients(group: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "group": group["group"],
            "coefficient": name,
            "value": one["value"],
            "error": one["error"],
            "delta method": span(one["delta"]),
            "bootstrap": span(one["bootstrap"]),
            "why not": one.get("undefined", ""),
        }
        for name, one in group["coefficients"].items()
    ]


def brief(row: dict[str, Any]) -> dict[str, Any]:
    coefficients = row["coefficients"]
    return {
        row["by"]: row["value"],
        "group": row["group"],
        "items": row["pairable"],
        "tasks": row["tasks"],
        "alpha": coefficients["alpha"]["value"],
        "delta method": span(coefficients["alpha"]["delta"]),
        "ac1": coefficients["ac1"]["value"],
        "percent": coefficients["percent"]["value"],
    }


def pair(row: dict[str, Any]) -> dict[str, Any]:
    kappa = row["intervals"]["kappa"]
    return {
        "first": row["first"],
        "second": row["second"],
        "items": row["items"],
        "alone": row["alone"],
        "percent": row["percent"],
        "kappa": row["kappa"],
        "delta method": span(kappa["delta"]),
        "ac1": row["ac1"],
        "alpha": row["alpha"],
        "kappa at most": row["ceiling_kappa"],
    }


def again(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "rater": row["rater"],
        "items": row["items"],
        "flips": row["flip_rate"],
        "interval": span(row["flip_rate_delta"]),
        "alpha": row["alpha"],
        "alpha's interval": span(row["alpha_delta"]),
        "kappa at most": row["ceiling_kappa"],
    }


def span(bounds: list[float] | None) -> str | None:
    return None if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"

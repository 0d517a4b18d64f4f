from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand
from arbiter.studies.reading.studylist import study_rows
from arbiter.studies.setup.applying import apply_file
from arbiter.studies.setup.studydraws import draw_now


class Command(ArbiterCommand):
    help = "Apply a study file, draw a study's items for people, or list the studies."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="apply|draw|list")
        apply = actions.add_parser("apply", help="make the study a file describes, or bring it up to date")
        apply.add_argument("file", type=Path)
        draw = actions.add_parser("draw", help="draw the items for people now, without waiting for judges")
        draw.add_argument("study")
        listing = actions.add_parser("list", help="list the studies")
        for action in (apply, draw, listing):
            action.add_argument(
                "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
            )

    def run(self, *, action: str, json: bool, file: Path | None = None, study: str = "", **_: Any) -> Any:
        if action == "apply" and file:
            return apply_file(file).summary()
        if action == "draw":
            drawn = draw_now(get_study(study))
            return drawn if json else _rows(drawn)
        return {"studies": study_rows()} if json else study_rows()


def _rows(drawn: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the draws for people, one row a stratum."""
    return [{"draw": draw["draw"], **stratum} for draw in drawn["draws"] for stratum in draw["strata"]]

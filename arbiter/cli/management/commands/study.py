from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand
from arbiter.studies.ending.studydeletion import delete_studies, study_parts
from arbiter.studies.reading.studylist import study_rows
from arbiter.studies.setup.applying import apply_file
from arbiter.studies.setup.studydraws import draw_now


class Command(ArbiterCommand):
    help = "Apply a study file, draw a study's items for people, list the studies, or delete some for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The base options go to the subcommands too, so that --json may stand where people put it.
        actions = parser.add_subparsers(dest="action", required=True, metavar="apply|draw|list|delete")
        apply = actions.add_parser("apply", help="make the study a file describes, or bring it up to date")
        apply.add_argument("file", type=Path)
        draw = actions.add_parser("draw", help="draw the items for people now, without waiting for judges")
        draw.add_argument("study")
        listing = actions.add_parser("list", help="list the studies")
        delete = actions.add_parser("delete", help="delete studies with all that is theirs")
        delete.add_argument("studies", nargs="+", metavar="study")
        delete.add_argument("--by", required=True, metavar="NAME", help="who deletes them, which is kept")
        delete.add_argument("--reason", required=True, help="why, which is kept")
        delete.add_argument("--yes", action="store_true", help="do it; without, what would go is counted")
        for action in (apply, draw, listing, delete):
            action.add_argument(
                "--json", action="store_true", default=SUPPRESS, help="print one JSON document on stdout"
            )

    def run(
        self, *, action: str, json: bool, file: Path | None = None, study: str = "", **options: Any
    ) -> Any:
        if action == "apply" and file:
            return apply_file(file).summary()
        if action == "draw":
            drawn = draw_now(get_study(study))
            return drawn if json else _rows(drawn)
        if action == "delete":
            return _deleted(**options)
        return {"studies": study_rows()} if json else study_rows()

    def failed(self, result: Any) -> str:
        """Tell a script that nothing was deleted yet."""
        asked = isinstance(result, dict) and result.get("deleted") is False
        return "Nothing was deleted: add --yes to delete all of this for good." if asked else ""

    def show(self, result: Any) -> None:
        super().show(result["parts"] if isinstance(result, dict) and "parts" in result else result)


def _deleted(studies: list[str], *, by: str, reason: str, yes: bool, **_: Any) -> dict[str, Any]:
    """Delete the studies, or only count what would go."""
    chosen = [get_study(slug) for slug in dict.fromkeys(studies)]
    named = [study.slug for study in chosen]
    parts = delete_studies(chosen, who=by, why=reason) if yes else study_parts(chosen)
    return {"studies": named, "deleted": yes, "parts": parts}


def _rows(drawn: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the draws for people, one row a stratum."""
    return [{"draw": draw["draw"], **stratum} for draw in drawn["draws"] for stratum in draw["strata"]]

from argparse import ArgumentParser
from typing import Any

from annotation.itemvotes import rebuild
from annotation.studyfinder import get_study
from arbiter.cli.commandline import ArbiterCommand
from judging.settlement.settling import rebuild_finals


class Command(ArbiterCommand):
    help = (
        "Write anew what a study's items keep of their ratings and settlements, which pages filter and count "
        "by."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")

    def run(self, *, study: str, **_: Any) -> dict[str, Any]:
        of = get_study(study)
        items = rebuild(of)
        rebuild_finals(of)
        return {"study": of.slug, "items": items}

from argparse import ArgumentParser
from typing import Any

from arbiter.cli.commandline import ArbiterCommand
from arbiter.studies.setup.demostudy import load_demo


class Command(ArbiterCommand):
    help = "Load the demo study, if it isn't there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--simulator-url", default="http://127.0.0.1:8001/v1", metavar="URL")

    def run(self, *, simulator_url: str, **_: Any) -> dict[str, Any]:
        study = load_demo(simulator_url)
        return {"study": study.slug, "items": study.items.count()}

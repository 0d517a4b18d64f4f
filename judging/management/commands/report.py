from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from annotation.studies import get_study
from benchmark.commandline import ArbiterCommand
from judging.report.page import write


class Command(ArbiterCommand):
    help = "The whole study as one printable HTML file without outside references."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("path", type=Path, metavar="OUT.html")

    def run(self, *, study: str, path: Path, **_: Any) -> dict[str, Any]:
        found = get_study(study)
        return {"study": found.slug, "path": str(path), "bytes": write(found, path)}

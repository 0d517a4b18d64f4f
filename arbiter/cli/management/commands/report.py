from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from annotation.studyfinder import get_study
from arbiter.analysis.report.studyreport import write_report
from arbiter.cli.commandline import ArbiterCommand


class Command(ArbiterCommand):
    help = "The whole study as one printable HTML file without outside references."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("path", type=Path, metavar="OUT.html")

    def run(self, *, study: str, path: Path, **_: Any) -> dict[str, Any]:
        chosen_study = get_study(study)
        return {"study": chosen_study.slug, "path": str(path), "bytes": write_report(chosen_study, path)}

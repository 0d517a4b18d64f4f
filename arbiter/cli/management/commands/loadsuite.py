from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from arbiter.cli.commandline import ArbiterCommand
from benchmark.formats import read_suite
from benchmark.suites import BUILTIN, load_suite


class Command(ArbiterCommand):
    help = "Load a suite of tasks from a file or folder; without a path, the built-in one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "path",
            nargs="?",
            type=Path,
            default=BUILTIN,
            help="a folder of CSV or YAML files, or a .yaml or .jsonl file",
        )
        parser.add_argument("--slug", required=True, help="the suite's short name")

    def run(self, *, path: Path, slug: str, **_: Any) -> dict[str, object]:
        return load_suite(slug, read_suite(path)).summary()

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from arbiter.cli.commandline import ArbiterCommand
from arbiter.core import backups


class Command(ArbiterCommand):
    help = "Write the whole database to one file, while others go on working with it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("out", type=Path, help="the new file")

    def run(self, *, out: Path, **_: Any) -> dict[str, Any]:
        return backups.make(out)

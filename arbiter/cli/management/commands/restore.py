from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from arbiter.cli.commandline import ArbiterCommand
from arbiter.core import backups


class Command(ArbiterCommand):
    help = "Put a backup into the database: all of it, or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("backup", type=Path, help="the file that `backup` wrote")
        parser.add_argument("--replace", action="store_true", help="in place of what the database holds")
        parser.add_argument("--check", action="store_true", help="only verify the file")

    def run(self, *, backup: Path, replace: bool, check: bool, **_: Any) -> dict[str, Any]:
        return backups.check(backup) if check else backups.restore(backup, replace=replace)

"""`python -m tests.studies FOLDER [REPETITIONS [SEED]]`: the simulation studies; finished parts are kept in FOLDER.

Writes docs/coverage.md when all cells of the coverage study are there. A study that is cut short goes on where it was.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.studies import coverage
from tests.studies.tables import page

REPETITIONS, SEED = 4000, 1
OTHERS = ("biases", "settlement")  # each with main(repetitions, seed) -> rows
PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
Rows = list[dict[str, Any]]


class Kept:
    """Parts that are finished, by name, in one file that is replaced whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: dict[str, Rows] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str, compute: Callable[[], Rows]) -> Rows:
        if name not in self.parts:
            started = time.monotonic()
            self.parts[name] = compute()
            self._write()
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        return self.parts[name]

    def _write(self) -> None:
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.parts, indent=1))
        os.replace(beside, self.path)


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    repetitions, seed = (
        int(arguments[n]) if len(arguments) > n else usual for n, usual in ((1, REPETITIONS), (2, SEED))
    )
    folder.mkdir(parents=True, exist_ok=True)
    kept = Kept(folder / f"{repetitions}-{seed}.json")
    rows: Rows = []
    for world in coverage.worlds():
        rows += kept.get(repr(world), lambda world=world: coverage.rows_of(world, repetitions, seed))
    text, missed = page(rows, repetitions, seed)
    if (repetitions, seed) == (REPETITIONS, SEED):
        PAGE.write_text(text)
    print(text)
    for name in OTHERS:
        if find_spec(f"tests.studies.{name}"):
            for row in kept.get(
                name, lambda name=name: import_module(f"tests.studies.{name}").main(repetitions, seed)
            ):
                print(row)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

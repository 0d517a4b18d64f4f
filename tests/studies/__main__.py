"""`python -m tests.studies FOLDER [REPETITIONS [SEED]]`: the simulation studies; finished parts are kept in
FOLDER.

Writes docs/coverage.md when all cells of the coverage study are there. A study that is cut short goes on
where it was; after a change of the statistics, remove what is kept.
With the usual 1,000 repetitions that takes some ten minutes on one core. Settling and the bias battery come
after it, with the numbers of OTHERS at most: some forty minutes more.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.studies import aslabelled, biases, coverage, humanerror, looks, settlement
from tests.studies.tables import page

REPETITIONS, SEED = 1000, 1
PARTS = {
    "labelled": aslabelled.labelled_rows,
    "unequal": aslabelled.unequal_rows,
    "ppi": aslabelled.ppi_rows,
    "looks": looks.rows,
}
# What the page has no table of, and its repetitions at most: one made-up study takes a battery a third of a
# second, settling a tenth.
OTHERS = {"settlement": (settlement, 500), "biases": (biases, 400), "humanerror": (humanerror, 120)}
PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
Rows = list[dict[str, Any]]


class PartsFile:
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
    kept = PartsFile(folder / f"{repetitions}-{seed}.json")
    rows: Rows = []
    for world in coverage.worlds():
        rows += kept.get(repr(world), lambda world=world: coverage.rows_of(world, repetitions, seed))
    parts = {
        name: kept.get(name, lambda compute=compute: compute(repetitions, seed))
        for name, compute in PARTS.items()
    }
    text, missed = page(rows, parts, repetitions, seed)
    if (repetitions, seed) == (REPETITIONS, SEED):
        PAGE.write_text(text)
    print(text)
    for name, (study, most) in OTHERS.items():
        print(
            study.table(
                kept.get(name, lambda study=study, most=most: study.main(min(repetitions, most), seed))
            )
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

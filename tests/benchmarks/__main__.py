"""`python -m tests.benchmarks [NAME...]`: run bench_NAME.py, or all of them, and print what they measured as
one table.

It writes to the database that is configured, so it wants one made for it: `make bench` makes one.
"""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import django

from tests.benchmarks.figures import Measurement, table

HERE = Path(__file__).parent


def main(names: Sequence[str]) -> int:
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"There is no benchmark {unknown[0]!r}; there are {', '.join(known)}.")
    if os.environ.get("ARBITER_ENV") != "test":
        sys.exit(
            "Benchmarks fill their database: run `make bench`, or set ARBITER_ENV=test and a DATABASE_URL to "
            "fill."
        )
    django.setup()
    with tempfile.TemporaryDirectory(prefix="arbiter-bench-") as folder:
        figures = list(measured(names or known, Path(folder)))
    print(table(figures))
    return 0 if all(figure.met is not False for figure in figures) else 1


def measured(names: Sequence[str], folder: Path) -> Iterator[Measurement]:
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        yield from importlib.import_module(f"tests.benchmarks.bench_{name}").measure(folder)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.exit(main(sys.argv[1:]))

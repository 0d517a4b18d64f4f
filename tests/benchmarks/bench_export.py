"""Exporting 100,000 items with a rating each, in every format; memory against that for 20,000."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.figures import Measurement
from tests.benchmarks.processes import MB, run
from tests.benchmarks.responses import imported

FEW, MANY = 20_000, 100_000


def measure(folder: Path) -> Iterator[Measurement]:
    few, many = imported(folder, FEW), imported(folder, MANY)
    for extension in ("jsonl", "csv", "parquet"):
        out = folder / f"out.{extension}"
        small, large = (run("manage.py", "exportstudy", made.study, out) for made in (few, many))
        yield Measurement(
            f"export 100,000 items to {extension}", MANY / large.seconds, "rows/s", at_least=10_000
        )
        yield Measurement(f"export to {extension}: peak memory", large.peak / MB, "MB")
        yield Measurement(
            f"export to {extension}: memory over that of 20,000",
            large.peak / small.peak,
            "times",
            at_most=1.2,
        )
        out.unlink()

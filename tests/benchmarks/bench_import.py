"""Importing 100,000 responses of 3 kB from JSONL, as the command a user types, from its start to its end."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.figures import Measurement
from tests.benchmarks.processes import MB, run
from tests.benchmarks.responses import imported

RESPONSES = 100_000
BARE = "import json, sys\nfor line in open(sys.argv[1], encoding='utf-8'): json.loads(line)"


def measure(folder: Path) -> Iterator[Measurement]:
    made = imported(folder, RESPONSES)
    bare = run("-c", BARE, made.file)
    yield Measurement("import 100,000 responses", RESPONSES / made.ran.seconds, "responses/s", at_least=5000)
    yield Measurement("import: peak memory", made.ran.peak / MB, "MB", at_most=300)
    yield Measurement("import: time over bare json.loads", made.ran.seconds / bare.seconds, "times")

"""Eight processes of four raters drain a study of 1,000 items that need three each: what was counted wrong or
lost, though leases run out, raters leave in the middle, labels come late, twice and from two windows, and a
process is killed.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from tests import builders
from tests.annotation.draining import LEASE, PROCESSES, RATERS, account, drain
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import study_of

ITEMS, PER_ITEM = 1000, 3
WRONG = {
    "not_exact": ("without exactly three counted labels", "items"),
    "twice": ("of one rater twice on an item", "labels"),
    "lost": ("sent and not in the ledger", "labels"),
    "from_nowhere": ("in the ledger and never sent", "labels"),
    "places_wrong": ("not those of the counted labels", "slots"),
    "kept_wrong": ("whose kept votes are not the ledger's", "items"),
    "counts_wrong": ("whose own count is wrong", "raters"),
}


def measure(folder: Path) -> Iterator[Measurement]:
    study = study_of(ITEMS)
    builders.draw(study, per_item=PER_ITEM, seed=1)
    (folder / "exactness").mkdir()
    clock = time.monotonic()
    drain(study, folder / "exactness", within=900)
    seconds = time.monotonic() - clock
    counts = account(study, folder / "exactness", PER_ITEM)
    what = f"exactness, {PROCESSES} x {RATERS} raters, {ITEMS:,} items"
    yield Measurement(f"{what}: labels in the ledger", counts.labels, "labels", at_least=ITEMS * PER_ITEM)
    yield Measurement(
        f"exactness: of these surplus, with leases of {LEASE:g} s", counts.surplus, "labels", at_least=1
    )
    yield Measurement("exactness: of these revisions", counts.revisions, "labels", at_least=1)
    yield Measurement("exactness: refused, as another window was first", counts.refused, "labels", at_least=1)
    yield Measurement("exactness: database busy for 20 s, asked again", counts.busy, "times")
    for name, (said, unit) in WRONG.items():
        yield Measurement(f"exactness: {unit} {said}", getattr(counts, name), unit, exactly=0)
    yield Measurement("exactness: all of it", seconds, "s")

"""Settling 100,000 items of 8 raters by each rule, an audit of them, and the pages that follow: the tab and
the adjudication queue, cold (nothing kept from before) and warm."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from django.core.cache import cache
from django.test import Client

from judging.settlement.settling import settle
from tests.benchmarks.bench_analysis import analysed_study, milliseconds
from tests.benchmarks.figures import Measurement

ITEMS, GOLD = 100_000, 2000
COLD, WARM, LOOKS = 3000.0, 500.0, 5  # ms
RULES = (
    ("unanimous", {}),
    ("majority", {}),
    ("weighted", {}),
    ("model", {"threshold": 0.9}),
    ("model", {"threshold": 0.9, "audit_share": 0.05}),
)


def measure(folder: Path, items: int = ITEMS) -> Iterator[Measurement]:
    made = analysed_study(items, GOLD)
    for rule, options in RULES:
        name = " ".join([rule, *(f"{key} {value:g}" for key, value in options.items())])
        started = perf_counter()
        result = settle(made.study, rule, **options)
        yield Measurement(f"settling: {name}", perf_counter() - started, "s")
        yield Measurement(f"settling: {name}, settlements written", result["changed"], "items")
    client = Client()
    client.force_login(made.owner)
    for page in ("settlement", "adjudicate/", "settlement/4/changes.csv"):
        address = f"/studies/{made.study.slug}/{page}"
        cache.clear()
        yield Measurement(f"settling: {page}, cold", milliseconds(client, address), "ms", at_most=COLD)
        times = [milliseconds(client, address) for _ in range(LOOKS)]
        yield Measurement(f"settling: {page}, warm", median(times), "ms", at_most=WARM)

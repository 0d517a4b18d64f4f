"""32 raters in a closed loop: each sends a label and gets the next response in the same request, as fast as
they come.

Two server processes, as in the README, and the clients on the same machine. The reference is a page that asks
the database nothing, asked by the same clients of the same processes.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from annotation.models import Assignment, Membership, Rating, Study
from tests import builders
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import study_of
from tests.benchmarks.labelling_clients import Loop, drive, idle
from tests.processes import ROOT, environment

RATERS, SLOTS, PROCESSES = 32, 3, 2
FEW, MANY, LABELS, ROUNDS = 1000, 100_000, 2000, 2
MB = 1e6


def measure(folder: Path) -> Iterator[Measurement]:
    many = a_study(MANY)
    studies = {"1,000": [a_study(FEW) for _ in range(ROUNDS)], "100,000": [many] * ROUNDS}
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # which PostgreSQL does by itself within a minute or two
    loops: dict[str, list[Loop]] = {size: [] for size in studies}
    with server(folder) as (url, pids):
        reference = idle(url, RATERS, seconds=5)
        for number in range(ROUNDS):  # in turn, so that both meet the same machine
            for size, measured in loops.items():
                measured.append(labelled(studies[size][number], url))
        memory = max(resident(pid) for pid in pids)
    for size, measured in loops.items():
        yield from figures(size, measured)
    best = {size: max(one.per_second for one in measured) for size, measured in loops.items()}
    yield Measurement(
        "labelling: 100,000 items over 1,000", best["100,000"] / best["1,000"], "times", at_least=0.8
    )
    yield Measurement("labelling: over a page without a query", best["1,000"] / reference, "times")
    yield Measurement("labelling: a server process's memory", memory / MB, "MB", at_most=150)
    all_ = {*studies["1,000"], many}
    yield Measurement("labelling: items with too many counted", sum(map(too_many, all_)), "items", exactly=0)
    sent = sum(one.labels for measured in loops.values() for one in measured)
    in_ledger = Rating.objects.filter(item__study__in=all_).count()
    yield Measurement("labelling: labels sent and not in the ledger", sent - in_ledger, "labels", exactly=0)


def figures(name: str, measured: list[Loop]) -> Iterator[Measurement]:
    best = max(measured, key=lambda one: one.per_second)
    yield Measurement(f"labelling: {RATERS} raters, {name} items", best.per_second, "labels/s", at_least=120)
    yield Measurement(f"labelling: p95 of a request, {name} items", best.p95 * 1000, "ms", at_most=400)
    yield Measurement(
        f"labelling: errors, {name} items", sum(one.errors for one in measured), "errors", exactly=0
    )


def a_study(items: int) -> Study:
    study = study_of(items)
    builders.draw(study, per_item=SLOTS, seed=1)
    return study


def people(study: Study, count: int = RATERS) -> list[str]:
    """Make fresh raters, sign them in, and return their session cookies."""
    cookies = []
    for _ in range(count):
        user = User.objects.create_user(f"bench-{secrets.token_hex(6)}")
        Membership.objects.create(study=study, user=user, role="rater")
        builders.ready(study, user)
        client = Client()
        client.force_login(user)
        cookies.append(client.cookies[settings.SESSION_COOKIE_NAME].value)
    return cookies


def labelled(study: Study, url: str) -> Loop:
    return drive(f"{url}/studies/{study.slug}/label", people(study), LABELS)


def too_many(study: Study) -> int:
    return study.items.filter(human_votes__gt=SLOTS).count() + (
        Assignment.objects.filter(study=study, slot__gt=SLOTS).count()
    )


@contextmanager
def server(folder: Path, **more: str) -> Iterator[tuple[str, list[int]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "config.wsgi",
        "--bind",
        f"127.0.0.1:{port}",
        "--workers",
        str(PROCESSES),
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(**more))
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/healthz")
        yield url, children(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def wait_for(url: str) -> None:
    for _ in range(200):
        try:
            urlopen(url, timeout=1).read()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} did not answer.")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident(pid: int) -> float:
    """Return the bytes of memory the process has at the moment."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

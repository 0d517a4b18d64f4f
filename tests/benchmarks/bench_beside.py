"""Twelve raters who label, and pages that are read, while 200,000 responses of 3 kB are imported into another
study of the same database.

Raters take half a second between labels. What is asked is asked of SQLite, which has one writer at a time;
the figures of PostgreSQL are told beside.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from annotation.models import Membership, Study
from tests import builders
from tests.benchmarks import bench_labelling, responses
from tests.benchmarks.figures import Measurement
from tests.benchmarks.labelling_clients import Beside, beside
from tests.processes import ROOT, environment

ROWS, RATERS, ITEMS = 200_000, 12, 20_000
PAGES = ("", "items/", "people", "labelling/", "settlement", "judges/")


def measure(folder: Path) -> Iterator[Measurement]:
    file = folder / f"{ROWS}.jsonl"
    responses.write(file, ROWS)
    study = bench_labelling.a_study(ITEMS)
    cookies, owner = bench_labelling.people(study, RATERS), _owner(study)
    over = folder / "over"
    with bench_labelling.server(folder) as (url, _):
        importing = threading.Thread(target=_import, args=(file, over))
        importing.start()
        pages = [f"{url}/studies/{study.slug}/{page}" for page in PAGES]
        met = beside(f"{url}/studies/{study.slug}/label", cookies, owner, [url, *pages], str(over))
        importing.join()
    yield from _figures(met, float(over.read_text()))


def _owner(study: Study) -> str:
    user = User.objects.create_user(f"owner-of-{study.slug}")
    Membership.objects.create(study=study, user=user, role="owner")
    builders.ready(study, user)
    client = Client()
    client.force_login(user)
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


def _import(file: Path, over: Path) -> None:
    """Import the file, and say in another how long that took."""
    options = ["--format", "jsonl", "--suite", "beside", "--study", "beside", "--create-tasks"]
    command = [sys.executable, "manage.py", "importresponses", str(file), *options]
    clock = monotonic()
    code = subprocess.call(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    took = monotonic() - clock
    over.with_suffix(".part").write_text(str(took if code == 0 else 0.0))
    over.with_suffix(".part").rename(over)


def _figures(met: Beside, took: float) -> Iterator[Measurement]:
    yield Measurement("beside: responses imported meanwhile", ROWS / took if took else 0.0, "responses/s")
    yield Measurement("beside: labels given", met.labels / max(took, 1.0), "labels/s")
    yield Measurement("beside: p95 of a label", met.p95 * 1000, "ms", at_most=1000)
    yield Measurement("beside: the longest label", met.longest_label * 1000, "ms")
    yield Measurement("beside: the longest page", met.longest_page * 1000, "ms", at_most=2000)
    yield Measurement("beside: errors", met.errors + (took == 0), "errors", exactly=0)

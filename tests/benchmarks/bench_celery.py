"""Two Celery workers share one study, against one: 16 calls of 200 ms in flight each. Needs a broker, and so PostgreSQL."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

from django.conf import settings

from benchmark.simulator.running import running_simulator
from config.celery import app
from judging.asking import want_verdicts
from judging.models import Verdict
from judging.waking import wake_workers
from tests.benchmarks.figures import Figure
from tests.benchmarks.judged import endpoint_at, judges, study_of, wait_until
from tests.processes import running

VERDICTS, IN_FLIGHT, SECONDS = 1278, 16, 0.2
WORKER = ("-m", "celery", "-A", "config.celery", "worker", "--loglevel", "ERROR", "--concurrency", "1")


def measure(folder: Path) -> Iterator[Figure]:
    if not settings.CELERY_BROKER_URL:
        print("  two Celery workers: left out, CELERY_BROKER_URL is not set", file=sys.stderr)
        return
    app.control.purge()
    one, _ = judged_by(folder, ["first"])
    two, calls = judged_by(folder, ["first", "second"])
    yield Figure("two Celery workers: calls made twice", calls - VERDICTS, "calls", at_most=0)
    yield Figure("two Celery workers over one", one / two, "times", at_least=1.7)


def judged_by(folder: Path, names: Sequence[str]) -> tuple[float, int]:
    """Seconds from asking to the last verdict, with the workers up; and the calls that the provider saw."""
    study = study_of(folder, VERDICTS)
    with running_simulator(latency=SECONDS) as simulator, ExitStack() as stack:
        by = judges(study, endpoint_at(simulator.base_url, IN_FLIGHT), ["careful"])
        for name in names:
            stack.enter_context(running(*WORKER, "--hostname", f"{name}@%h"))
        wait_until(lambda: len(app.control.ping(timeout=0.5)) == len(names))
        want_verdicts(study, str(by[0].judge))
        done = Verdict.objects.filter(study_judge=by[0], state="done")
        clock = monotonic()
        wake_workers()
        wait_until(lambda: done.count() == VERDICTS)
        return monotonic() - clock, simulator.stats()["requests"]

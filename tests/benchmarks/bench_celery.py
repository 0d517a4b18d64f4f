"""Two Celery workers on one study, 16 calls of 200 ms in flight each, beside one worker. Needs a broker, so
PostgreSQL."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

from django.conf import settings

from arbiter.simulator.running import running_simulator
from config.celery import app
from judging.models import Verdict
from judging.panel.waking import wake_workers
from judging.panel.wanted_verdicts import want_verdicts
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import judges, study_of, wait_until
from tests.processes import running

RESPONSES, IN_FLIGHT, SECONDS = 426, 16, 0.2
VERDICTS = 3 * RESPONSES
WORKER = ("-m", "celery", "-A", "config.celery", "worker", "--loglevel", "ERROR", "--concurrency", "1")


def measure(folder: Path) -> Iterator[Measurement]:
    if not settings.CELERY_BROKER_URL:
        print("  left out: CELERY_BROKER_URL is not set (`make bench` starts a Redis)", file=sys.stderr)
        return
    app.control.purge()
    one, _ = judged_by(["first"])
    two, stats = judged_by(["first", "second"])
    yield Measurement("one Celery worker, 16 calls of 200 ms in flight", VERDICTS / one, "verdicts/s")
    yield Measurement("two Celery workers over one", one / two, "times", at_least=1.7)
    yield Measurement(
        "two Celery workers: calls the provider saw", stats["requests"], "calls", exactly=VERDICTS
    )
    yield Measurement("two Celery workers: calls in flight at most", stats["peak_in_flight"], "calls")


def judged_by(names: Sequence[str]) -> tuple[float, dict[str, int]]:
    """Return the seconds from asking to the last verdict, with the workers up; and what the provider says of
    it."""
    study = study_of(RESPONSES)
    done = Verdict.objects.filter(item__study=study, state="done")
    with running_simulator(latency=SECONDS) as simulator, ExitStack() as stack:
        judges(study, simulator.base_url, IN_FLIGHT)
        for name in names:
            stack.enter_context(running(*WORKER, "--hostname", f"{name}@%h"))
        wait_until(lambda: len(app.control.ping(timeout=0.5)) == len(names))
        want_verdicts(study)
        clock = monotonic()
        wake_workers()
        wait_until(lambda: done.count() == VERDICTS)
        return monotonic() - clock, simulator.stats()

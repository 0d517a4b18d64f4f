"""Leases run by the database's clock: a machine whose own is wrong neither steals work nor loses it."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from annotation.models import Assignment
from annotation.studyprogress import slot_totals
from annotation.submitting import Submission, submit
from arbiter.core.clock import Moment, moment
from arbiter.core.statements import rows
from arbiter.simulator.running import running_simulator
from benchmark.collection.collect_work import CollectWork
from benchmark.collection.wanted_responses import collection_of, want_responses
from benchmark.models import Response
from judging.models import Verdict
from judging.panel.judge_work import JudgeWork
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.judging.accounts import assert_whole
from tests.judging.helpers import endpoint, panel
from tests.processes import ROOT, start

pytestmark = pytest.mark.engine
HOUR = timedelta(hours=1)
REAL_NOW = timezone.now


@pytest.fixture
def clock(monkeypatch):
    """Set this machine's clock wrong by so much."""

    def wrong_by(off):
        monkeypatch.setattr(timezone, "now", lambda: REAL_NOW() + off)

    return wrong_by


def database_now():
    ((now,),) = rows(f"SELECT {moment()}", [])
    if isinstance(now, str):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", now)
        now = datetime.fromisoformat(now).replace(tzinfo=UTC)
    return now


@pytest.mark.django_db
def test_the_database_tells_the_time_and_others_from_it():
    before = REAL_NOW() - timedelta(milliseconds=1)
    now = database_now()
    assert before <= now <= REAL_NOW() + timedelta(milliseconds=1)
    ((later, sooner),) = rows(f"SELECT {moment(900)}, {moment(-0.25)}", [])
    later, sooner = (
        one if isinstance(one, datetime) else datetime.fromisoformat(one).replace(tzinfo=UTC)
        for one in (later, sooner)
    )
    assert later - sooner == timedelta(seconds=900.25)


@pytest.mark.django_db
def test_what_the_database_says_compares_with_what_django_stored_to_the_microsecond(study):
    """On SQLite times are text: one without a fraction,
    one with three digits and one with six must not be mixed up."""
    item = study.items.first()
    now = database_now().replace(microsecond=0) + HOUR
    stored = [
        now + timedelta(microseconds=micro)
        for micro in (0, 1, 9, 10, 999, 1000, 123_000, 123_456, 999_999, 1_000_000)
    ]
    for number, at in enumerate(stored, start=1):
        Assignment.objects.create(
            study=study, item=item, slot=number, number=0.5, state="open", leased_until=at
        )
    until = Assignment.objects.order_by("leased_until").values_list("leased_until", flat=True)
    assert list(until) == stored
    # The same moments as the database's own function writes them.
    written = [at for at in stored if at.microsecond % 1000 == 0]
    if connection.vendor == "sqlite":
        literal = "(STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', %s) || '000')"
    else:
        literal = "%s::timestamptz"
    for at in written:
        value = at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if connection.vendor == "sqlite" else at
        ((less, more),) = rows(
            f"SELECT count(*) FILTER (WHERE leased_until < {literal}), count(*) FILTER (WHERE leased_until "
            f"> {literal})"
            " FROM annotation_assignment",
            [value, value],
        )
        assert more == sum(one > at for one in stored)
        # A whole second is stored without a fraction, which is "before" the same with one:
        # such a lease is over as it ends.
        assert less - sum(one < at for one in stored) in (
            0,
            int(connection.vendor == "sqlite" and not at.microsecond),
        )
    assert not Assignment.objects.filter(leased_until__lt=Moment()).exists()
    assert Assignment.objects.filter(leased_until__lt=Moment(2 * 3600)).count() == len(stored)
    for one, other in pairwise(stored):
        assert (
            Assignment.objects.filter(leased_until__gt=one).count()
            > Assignment.objects.filter(leased_until__gt=other).count()
        )


def assert_held_for(until, seconds):
    assert timedelta() < until - database_now() <= timedelta(seconds=seconds)


@pytest.mark.django_db
@pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_judging_worker_with_a_wrong_clock_neither_steals_nor_loses(study, off, clock):
    panel(study, at := endpoint("http://127.0.0.1:9/v1"))
    wanted = want_verdicts(study)
    work = JudgeWork(study=study)
    first = len(work.claim(at, "right", 4))
    clock(off)
    rest = len(work.claim(at, "wrong", 1000))
    assert (first, rest) == (4, wanted - 4)  # and nothing of what the other holds
    assert not work.claim(at, "wrong", 1000) and not work.endpoints()
    for until in Verdict.objects.values_list("leased_until", flat=True):
        assert_held_for(until, settings.LEASE_SECONDS)
    work.renew("wrong")
    clock(timedelta())
    assert not work.claim(at, "right", 1000) and not work.endpoints()
    for until in Verdict.objects.filter(lease="wrong").values_list("leased_until", flat=True):
        assert_held_for(until, settings.LEASE_SECONDS)
    # What ran out is free for both, whatever their clocks say.
    Verdict.objects.filter(lease="wrong").update(leased_until=Moment(-0.01))
    assert len(work.claim(at, "right", 1000)) == wanted - 4


@pytest.mark.django_db
@pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_collecting_worker_with_a_wrong_clock_neither_steals_nor_loses(off, clock):
    run = builders.run(builders.suite(tasks=6))
    at = endpoint("http://127.0.0.1:9/v1")
    run.endpoint, run.base_url = at, at.base_url
    run.save()
    want_responses(run, 1)
    collection_of(run)
    work = CollectWork(run, 1)
    assert len(work.claim(at, "right", 2)) == 2
    clock(off)
    assert len(work.claim(at, "wrong", 100)) == 4
    assert not work.claim(at, "wrong", 100)
    work.renew("wrong")
    clock(timedelta())
    assert not work.claim(at, "right", 100)
    for until in Response.objects.values_list("leased_until", flat=True):
        assert_held_for(until, settings.LEASE_SECONDS)
    Response.objects.filter(lease="wrong").update(leased_until=Moment(-0.01))
    assert len(work.claim(at, "right", 100)) == 4


@pytest.mark.django_db
@pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_web_server_with_a_wrong_clock_neither_gives_away_places_nor_keeps_them(study, off, clock):
    builders.cast(study)
    builders.draw(study, per_item=1)
    ann, ben = (builders.human(User.objects.get(username=name)) for name in ("ann", "ben"))
    hers = builders.take(study, ann)
    clock(off)
    his = [serving.item_id for serving in builders.serve(builders.desk(study, ben), 6)]
    assert len(his) == 5 and hers.item_id not in his
    for until in Assignment.objects.filter(state="leased").values_list("leased_until", flat=True):
        assert_held_for(until, 60 * settings.ASSIGNMENT_LEASE_MINUTES)
    assert slot_totals(study).held == 6
    clock(timedelta())
    assert [one.item_id for one in builders.serve(builders.desk(study, ann), 6)] == [hers.item_id]
    # A place that ran out goes to whoever asks next, by any server's clock.
    Assignment.objects.filter(rater=ben).update(leased_until=Moment(-0.01))
    clock(off)
    again = {one.item_id for one in builders.serve(builders.desk(study, ann), 6)}
    assert again == {hers.item_id, *his}
    assert submit(hers, Submission("key-1", "convergence")).surplus is False


def test_no_lease_is_compared_with_this_machines_clock():
    """Nor set by it: the kind, wherever it may come back."""
    lines = []
    for room in ("arbiter", "benchmark", "annotation", "judging"):
        for path in (ROOT / room).rglob("*.py"):
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                if re.search(r"leased_until\w*\s*[=<>](?!None).*(timezone|datetime\.now|timedelta)", line):
                    lines.append(f"{path.name}:{number}: {line.strip()}")
    assert lines == []


WRONG = """
import sys
from datetime import timedelta
from django.utils import timezone
real = timezone.now
timezone.now = lambda: real() + timedelta(hours={hours})
import manage
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "judge", "tiny"])
"""


@pytest.mark.django_db(transaction=True)
def test_three_workers_whose_clocks_differ_by_hours_share_a_study():
    study = builders.study(tasks=4, epochs=20)
    with running_simulator(latency=0.05, seed=3) as simulator:
        panel(study, endpoint(simulator.base_url))
        want_verdicts(study)
        workers = [
            start(
                "-c",
                WRONG.format(hours=hours),
                DJANGO_SETTINGS_MODULE="config.settings",
            )
            for hours in (-1, 0, 1)
        ]
        for worker in workers:
            _, errors = worker.communicate(timeout=600)
            assert worker.returncode == 0, errors
    assert_whole(study)
    calls = Verdict.objects.filter(state="done").count()
    assert sum(len(one.attempts.all()) for one in Verdict.objects.prefetch_related("attempts")) == calls

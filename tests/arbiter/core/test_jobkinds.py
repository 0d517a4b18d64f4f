"""Jobs are done once whatever ends their workers; their files are private, and whole or not there."""

import os
import signal
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError
from django.utils import timezone

from arbiter.core import jobfiles, jobkinds, jobworkers
from arbiter.core.errors import UserError
from arbiter.core.jobkinds import JOB_KINDS, JobKind, ask_for_job, cancel_job
from arbiter.core.jobworkers import ATTEMPTS, JobWorker, claim_next_job
from arbiter.core.models import Job
from tests import builders
from tests.arbiter.core import slowkind
from tests.arbiter.core.slowkind import SlowArguments
from tests.processes import running as process
from tests.together import expect_no_errors, together
from tests.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
WORKER = ("-m", "tests.arbiter.core.slowkind")


@pytest.fixture(autouse=True)
def kinds(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(jobkinds, "JOB_KINDS", dict(JOB_KINDS))
    monkeypatch.setattr(jobworkers, "JOB_KINDS", jobkinds.JOB_KINDS)
    settings.DATA = tmp_path / "data"
    settings.CELERY_BROKER_URL = ""
    slowkind.add()


@pytest.fixture
def slow(tmp_path):
    """Register a kind of job that waits; return its gate, and the note of its beginnings."""
    gate, note = tmp_path / "gate", tmp_path / "note"
    return ask_for_job("slow", SlowArguments(str(gate), str(note)), study=1), gate, note


def does(work, *, study=1):
    """Make a job of a kind that does this."""
    jobkinds.register_job_kind(JobKind("slow", "Slow", SlowArguments, work))
    return ask_for_job("slow", SlowArguments("", ""), study=study)


def worker(lease="1"):
    from django.conf import settings

    own = {"ARBITER_LEASE_SECONDS": lease, "DJANGO_SETTINGS_MODULE": "config.settings"}
    return process(*WORKER, **own, ARBITER_DATA=str(settings.DATA))


def now(job):
    return Job.objects.get(pk=job.pk)


def folders():
    return sorted(path.name for path in jobfiles.jobs_folder().iterdir() if path.is_dir())


def begun(note, times=1):
    wait_until(lambda: note.exists() and len(note.read_text().splitlines()) >= times)


def test_a_job_is_done_and_its_file_is_its_users_own(slow):
    job, gate, _ = slow
    gate.touch()
    JobWorker().run()
    job = now(job)
    assert (job.state, job.attempts, job.result, job.error) == ("done", 1, {"words": 1}, "")
    assert job.lease == "" and job.leased_until is None and job.started_at <= job.finished_at
    path = jobfiles.job_file(job)
    assert path.read_text() == "whole" and job.filename == "slow.txt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_database_knows_no_other_state():
    with pytest.raises(IntegrityError):
        Job.objects.create(kind="slow", state="lost")


def test_a_killed_workers_job_is_taken_up_and_what_it_had_begun_is_removed(slow):
    job, gate, note = slow
    with worker() as one:
        begun(note)
        (half,) = folders()
        one.send_signal(signal.SIGKILL)
        one.wait()
        with worker() as two:
            begun(note, 2)
            assert half not in folders()
            gate.touch()
            assert two.wait(60) == 0
    assert (now(job).state, now(job).attempts) == ("done", 2)
    assert jobfiles.job_file(now(job)).read_text() == "whole" and len(folders()) == 1


def test_one_that_kills_each_worker_is_given_up_after_three(slow):
    job, _, note = slow
    for times in range(ATTEMPTS):
        with worker() as one:
            begun(note, times + 1)
            one.send_signal(signal.SIGKILL)
            one.wait()
    with worker() as last:
        assert last.wait(60) == 0
    assert now(job).state == "failed" and "Did they run out of memory?" in now(job).error
    assert len(note.read_text().splitlines()) == ATTEMPTS
    jobfiles.remove_old_jobs()
    assert folders() == []


def test_a_worker_told_to_stop_gives_the_job_back_and_no_attempt_is_counted(slow):
    job, _, note = slow
    with worker() as one:
        begun(note)
        one.send_signal(signal.SIGTERM)
        assert one.wait(60) == 0
    assert (now(job).state, now(job).attempts, now(job).lease) == ("open", 0, "")
    assert folders() == []


def test_a_lease_is_kept_however_long_it_takes_and_a_second_worker_takes_nothing(slow):
    job, gate, note = slow
    with worker(lease="60") as one, worker(lease="60") as two:
        begun(note)
        for _ in range(3):  # each time it ends later
            until = now(job).leased_until
            wait_until(lambda: now(job).leased_until > until)  # noqa: B023
        gate.touch()
        assert (one.wait(60), two.wait(60)) == (0, 0)
    assert len(note.read_text().splitlines()) == 1 and now(job).attempts == 1


def test_of_many_workers_at_once_one_takes_a_job(slow):
    taken = expect_no_errors(together(*[claim_next_job] * 6))
    assert [job.pk for job in taken if job] == [slow[0].pk]
    assert now(slow[0]).attempts == 1


def test_many_jobs_are_shared_out_and_none_is_done_twice():
    for number in range(12):
        Job.objects.create(
            kind="slow", arguments={"gate": str(number), "note": ""}, place=jobfiles.data_folder_id()
        )
    seen = []

    def work(asked, running):
        seen.append(asked.gate)
        return {}

    jobkinds.register_job_kind(JobKind("slow", "Slow", SlowArguments, work))
    expect_no_errors(together(*[JobWorker().run] * 4))
    assert sorted(seen, key=int) == [str(number) for number in range(12)]
    assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}


def test_one_that_is_cancelled_stops_and_leaves_no_file(slow):
    job, _, note = slow
    with worker() as one:
        begun(note)
        assert cancel_job(job)
        assert one.wait(60) == 0
    assert now(job).state == "cancelled" and now(job).finished_at and now(job).file == ""
    assert folders() == [] and not cancel_job(job)


def test_one_that_is_cancelled_before_anybody_took_it_up_never_begins(slow):
    job, _, note = slow
    assert cancel_job(job)
    JobWorker().run()
    assert now(job).state == "cancelled" and not note.exists()


def test_what_ends_after_another_worker_took_it_up_changes_nothing(slow, settings):
    """As where a machine slept for longer than the lease."""
    job, gate, _ = slow
    gate.touch()
    first = claim_next_job()
    Job.objects.filter(pk=job.pk).update(leased_until=timezone.now() - timedelta(seconds=60))
    second = claim_next_job()
    assert second.lease != first.lease
    jobworkers.run_job(second)
    kept = now(job)
    jobworkers.run_job(first)
    assert now(job).file == kept.file and now(job).state == "done" and now(job).attempts == 2
    assert jobfiles.job_file(now(job)).read_text() == "whole"


def test_what_a_user_can_mend_is_said_at_once():
    def work(asked, running):
        raise UserError("There is no gold.")

    job = does(work)
    JobWorker().run()
    assert (now(job).state, now(job).error, now(job).attempts) == ("failed", "There is no gold.", 1)
    assert folders() == []


def test_a_full_disk_is_said():
    def work(asked, running):
        (running.folder / "half").write_text("half")
        raise OSError(28, "No space left on device")

    job = does(work)
    JobWorker().run()
    assert now(job).error == "Its file can't be written: No space left on device."
    assert folders() == []


def test_what_fails_for_another_reason_is_tried_three_times(settings):
    settings.LEASE_SECONDS = 0.05
    tries = []

    def work(asked, running):
        tries.append(1)
        raise DatabaseError("gone for a moment")

    job = does(work)
    JobWorker(wait_for_others=True).run()
    assert len(tries) == ATTEMPTS and now(job).state == "failed"
    assert now(job).error == "It failed 3 times, at last by DatabaseError; the worker's log says more."


def test_what_was_asked_of_another_version_is_said():
    job = Job.objects.create(kind="slow", arguments={"other": 1}, place=jobfiles.data_folder_id())
    JobWorker().run()
    assert "asked for in another version" in now(job).error


def test_a_kind_that_a_worker_does_not_know_is_left_to_others():
    job = Job.objects.create(kind="later", place=jobfiles.data_folder_id())
    JobWorker().run()
    assert now(job).state == "open"


def test_a_job_is_left_to_workers_that_share_the_data_folder_it_was_asked_from():
    there = Job.objects.create(kind="slow", arguments={"gate": ".", "note": os.devnull}, place="elsewhere")
    anywhere = Job.objects.create(kind="slow", arguments={"gate": ".", "note": os.devnull})
    JobWorker().run()
    assert (now(there).state, now(anywhere).state) == ("open", "done")


def test_how_far_it_is_can_be_seen_meanwhile(slow):
    job, gate, _ = slow
    with worker() as one:
        wait_until(lambda: now(job).message == "waiting")
        assert (now(job).done, now(job).total, now(job).percent) == (1, 2, 50)
        gate.touch()
        assert one.wait(60) == 0


def test_the_very_same_is_asked_for_once_while_it_is_not_done():
    owner = builders.User.objects.create_user("owner")
    other = builders.User.objects.create_user("other")
    asked = SlowArguments("", "")
    first = ask_for_job("slow", asked, study=1, by=owner)
    assert ask_for_job("slow", asked, study=1, by=owner) == first
    assert ask_for_job("slow", asked, study=2, by=owner) != first
    assert ask_for_job("slow", asked, study=1, by=other) != first
    cancel_job(first)
    assert ask_for_job("slow", asked, study=1, by=owner) != first


def test_nobody_has_more_than_ten_waiting():
    owner = builders.User.objects.create_user("owner")
    for number in range(jobkinds.WAITING_AT_MOST):
        ask_for_job("slow", SlowArguments(str(number), ""), study=1, by=owner)
    with pytest.raises(UserError, match="10 jobs that you asked for are not done yet"):
        ask_for_job("slow", SlowArguments("one more", ""), study=1, by=owner)


def test_what_was_over_long_ago_is_removed_with_its_file(slow, settings):
    job, gate, _ = slow
    gate.touch()
    JobWorker().run()
    young = ask_for_job("slow", SlowArguments(str(gate), os.devnull), study=1)
    JobWorker().run()
    Job.objects.filter(pk=job.pk).update(
        finished_at=timezone.now() - timedelta(days=settings.JOB_DAYS, minutes=1)
    )
    Path(jobfiles.jobs_folder() / "12345-gone").mkdir()
    jobfiles.remove_old_jobs()
    assert list(Job.objects.all()) == [young]
    assert folders() == [now(young).file.partition("/")[0]]
    assert jobfiles.data_folder_id() == now(young).place


def test_the_data_folders_id_is_made_once():
    ids = expect_no_errors(together(*[jobfiles.data_folder_id] * 6))
    assert len(set(ids)) == 1 and len(ids[0]) == 32

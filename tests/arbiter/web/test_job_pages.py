"""A large study's export, report and settlement are jobs: asked for on a page, seen by who asked and by
owners."""

import json
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from annotation.models import Membership
from arbiter.core import jobworkers
from arbiter.core.jobworkers import JobWorker
from arbiter.core.models import Job
from arbiter.releases.exporting import export_study
from arbiter.web.study import job_pages as pages
from judging.models import SettlementVersion
from tests import builders
from tests.arbiter.core.jobs_done import done_job

pytestmark = pytest.mark.django_db(transaction=True)
EXPORT = "/studies/tiny/export.jsonl"


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA = tmp_path / "data"
    settings.CELERY_BROKER_URL = ""


@pytest.fixture
def large(study, cast, monkeypatch):
    """A study that is too large to be answered at once."""
    monkeypatch.setattr(pages, "AT_ONCE", dict.fromkeys(pages.AT_ONCE, 2))
    for item in study.items.all():
        builders.rate(item, builders.rater("judge-a"))
    return cast


def asked(client, address, **sent):
    answer = client.post(address, sent)
    job = Job.objects.get()
    assert (answer.status_code, answer.url) == (302, f"/studies/tiny/jobs/{job.pk}")
    return answer.url


def body(answer):
    return b"".join(answer.streaming_content)


def test_a_small_study_is_answered_at_once(client, study, cast):
    client.force_login(cast["owner"])
    assert body(client.get(EXPORT)).count(b"\n") == 6
    assert client.get("/studies/tiny/report").status_code == 200
    assert client.post("/studies/tiny/settle").url == "/studies/tiny/settlement"
    assert not Job.objects.exists()


def test_a_large_export_is_offered_made_by_a_worker_and_downloaded(client, study, large, tmp_path):
    client.force_login(large["viewer"])
    offered = client.get(f"{EXPORT}?long=1")
    assert offered.status_code == 409 and b"JSONL, one row a rating" in offered.content
    assert not Job.objects.exists()
    page = asked(client, f"{EXPORT}?long=1")
    assert b"It waits for a worker." in client.get(page).content
    JobWorker().run()
    shown = client.get(page).content.decode()
    assert ">Done<" in shown and "tiny-ratings.jsonl: 6 rows" in shown and "hx-get" not in shown
    answer = client.get(f"{page}/result")
    export_study(study, tmp_path / "own.jsonl", long=True)
    assert body(answer) == (tmp_path / "own.jsonl").read_bytes()
    assert 'filename="tiny-ratings.jsonl"' in answer["Content-Disposition"]
    assert "no-store" in answer["Cache-Control"] and "private" in answer["Cache-Control"]


def test_a_large_report_is_a_file_and_nothing_is_written_to_the_database(client, study, large, monkeypatch):
    client.force_login(large["owner"])
    assert client.get("/studies/tiny/report").status_code == 200
    page = asked(client, "/studies/tiny/report")
    made = jobworkers.JOB_KINDS["report"].work

    def watched(arguments, under_way):
        def refuse_writes(execute, sql, params, many, context):
            assert sql.lstrip("( ").split()[0].upper() in {"SELECT", "WITH"}, sql
            return execute(sql, params, many, context)

        with connections["default"].execute_wrapper(refuse_writes):
            return made(arguments, under_way)

    kind = jobworkers.JOB_KINDS["report"]
    monkeypatch.setitem(
        jobworkers.JOB_KINDS, "report", type(kind)(kind.name, kind.title, kind.arguments, watched)
    )
    JobWorker().run()
    answer = client.get(f"{page}/result")
    assert (
        body(answer).startswith(b"<!doctype html>") and "Content-Disposition" not in answer
    ) or "inline" in answer["Content-Disposition"]
    assert "'sha256-" in answer["Content-Security-Policy"]
    assert "attachment" in client.get(f"{page}/result?download=1")["Content-Disposition"]


def test_a_large_settlement_is_made_by_a_worker_for_who_asked(client, study, large):
    client.force_login(large["owner"])
    page = asked(client, "/studies/tiny/settle", rule="majority")
    assert b"A settlement is under way" in client.get("/studies/tiny/settlement").content
    JobWorker().run()
    version = SettlementVersion.objects.get()
    assert (version.number, version.by) == (1, large["owner"])
    shown = client.get(page).content.decode()
    assert "Settlement 1: 6 items with a final label, 0 open" in shown and "To the settlement" in shown
    assert b"A settlement is under way" not in client.get("/studies/tiny/settlement").content


def test_what_is_refused_is_said_on_the_jobs_page(client, study, large):
    client.force_login(large["owner"])
    page = asked(client, "/studies/tiny/settle", rule="weighted")
    JobWorker().run()
    shown = client.get(page).content.decode()
    assert ">Failed<" in shown and Job.objects.get().error and Job.objects.get().attempts == 1


def test_a_job_is_seen_by_who_asked_and_by_owners(client, study, large):
    client.force_login(large["viewer"])
    page = asked(client, EXPORT)
    for person, status in [
        ("viewer", 200),
        ("owner", 200),
        ("adjudicator", 403),
        ("ann", 403),
        ("stranger", 404),
    ]:
        client.force_login(large[person])
        for end in ("", "/progress"):
            assert client.get(page + end).status_code == status, person
        listed = client.get("/studies/tiny/jobs/")
        if person in ("viewer", "owner", "adjudicator"):
            assert (page.encode() in listed.content) is (status == 200)
    client.force_login(large["adjudicator"])
    assert client.post(f"{page}/cancel").status_code == 403 and Job.objects.get().state == "open"


def test_who_is_no_member_any_more_sees_nothing_of_what_they_asked_for(client, study, large):
    job = done_job(study.pk, by=large["viewer"])
    client.force_login(large["viewer"])
    assert client.get(f"/studies/tiny/jobs/{job.pk}/result").status_code == 200
    Membership.objects.filter(user=large["viewer"]).delete()
    assert client.get(f"/studies/tiny/jobs/{job.pk}/result").status_code == 404


def test_names_are_for_owners_though_one_who_asked_is_none_any_more(client, study, large):
    client.force_login(large["owner"])
    page = asked(client, f"{EXPORT}?names=1")
    JobWorker().run()
    assert client.get(f"{page}/result").status_code == 200
    Membership.objects.filter(user=large["owner"]).update(role="viewer")
    assert client.get(f"{page}/result").status_code == 403
    client.force_login(large["viewer"])
    client.post(f"{EXPORT}?names=1")
    assert Job.objects.get(by=large["viewer"]).arguments["names"] is False


def test_a_job_of_another_study_is_not_found(client, study, large):
    job = done_job(builders.study("other").pk)
    client.force_login(large["owner"])
    assert client.get(f"/studies/tiny/jobs/{job.pk}").status_code == 404


def test_it_is_cancelled_from_its_page(client, study, large):
    client.force_login(large["owner"])
    page = asked(client, EXPORT)
    assert client.post(f"{page}/cancel", follow=True).content.count(b">Cancelled<") == 1
    assert Job.objects.get().state == "cancelled"
    assert client.get(f"{page}/result").status_code == 404


def test_where_nobody_works_the_page_says_so(client, study, large):
    client.force_login(large["owner"])
    page = asked(client, EXPORT)
    assert b"Nobody is working" not in client.get(page).content
    Job.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert b"start <code>manage.py runworker</code>" in client.get(page).content
    Job.objects.create(
        kind="export",
        place=Job.objects.get().place,
        state="leased",
        lease="x",
        leased_until=timezone.now() + timedelta(minutes=1),
    )
    shown = client.get(page).content
    assert b"Nobody is working" not in shown and b"It waits for another job to be done." in shown


def test_how_far_it_is_is_shown_and_asked_again(client, study, large):
    job = Job.objects.create(
        kind="export",
        arguments={"extension": "csv"},
        study=study.pk,
        state="leased",
        lease="x",
        done=1200,
        total=4000,
        message="items",
        leased_until=timezone.now() + timedelta(minutes=1),
    )
    client.force_login(large["owner"])
    shown = client.get(f"/studies/tiny/jobs/{job.pk}/progress").content.decode()
    assert 'max="4000" value="1200"' in shown and "1,200 of 4,000 items" in shown
    assert f'hx-get="/studies/tiny/jobs/{job.pk}/progress"' in shown


def test_a_file_that_is_gone_is_said_not_to_be_there(client, study, large):
    job = done_job(study.pk)
    Job.objects.update(place="elsewhere")
    client.force_login(large["owner"])
    assert b"Its file is not here any more" in client.get(f"/studies/tiny/jobs/{job.pk}").content
    answer = client.get(f"/studies/tiny/jobs/{job.pk}/result")
    assert answer.status_code == 404 and b"Ask for it again" in answer.content


def test_the_very_same_asked_for_twice_is_one_job(client, study, large):
    client.force_login(large["owner"])
    assert asked(client, EXPORT) == asked(client, EXPORT)


def test_a_jsonl_export_by_a_job_is_what_the_command_writes(client, study, large):
    client.force_login(large["owner"])
    page = asked(client, EXPORT)
    JobWorker().run()
    lines = body(client.get(f"{page}/result")).decode().splitlines()
    assert [json.loads(line)["item"] for line in lines] == list(
        study.items.order_by("pk").values_list("key", flat=True)
    )

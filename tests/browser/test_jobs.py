"""A job's page in a browser: asked for, followed, left, come back to, cancelled, its file downloaded."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from arbiter.core.jobworkers import JobWorker
from arbiter.core.models import Job
from arbiter.web.study import job_pages as pages
from tests import builders
from tests.arbiter.core.jobs_done import done_job
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SOON = timedelta(minutes=5)


@pytest.fixture
def large(study, cast, monkeypatch, settings, tmp_path):
    settings.DATA = tmp_path / "data"
    settings.CELERY_BROKER_URL = ""
    monkeypatch.setattr(pages, "AT_ONCE", dict.fromkeys(pages.AT_ONCE, 2))
    for item in study.items.all():
        builders.rate(item, builders.rater("judge-a"))
    return cast


def job(study, **fields):
    fields = {"kind": "export", "arguments": {"extension": "csv", "long": True}, "study": study.pk, **fields}
    return Job.objects.create(**fields)


STATES = {
    "unattended": {"created_at": timezone.now() - SOON, "place": "a-folder"},
    "under-way": {
        "state": "leased",
        "lease": "x",
        "done": 41_000,
        "total": 100_000,
        "message": "items",
        "leased_until": timezone.now() + SOON,
        "attempts": 1,
    },
    "failed": {"state": "failed", "error": "Its file can't be written: No space left on device."},
    "cancelled": {"state": "cancelled", "kind": "settle", "arguments": {"rule": "majority"}, "attempts": 1},
    "settled": {
        "state": "done",
        "kind": "settle",
        "arguments": {"rule": "model", "threshold": 0.9, "audit_share": 0.05},
        "result": {
            "version": 3,
            "settled": 88_000,
            "open": 12_000,
            "relabelled": 41,
            "audit": {"drawn": 4_400},
        },
    },
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_everybody_can_use_it_in_every_state(visit, large, study, size, scheme):
    page = visit(large["owner"], viewport=size, color_scheme=scheme)
    addresses = {}
    for state, fields in STATES.items():
        made = job(study, by=large["owner"])
        Job.objects.filter(pk=made.pk).update(**fields)
        addresses[state] = f"/studies/tiny/jobs/{made.pk}"
    report = done_job(
        study.pk,
        "tiny-report.html",
        kind="report",
        arguments={},
        by=large["viewer"],
        result={"bytes": 812_000, "style": "'self'"},
    )
    addresses |= {
        "report": f"/studies/tiny/jobs/{report.pk}",
        "list": "/studies/tiny/jobs/",
        "offer": "/studies/tiny/report",
    }
    for state, address in addresses.items():
        page.goto(address)
        expect(page.locator("h1")).to_have_count(1)
        expect_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        if folder := os.environ.get("ARBITER_SHOTS"):
            page.screenshot(
                path=str(Path(folder) / f"job-{state}-{scheme}-{size['width']}.png"), full_page=True
            )


def test_an_export_is_asked_for_followed_and_downloaded(visit, large, study):
    page = visit(large["viewer"], allowed=("409",))
    page.goto("/studies/tiny/")
    page.get_by_role("link", name="JSONL").click()
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("It waits for a worker.")).to_be_visible()
    address = page.url
    JobWorker().run()
    page.get_by_role("link", name="Download").wait_for()  # without being loaded anew
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    page.get_by_role("link", name="All jobs of this study").click()
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(page).to_have_url(address)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == study.items.count()


def test_a_report_is_read_with_its_own_styles(visit, large):
    page = visit(large["owner"])
    page.goto("/studies/tiny/")
    page.get_by_role("link", name="Read it").click()
    page.get_by_role("button", name="Make it").click()
    JobWorker().run()
    page.get_by_role("link", name="Read it").click()
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate("document.styleSheets.length") == 1


def test_it_is_cancelled(visit, large):
    page = visit(large["owner"])
    page.goto("/studies/tiny/settlement")
    page.get_by_role("button", name="Settle", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    assert Job.objects.get().state == "cancelled"

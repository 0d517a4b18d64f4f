"""A study's page while an import is under way, as people see it."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from arbiter.core.models import Job
from benchmark.importunderway import KIND
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("ARBITER_SHOTS")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_says_that_it_waits_and_leads_back(visit, cast, size, scheme):
    study = builders.Study.objects.get(slug="tiny")
    arguments = {"folder": "1", "suite": "tiny", "study": "tiny"}
    Job.objects.create(kind=KIND, study=study.pk, arguments=arguments, done=37, total=100)
    page = visit(cast["viewer"], viewport=size, color_scheme=scheme, allowed=("409",))
    page.goto("/studies/tiny/agreement")
    expect(page.get_by_role("heading", name="An import is under way")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect_accessible(page)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"importing-{scheme}-{size['width']}.png", full_page=True)
    page.get_by_role("link", name="Back to the overview").click()
    page.wait_for_url("**/studies/tiny/")

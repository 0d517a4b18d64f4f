"""What the pages say of responses that failed, were refused or were cut off, and of a service that asked for
hours; with axe, light and dark, wide and narrow."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from benchmark.models import Endpoint, Response
from judging.models import Attempt, StudyJudge
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.databases import rewrite
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import attempt, verdict

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOME = "/studies/tiny"


@pytest.fixture
def study(db):
    """Thirty items of one model; of its other responses two failed; three were refused, four cut off; judges
    wait for a service."""
    study = builders.study(tasks=6, epochs=5)
    made = list(Response.objects.order_by("pk"))
    for one, ending in zip(made, ["refused"] * 3 + ["cut_off"] * 4, strict=False):
        Response.objects.filter(pk=one.pk).update(ending=ending)
    for epoch in (6, 7):
        gone = builders.response(made[0].run, made[0].task, epoch)
        Response.objects.filter(pk=gone.pk).update(state="failed")
    for item in study.items.all():
        builders.rate(
            item,
            builders.rater("judge-a"),
            "convergence" if builders.place_of(item) % 3 else "no_convergence",
        )
    at = endpoint(rests_until=timezone.now() + timedelta(hours=3))
    by = judge(study, at)
    want_verdicts(study)
    made = attempt(verdict(by, study.items.first(), repeat=1), "answer", status=200)
    rewrite(
        Attempt.objects.filter(pk=made.pk),
        cost=10**9,
        cost_told=True,
        prompt_tokens=90,
        completion_tokens=9,
        cached_tokens=60,
    )
    StudyJudge.objects.update(calls=1, cost=10**9, cost_told=10**9)
    return study


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_pages_say_how_responses_ended(visit, study, cast, scheme, size):
    page = visit(cast["owner"], viewport=size, color_scheme=scheme)
    page.goto(HOME)
    expect(page.get_by_text("of 32 asked for")).to_be_visible()
    expect(page.locator("#rests-local")).to_contain_text("asked to be left alone")
    expect_accessible(page)
    page.goto(f"{HOME}/rates")
    for heading in ("Failed", "Refused", "Cut off"):
        expect(page.get_by_role("columnheader", name=heading, exact=True).first).to_be_attached()
    expect_accessible(page)
    page.goto(f"{HOME}/costs")
    expect(page.get_by_text("what the services themselves said")).to_be_visible()
    expect_accessible(page)


def test_a_resting_service_is_asked_at_once_where_the_owner_wants_it(visit, study, cast):
    page = visit(cast["owner"])
    page.goto(HOME)
    page.get_by_role("button", name="Ask now").click()
    expect(page.locator("#judges-said")).to_contain_text("Asked again now")
    expect(page.locator("#rests-local")).to_have_count(0)
    assert Endpoint.objects.get().rests_until is None

"""The owner's pages in a browser: the items browser, an item's history, labelling, people; with axe, light
and dark, wide and narrow; with and without scripts; and with hostile text."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from annotation.access import invite
from annotation.enrolments import enrolment_of, limit, pause
from annotation.models import Enrolment, Rating, Referral, Serving
from annotation.routing import skip
from arbiter.studies.reading import browsing
from benchmark.models import Response
from judging.settlement.settling import settle
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOME = "/studies/tiny"
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title="2"</script>'
STRATA = [
    {"name": "judges split", "where": {"judges": "split"}, "probability": 1.0},
    {"name": "judges of one mind", "probability": 0.9},
]


@pytest.fixture
def study(db):
    """Thirty items, so that tables have something to hold."""
    return builders.study(tasks=6, epochs=5)


@pytest.fixture
def busy(study, cast):
    """Two raters some way into their work, two judges, gold, a flag, skips, a dispute that was sent back."""
    first, second = builders.rater("judge-a"), builders.rater("judge-b")
    for number, item in enumerate(study.items.order_by("pk")):
        builders.rate(item, first, "convergence" if number % 3 else "no_convergence")
        builders.rate(item, second, "convergence")
    builders.humans(study, strata=STRATA, per_item=2, training={"examples": 4, "rounds": 2})
    builders.draw(study, strata=STRATA, per_item=2)
    ann, ben = builders.human(cast["ann"]), builders.human(cast["ben"])
    for rater, labels in ((ann, ["convergence"] * 9), (ben, ["convergence", "no_convergence"] * 4)):
        for number, label in enumerate(labels):
            builders.label(
                builders.take(study, rater),
                label,
                flagged=number == 3,
                rationale=f"{HOSTILE} {number}",
                active_seconds=30.0 + number,
                evidence=[{"start": 0, "end": 8}] if number % 2 else [],
            )
        skip(builders.take(study, rater), "not a language I read well enough")
        builders.take(study, rater)
    Serving.objects.filter(answered_at__isnull=False).update(answered_at=timezone.now() - timedelta(hours=20))
    settle(study)
    labels = study.scheme.labels
    for item in study.items.order_by("pk")[:6]:
        item.golds.create(label=labels.get(key="convergence"), origin="imported")
    disputed = study.items.filter(humans_split=True).first() or study.items.first()
    Referral.objects.create(item=disputed, by=ben, reason="One of you saw something.", extra=1)
    disputed.adjudications.create(
        label=labels.get(key="convergence"),
        adjudicator=ben,
        reason="It keeps itself running.",
        guideline_unclear=True,
    )
    Enrolment.objects.filter(rater=ann).update(trained_at=timezone.now(), last_seen_at=timezone.now())
    limit(enrolment_of(study, ben), cap=40, languages=[], categories=["alpha"])
    pause(enrolment_of(study, ben), True)
    invite(study, "expert", 14)
    return disputed


def settled(page):
    """All that the page loads after itself is in."""
    expect(page.locator("[hx-trigger^=load]:not(.htmx-request) > p > a")).to_have_count(0)
    page.wait_for_load_state("networkidle")


def pages(study, disputed, cast):
    member = study.memberships.get(user=cast["ben"])
    return {
        "items": f"{HOME}/items/",
        "items-filtered": f"{HOME}/items/?split=judges&category=Alpha",
        "items-none": f"{HOME}/items/?q=nothing+like+that",
        "item": f"{HOME}/items/{disputed.key}",
        "labelling": f"{HOME}/labelling/",
        "flagged": f"{HOME}/labelling/flagged",
        "people": f"{HOME}/people",
        "rater": f"{HOME}/people/{member.pk}",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_everybody_can_use_the_owners_pages(visit, study, cast, busy, size, scheme):
    page = visit(cast["owner"], viewport=size, color_scheme=scheme)
    for url in pages(study, busy, cast).values():
        page.goto(url)
        settled(page)
        expect(page.locator("h1")).to_have_count(1)
        expect_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], url
        assert page.evaluate("document.title").endswith("Tiny"), "text of raters ran as code"


def test_items_are_filtered_and_led_to(visit, study, cast, busy):
    page = visit(cast["viewer"])
    page.goto(f"{HOME}/items/")
    expect(page.get_by_text("30 items.")).to_be_visible()
    page.get_by_label("Disagreement").select_option("judges differ")
    page.get_by_label("Category").select_option("Alpha")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("5 items.")).to_be_visible()
    assert "split=judges" in page.url and "category=Alpha" in page.url
    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", name=re.compile("^Item "))).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Disagreement")).to_have_value("judges")


@pytest.fixture
def slow(monkeypatch):
    """A search that gets no further than two items a look."""
    monkeypatch.setattr(browsing, "SEARCH_SECONDS", 0)
    monkeypatch.setattr(browsing, "FIRST_RANGE", 8)


def test_a_long_search_goes_on_by_itself(visit, study, cast, busy, slow):
    last = study.items.order_by("pk").last()
    Response.objects.filter(pk=last.response_id).update(text="a rare word: zyzzogeton")
    page = visit(cast["viewer"])
    page.goto(f"{HOME}/items/?q=ZYZZO")
    expect(page.get_by_role("link", name=last.key)).to_be_visible()
    expect(page.get_by_text("All 30 items are searched.")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_a_long_search_goes_on_by_a_link_without_scripts(visit, study, cast, busy, slow):
    page = visit(cast["viewer"], java_script_enabled=False)
    page.goto(f"{HOME}/items/?q=epoch+5")
    for _ in range(16):
        if not page.get_by_role("link", name="Search on").count():
            break
        page.get_by_role("link", name="Search on").click()
    expect(page.get_by_role("link", name="To the first")).to_be_visible()
    expect(page.locator("tbody th")).to_have_count(1)  # the last of the six lies in the last two


def test_the_labelling_page_fills_itself_in(visit, study, cast, busy):
    page = visit(cast["adjudicator"])
    page.goto(f"{HOME}/labelling/")
    expect(page.get_by_role("row", name=re.compile("^judges split 1.000"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^Beta"))).to_be_visible()
    expect(page.get_by_text("not a language I read well enough").first).to_be_visible()
    expect(page.get_by_text("labels a day")).to_be_visible()
    assert page.get_by_text(re.compile("^rater-")).count() and not page.get_by_text("ann", exact=True).count()


def test_parts_are_there_without_scripts(visit, study, cast, busy):
    page = visit(cast["owner"], java_script_enabled=False)
    page.goto(f"{HOME}/labelling/")
    page.get_by_role("link", name="Count it now").first.click()
    expect(page.get_by_role("row", name=re.compile("^judges split 1.000"))).to_be_visible()
    page.goto(f"{HOME}/people")
    page.get_by_role("link", name="Count these figures now").click()
    expect(page.get_by_text("judge-a@1")).to_be_visible()


def test_an_owner_looks_after_a_rater(visit, study, cast, busy):
    page = visit(cast["owner"])
    page.goto(f"{HOME}/people")
    expect(page.get_by_text("judge-a@1")).to_be_visible()
    page.get_by_role("link", name="ben").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("ben is given items again.")).to_be_visible()
    page.get_by_role("button", name="Give back what they hold").click()
    expect(page.get_by_text("1 place given back.")).to_be_visible()
    page.get_by_label("Items, at most").fill("12")
    page.get_by_label("Beta").check()
    page.get_by_role("button", name="Save limits").click()
    expect(page.get_by_text("What ben is given is limited as you say.")).to_be_visible()
    mine = Enrolment.objects.get(rater__user=cast["ben"])
    assert (mine.paused, mine.cap, mine.categories) == (False, 12, ["alpha", "beta"])


def test_an_owner_invites_and_takes_it_back(visit, study, cast, busy):
    page = visit(cast["owner"])
    page.goto(f"{HOME}/people")
    page.locator("select[name=role]").select_option("viewer")
    page.get_by_label("Open for (days)").fill("30")
    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_text("for 30 days")).to_be_visible()
    page.get_by_role("link", name="Back to people").click()
    page.get_by_role("button", name=re.compile("Revoke the invitation as viewer")).click()
    expect(page.get_by_text("The invitation is revoked")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Revoke"))).to_have_count(1)


def test_a_history_leads_to_what_was_marked(visit, study, cast, busy):
    item = Rating.objects.exclude(evidence=[]).first().item
    page = visit(cast["owner"])
    page.goto(f"{HOME}/items/{item.key}")
    page.locator(".history .quotes a").first.click()
    expect(page).to_have_url(re.compile(r"#quote-\d+$"))
    expect(page.locator("mark").first).to_be_in_viewport()

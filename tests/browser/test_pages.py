"""Every page opens in light and dark, wide and narrow, without a console error, a violation of the CSP or
overflow."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from annotation.access import make_link
from judging.models import Budget, Verdict
from judging.settlement.settling import settle
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import attempt, body, faithful, leased, verdict

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGES = {
    "/": "owner",
    "/studies/tiny/": "owner",
    "/studies/tiny/agreement": "owner",
    "/studies/tiny/rates": "owner",
    "/studies/tiny/rates?source=gold&by=category": "owner",
    "/studies/tiny/items/": "viewer",
    "/studies/tiny/verdicts/": "viewer",
    "/studies/tiny/verdicts/?state=unparsed": "viewer",
    "/studies/tiny/people": "owner",
    "/studies/tiny/adjudicate/": "adjudicator",
    "/studies/tiny/label/": "ann",
    "/studies/tiny/label/consent": "ann",
}


@pytest.fixture
def rated(study, cast):
    """Two judges who part on one item; gold for another; a draw; and two judges at work, with all that can go
    wrong."""
    a, b = builders.rater("judge-a"), builders.rater("judge-b")
    for number, item in enumerate(study.items.all()):
        builders.rate(item, a, "convergence")
        builders.rate(item, b, "no_convergence" if number == 0 else "convergence", rationale="because " * 30)
    first = study.items.first()
    first.golds.create(label=study.scheme.labels.first(), origin="imported")
    builders.draw(study, per_item=2, seed=1)
    builders.ready(study, cast["ann"])
    settle(study)
    at_work(study)
    return cast


LONG = "an-unbroken-word-" * 30


def at_work(study):
    items = list(study.items.order_by("id"))
    gone = endpoint(name="gone", down_since=timezone.now(), down_error=f"nobody answers at {LONG}")
    by = judge(
        study, endpoint(), "a-judge-with-a-rather-long-name-" * 2, model=LONG[:150], show_condition=True
    )
    verdict(judge(study, gone, "noisy"), items[0])
    for item, state in zip(items, ("unparsed", "refused", "failed"), strict=False):
        made = verdict(by, item, state, reason=f"Why not: {LONG}")
        attempt(made, "server_error", error=LONG, status=500)
        made.answer = faithful(
            made, raw=body(f"{LONG} {{}}", reasoning=LONG), prompt_tokens=9, completion_tokens=9
        )
        made.save()
    evidence = [{"quote": "Response of", "start": 0, "end": 11}, {"quote": LONG, "missing": True}]
    verdict(by, items[3], "done", rated={"rationale": LONG, "evidence": evidence})
    leased(by, items[4], seconds=600)
    Budget.objects.create(study=study, max_calls=10, max_cost=10**12, calls=9, cost=10**11)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_opens_cleanly(visit, rated, study, size, scheme):
    item = study.items.first().key
    pages = (
        PAGES
        | {
            f"/studies/tiny/items/{item}": "owner",
            f"/studies/tiny/adjudicate/{item}": "adjudicator",
        }
        | {f"/studies/tiny/verdicts/{pk}": "viewer" for pk in Verdict.objects.values_list("pk", flat=True)}
    )
    open_pages = {who: visit(rated[who], viewport=size, color_scheme=scheme) for who in set(pages.values())}
    for url, who in pages.items():
        page = open_pages[who]
        answer = page.goto(url)
        assert answer is not None and answer.status == 200, url
        expect(page.locator("h1")).to_have_count(1)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], f"{url} is {wide} wide at {size['width']}"
        for image in page.locator("img").all():
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0, url
        expect_accessible(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_pages_for_whoever_comes_from_outside_are_accessible(visit, rated, study, size, scheme):
    """Also what is said where something is refused, and a form that was filled in wrongly."""
    stranger = visit(viewport=size, color_scheme=scheme, allowed=("404", "403", "410"))
    token = make_link(study=study, role="rater")
    for url in ("/sign-in", f"/invitation/{token}", "/invitation/no-such", "/nowhere"):
        stranger.goto(url)
        expect_accessible(stranger)
    stranger.goto("/sign-in")
    stranger.get_by_label("Name").fill("ann")
    stranger.get_by_label("Password").fill("not it")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_be_visible()
    expect_accessible(stranger)
    for who, url in [("ann", "/studies/tiny/people"), ("stranger", "/"), ("ann", f"/invitation/{token}")]:
        page = visit(rated[who], viewport=size, color_scheme=scheme, allowed=("403",))
        page.goto(url)
        expect_accessible(page)


def test_nothing_is_loaded_from_another_host(visit, rated, live_server):
    page = visit(rated["owner"])
    foreign = []
    page.on("request", lambda request: request.url.startswith(live_server.url) or foreign.append(request.url))
    for url in ("/", "/studies/tiny/", "/studies/tiny/rates", "/studies/tiny/agreement"):
        page.goto(url, wait_until="networkidle")
    assert not foreign


def test_a_new_person_joins_by_invitation_and_can_label(visit, rated):
    owner = visit(rated["owner"])
    owner.goto("/studies/tiny/people")
    owner.get_by_role("button", name="Make a link").click()
    link = owner.get_by_label("Invitation link").input_value()
    guest = visit()
    guest.goto(link)
    guest.get_by_label("Choose a name").fill("newcomer")
    guest.get_by_label("Choose a password").fill("a fine long password")
    guest.get_by_label("The password again").fill("a fine long password")
    guest.get_by_role("button", name="Make an account and join").click()
    guest.get_by_role("link", name="Start labelling").click()
    guest.get_by_role("button", name="I understand, begin").click()
    expect(guest.locator("#response-text")).to_be_visible()
    second = visit(allowed=("410",))
    second.goto(link)
    expect(second.get_by_text("has been used or has expired")).to_be_visible()

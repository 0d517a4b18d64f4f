"""The Judges tab in a browser: the list and a judge's page, split and looked at, a template edited; with axe,
light and dark, wide and narrow."""

import pytest
from django.core.cache import cache
from playwright.sync_api import expect

from annotation.models import Rater
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studyfile import study_of
from judging.models import Verdict
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.judging.calibrated import golden, labels, off, truth_of
from tests.judging.helpers import CLOSED
from tests.judging.rows import verdict

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOME = "/studies/tiny/judges"


@pytest.fixture
def study(db):
    """Made from a document, with a judge that has labelled, and another that will."""
    of = builders.suite("tiny", 12)
    for task in of.tasks.all():
        for epoch in range(1, 11):
            builders.response(builders.run(of), task, epoch)
    judges = [
        {"name": name, "endpoint": "local", "model": f"sim-judge-{name}"} for name in ("careful", "noisy")
    ]
    told = {
        "study": "tiny",
        "suite": "tiny",
        "endpoints": [{"name": "local", "base_url": CLOSED}],
        "judges": judges,
    }
    return apply(study_of(told, {})).study


@pytest.fixture
def judged(study, cast):
    """Two judges, three humans, gold on everything, and one verdict that was refused."""
    golden(study)
    items = list(study.items.order_by("pk"))

    def confidence(place: int, every: int) -> float:
        return 0.65 if place % every == 0 else 0.85 + place % 3 / 20

    for name, every in (("careful", 9), ("noisy", 3)):
        mine = study.judges.get(judge__rater__name=name)
        verdict(mine, items[0], "refused", reason="It refused.")
        unread = verdict(mine, items[1], "unparsed", reason="the answer gives several labels: a, b", repeat=1)
        Verdict.objects.filter(pk=unread.pk).update(form="two_labels")
        rated = lambda item, every=every: off(item, every)  # noqa: E731
        labels(
            study,
            mine.judge.rater,
            lambda item, said=rated: None if item == items[0] else said(item),
            confidence=lambda item, every=every: confidence(builders.place_of(item), every),
            confidence_scale="probability",
            simulated=True,
        )
    third = builders.rater("cem", "human")
    for number, human in enumerate([builders.human(cast["ann"]), builders.human(cast["ben"]), third]):
        labels(study, human, lambda item, number=number: off(item, 7 + number))
    return study


def pages(study):
    careful = Rater.objects.get(name="careful", version=1)
    return {"judges": f"{HOME}/", "judge": f"{HOME}/{careful.pk}"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_pages_are_accessible_and_fit(visit, judged, cast, scheme, size):
    page = visit(cast["owner"], viewport=size, color_scheme=scheme)
    for address in pages(judged).values():
        page.goto(address)
        page.wait_for_load_state("networkidle")
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        expect_accessible(page)


def test_the_gold_is_split_then_looked_at(visit, judged, cast):
    page = visit(cast["owner"])
    page.goto(f"{HOME}/")
    page.get_by_label("Share sealed").fill("0.4")
    page.get_by_role("button", name="Split the gold").click()
    expect(page.locator("tbody").first).to_contain_text("tuning gold, in-sample")
    page.get_by_role("link", name="careful").click()
    expect(page.get_by_role("heading", name="On the tuning gold")).to_be_visible()
    expect(page.get_by_role("heading", name="On the sealed gold")).to_have_count(0)
    page.get_by_label("Why now").fill("Before the report.")
    page.get_by_role("button", name="Look at the sealed part").click()
    expect(page.get_by_role("heading", name="On the sealed gold")).to_be_visible()
    expect(page.get_by_role("region", name="Looks at the sealed part")).to_contain_text("Before the report.")
    expect(page.get_by_label("Why now")).to_have_count(0)
    expect_accessible(page)


def test_a_template_is_edited_and_the_new_version_asked(visit, judged, cast):
    page = visit(cast["owner"])
    page.goto(pages(judged)["judge"])
    page.get_by_text("Edit its template").click()
    box = page.get_by_label("Template", exact=True)
    box.fill(box.input_value() + "\nThink twice.\n")
    page.get_by_role("button", name="Make the next version").click()
    expect(page.locator("h1")).to_contain_text("careful@2")
    expect(page.get_by_role("region", name="Versions")).to_contain_text("replaced")
    page.get_by_role("button", name="Ask careful@2 on the gold alone").click()
    expect(page.get_by_text("120 verdicts on the tuning gold asked for")).to_be_visible()
    new = Rater.objects.get(name="careful", version=2)
    few = list(judged.items.order_by("pk")[1:60])
    labels(judged, new, lambda item: truth_of(item) if item in few else None)
    cache.clear()  # figures may be a moment old
    page.reload()
    expect(page.get_by_role("heading", name="careful, then careful@2")).to_be_visible()
    expect(page.get_by_role("region", name="What changed")).to_contain_text("was wrong, is right")
    expect(page.get_by_text("careful@2 has labelled 59 items")).to_be_visible()
    expect_accessible(page)
    page.get_by_label("Beside").select_option(label="noisy")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="noisy, then careful@2")).to_be_visible()

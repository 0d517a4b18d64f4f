"""The training round by keyboard alone, passed and failed; the rater's own page; gold's page. In light and
dark, wide and narrow."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from annotation.enrolments import enrolment_of
from annotation.models import Enrolment, Gold, Rating, Serving, TrainingAnswer
from annotation.training import round_of
from arbiter.web.label.workspace import consent_hash
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.databases import rewrite
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
URL = "/studies/tiny/label/training/"
LOOKS = [(scheme, size) for scheme in ("light", "dark") for size in (WIDE, NARROW)]


@pytest.fixture
def course(study, cast):
    builders.humans(
        study, training={"examples": 4, "score": 0.75, "rounds": 2}, raters_see=["accuracy", "consistency"]
    )
    builders.draw(study, per_item=1, seed=1)
    mine = enrolment_of(study, builders.human(cast["ann"]))
    Enrolment.objects.filter(pk=mine.pk).update(consented_at=timezone.now(), consent_hash=consent_hash(study))
    return cast


def position(study, row, right=True):
    """The key to press for its gold label, or for another."""
    labels = list(study.scheme.labels.values_list("key", "position"))
    return str(next(place for key, place in labels if (key == row.example.label) is right))


def rows():
    return round_of(Enrolment.objects.select_related("study").get()).rows


def play(page, study, right):
    """A round by keys: so many right from the beginning."""
    for row in rows():
        expect(page.locator("#round-count")).to_contain_text(f"Example {row.number} of 4")
        page.wait_for_load_state()
        page.keyboard.press(position(study, row, row.number <= right))
        page.keyboard.press("Control+Enter")
        expect(page.locator(".lesson")).to_contain_text(
            "You agree" if row.number <= right else "The gold label differs"
        )
        expect(page.locator("mark").first).to_be_visible()
        expect(page.locator("#reading")).to_be_focused()
        page.keyboard.press("Enter" if row.number % 2 else "Control+Enter")


def test_a_round_by_keyboard_alone_leads_into_the_workspace(visit, course, study):
    page = visit(course["ann"])
    page.goto("/studies/tiny/label/")
    play(page, study, right=3)
    expect(page.get_by_role("heading", name="You have passed the training")).to_be_visible()
    expect(page.get_by_text("3 of 4")).to_be_visible()
    expect(page.get_by_role("button", name="Begin labelling")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/label/")
    assert Enrolment.objects.get().trained_at is not None


def test_below_the_score_one_tries_again_and_then_asks(visit, course, study):
    page = visit(course["ann"])
    page.goto(URL)
    play(page, study, right=2)
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#round-count")).to_contain_text("round 2")
    play(page, study, right=0)
    expect(page.get_by_text("Ask whoever runs this study")).to_be_visible()
    assert page.get_by_role("button", name="Try again").count() == 0
    page.goto("/studies/tiny/label/")
    expect(page.get_by_text("Ask whoever runs this study")).to_be_visible()


def test_an_answer_stays_though_one_goes_back(visit, course, study):
    page = visit(course["ann"])
    page.goto(URL)
    page.keyboard.press(position(study, rows()[0], right=False))
    page.keyboard.press("Control+Enter")
    expect(page.locator(".lesson")).to_contain_text("The gold label differs")
    page.go_back()  # to the form, which the server doesn't offer a second time
    expect(page.locator("#round-count")).to_contain_text("Example 2 of 4")
    assert TrainingAnswer.objects.get().correct is False


def test_it_works_without_scripts(visit, course, study):
    page = visit(course["ann"], java_script_enabled=False)
    page.goto(URL)
    for row in rows():
        title = study.scheme.labels.get(key=row.example.label).title
        page.get_by_role("radio", name=title).first.check(force=True)
        page.get_by_role("button", name="Answer").click()
        expect(page.locator(".lesson")).to_contain_text("You agree")
        page.locator("#rating-form button").click()
    page.get_by_role("button", name="Begin labelling").click()
    wait_until(lambda: Enrolment.objects.get().trained_at)


def judged(page, shots, name, scheme, size):
    """No fault for axe, nothing wider than the window; a picture where somebody asked for pictures."""
    expect_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if shots:
        page.screenshot(path=f"{shots}/{name}-{scheme}-{size['width']}.png", full_page=True)


@pytest.fixture
def shots():
    import os

    return os.environ.get("ARBITER_SHOTS", "")


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_every_state_of_the_training_is_accessible(visit, course, study, shots, scheme, size):
    page = visit(course["ann"], viewport=size, color_scheme=scheme)
    page.goto(URL)
    judged(page, shots, "example", scheme, size)
    for row in rows():
        page.goto(URL)
        page.keyboard.press(position(study, row, row.number == 1))
        page.keyboard.press("Control+Enter")
        expect(page.locator(".lesson")).to_be_visible()
        if row.number < 3:
            judged(page, shots, "agrees" if row.number == 1 else "differs", scheme, size)
    page.goto(URL)
    judged(page, shots, "short", scheme, size)
    Enrolment.objects.update(training_round=2)
    for row in rows():
        TrainingAnswer.objects.create(
            enrolment=Enrolment.objects.get(),
            round=2,
            task_key=row.example.key,
            label_key="convergence",
            correct=False,
        )
    page.goto(URL)
    judged(page, shots, "last", scheme, size)
    TrainingAnswer.objects.update(correct=True)
    page.goto(URL)
    judged(page, shots, "passed", scheme, size)


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_a_raters_own_page(visit, course, study, shots, scheme, size):
    Enrolment.objects.update(trained_at=timezone.now())
    page = visit(course["ann"], viewport=size, color_scheme=scheme)
    page.goto("/studies/tiny/label/me")
    judged(page, shots, "me-empty", scheme, size)
    by = builders.human(course["ann"])
    number = 0
    while serving := builders.take(study, by):
        number += 1
        builders.label(serving, active_seconds=31.0 + number)
        day = timezone.now() - timedelta(days=number % 3)
        Serving.objects.filter(pk=serving.pk).update(answered_at=day)
    rewrite(Rating.objects.all(), created_at=timezone.now() - timedelta(days=2))
    page.reload()
    expect(page.get_by_text("too few to say").first).to_be_visible()
    judged(page, shots, "me", scheme, size)
    page.get_by_role("link", name="Back to labelling").click()


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_golds_page(visit, course, study, shots, scheme, size):
    page = visit(course["owner"], viewport=size, color_scheme=scheme)
    page.goto("/studies/tiny/gold/")
    judged(page, shots, "gold-empty", scheme, size)
    labels = list(study.scheme.labels.all())
    main = study.draws.get()
    for number, item in enumerate(study.items.all()):
        origin = ["consensus", "imported", "single"][number % 3]
        Gold.objects.create(
            item=item,
            label=labels[number % 3],
            origin=origin,
            draw=main if origin == "consensus" else None,
            author=builders.human(course["ben"]) if origin == "single" else None,
        )
    page.reload()
    expect(page.get_by_text("not drawn by a design").first).to_be_visible()
    judged(page, shots, "gold", scheme, size)
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_text("gold labels written")).to_be_visible()

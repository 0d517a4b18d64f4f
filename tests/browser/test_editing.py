"""A study made and edited in the browser, by form and as its file."""

import pytest
from playwright.sync_api import expect

from annotation.models import Membership, Study
from annotation.suiteaccess import grant
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studydocument import document
from arbiter.studies.setup.studyfile import StudySpec
from benchmark.models import SubjectModel
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE
from tests.judging.studyfiles import HUMANS, file, responses

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
GUIDELINES = "## What counts\n\nJudge what the response **does**.\n\n- a plan counts\n- an idea does not"
HOSTILE = (
    "<img src=x onerror=alert(1)> <script>alert(1)</script> ![t](http://a.invalid/t.png) "
    "[l](javascript:alert(1))"
)


@pytest.fixture
def pump():
    responses()
    study = apply(file(title="Pumps under pressure", humans=HUMANS | {"guidelines": GUIDELINES})).study
    owner = builders.User.objects.create_user("owner")
    Membership.objects.create(study=study, user=owner, role="owner")
    grant("tiny", owner)
    return study


@pytest.fixture
def owner(pump):
    return builders.User.objects.get(username="owner")


def fits(page):
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_study_is_made_through_the_form(visit, owner):
    page = visit(owner)
    page.goto("/")
    page.get_by_role("link", name="New study").click()
    page.get_by_label("Short name").fill("fresh")
    page.get_by_label("Title").fill("A fresh one")
    page.get_by_label("model-a (12)").check()
    page.get_by_label("A random share of the items").check()
    expect(page.get_by_label("Budget")).to_be_hidden()
    page.get_by_label("Share", exact=True).fill("0")
    page.get_by_role("button", name="Make the study", exact=True).click()
    mistake = page.get_by_text("humans.share: should be above 0 and at most 1, as no rate can be estimated")
    expect(mistake).to_be_visible()
    expect(page.get_by_label("Title")).to_have_value("A fresh one")
    assert not Study.objects.filter(slug__startswith="fresh").exists()
    page.get_by_label("Share", exact=True).fill("1")
    page.get_by_role("button", name="Make the study", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Made. 12 items were added.")
    expect(page.get_by_role("heading", level=1)).to_have_text("A fresh one")
    assert Study.objects.get(slug=f"fresh_{owner.pk}").draws.get().framed.drawn().count() == 12


def test_a_study_is_edited_checked_first(visit, pump, owner):
    page = visit(owner)
    page.goto("/studies/pump/")
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(page.get_by_label("Share", exact=True)).to_have_value("0.5")
    page.get_by_label("Share", exact=True).fill("0.75")
    page.get_by_label("Guidelines").fill(HOSTILE)
    page.get_by_role("button", name="Check first").first.click()
    expect(page.get_by_text("Nothing is wrong with it. Saving would add 0 items.")).to_be_visible()
    expect(page.locator(".differences ins").first).to_contain_text("share: 0.75")
    expect(page.locator("#preview img, #preview script, #preview a")).to_have_count(0)
    assert pump.draws.get().strata.get().probability == 0.5
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    assert pump.draws.get().strata.get().probability == 0.75


def test_the_plan_shows_its_own_fields_alone(visit, owner):
    page = visit(owner)
    page.goto("/studies/pump/edit/")
    for plan, shown in [
        ("Every item", []),
        ("More of the items on which judges split", ["Budget"]),
        ("A probability for each group of items", ["Groups by", "Probabilities"]),
        ("A random share of the items", ["Share"]),
    ]:
        page.get_by_label(plan).check()
        for field in ("Share", "Budget", "Groups by", "Probabilities"):
            expect(page.get_by_label(field, exact=True)).to_be_visible(visible=field in shown)
    page.get_by_label("People label this study").uncheck()
    expect(page.get_by_label("Raters an item")).to_be_hidden()


def test_without_scripts_the_form_works(visit, pump, owner):
    page = visit(owner, java_script_enabled=False)
    page.goto("/studies/pump/edit/")
    expect(page.get_by_label("Budget")).to_be_visible()
    page.get_by_label("Title").fill("Plain")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Saved. No items were added.")
    pump.refresh_from_db()
    assert pump.title == "Plain" and document(pump)["humans"]["share"] == 0.5


def test_a_mistake_in_the_file_is_told_with_its_line_and_then_mended(visit, pump, owner):
    page = visit(owner)
    page.goto("/studies/pump/edit/")
    box = page.get_by_label("The study file")
    text = box.input_value()
    box.fill(text.replace("  share: 0.5", "  shore: 0.5"))
    page.get_by_role("button", name="Save the file").click()
    expect(page.get_by_role("alert")).to_contain_text("humans.shore: there is no such key")
    expect(page.get_by_role("alert")).to_contain_text("The file, line ")
    expect(box).to_have_value(text.replace("  share: 0.5", "  shore: 0.5"))
    box.fill(text.replace("title: Pumps under pressure", "title: Mended"))
    page.get_by_role("button", name="Save the file").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    pump.refresh_from_db()
    assert pump.title == "Mended" and pump.guidelines.count() == 1


def test_the_file_that_is_downloaded_is_the_one_shown(visit, pump, owner):
    page = visit(owner)
    page.goto("/studies/pump/edit/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download it").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert download.value.suggested_filename == "pump.yaml"
    assert text.endswith(page.get_by_label("The study file").input_value())


def test_two_windows_do_not_overwrite_each_other(visit, pump, owner):
    first, second = visit(owner), visit(owner)
    for page in (first, second):
        page.goto("/studies/pump/edit/")
    first.get_by_label("Title").fill("First")
    first.get_by_role("button", name="Save", exact=True).click()
    expect(first.get_by_role("status").first).to_contain_text("Saved.")
    second.get_by_label("Title").fill("Second")
    second.get_by_role("button", name="Save", exact=True).click()
    expect(second.get_by_role("alert")).to_contain_text("changed after you opened this page")
    expect(second.locator(".differences del")).to_contain_text("title: First")
    expect(second.get_by_label("Title")).to_have_value("Second")
    second.get_by_role("button", name="Save", exact=True).click()
    expect(second.get_by_role("status").first).to_contain_text("Saved.")
    pump.refresh_from_db()
    assert pump.title == "Second"


def open_new(page):
    page.goto("/new-study")


def open_edit(page):
    page.goto("/studies/pump/edit/")


def open_checked(page):
    open_edit(page)
    page.get_by_label("Share", exact=True).fill("0.75")
    page.get_by_role("button", name="Check first").first.click()
    expect(page.locator(".differences")).to_be_visible()


def open_wrong(page):
    open_edit(page)
    page.get_by_label("Raters an item").fill("none")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".mistake")).to_be_visible()


def open_wrong_file(page):
    open_edit(page)
    page.get_by_label("The study file").fill("study: pump\nsuite: [tiny\n")
    page.get_by_role("button", name="Save the file").click()
    expect(page.locator("#mistake")).to_be_visible()


STATES = {
    "new": open_new,
    "edit": open_edit,
    "checked": open_checked,
    "wrong": open_wrong,
    "wrong-file": open_wrong_file,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_is_accessible_and_fits(visit, pump, owner, tmp_path, state, size, scheme):
    SubjectModel.objects.filter(name="model-a").update(name="an-unbroken-name-" * 10)
    page = visit(owner, viewport=size, color_scheme=scheme)
    STATES[state](page)
    fits(page)
    expect_accessible(page)


def test_the_choice_of_a_suite_is_accessible(visit, pump, owner):
    builders.suite("second")
    grant("second", owner)
    page = visit(owner)
    page.goto("/new-study")
    expect_accessible(page)
    page.get_by_label("Suite").select_option("tiny")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Of the suite tiny (tiny@1).")).to_be_visible()
    page.get_by_label("Short name").fill("by-suite")
    page.get_by_role("button", name="Make the study", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Made. 24 items were added.")
    assert StudySpec.model_validate(document(Study.objects.get(slug=f"by-suite_{owner.pk}"))).suite == "tiny"

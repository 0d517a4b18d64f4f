"""The overview's CSVs in a browser: which is exact and which is for a spreadsheet is said beside them, and
each is what is said of it."""

import csv
from io import StringIO
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Item
from benchmark.models import Response
from tests import builders
from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOME = "/studies/tiny/"
FORMULA = "=HYPERLINK(1)"
MARK = "\ufeff"


@pytest.fixture
def item(study) -> Item:
    """A response that a spreadsheet would run, with a rating whose note it would run too."""
    item = study.items.first()
    Response.objects.filter(pk=item.response_id).update(text=FORMULA)
    builders.rate(item, builders.rater("judge-a"), rationale=FORMULA)
    return item


def downloaded(page: Page, link: str) -> tuple[str, str]:
    """The file's name and text, asked for by keyboard."""
    with page.expect_download() as asked:
        page.get_by_role("link", name=link, exact=True).press("Enter")
    return asked.value.suggested_filename, Path(asked.value.path()).read_text(encoding="utf-8")


def texts(file: str) -> set[str]:
    return {cell for row in csv.reader(StringIO(file.removeprefix(MARK))) for cell in row}


@pytest.mark.parametrize(("long", "stem"), [("", "tiny"), (", one row a rating", "tiny-ratings")])
def test_each_csv_is_what_is_said_of_it(visit, cast, item, long, stem):
    page = visit(cast["viewer"])
    page.goto(HOME)
    name, exact = downloaded(page, f"CSV{long}")
    assert name == f"{stem}.csv" and not exact.startswith(MARK)
    assert FORMULA in texts(exact) and f"'{FORMULA}" not in texts(exact)
    name, guarded = downloaded(page, f"CSV for a spreadsheet{long}")
    assert name == f"{stem}-spreadsheet.csv" and guarded.startswith(MARK)
    assert f"'{FORMULA}" in texts(guarded) and FORMULA not in texts(guarded)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_which_is_which_stands_between_them(visit, cast, item, size, scheme):
    page = visit(cast["viewer"], viewport=size, color_scheme=scheme)
    page.goto(HOME)
    said = page.get_by_text("These hold every text exactly")
    expect(said).to_contain_text("begin with an apostrophe")
    above, words, below = (
        part.bounding_box()
        for part in (
            page.get_by_role("link", name="CSV", exact=True),
            said,
            page.get_by_role("link", name="CSV for a spreadsheet", exact=True),
        )
    )
    assert above["y"] + above["height"] + 8 <= words["y"] and words["y"] + words["height"] < below["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect_accessible(page)

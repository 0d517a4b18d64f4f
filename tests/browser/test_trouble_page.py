"""When the database is away or the disk is full, people see a page of Arbiter's, and what it offers works."""

import pytest
from django.db import OperationalError
from playwright.sync_api import expect

from tests.browser.axe import expect_accessible
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


class Trouble:
    """What the home page meets, until it is over."""

    error: Exception | None = None

    def __call__(self, *_args):
        if self.error:
            raise self.error
        return False


@pytest.fixture
def trouble(monkeypatch):
    made = Trouble()
    monkeypatch.setattr("arbiter.web.sign_in_pages.may_make_studies", made)
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_tells_what_is_wrong_and_tries_again(visit, cast, trouble, viewport, scheme):
    trouble.error = OperationalError("connection refused")
    page = visit(cast["owner"], viewport=viewport, color_scheme=scheme, allowed=("503",))
    answer = page.goto("/")
    assert answer.status == 503 and answer.headers["retry-after"] == "5"
    expect(page.get_by_role("heading", level=1)).to_have_text("The database can't be reached")
    expect(page.get_by_role("banner").get_by_role("link", name="Arbiter")).to_be_visible()
    expect_accessible(page)
    trouble.error = None
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("link", name="Tiny")).to_be_visible()


def test_a_full_disk(visit, cast, trouble):
    trouble.error = OSError(28, "No space left on device")
    page = visit(cast["owner"], allowed=("507",))
    assert page.goto("/").status == 507
    expect(page.get_by_role("heading", level=1)).to_have_text("The disk is full")

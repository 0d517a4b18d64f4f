"""What axe finds on a page in the state it is in."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def expect_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()

"""A real Chromium against the live server. Every page that is opened must stay free of console errors and
overflow."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

# Playwright runs an event loop in the test's thread, where Django would refuse to use the ORM.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What a busy machine may take, in milliseconds; no measure.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


def chromium() -> str | None:
    named = os.environ.get("ARBITER_CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None
    )


# Not for the session: while Playwright runs, its event loop does too, and no engine could run one in other
# tests.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium()
    assert path, "no Chromium found: set ARBITER_CHROMIUM, or run `make test`, which installs it"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, live_server: Any, figures_kept: None) -> Iterator[Visit]:
    """`visit(user)` is a signed-in page of its own; console errors and violations of the CSP fail the
    test."""
    contexts, complaints = [], []

    def open_page(user: User | None = None, *, allowed: tuple[str, ...] = (), **options: Any) -> Page:
        context = browser.new_context(base_url=live_server.url, **{"viewport": WIDE, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        if user:
            client = Client()
            client.force_login(user)
            value = client.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}]
            )
        page = context.new_page()
        expected = lambda text: any(part in text for part in allowed)  # noqa: E731
        page.on("console", lambda m: m.type == "error" and not expected(m.text) and complaints.append(m.text))
        page.on("pageerror", lambda error: expected(str(error)) or complaints.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints, complaints

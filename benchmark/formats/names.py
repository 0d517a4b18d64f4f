"""Keys and titles made from the names that files bear."""

import re
import unicodedata

from arbiter.core.text import digest

SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
LONGEST_CATEGORY_KEY = 80
LONGEST_TASK_KEY = 120
LONGEST_TITLE = 200
LONGEST_LANGUAGE = 20


def slug(title: str, what: str = "category") -> str:
    """Return the key of a category made from its title.
    A title without a Latin letter or digit gets one from its hash."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_CATEGORY_KEY].rstrip("-")
    return key or f"{what}-{digest(title)[:8]}"


def task_key(written: str) -> str:
    """Return a task's key as it was written where that will do;
    else one made from it, the same every time."""
    if SLUG.fullmatch(written) and len(written) <= LONGEST_TASK_KEY:
        return written
    return f"{slug(written, 'task')}-{digest(written)[:8]}"


def category_title(stem: str) -> str:
    """Return the category's title in a file's name:
    of `Alignment Drift - Evading Shutdown` it is Evading Shutdown."""
    _, dash, title = stem.partition(" - ")
    return title.strip() if dash and title.strip() else stem.strip()

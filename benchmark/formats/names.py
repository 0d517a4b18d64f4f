"""Keys and titles made from the names that files bear."""

import re
import unicodedata

from benchmark.text import digest

SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
LONGEST_CATEGORY_KEY = 80
LONGEST_TASK_KEY = 120
LONGEST_TITLE = 200
LONGEST_LANGUAGE = 20


def slug(title: str, what: str = "category") -> str:
    """A category's key. A title without a Latin letter or digit gets one from its hash."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_CATEGORY_KEY].rstrip("-")
    return made or f"{what}-{digest(title)[:8]}"


def task_key(given: str) -> str:
    """A task's key as it was given where that will do; else one made from it, the same every time."""
    if SLUG.fullmatch(given) and len(given) <= LONGEST_TASK_KEY:
        return given
    return f"{slug(given, 'task')}-{digest(given)[:8]}"


def category_title(stem: str) -> str:
    """`Alignment Drift - Evading Shutdown` is the category Evading Shutdown."""
    _, dash, title = stem.partition(" - ")
    return title.strip() if dash and title.strip() else stem.strip()

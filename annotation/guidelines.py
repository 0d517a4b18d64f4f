"""What raters are told at length, and Markdown as it may be shown: no HTML of its own, no images, nothing
from elsewhere."""

from functools import lru_cache

import nh3
from django.db import transaction
from markdown_it import MarkdownIt

from annotation.models import Guideline, Study
from arbiter.core.text import storable

TEXT = {"a", "code", "del", "em", "s", "strong"}
BLOCKS = {"blockquote", "br", "hr", "li", "ol", "p", "pre", "ul"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
TABLES = {"table", "tbody", "td", "th", "thead", "tr"}
TAGS = TEXT | BLOCKS | HEADINGS | TABLES
LONGEST = 400_000  # characters; what is longer is shown plain


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return (
        MarkdownIt("commonmark", {"html": False, "linkify": False})
        .enable(["table", "strikethrough"])
        .disable("image")
    )


def formatted(text: str) -> str:
    """Return Markdown as safe HTML. Links are kept as their text: a click in a response would leave the work,
    or tell somebody."""
    rendered = _parser().render(text[:LONGEST])
    return nh3.clean(
        rendered, tags=TAGS - {"a"}, attributes={"ol": {"start"}}, url_schemes=set(), link_rel=None
    )


def current(study: Study) -> Guideline | None:
    return study.guidelines.order_by("-version").first()


@transaction.atomic
def set_guidelines(study: Study, text: str) -> Guideline | None:
    """Make the text the study's guidelines, as a new version where it changed, and return the version that
    holds."""
    text, _ = storable(text.strip())
    now = current(study)
    if (now.text if now else "") == text:
        return now
    return Guideline.objects.create(study=study, version=now.version + 1 if now else 1, text=text)

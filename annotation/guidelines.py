"""What raters are told at length, and Markdown as it may be shown: no HTML of its own, no images, nothing from elsewhere."""

from functools import lru_cache

import nh3
from django.db import transaction
from markdown_it import MarkdownIt

from annotation.models import Guideline, Study
from benchmark.text import storable

TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
LONGEST = 400_000  # characters; what is longer is shown plain


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return (
        MarkdownIt("commonmark", {"html": False, "linkify": False})
        .enable(["table", "strikethrough"])
        .disable("image")
    )


def formatted(text: str) -> str:
    """Markdown as safe HTML. Links are kept as their text: a click in a response would leave the work, or tell somebody."""
    rendered = _parser().render(text[:LONGEST])
    return nh3.clean(
        rendered, tags=TAGS - {"a"}, attributes={"ol": {"start"}}, url_schemes=set(), link_rel=None
    )


def current(study: Study) -> Guideline | None:
    return study.guidelines.order_by("-version").first()


@transaction.atomic
def set_guidelines(study: Study, text: str) -> Guideline | None:
    """A new version where the text changed."""
    text, _ = storable(text.strip())
    now = current(study)
    if (now.text if now else "") == text:
        return now
    return Guideline.objects.create(study=study, version=now.version + 1 if now else 1, text=text)

"""Where the quotes that a judge gives as evidence stand in the response."""

from collections.abc import Sequence
from typing import Any

from arbiter.core.quotesearch import SearchedText
from arbiter.core.text import storable
from judging.prompts.response_fence import neutralise


def evidence(quotes: Sequence[str], text: str) -> list[dict[str, Any]]:
    """Return each quote with its place in the text, or flagged where it isn't there.
    What was shown neutralised counts too."""
    searched, spans = SearchedText(text), []
    shown = neutralise(text)
    as_shown = SearchedText(shown.text) if shown.changes else searched
    for quote in (storable(quote)[0] for quote in quotes if quote.strip()):
        place = searched.find(quote)
        if place is None and shown.changes and (shown_at := as_shown.find(quote)):
            place = shown.original(*shown_at)
        spans.append(
            {"quote": quote, "start": place[0], "end": place[1]}
            if place
            else {"quote": quote, "missing": True}
        )
    return spans

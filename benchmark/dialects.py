"""What each OpenAI-compatible service understands, and how it asks for patience. Facts and sources: docs/dialects.md."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from benchmark.errors import UserError


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    title: str
    token_field: str  # the one that every model of the service takes
    sends_seed: (
        bool  # whether `seed` does something there; elsewhere it is ignored, or the call refused for it
    )
    structured: bool  # whether response_format json_schema is honoured


DIALECTS: Mapping[str, Dialect] = {
    one.name: one
    for one in (
        Dialect(
            "openai",
            "OpenAI",
            token_field="max_completion_tokens",  # noqa: S106 - no password
            sends_seed=True,
            structured=True,
        ),
        Dialect(
            "vllm",
            "vLLM",
            token_field="max_tokens",  # noqa: S106
            sends_seed=True,
            structured=True,
        ),
        Dialect(
            "ollama",
            "Ollama",
            token_field="max_tokens",  # noqa: S106
            sends_seed=True,
            structured=True,
        ),
        Dialect(
            "anthropic",
            "Anthropic",
            token_field="max_tokens",  # noqa: S106
            sends_seed=False,
            structured=False,
        ),
        Dialect(
            "gemini",
            "Gemini",
            token_field="max_tokens",  # noqa: S106
            sends_seed=False,
            structured=True,
        ),
    )
}


def dialect(name: str) -> Dialect:
    try:
        return DIALECTS[name]
    except KeyError:
        raise UserError(f"There is no dialect {name!r}; known are {', '.join(DIALECTS)}.") from None


def pause_asked(headers: Mapping[str, str], status: int, now: datetime) -> float | None:
    """Seconds the service asks its callers to wait, from now; None where it asks for nothing.

    What it says in so many words (retry-after) goes before what its counters imply. A counter that has come to 0
    counts on a success too: the next call would be refused.
    """
    said = {name.lower(): value.strip() for name, value in headers.items()}
    if status >= 400 and (wait := _retry_after(said, now)) is not None:
        return wait
    resets = [
        _until(said.get(name.replace("remaining", "reset"), ""), now)
        for name, value in said.items()
        if "ratelimit" in name and "remaining" in name and _number(value) == 0
    ]
    return max((wait for wait in resets if wait is not None), default=None)


def pause_in_body(raw: str) -> float | None:
    """Seconds that a Google error asks for in its body: its `retryDelay`. No header says them."""
    try:
        body = json.loads(raw)
        problem = (body[0] if isinstance(body, list) else body)["error"]
        delays = [part["retryDelay"] for part in problem["details"] if "retryDelay" in part]
        return max((wait for delay in delays if (wait := _duration(delay)) is not None), default=None)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


# Gemini's own names for a filter that struck, as some of its answers hand them through.
_FILTERS = {"safety", "recitation", "blocklist", "prohibited_content", "spii"}


def is_filtered(finish_reason: str) -> bool:
    """Whether a filter ended the answer. Gemini adds the cause: `content_filter: PROHIBITED_CONTENT`."""
    reason = finish_reason.lower()
    return reason.startswith("content_filter") or reason in _FILTERS


def output_tokens(usage: Mapping[str, Any]) -> int | None:
    """Tokens written, thinking among them. Gemini leaves those out of completion_tokens, though not out of the total."""
    prompt, written, total = (
        _count(usage.get(f"{kind}_tokens")) for kind in ("prompt", "completion", "total")
    )
    if prompt is None or total is None:
        return written
    return max(written or 0, total - prompt)


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _retry_after(said: Mapping[str, str], now: datetime) -> float | None:
    milliseconds = _number(said.get("retry-after-ms", ""))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    text = said.get("retry-after", "")
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        return _seconds_to(parsedate_to_datetime(text), now)
    except (ValueError, TypeError, OverflowError):
        return None


def _until(text: str, now: datetime) -> float | None:
    """A reset: a duration (`6m0s`), a time (RFC 3339), seconds, or seconds since 1970."""
    number = _number(text)
    if number is not None:
        return max(0.0, number - now.timestamp() if number > _LATE else number)
    try:
        return _seconds_to(datetime.fromisoformat(text), now)
    except ValueError:
        return _duration(text)


_LATE = 1e9  # a wait of thirty years is none: such a number is a time
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def _duration(text: str) -> float | None:
    if not _WHOLE.fullmatch(text):
        return None
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))
    return seconds if math.isfinite(seconds) else None


def _number(text: str) -> float | None:
    # Not float() alone: it also reads "nan", "inf" and "1_0".
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _seconds_to(moment: datetime, now: datetime) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())

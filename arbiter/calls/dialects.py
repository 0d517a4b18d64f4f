"""What each service understands, and how it asks for a pause. Sources: docs/dialects.md."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from arbiter.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    title: str
    token_field: str  # the one that every model of the service takes
    # Whether `seed` does something there; elsewhere it is ignored, or the call refused for it.
    sends_seed: bool
    structured: bool  # whether response_format json_schema is honoured
    bounds_texts: bool  # whether its schema may bound a text's length; elsewhere the call is refused for it
    logprobs: bool = True  # whether the protocol has them at all
    native: bool = False  # called in the service's own protocol, not as OpenAI's


DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "openai",
            "OpenAI",
            token_field="max_completion_tokens",  # noqa: S106 - no password
            sends_seed=True,
            structured=True,
            bounds_texts=False,
        ),
        Dialect(
            "vllm",
            "vLLM",
            token_field="max_tokens",  # noqa: S106
            sends_seed=True,
            structured=True,
            bounds_texts=True,
        ),
        Dialect(
            "ollama",
            "Ollama",
            token_field="max_tokens",  # noqa: S106
            sends_seed=True,
            structured=True,
            bounds_texts=True,
        ),
        Dialect(
            "anthropic",
            "Anthropic",
            token_field="max_tokens",  # noqa: S106
            sends_seed=False,
            structured=True,
            bounds_texts=False,
            logprobs=False,
            native=True,
        ),
        Dialect(
            "gemini",
            "Gemini",
            token_field="max_tokens",  # noqa: S106
            sends_seed=True,
            structured=True,
            bounds_texts=False,
            native=True,
        ),
        Dialect(
            "anthropic-compatible",
            "OpenAI-compatible Anthropic",
            token_field="max_tokens",  # noqa: S106
            sends_seed=False,
            structured=False,
            bounds_texts=False,
        ),
        Dialect(
            "gemini-compatible",
            "OpenAI-compatible Gemini",
            token_field="max_tokens",  # noqa: S106
            sends_seed=False,
            structured=True,
            bounds_texts=True,
        ),
    )
}


TOKEN_FIELDS = ("max_completion_tokens", "max_tokens")
OWN_SERVER = "vllm"  # what servers of one's own, and most gateways, take: `max_tokens` and a seed
HOSTS = {
    "api.openai.com": "openai",
    "openai.azure.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
}


def dialect(name: str) -> Dialect:
    try:
        return DIALECTS[name]
    except KeyError:
        raise UserError(f"There is no dialect {name!r}; known are {', '.join(DIALECTS)}.") from None


def likely_dialect(base_url: str) -> str:
    """Return the dialect of an endpoint of which nobody said one, by its host."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    likely = next(
        (name for known, name in HOSTS.items() if host == known or host.endswith(f".{known}")), OWN_SERVER
    )
    return f"{likely}-compatible" if likely == "gemini" and is_compatible_path(parts.path) else likely


def is_compatible_path(path: str) -> bool:
    """Tell whether a base URL's path is that of Gemini's endpoint that takes chat completions."""
    return path.rstrip("/").endswith("/openai")


def spoken(of: Dialect, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Put parameters that are meant for any service as this one takes them.

    They go without a seed where it has none, with the token limit under its own name for it, without those
    that are null.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    if not of.sends_seed:
        given.pop("seed", None)
    limits = [given.pop(name) for name in TOKEN_FIELDS if name in given]
    return given | ({of.token_field: limits[0]} if limits else {})


def limit_in(parameters: Mapping[str, Any]) -> int | None:
    """Return the token limit among parameters, under either name; of both the larger; None where there is
    none."""
    values = [parameters[field] for field in TOKEN_FIELDS if field in parameters]
    limits = [limit for limit in values if isinstance(limit, int) and not isinstance(limit, bool)]
    return max(limits, default=None)


def pause_asked(headers: Mapping[str, str], status: int, now: datetime) -> float | None:
    """Return the seconds the service asks its callers to wait, from now; None where it asks for nothing.

    What it says in so many words (retry-after) goes before what its counters imply. A counter that has come
    to 0 counts on a success too: the next call would be refused.
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
    """Return the seconds that a Google error asks for in its body: its `retryDelay`. No header says them."""
    try:
        body = json.loads(raw)
        problem = (body[0] if isinstance(body, list) else body)["error"]
        delays = [part["retryDelay"] for part in problem["details"] if "retryDelay" in part]
        return max((wait for delay in delays if (wait := _duration(delay)) is not None), default=None)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def output_tokens(usage: Mapping[str, Any]) -> int | None:
    """Count the tokens written, thinking among them: Gemini counts that in the total alone."""
    prompt, written, total = (
        _count(usage.get(f"{kind}_tokens")) for kind in ("prompt", "completion", "total")
    )
    if prompt is None or total is None:
        return written
    return max(written or 0, total - prompt)


def cached_tokens(usage: Mapping[str, Any]) -> int | None:
    """Count the prompt tokens that the service had cached, by each name that services give them."""
    details = [usage.get(name) for name in ("prompt_tokens_details", "input_tokens_details")]
    detailed = [part.get("cached_tokens") for part in details if isinstance(part, dict)]
    # DeepSeek's, Anthropic's, Moonshot's
    names = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens")
    counts = [_count(value) for value in (*detailed, *(usage.get(name) for name in names))]
    return max((count for count in counts if count is not None), default=None)


def cost_in(usage: Mapping[str, Any]) -> Decimal | None:
    """Return the dollars that the call cost, where the service says so beside its tokens.

    That is OpenRouter's `cost`, Perplexity's `cost.total_cost`, DeepInfra's `estimated_cost`.
    """
    said = usage.get("cost", usage.get("estimated_cost"))
    return dollars_told(said.get("total_cost") if isinstance(said, dict) else said)


def cost_in_headers(headers: Mapping[str, str]) -> Decimal | None:
    """Return the dollars that the call cost, where a gateway says so in a header: LiteLLM's proxy."""
    said = {name.lower(): value.strip() for name, value in headers.items()}
    return dollars_told(said.get("x-litellm-response-cost"))


def dollars_told(said: Any) -> Decimal | None:
    if isinstance(said, bool) or not isinstance(said, (int, float, str)) or len(str(said)) > 40:
        return None
    try:
        amount = Decimal(str(said))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


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
    """Return the seconds to a reset: a duration (`6m0s`), a time (RFC 3339), seconds, a Unix time."""
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

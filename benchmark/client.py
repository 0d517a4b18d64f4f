"""The one client for model endpoints. A call never raises: whatever happened is an outcome, with its raw text.

Retries are the engine's alone, so the library's own are off; timeouts are explicit, since its default is ten minutes.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import httpx2
import openai
from django.utils import timezone

from benchmark.errors import UserError
from benchmark.models import Endpoint
from benchmark.text import digest, storable

ANSWER = "answer"
RETRYABLE = {"rate_limited", "server_error", "connection", "timeout", "not_json"}
SIMULATED = "arbiter-simulated"
CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call made: what came of it, and the body as it came."""

    outcome: str
    started_at: datetime
    latency: float  # seconds
    raw: str = ""
    status: int | None = None
    error: str = ""
    retry_after: float | None = None  # seconds
    unreached: bool = False  # no server was there to take it
    cached: bool = False

    @property
    def worth_retrying(self) -> bool:
        return self.outcome in RETRYABLE


@dataclass(frozen=True, slots=True)
class Answer:
    """What a chat completion's body says."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None
    simulated: bool = False

    @property
    def refused(self) -> bool:
        return bool(self.refusal) or self.finish_reason == "content_filter"

    def tokens(self, kind: str) -> int | None:
        count = (self.usage or {}).get(f"{kind}_tokens")
        return count if type(count) is int and 0 <= count < 2**31 else None


def read_answer(raw: str) -> Answer | None:
    """The body of a chat completion; None where it isn't one. Tolerates fields that services add or leave out."""
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        message = choice["message"]
        content = message.get("content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return Answer(
        text=content if isinstance(content, str) else "",
        reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
        refusal=_text(message.get("refusal")),
        finish_reason=_text(choice.get("finish_reason"))[:40],
        usage=body.get("usage") if isinstance(body.get("usage"), dict) else None,
        simulated=body.get("system_fingerprint") == SIMULATED,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def request_hash(endpoint: Endpoint, request: Mapping[str, Any]) -> str:
    """Equal questions to one endpoint share it."""
    return digest(endpoint.name, endpoint.base_url, json.dumps(request, sort_keys=True, ensure_ascii=False))


def key_of(endpoint: Endpoint) -> str:
    """The key, from the environment. Services that want none are sent a placeholder."""
    if not endpoint.key_variable:
        return "none"
    key = os.environ.get(endpoint.key_variable, "").strip()
    if not key:
        raise UserError(
            f"Endpoint {endpoint.name!r} takes its key from the variable {endpoint.key_variable}, which is not set."
        )
    if not (key.isascii() and key.isprintable()):  # an HTTP library would refuse it in words that quote it
        raise UserError(f"The variable {endpoint.key_variable} holds characters that no key can have.")
    return key


class Client:
    """Calls one endpoint; to be used inside one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.key = key_of(endpoint)
        timeout = openai.Timeout(endpoint.timeout, connect=min(CONNECT_SECONDS, endpoint.timeout))
        self.openai = openai.AsyncOpenAI(
            base_url=endpoint.base_url, api_key=self.key, max_retries=0, timeout=timeout
        )

    async def close(self) -> None:
        await self.openai.close()

    async def ask(self, request: Mapping[str, Any]) -> Call:
        started_at, clock = timezone.now(), monotonic()
        outcome, details = await self._ask(dict(request))
        for part in ("raw", "error"):
            details[part] = storable(self._without_key(details.get(part, "")))[0]
        return Call(outcome=outcome, started_at=started_at, latency=monotonic() - clock, **details)

    async def _ask(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        asked = {name: request.pop(name) for name in ("model", "messages")}
        try:
            # The read timeout starts anew with every byte, so a service that trickles needs a limit on the whole.
            async with asyncio.timeout(self.endpoint.timeout):
                # As extra_body, so that parameters which only some services know go through.
                response = await self.openai.chat.completions.with_raw_response.create(
                    **asked, extra_body=request
                )
            raw, status = response.text, response.status_code
        except (TimeoutError, openai.APITimeoutError) as error:
            unreached = isinstance(error.__cause__, httpx2.ConnectTimeout)
            return "timeout", {
                "error": f"no answer within {self.endpoint.timeout:g} s",
                "unreached": unreached,
            }
        except openai.APIStatusError as error:
            return _status_outcome(error)
        except openai.APIConnectionError as error:
            unreached = isinstance(error.__cause__, httpx2.ConnectError)
            return "connection", {"error": f"{error} {error.__cause__ or ''}".strip(), "unreached": unreached}
        except openai.OpenAIError as error:
            return "rejected", {"error": str(error)}
        if read_answer(raw) is None:
            return "not_json", {"raw": raw, "status": status, "error": "the body is not a chat completion"}
        return ANSWER, {"raw": raw, "status": status}

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "[key]") if len(self.key) > 6 else text


def _status_outcome(error: openai.APIStatusError) -> tuple[str, dict[str, Any]]:
    status = error.status_code
    outcome = (
        "rate_limited"
        if status == 429
        else "server_error"
        if status >= 500 or status in (408, 409)
        else "rejected"
    )
    details = {"status": status, "raw": error.response.text, "error": error.message}
    try:
        details["retry_after"] = max(0.0, float(error.response.headers.get("retry-after", "")))
    except ValueError:
        details["retry_after"] = None
    return outcome, details

"""The one client for model endpoints. A call never raises: whatever happened is an outcome, with its raw text.

Retries are the engine's alone, so the library's own are off; timeouts are explicit, since its default is ten minutes.
"""

import asyncio
import itertools
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx2
import openai
from django.utils import timezone

from benchmark.dialects import is_filtered, output_tokens, pause_asked, pause_in_body
from benchmark.errors import UserError
from benchmark.models import Endpoint
from benchmark.text import digest, storable

ANSWERED = {"answer", "refusal", "length"}  # a chat completion came, whatever it says
RETRYABLE = {"rate_limited", "server_error", "connection", "timeout", "not_json"}
OVERLOADED = {429, 503, 529}
SPENT = {"insufficient_quota", "billing_hard_limit_reached"}  # 429s that no waiting mends
SIMULATED = "arbiter-simulated"
# For every call the library looks at each connection of its pool: a few small pools cost half as much as a large one.
IN_A_POOL, POOLS = 16, 8
logger = logging.getLogger(__name__)


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
        return bool(self.refusal) or is_filtered(self.finish_reason)

    @property
    def prompt_tokens(self) -> int | None:
        return _count((self.usage or {}).get("prompt_tokens"))

    @property
    def completion_tokens(self) -> int | None:
        """Those of its reasoning included."""
        return _count(output_tokens(self.usage or {}))

    @property
    def reasoning_tokens(self) -> int | None:
        details = (self.usage or {}).get("completion_tokens_details")
        return _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None


@dataclass(frozen=True, slots=True)
class Call:
    """One call made: what came of it, and the body as it came."""

    outcome: str
    started_at: datetime
    latency: float  # seconds
    raw: str = ""
    answer: Answer | None = None
    status: int | None = None
    error: str = ""
    pause: float | None = None  # seconds that the service asks to be left alone
    unreached: bool = False  # no server was there to take it
    cached: bool = False
    uid: UUID = field(default_factory=uuid4)

    @property
    def answered(self) -> bool:
        return self.outcome in ANSWERED

    @property
    def worth_retrying(self) -> bool:
        return self.outcome in RETRYABLE

    @property
    def overloaded(self) -> bool:
        return self.outcome in RETRYABLE and self.status in OVERLOADED


def read_answer(raw: str) -> Answer | None:
    """The body of a chat completion; None where it isn't one. Tolerates fields that services add or leave out."""
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        filtered = is_filtered(_text(choice.get("finish_reason")))
        message = (
            (choice.get("message") or {}) if filtered else choice["message"]
        )  # Gemini leaves it out then
        content = message.get("content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return Answer(
        text=content if isinstance(content, str) else "",
        reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
        refusal=_text(message.get("refusal")),
        finish_reason=storable(_text(choice.get("finish_reason")))[0][:40],
        usage=body.get("usage") if isinstance(body.get("usage"), dict) else None,
        simulated=body.get("system_fingerprint") == SIMULATED,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def kind_of(answer: Answer) -> str:
    """Which of the answered outcomes it is."""
    if answer.refused:
        return "refusal"
    return "length" if answer.finish_reason == "length" else "answer"


def body_hash(request: Mapping[str, Any]) -> str:
    """Of a request's body, to tell whether one that was put together again is the one that was sent."""
    return digest(json.dumps(request, sort_keys=True, ensure_ascii=False))


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
        self.sent_back = _spelled(self.key) if len(self.key) > 6 else None
        total = endpoint.timeout
        self.timeout = openai.Timeout(
            total,
            connect=min(endpoint.connect_timeout, total),
            read=min(endpoint.read_timeout or total, total),
        )
        self.pools = [self._pool() for _ in range(min(POOLS, -(-endpoint.concurrency // IN_A_POOL)))]
        self.turns = itertools.cycle(self.pools)

    def _pool(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=self.endpoint.base_url,
            api_key=self.key,
            max_retries=0,
            timeout=self.timeout,
            # A redirect would be further calls that nobody counted, perhaps to somebody else.
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, timeout=self.timeout),
        )

    async def close(self) -> None:
        for pool in self.pools:
            await pool.close()

    async def ask(self, request: Mapping[str, Any]) -> Call:
        started_at, clock = timezone.now(), monotonic()
        try:
            outcome, details = await self._ask(request)
        except Exception as error:  # whatever a service thinks of next must not end the run
            logger.exception("endpoint %s: a call ended in a way that nobody thought of", self.endpoint.name)
            outcome, details = "not_json", {"error": f"{type(error).__name__}: {error}"}
        for part in ("raw", "error"):
            if part in details:
                details[part] = storable(self._without_key(details[part]))[0]
        return Call(outcome=outcome, started_at=started_at, latency=monotonic() - clock, **details)

    async def _ask(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        try:
            # The read timeout starts anew with every byte, so a service that trickles needs a limit on the whole.
            async with asyncio.timeout(self.endpoint.timeout):
                # Not `chat.completions.create`: it takes no parameters that only some services know, and reads
                # the answer into objects that nobody needs before its text is stored.
                response = await next(self.turns).post(
                    "/chat/completions", cast_to=httpx2.Response, body=dict(request)
                )
        except (TimeoutError, openai.APITimeoutError) as error:
            unreached = isinstance(error.__cause__, httpx2.ConnectTimeout)
            said = "no connection" if unreached else "no answer"
            waited = f"{said} within {self._waited(error.__cause__):g} s"
            return "timeout", {"error": waited, "unreached": unreached}
        except openai.APIStatusError as error:
            return _status_outcome(error)
        except openai.APIConnectionError as error:
            unreached = isinstance(error.__cause__, httpx2.ConnectError)
            return "connection", {"error": f"{error} {error.__cause__ or ''}".strip(), "unreached": unreached}
        except openai.OpenAIError as error:
            return "rejected", {"error": str(error)}
        return self._read(response)

    def _read(self, response: httpx2.Response) -> tuple[str, dict[str, Any]]:
        raw, status = self._without_key(_decoded(response)), response.status_code
        came = {"raw": raw, "status": status, "pause": pause_asked(response.headers, status, timezone.now())}
        answer = read_answer(raw)
        if answer is None:
            return "not_json", {**came, "error": "the body is not a chat completion"}
        return kind_of(answer), {**came, "answer": answer}

    def _waited(self, cause: BaseException | None) -> float:
        """Which of the timeouts it was."""
        if isinstance(cause, httpx2.ConnectTimeout):
            return float(self.timeout.connect or 0)
        return float(
            (self.timeout.read if isinstance(cause, httpx2.ReadTimeout) else self.endpoint.timeout) or 0
        )

    def _without_key(self, text: str) -> str:
        return self.sent_back.sub("[key]", text) if self.sent_back else text


def _spelled(key: str) -> re.Pattern[str]:
    """The key, however JSON may spell it: with escapes, and within JSON that is itself text in JSON."""
    return re.compile("".join(rf"\\*(?:{re.escape(c)}|u{ord(c):04x}|u{ord(c):04X})" for c in key))


def _decoded(response: httpx2.Response) -> str:
    """JSON is UTF-8, whatever character set a header names: some name what is none."""
    return response.content.decode("utf-8", errors="replace")


def _status_outcome(error: openai.APIStatusError) -> tuple[str, dict[str, Any]]:
    status = error.status_code
    if status == 429 and error.code not in SPENT:
        outcome = "rate_limited"
    elif status >= 500 or status in (408, 409):
        outcome = "server_error"
    else:
        outcome = "rejected"
    raw = _decoded(error.response)
    pause = pause_asked(error.response.headers, status, timezone.now())
    pause = pause_in_body(raw) if pause is None else pause
    return outcome, {"status": status, "raw": raw, "error": error.message, "pause": pause}

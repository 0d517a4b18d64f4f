"""The one client for model endpoints. It never raises: whatever happened is an outcome, with its raw text.

Retries are the engine's alone, so the library's own are off; timeouts are explicit, since its default is ten
minutes.
"""

import asyncio
import itertools
import json
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx2
import openai
from django.conf import settings
from django.utils import timezone

from arbiter.calls.addresses import guard
from arbiter.calls.answers import Completion, read_answer, refusal_of
from arbiter.calls.bounded_client import BoundedClient, TooLong
from arbiter.calls.connecting import NO_KEY, connection_of
from arbiter.calls.dialects import cost_in_headers, pause_asked, pause_in_body
from arbiter.calls.faults import ErrorBody, Fault, read_error
from arbiter.calls.pools import Pool, pool_of
from arbiter.calls.service import Service
from arbiter.core.text import digest, storable

ANSWERED = {"answer", "refusal", "length"}  # a chat completion came, whatever it says
RETRYABLE = {"rate_limited", "server_error", "connection", "timeout", "not_json"}
OVERLOADED = {429, 503, 529}
REFUSING = (400, 401, 403)  # where an error may be about the key
LONGEST_PAGE = 2000  # characters of a body without a message that is told instead of one
CALLED = re.compile(r"/(?:chat/completions|messages|models/[^/]+:generateContent)$")  # beyond a base_url
# For every call the library looks at each connection of its pool: a few small pools cost half as much as a
# large one.
IN_A_POOL, POOLS = 16, 8
Outcome = tuple[str, dict[str, Any]]  # and the fields of the Call that tell of it
Send = Callable[[Pool], Awaitable[httpx2.Response]]
Read = Callable[[httpx2.Response], Outcome]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One call made: what came of it, and the body as it came."""

    outcome: str
    started_at: datetime
    latency: float  # seconds
    raw: str = ""
    answer: Completion | None = None
    status: int | None = None
    error: str = ""
    pause: float | None = None  # seconds that the service asks to be left alone
    cost: Decimal | None = None  # dollars, where a gateway says so
    keyless: bool = False  # it says that the key is none it knows, under whatever status
    unreached: bool = False  # no server was there to take it
    trouble: str = ""  # of a connection that came to nothing: dns, tls, proxy, refused; else empty
    cached: bool = False
    uid: UUID = field(default_factory=uuid4)

    @property
    def answered(self) -> bool:
        return self.outcome in ANSWERED

    @property
    def turned_away(self) -> bool:
        """Tell whether it was sent on, or let in with no key: no service answers or bills such a call."""
        return self.keyless or (self.status is not None and (300 <= self.status < 400 or self.status == 401))

    @property
    def worth_retrying(self) -> bool:
        return self.outcome in RETRYABLE

    @property
    def overloaded(self) -> bool:
        busy = self.outcome == "rate_limited"  # one says so in a body that came with status 200
        return busy or (self.outcome in RETRYABLE and self.status in OVERLOADED)


def body_hash(request: Mapping[str, Any]) -> str:
    """Return a request body's hash, which tells whether one put together again is the one that was sent."""
    return digest(json.dumps(request, sort_keys=True, ensure_ascii=False))


class Client:
    """Calls one endpoint; to be used inside one event loop."""

    def __init__(self, endpoint: Service) -> None:
        self.endpoint = endpoint
        self.connection = connection_of(endpoint)
        self.sent_back = _spelled(self.connection.secrets - {NO_KEY})
        total = endpoint.timeout
        self.timeout = openai.Timeout(
            total,
            connect=min(endpoint.connect_timeout, total),
            read=min(endpoint.read_timeout or total, total),
        )
        self.pools = [self._pool() for _ in range(min(POOLS, -(-endpoint.concurrency // IN_A_POOL)))]
        self.turns = itertools.cycle(self.pools)

    def _pool(self) -> Pool:
        http = guard(
            BoundedClient(settings.ANSWER_BYTES, self.connection, timeout=self.timeout),
            proxy=bool(self.connection.proxy),
        )
        return pool_of(self.endpoint.dialect, self.endpoint.base_url, self.connection.key, http)

    async def close(self) -> None:
        for pool in self.pools:
            await pool.close()

    async def ask(self, request: Mapping[str, Any]) -> Call:
        """Make one call for a completion."""
        return await self._call(lambda pool: pool.post(request), self._read)

    async def models(self) -> Call:
        """Ask for the list of models; the call's body is the list as it came."""
        return await self._call(lambda pool: pool.models(), self._listed)

    async def _call(self, send: Send, read: Read) -> Call:
        started_at, clock = timezone.now(), monotonic()
        try:
            outcome, details = await self._sent(send, read)
        except Exception as error:  # whatever a service thinks of next must not end the run
            logger.exception("endpoint %s: a call ended in a way that nobody thought of", self.endpoint.name)
            outcome, details = "not_json", {"error": f"{type(error).__name__}: {error}"}
        for part in ("raw", "error"):
            if part in details:
                details[part] = storable(self._without_key(details[part]))[0]
        return Call(outcome=outcome, started_at=started_at, latency=monotonic() - clock, **details)

    async def _sent(self, send: Send, read: Read) -> Outcome:
        try:
            # The read timeout starts anew with every byte, so a service that trickles needs a limit on the
            # whole.
            async with asyncio.timeout(self.endpoint.timeout):
                response = await send(next(self.turns))
        except (TimeoutError, openai.APITimeoutError) as error:
            unreached = isinstance(error.__cause__, httpx2.ConnectTimeout)
            said = "no connection" if unreached else "no answer"
            waited = f"{said} within {self._waited(error.__cause__):g} s"
            return "timeout", {"error": waited, "unreached": unreached}
        except TooLong as error:
            return _too_long(error)
        except openai.APIStatusError as error:
            return _status_outcome(error)
        except openai.APIConnectionError as error:
            unreached = isinstance(error.__cause__, httpx2.ConnectError)
            said = f"{error} {error.__cause__ or ''}".strip()
            return "connection", {"error": said, "unreached": unreached, "trouble": trouble_of(error)}
        except openai.OpenAIError as error:
            return "rejected", {"error": str(error)}
        return read(response)

    def _listed(self, response: httpx2.Response) -> Outcome:
        return "answer", {"raw": self._without_key(_decoded(response)), "status": response.status_code}

    def _read(self, response: httpx2.Response) -> Outcome:
        raw, status = self._without_key(_decoded(response)), response.status_code
        came = {"raw": raw, "status": status, "pause": pause_asked(response.headers, status, timezone.now())}
        came["cost"] = cost_in_headers(response.headers)
        answer = read_answer(raw)
        if isinstance(answer, Fault):
            return answer.outcome, {**came, "error": answer.error}
        return answer.outcome, {**came, "answer": answer}

    def _waited(self, cause: BaseException | None) -> float:
        """Return the seconds of the timeout that ended the call."""
        if isinstance(cause, httpx2.ConnectTimeout):
            return float(self.timeout.connect or 0)
        timeout = self.timeout.read if isinstance(cause, httpx2.ReadTimeout) else self.endpoint.timeout
        return float(timeout or 0)

    def _without_key(self, text: str) -> str:
        return self.sent_back.sub("[key]", text) if self.sent_back else text


def trouble_of(error: BaseException) -> str:
    """Tell which part of connecting failed; empty where no part known here did."""
    causes = list(_causes(error))
    kinds = {"dns": socket.gaierror, "proxy": httpx2.ProxyError, "tls": ssl.SSLError}
    kinds["refused"] = ConnectionRefusedError
    return next((name for name, kind in kinds.items() if any(isinstance(one, kind) for one in causes)), "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that it came of."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        pending += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def _spelled(secrets: Collection[str]) -> re.Pattern[str] | None:
    """Return a pattern of the secrets, however JSON may spell them: with escapes, and in JSON within JSON;
    None where there are none. A very short one would be found in any text."""
    longest_first = sorted((secret for secret in secrets if len(secret) > 6), key=len, reverse=True)
    spelled = (
        "".join(rf"\\*(?:{re.escape(c)}|u{ord(c):04x}|u{ord(c):04X})" for c in secret)
        for secret in longest_first
    )
    return re.compile("|".join(spelled)) if longest_first else None


def _decoded(response: httpx2.Response) -> str:
    """Decode a body: JSON is UTF-8, whatever character set a header names, as some name what is none."""
    return response.content.decode("utf-8", errors="replace")


def _too_long(error: TooLong) -> tuple[str, dict[str, Any]]:
    """Return the outcome of an answer past the limit.

    It isn't asked again: a model that goes on and on would do so again, and each time has to be paid for.
    """
    raw = error.beginning.decode("utf-8", errors="replace")
    message = f"{error}, so it was not read to its end; ARBITER_ANSWER_MB raises the limit"
    return "rejected", {"status": error.status, "raw": raw, "error": message}


def _status_outcome(error: openai.APIStatusError) -> tuple[str, dict[str, Any]]:
    status, raw = error.status_code, _decoded(error.response)
    body = read_error(raw)
    pause = pause_asked(error.response.headers, status, timezone.now())
    pause = pause_in_body(raw) if pause is None else pause
    came = {
        "status": status,
        "raw": raw,
        "pause": pause,
        "keyless": status in REFUSING and bool(body and body.keyless),
    }
    if body and body.filtered:
        answer = refusal_of(body)
        return answer.outcome, {**came, "answer": answer, "error": body.message}
    if status == 429 and not (body and body.spent):
        outcome = "rate_limited"
    elif status >= 500 or status in (408, 409):
        outcome = "server_error"
    else:
        outcome = "rejected"
    return outcome, {**came, "error": _message(error, raw, body)}


def _message(error: openai.APIStatusError, raw: str, body: ErrorBody | None) -> str:
    """Tell what the error says, in the service's own words where its body has any."""
    response, status = error.response, error.status_code
    if not 300 <= status < 400:
        said = (body.message if body else "") or " ".join(raw[:LONGEST_PAGE].split())
        return f"Error code: {status}" + (f" - {said}" if said else "")
    try:
        to = str(response.url.join(response.headers["location"]))
    except (KeyError, ValueError, httpx2.InvalidURL):
        return f"Error code: {status} - a redirect to nowhere"
    meant = CALLED.sub("", to.partition("?")[0].rstrip("/"))
    return (
        f"Error code: {status} - a redirect to {to}, which is not followed; "
        f"if that is the service, its base_url is {meant}"
    )

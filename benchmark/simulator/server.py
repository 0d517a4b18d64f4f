"""The simulated provider's HTTP side: an OpenAI-compatible server on 127.0.0.1."""

import asyncio
import errno
import itertools
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from benchmark.formats.records import FormatError
from benchmark.simulator import judges, profiles, subjects
from benchmark.simulator.draws import Draws
from benchmark.simulator.faults import Faults, Kind, Latency
from benchmark.simulator.knowledge import Knowledge
from benchmark.simulator.options import Options
from benchmark.simulator.question import BadRequest, Question, parse_question

HOST = "127.0.0.1"
FINGERPRINT = "arbiter-simulated"
_LARGEST_REQUEST = 64 * 1024 * 1024
_BACKLOG = 1024
_PARENT_CHECK = 0.25  # seconds between two looks at whether the parent process still lives
_STOP_WITHIN = 0.5  # seconds that requests under way get when it stops
_HTML = "<html><head><title>502</title></head><body>upstream says hello</body></html>"
_REFUSAL = "I'm sorry, but I can't help with that request."


class StartError(Exception):
    """The server can't start; the message is one line that says why and what to do."""


class Stats:
    """What became of every request for a completion, and how many were under way at once."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.models: dict[str, Counter[str]] = {}
        self.in_flight = self.peak_in_flight = 0

    def arrive(self) -> None:
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def leave(self, kind: Kind, model: str) -> None:
        self.in_flight -= 1
        self.kinds[kind] += 1
        self.models.setdefault(model, Counter())[kind] += 1

    def as_dict(self) -> dict[str, Any]:
        return {
            "requests": self.kinds.total() + self.in_flight,
            "kinds": dict(self.kinds),
            "models": {model: dict(kinds) for model, kinds in self.models.items()},
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
        }


class Provider:
    """The endpoints, with what they share: knowledge, the fault sequence and the statistics."""

    def __init__(self, options: Options, knowledge: Knowledge) -> None:
        self._retry_after = options.retry_after
        self._knowledge = knowledge
        self._faults = Faults(options.shares(), options.seed)
        self._latency = Latency(options.latency, options.latency_spread, options.seed)
        self._numbers = itertools.count(1)
        self._started = int(time.time())
        self.stats = Stats()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/chat/completions", self.completions)
        app.router.add_get("/stats", self.show_stats)
        app.router.add_route("*", "/{path:.*}", self.nowhere)
        return app

    async def models(self, request: web.Request) -> web.Response:
        about = {"object": "model", "created": self._started, "owned_by": FINGERPRINT}
        return web.json_response(
            {"object": "list", "data": [{"id": name, **about} for name in profiles.names()]}
        )

    async def show_stats(self, request: web.Request) -> web.Response:
        return web.json_response(self.stats.as_dict())

    async def nowhere(self, request: web.Request) -> web.Response:
        said = f"Nothing answers {request.method} {request.path} here; the base URL ends in /v1."
        return _error(404, said, "invalid_request_error", "unknown_url")

    async def completions(self, request: web.Request) -> web.StreamResponse:
        self.stats.arrive()
        kind, model = Kind.ABANDONED, ""
        try:
            question = parse_question(await request.read())
            if not profiles.is_known(question.model):
                kind = Kind.NOT_FOUND
                return _unknown_model(question.model)
            model = question.model
            fault = self._fault_for(question)
            kind = Kind.HANG if fault is Kind.HANG else kind  # nobody waits for the end of one
            response = await self._answer(request, question, fault)
            kind = fault
            return response
        except BadRequest as problem:
            kind = Kind.BAD_REQUEST
            return _error(400, str(problem), "invalid_request_error", None, problem.param)
        finally:
            self.stats.leave(kind, model)

    def _fault_for(self, question: Question) -> Kind:
        fault = self._faults.next()
        is_judge = question.model.startswith(profiles.JUDGE_PREFIX)
        return Kind.OK if fault is Kind.GARBLE and not is_judge else fault

    async def _answer(self, request: web.Request, question: Question, fault: Kind) -> web.StreamResponse:
        if fault is Kind.RATE_LIMIT:
            return self._rate_limited(question.model)
        if fault is Kind.HANG:
            await asyncio.Event().wait()  # until the client goes away or the server stops
        await asyncio.sleep(self._latency.next())
        if fault is Kind.ERROR:
            return _error(500, "The simulated server had an error, as it was told to.", "server_error")
        if fault is Kind.GARBAGE:
            # Under "application/json" a client fails to parse it; under "text/html" openai's hands it on as text.
            declared = "application/json" if next(self._numbers) % 2 else "text/html"
            return web.Response(text=_HTML, content_type=declared)
        body = json.dumps(self._completion(question, fault)).encode()
        if fault is Kind.CUT:
            return await _cut(request, body)
        return web.Response(body=body, content_type="application/json")

    def _rate_limited(self, model: str) -> web.Response:
        said = f"Rate limit reached for {model}: try again in {self._retry_after}s."
        response = _error(429, said, "requests", "rate_limit_exceeded")
        response.headers["Retry-After"] = str(self._retry_after)
        return response

    def _completion(self, question: Question, fault: Kind) -> dict[str, Any]:
        message, finish = self._message(question, fault)
        prompt_tokens = _tokens(question.text())
        completion_tokens = _tokens(message["content"] or message["refusal"] or "")
        return {
            "id": f"chatcmpl-simulated-{self._started}-{next(self._numbers)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": question.model,
            "system_fingerprint": FINGERPRINT,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }

    def _message(self, question: Question, fault: Kind) -> tuple[dict[str, Any], str]:
        """The message and its finish reason. The content is worked out as if there were no fault, then spoilt."""
        said: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        if fault is Kind.REFUSAL:
            return said | {"refusal": _REFUSAL}, "stop"
        if fault is Kind.GARBLE:
            return said | {"content": Draws("garble", str(next(self._numbers))).pick(judges.GARBLED)}, "stop"
        is_judge = question.model.startswith(profiles.JUDGE_PREFIX)
        content = (judges if is_judge else subjects).answer(question, self._knowledge)
        if fault is Kind.LENGTH:
            return said | {"content": content[: len(content) // 2]}, "length"
        return said | {"content": content}, "stop"


def _tokens(text: str) -> int:
    return -(-len(text) // 4)


def _error(
    status: int, message: str, kind: str, code: str | None = None, param: str | None = None
) -> web.Response:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return web.json_response({"error": error}, status=status)


def _unknown_model(model: str) -> web.Response:
    said = (
        f"The model {model!r} does not exist. The simulated provider has judges, {profiles.JUDGE_PREFIX}NAME,"
        f" and subject models, {profiles.SUBJECT_PREFIX}NAME: {', '.join(profiles.names())}, and any other NAME."
    )
    return _error(404, said, "invalid_request_error", "model_not_found", "model")


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise the whole body, send half of it, break the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport:
        request.transport.abort()
    return response


def listen(port: int) -> socket.socket:
    """A socket bound to the port. Bound before the knowledge is read, so that a taken port is told at once."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        why = "is already in use" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
        raise StartError(
            f"Port {port} on {HOST} {why}; choose another with --port (0 picks a free one)."
        ) from error
    return bound


def run(options: Options, announce: Callable[[str], object]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` gets one line once connections are accepted.

    Raises StartError where it can't start.
    """
    bound = listen(options.port)
    try:
        knowledge = Knowledge.load(options.labels)
    except FormatError as error:
        bound.close()
        raise StartError(str(error)) from error
    asyncio.run(_serve(Provider(options, knowledge), bound, options.stop_with, announce))


async def _serve(
    provider: Provider, bound: socket.socket, parent: int | None, announce: Callable[[str], object]
) -> None:
    # With handler_cancellation a request that hangs ends when its client leaves, else such tasks pile up.
    runner = web.AppRunner(
        provider.app(), access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_WITHIN
    )
    await runner.setup()
    try:
        await web.SockSite(runner, bound, backlog=_BACKLOG).start()
        stop = _stop_signal()
        announce(f"simulated provider on http://{HOST}:{bound.getsockname()[1]}/v1")
        await _until(stop, parent)
    finally:
        await runner.cleanup()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, parent: int | None) -> None:
    """Wait for the signal; with a parent, also until this process is somebody else's child."""
    while not stop.is_set() and (parent is None or os.getppid() == parent):
        try:
            await asyncio.wait_for(stop.wait(), timeout=_PARENT_CHECK if parent else None)
        except TimeoutError:
            continue

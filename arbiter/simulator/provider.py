"""The simulated provider's HTTP side: every dialect under a path of its own."""

import asyncio
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from arbiter.simulator import judges, profiles, subjects, thinking
from arbiter.simulator.chat_request import BadRequest, ChatRequest
from arbiter.simulator.injected_faults import Faults, Latency, RequestOutcome
from arbiter.simulator.knowledge import Knowledge
from arbiter.simulator.limits import Limits, duration
from arbiter.simulator.logprobs import tokens_of
from arbiter.simulator.manners import MANNERS, REFUSAL, ErrorReply, Manner, Reply
from arbiter.simulator.native_manners import EVERY_MANNER, NATIVE_MANNERS
from arbiter.simulator.options import Options
from arbiter.simulator.seeded_draws import SeededDraws
from arbiter.simulator.stats import Stats

_LARGEST_REQUEST = 64 * 1024 * 1024
_HTML = "<html><head><title>502</title></head><body>upstream says hello</body></html>"


@dataclass(slots=True)
class Visit:
    """One request, and what became of it so far."""

    manner: Manner
    outcome: RequestOutcome = RequestOutcome.ABANDONED
    model: str = ""
    fault: RequestOutcome = RequestOutcome.OK  # what becomes of it, if its client stays


class Provider:
    """The endpoints, with what they share: knowledge, the fault sequence, the limits and the statistics."""

    def __init__(self, options: Options, knowledge: Knowledge) -> None:
        self._retry_after = options.retry_after
        self._knowledge = knowledge
        self._faults = Faults(options.shares(), options.seed)
        self._latency = Latency(options.latency, options.latency_spread, options.seed)
        self._limits = Limits(options.requests_per_second, options.max_in_flight, wait=options.retry_after)
        self._numbers = itertools.count(1)
        self._started = int(time.time())
        self.stats = Stats()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        for manner in MANNERS.values():
            app.router.add_get(f"{manner.prefix}/v1/models", partial(self.models, manner))
        for manner in EVERY_MANNER.values():
            app.router.add_post(f"{manner.prefix}/v1{manner.called}", partial(self.completions, manner))
        app.router.add_get("/stats", self.show_stats)
        app.router.add_route("*", "/{path:.*}", self.nowhere)
        return app

    async def models(self, manner: Manner, request: web.Request) -> web.Response:
        native = NATIVE_MANNERS["gemini"]  # one path has both of Gemini's lists; the key's header parts them
        if manner.prefix == native.prefix and "x-goog-api-key" in request.headers:
            manner = native
        return web.json_response(manner.models(profiles.names(), self._started))

    async def show_stats(self, request: web.Request) -> web.Response:
        return web.json_response(self.stats.as_dict())

    async def nowhere(self, request: web.Request) -> web.Response:
        said = f"Nothing answers {request.method} {request.path} here; the base URL ends in /v1."
        return self._error(MANNERS["openai"], ErrorReply(404, said, code="unknown_url"))

    async def completions(self, manner: Manner, request: web.Request) -> web.StreamResponse:
        self.stats.arrive()
        visit = Visit(manner)
        try:
            return await self._serve(visit, request)
        except BadRequest as problem:
            visit.outcome = RequestOutcome.BAD_REQUEST
            return self._error(manner, ErrorReply(400, str(problem), problem.param, problem.code))
        finally:
            self.stats.leave(visit.outcome, visit.model, manner.name)

    async def _serve(self, visit: Visit, request: web.Request) -> web.StreamResponse:
        fields = visit.manner.fields(await request.read(), request.match_info.get("model", ""))
        if not profiles.is_known(fields["model"]):
            visit.outcome = RequestOutcome.NOT_FOUND
            return self._error(visit.manner, _unknown_model(fields["model"]))
        visit.model = fields["model"]
        chat = visit.manner.chat_request(fields)
        wait = self._limits.enter()
        if wait is not None:
            visit.outcome = RequestOutcome.RATE_LIMIT
            return self._error(visit.manner, _rate_limited(visit.model, wait, exact=True))
        try:
            visit.fault = self._fault_for(chat)
            if visit.fault is RequestOutcome.HANG:
                visit.outcome = RequestOutcome.HANG  # nobody waits for the end of one
            response = await self._answer(visit, request, chat)
            visit.outcome = visit.fault
            return response
        finally:
            self._limits.leave()

    def _fault_for(self, chat: ChatRequest) -> RequestOutcome:
        fault = self._faults.next()
        is_judge = chat.model.startswith(profiles.JUDGE_PREFIX)
        return RequestOutcome.OK if fault is RequestOutcome.GARBLE and not is_judge else fault

    async def _answer(self, visit: Visit, request: web.Request, chat: ChatRequest) -> web.StreamResponse:
        fault = visit.fault
        if fault is RequestOutcome.RATE_LIMIT:
            return self._error(visit.manner, _rate_limited(chat.model, self._retry_after))
        if fault is RequestOutcome.HANG:
            await asyncio.Event().wait()  # until the client goes away or the server stops
        await asyncio.sleep(self._latency.next())
        if fault is RequestOutcome.ERROR:
            said = "The simulated server had an error, as it was told to."
            return self._error(visit.manner, ErrorReply(500, said))
        if fault is RequestOutcome.GARBAGE:
            # Under "application/json" a client fails to parse it; under "text/html" openai's hands it on as
            # text.
            declared = "application/json" if next(self._numbers) % 2 else "text/html"
            return web.Response(text=_HTML, content_type=declared, headers=self._limit_headers(visit.manner))
        reply = self._reply(chat, fault)
        completion = visit.manner.completion(reply)
        if fault is RequestOutcome.CUT:
            return await _cut(request, json.dumps(completion).encode())
        if fault is RequestOutcome.OK and reply.finish == "length":
            visit.fault = RequestOutcome.LENGTH  # by the request's own budget
        self.stats.answered(chat, reply.prompt_tokens, reply.content_tokens + (reply.thinking or 0))
        return _as_json(200, completion, self._limit_headers(visit.manner))

    def _reply(self, chat: ChatRequest, fault: RequestOutcome) -> Reply:
        """Work out the content as if there were no fault, then spoil it."""
        content, finish, spent = REFUSAL, "stop", 0
        if fault is RequestOutcome.GARBLE:
            content = SeededDraws("garble", str(next(self._numbers))).pick(judges.GARBLED)
        elif fault is not RequestOutcome.REFUSAL:
            content, finish, spent = self._said(chat)
        if fault is RequestOutcome.LENGTH:
            content, finish = content[: len(content) // 2], "length"
        thinks = profiles.thinks(chat.model)
        top = chat.top_logprobs
        chances = {} if top is None else judges.label_chances(chat, self._knowledge)
        return Reply(
            id=f"chatcmpl-simulated-{self._started}-{next(self._numbers)}",
            created=int(time.time()),
            model=chat.model,
            content=content,
            finish=finish,
            prompt_tokens=thinking.tokens_of(chat.text()),
            content_tokens=thinking.tokens_of(content),
            thinking=spent if thinks else None,
            thoughts=thinking.thoughts(spent),
            refused=fault is RequestOutcome.REFUSAL,
            tokens=() if top is None else tokens_of(content, chances, top),
            top_logprobs=top,
        )

    def _said(self, chat: ChatRequest) -> tuple[str, str, int]:
        """Return content, finish reason and tokens of reasoning, within the budget."""
        is_judge = chat.model.startswith(profiles.JUDGE_PREFIX)
        answer = judges.judge_answer if is_judge else subjects.subject_answer
        content = answer(chat, self._knowledge)
        thinks = profiles.thinks(chat.model)
        spent = thinking.spent(chat, judges.judged_text(chat, self._knowledge)) if thinks else 0
        spent, content, cut = thinking.within(chat.budget, spent, content)
        return content, "length" if cut else "stop", spent

    def _error(self, manner: Manner, problem: ErrorReply) -> web.Response:
        status, body = manner.error(problem)
        return _as_json(status, body, {**self._limit_headers(manner), **manner.wait_headers(problem)})

    def _limit_headers(self, manner: Manner) -> dict[str, str]:
        """Return the headers in which the service says what is left of its limits."""
        return self._limits.headers(
            like_openai=manner.tells_limits, like_anthropic=manner.tells_limits_like_anthropic
        )


def _as_json(status: int, body: Any, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **headers},
    )


def _rate_limited(model: str, wait: float, *, exact: bool = False) -> ErrorReply:
    said = f"Rate limit reached for {model}: try again in {duration(wait)}."
    return ErrorReply(429, said, code="rate_limit_exceeded", wait=wait, exact=exact)


def _unknown_model(model: str) -> ErrorReply:
    said = (
        f"The model {model!r} does not exist. The simulated provider has judges, {profiles.JUDGE_PREFIX}NAME,"
        f" and subject models, {profiles.SUBJECT_PREFIX}NAME: {', '.join(profiles.names())}, and any other"
        " NAME."
    )
    return ErrorReply(404, said, "model", "model_not_found")


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise the whole body, send half of it, break the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport:
        request.transport.abort()
    return response

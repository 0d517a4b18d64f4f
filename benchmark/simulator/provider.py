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

from benchmark.simulator import judges, profiles, subjects, thinking
from benchmark.simulator.draws import Draws
from benchmark.simulator.faults import Faults, Kind, Latency
from benchmark.simulator.knowledge import Knowledge
from benchmark.simulator.limits import Limits, duration
from benchmark.simulator.manners import FINGERPRINT, MANNERS, REFUSAL, Manner, Problem, Reply
from benchmark.simulator.options import Options
from benchmark.simulator.question import BadRequest, Question, read_request
from benchmark.simulator.stats import Stats

_LARGEST_REQUEST = 64 * 1024 * 1024
_HTML = "<html><head><title>502</title></head><body>upstream says hello</body></html>"


@dataclass(slots=True)
class Visit:
    """One request, and what became of it so far."""

    manner: Manner
    kind: Kind = Kind.ABANDONED
    model: str = ""
    fault: Kind = Kind.OK  # what becomes of it, if its client stays


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
            app.router.add_get(f"{manner.prefix}/v1/models", self.models)
            app.router.add_post(f"{manner.prefix}/v1/chat/completions", partial(self.completions, manner))
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
        return self._error(MANNERS["openai"], Problem(404, said, code="unknown_url"))

    async def completions(self, manner: Manner, request: web.Request) -> web.StreamResponse:
        self.stats.arrive()
        visit = Visit(manner)
        try:
            return await self._serve(visit, request)
        except BadRequest as problem:
            visit.kind = Kind.BAD_REQUEST
            return self._error(manner, Problem(400, str(problem), problem.param, problem.code))
        finally:
            self.stats.leave(visit.kind, visit.model, manner.name)

    async def _serve(self, visit: Visit, request: web.Request) -> web.StreamResponse:
        fields = read_request(await request.read())
        if not profiles.is_known(fields["model"]):
            visit.kind = Kind.NOT_FOUND
            return self._error(visit.manner, _unknown_model(fields["model"]))
        visit.model = fields["model"]
        question = visit.manner.question(fields)
        wait = self._limits.enter()
        if wait is not None:
            visit.kind = Kind.RATE_LIMIT
            return self._error(visit.manner, _rate_limited(visit.model, wait, exact=True))
        try:
            visit.fault = self._fault_for(question)
            if visit.fault is Kind.HANG:
                visit.kind = Kind.HANG  # nobody waits for the end of one
            response = await self._answer(visit, request, question)
            visit.kind = visit.fault
            return response
        finally:
            self._limits.leave()

    def _fault_for(self, question: Question) -> Kind:
        fault = self._faults.next()
        is_judge = question.model.startswith(profiles.JUDGE_PREFIX)
        return Kind.OK if fault is Kind.GARBLE and not is_judge else fault

    async def _answer(self, visit: Visit, request: web.Request, question: Question) -> web.StreamResponse:
        fault = visit.fault
        if fault is Kind.RATE_LIMIT:
            return self._error(visit.manner, _rate_limited(question.model, self._retry_after))
        if fault is Kind.HANG:
            await asyncio.Event().wait()  # until the client goes away or the server stops
        await asyncio.sleep(self._latency.next())
        if fault is Kind.ERROR:
            said = "The simulated server had an error, as it was told to."
            return self._error(visit.manner, Problem(500, said))
        if fault is Kind.GARBAGE:
            # Under "application/json" a client fails to parse it; under "text/html" openai's hands it on as text.
            declared = "application/json" if next(self._numbers) % 2 else "text/html"
            return web.Response(text=_HTML, content_type=declared, headers=self._told(visit.manner))
        reply = self._reply(question, fault)
        completion = visit.manner.completion(reply)
        if fault is Kind.CUT:
            return await _cut(request, json.dumps(completion).encode())
        if fault is Kind.OK and reply.finish == "length":
            visit.fault = Kind.LENGTH  # by the question's own budget
        self.stats.answered(question, reply.prompt_tokens, reply.content_tokens + (reply.thinking or 0))
        return _as_json(200, completion, self._told(visit.manner))

    def _reply(self, question: Question, fault: Kind) -> Reply:
        """The content is worked out as if there were no fault, then spoilt."""
        content, finish, spent = REFUSAL, "stop", 0
        if fault is Kind.GARBLE:
            content = Draws("garble", str(next(self._numbers))).pick(judges.GARBLED)
        elif fault is not Kind.REFUSAL:
            content, finish, spent = self._said(question)
        if fault is Kind.LENGTH:
            content, finish = content[: len(content) // 2], "length"
        thinks = profiles.thinks(question.model)
        return Reply(
            id=f"chatcmpl-simulated-{self._started}-{next(self._numbers)}",
            created=int(time.time()),
            model=question.model,
            content=content,
            finish=finish,
            prompt_tokens=thinking.tokens_of(question.text()),
            content_tokens=thinking.tokens_of(content),
            thinking=spent if thinks else None,
            thoughts=thinking.thoughts(spent),
            refused=fault is Kind.REFUSAL,
        )

    def _said(self, question: Question) -> tuple[str, str, int]:
        """Content, finish reason and tokens of reasoning, within the budget."""
        is_judge = question.model.startswith(profiles.JUDGE_PREFIX)
        content = (judges if is_judge else subjects).answer(question, self._knowledge)
        thinks = profiles.thinks(question.model)
        spent = thinking.spent(question, judges.about(question, self._knowledge)) if thinks else 0
        spent, content, cut = thinking.within(question.budget, spent, content)
        return content, "length" if cut else "stop", spent

    def _error(self, manner: Manner, problem: Problem) -> web.Response:
        status, body = manner.error(problem)
        return _as_json(status, body, {**self._told(manner), **manner.wait_headers(problem)})

    def _told(self, manner: Manner) -> dict[str, str]:
        """The headers in which the service says what is left of its limits."""
        return self._limits.headers(
            like_openai=manner.tells_limits, like_anthropic=manner.tells_limits_like_anthropic
        )


def _as_json(status: int, body: Any, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **headers},
    )


def _rate_limited(model: str, wait: float, *, exact: bool = False) -> Problem:
    said = f"Rate limit reached for {model}: try again in {duration(wait)}."
    return Problem(429, said, code="rate_limit_exceeded", wait=wait, exact=exact)


def _unknown_model(model: str) -> Problem:
    said = (
        f"The model {model!r} does not exist. The simulated provider has judges, {profiles.JUDGE_PREFIX}NAME,"
        f" and subject models, {profiles.SUBJECT_PREFIX}NAME: {', '.join(profiles.names())}, and any other NAME."
    )
    return Problem(404, said, "model", "model_not_found")


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise the whole body, send half of it, break the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport:
        request.transport.abort()
    return response

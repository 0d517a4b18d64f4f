"""Checking an endpoint: what is there, and what one of its models takes, found by a few short calls.

1. the key, and whatever else the endpoint names, is in the environment
2. the list of models, which not every service has
3. a completion; where it is refused, without the token limit that the dialect would use
4. each parameter by itself, added to what was taken: token limits, seed, temperature, schema, logprobs

A parameter is refused where the service rejects the call with it that it answers without. What can't be told
now, since the service was busy or broke the connection, is left open.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from arbiter.calls.checkfailures import why_failed
from arbiter.calls.checkitems import FAILED, IGNORED, NONE, OK, OPEN, REFUSED, CheckItem
from arbiter.calls.client import Call, Client
from arbiter.calls.dialects import TOKEN_FIELDS, dialect
from arbiter.calls.findings import Findings
from arbiter.calls.logprobs import tokens_of
from arbiter.calls.service import Service
from arbiter.core.errors import UserError

LIMIT, SHORT = 1024, 16  # tokens: room for a model that thinks first, and a limit that has to show
LONGEST_WAIT = 10.0  # seconds that a service may ask to be left alone and be asked again within a check
TOP_LOGPROBS = (20, 5)
CALLS_AT_MOST = 22  # with those that are made again
PROMPT = "Does ice float on water? Answer with one word, yes or no."
COUNT = "Count from 1 to 100, in figures with a space between."
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
            "required": ["answer"],
            "additionalProperties": False,
        },
    },
}


@dataclass(slots=True)
class CheckReport:
    """What a check came to."""

    model: str
    items: list[CheckItem] = field(default_factory=list)
    top_logprobs: int = 0
    calls: int = 0
    seconds: float = 0.0
    simulated: bool = False

    @property
    def answered(self) -> bool:
        """Tell whether a completion came."""
        return any(one.what == "completion" and one.state == OK for one in self.items)

    def findings(self, before: Findings, checked_at: str) -> Findings:
        """Return what is known now; what was left open is as it was known before."""
        refused = {one.what for one in self.items if one.state == REFUSED}
        left_open = {one.what for one in self.items if one.state == OPEN}
        top = before.top_logprobs if "logprobs" in left_open else self.top_logprobs
        return Findings(frozenset(refused | (before.refused & left_open)), top, checked_at)


def check(
    endpoint: Service, model: str, said: Callable[[CheckItem], None] = lambda item: None
) -> CheckReport:
    """Check what the model takes at the endpoint; `said` is called with each thing as it is found."""
    return asyncio.run(_Check(endpoint, model, said).run())


class _Check:
    def __init__(self, endpoint: Service, model: str, said: Callable[[CheckItem], None]) -> None:
        self.endpoint, self.of, self.report = endpoint, dialect(endpoint.dialect), CheckReport(model)
        self.said, self.listed = said, list[str]()
        self.taken: dict[str, Any] = {}

    async def run(self) -> CheckReport:
        clock = monotonic()
        try:
            self.client = Client(self.endpoint)
        except UserError as refusal:
            self._note("key", FAILED, str(refusal))
            return self.report
        try:
            self._note("key", OK, self._what_is_sent())
            if await self._list() and await self._complete():
                await self._parameters()
        finally:
            await self.client.close()
        self.report.seconds = monotonic() - clock
        return self.report

    def _note(self, what: str, state: str, said: str) -> None:
        item = CheckItem(what, state, said)
        self.report.items.append(item)
        self.said(item)

    def _what_is_sent(self) -> str:
        endpoint = self.endpoint
        if endpoint.key_variable:
            return f"The variable {endpoint.key_variable} is set."
        named = ", ".join(endpoint.headers)
        return f"No key is named; the endpoint's headers are sent: {named}." if named else "No key is named."

    async def _ask(self, request: Mapping[str, Any]) -> Call:
        """Make a call; once more where that may help within a moment."""
        return await self._again(lambda: self.client.ask(request))

    async def _again(self, made: Callable[[], Any]) -> Call:
        call: Call = await made()
        self.report.calls += 1
        if call.worth_retrying and not call.unreached and (call.pause or 0.0) <= LONGEST_WAIT:
            await asyncio.sleep(call.pause or 0.5)
            call = await made()
            self.report.calls += 1
        return call

    async def _list(self) -> bool:
        """Look at the list of models, and tell whether anybody answers at all."""
        call = await self._again(self.client.models)
        if call.unreached:
            self._note("completion", FAILED, why_failed(self.endpoint, call))
            return False
        self._tell_models(call)
        return True

    def _tell_models(self, call: Call) -> None:
        if call.outcome != "answer":
            gone = call.status in (404, 405, 501)
            said = "The service lists no models." if gone else why_failed(self.endpoint, call)
            self._note("models", NONE if gone else FAILED, said)
            return
        listed = models_in(call.raw)
        if listed is None:
            self._note("models", NONE, "What came is no list of models.")
            return
        self.listed, model = listed, self.report.model
        if model in listed:
            self._note("models", OK, f"{model!r} is listed, one of {len(listed)}.")
        else:
            some = ", ".join(listed[:8]) + (" ..." if len(listed) > 8 else "")
            self._note(
                "models", NONE, f"{model!r} is not among the {len(listed)} listed: {some or 'none is'}."
            )

    async def _complete(self) -> bool:
        """Tell whether a completion came, and keep what of a request was taken."""
        bare = {"model": self.report.model, "messages": [{"role": "user", "content": PROMPT}]}
        first = None
        for name in self._limit_names():
            request = bare | ({name: LIMIT} if name else {})
            call = await self._ask(request)
            if call.answered:
                self.taken = request
                self._tell_completion(call)
                return True
            first = first or call
            if not _rejected(call):
                break
        assert first is not None
        self._note("completion", FAILED, why_failed(self.endpoint, first, self.report.model, self.listed))
        return False

    def _limit_names(self) -> list[str]:
        """Return the names of the token limit, the dialect's own first; last none at all."""
        others = [] if self.of.native else [name for name in TOKEN_FIELDS if name != self.of.token_field]
        return [self.of.token_field, *others, *([] if self.of.native else [""])]

    def _tell_completion(self, call: Call) -> None:
        answer = call.answer
        assert answer is not None
        self.report.simulated = answer.simulated
        named = f" as {answer.model!r}" if answer.model and answer.model != self.report.model else ""
        said = " ".join(answer.text.split())[:40].strip()
        how = f"It answered {said!r}{named}" if said else f"It answered without a word{named}"
        if call.outcome == "refusal":
            how = f"It answered, and refused{named}"
        elif call.outcome == "length":
            how += f", cut off after {answer.completion_tokens or LIMIT} tokens"
        self._note("completion", OK, f"{how}, in {call.latency:.1f} s.")

    async def _parameters(self) -> None:
        for name in [name for name in self._limit_names() if name]:
            await self._limit(name)
        if self.of.sends_seed:
            await self._parameter("seed", 1, "Taken. Whether it makes answers repeat is not looked at.")
        else:
            self._note("seed", NONE, "Never sent: the dialect has none.")
        await self._parameter("temperature", 0, "Taken.")
        await self._schema()
        await self._logprobs()

    async def _limit(self, name: str) -> None:
        """Ask for more than the limit lets through: an answer that goes past it shows that it is ignored."""
        messages = [{"role": "user", "content": COUNT}]
        without = {key: value for key, value in self.taken.items() if key not in TOKEN_FIELDS}
        call = await self._ask({**without, "messages": messages, name: SHORT})
        # One of OpenAI's models that spends it on thinking says so with status 400.
        reached = "output limit was reached" in call.error.lower()
        if not call.answered and not reached:
            self._note_untaken(name, call)
            return
        written = call.answer.completion_tokens if call.answer else None
        if reached or call.outcome == "length" or (written is not None and written <= SHORT):
            self._note(name, OK, f"Taken, and held: {SHORT} tokens ended the answer.")
        else:
            self._note(name, IGNORED, f"Taken and ignored: the answer went past {SHORT} tokens.")

    async def _parameter(self, name: str, value: Any, said: str) -> Call:
        call = await self._ask({**self.taken, name: value})
        if call.answered:
            self._note(name, OK, said)
        else:
            self._note_untaken(name, call)
        return call

    def _note_untaken(self, name: str, call: Call) -> None:
        if _rejected(call):
            said = " ".join(call.error.split())[:300].rstrip(".")
            self._note(name, REFUSED, f"Refused, so it is not sent: {said}.")
        else:
            self._note(name, OPEN, f"Not known: {why_failed(self.endpoint, call, self.report.model)}")

    async def _schema(self) -> None:
        call = await self._ask({**self.taken, "response_format": SCHEMA})
        if not call.answered or call.answer is None:
            self._note_untaken("response_format", call)
        elif call.outcome == "length":
            self._note("response_format", OPEN, "Not known: the answer was cut off.")
        elif _keeps_to_schema(call.answer.text):
            self._note("response_format", OK, "Taken, and the answer keeps to it.")
        else:
            self._note("response_format", IGNORED, "Taken and ignored: the answer does not keep to it.")

    async def _logprobs(self) -> None:
        if not self.of.logprobs:
            self._note("logprobs", NONE, "The protocol has none.")
            return
        for top in TOP_LOGPROBS:
            call = await self._ask({**self.taken, "logprobs": True, "top_logprobs": top})
            if not _rejected(call):
                break
        if not call.answered or call.answer is None:
            self._note_untaken("logprobs", call)
            return
        tokens = tokens_of(call.answer.logprobs)
        told = max((len(token.top) for token in tokens), default=0)
        if told > 1:
            self.report.top_logprobs = top
            self._note("logprobs", OK, f"They came, with up to {told} alternatives to a token.")
        else:
            said = "without alternatives" if tokens else "without any"
            self._note("logprobs", IGNORED, f"Taken and ignored: the answer came {said}.")


def _rejected(call: Call) -> bool:
    """Tell whether the service refused what was asked, and not who asked or when."""
    return call.outcome == "rejected" and call.status in (400, 404, 422) and not call.keyless


def _keeps_to_schema(text: str) -> bool:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("answer") in ("yes", "no")


def models_in(raw: str) -> list[str] | None:
    """Return the names that a list of models has, as OpenAI, Anthropic or Gemini tell it;
    None where it is none."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    listed = body.get("data", body.get("models")) if isinstance(body, dict) else body
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        return None
    names = [one.get("id", one.get("name")) for one in listed if isinstance(one, dict)]
    return [name.removeprefix("models/") for name in names if isinstance(name, str)]

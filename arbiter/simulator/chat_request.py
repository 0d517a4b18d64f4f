"""The part of a chat completion request that the simulated models read."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arbiter.simulator.fenced_response import marker
from arbiter.simulator.text_index import plain

MOST_LOGPROBS = 20


class BadRequest(Exception):
    """A request that no provider would answer; the message says what is wrong."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code


@dataclass(frozen=True, slots=True)
class ChatRequest:
    model: str
    messages: tuple[tuple[str, str], ...]  # (role, text)
    seed: str  # the request's, as text; 0 where it has none
    response_format: Mapping[str, Any]
    budget: int | None = None  # tokens that may be written, thinking among them
    effort: str = ""  # of thinking
    fences: bool = False  # whether JSON that no schema rules comes between fences
    top_logprobs: int | None = None  # alternatives to a token that are asked for; None: no logprobs

    def text(self, *roles: str) -> str:
        """Return the messages' text, of these roles or of all."""
        return "\n".join(text for role, text in self.messages if not roles or role in roles)


def read_request(body: bytes) -> dict[str, Any]:
    """Read the request's fields, as far as every service needs them to be right."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise BadRequest("The request body must be a JSON object.")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("The request must name a model.", "model")
    if request.get("stream"):
        raise BadRequest("The simulated provider doesn't stream: leave stream out.", "stream")
    return request


def chat_request(
    request: Mapping[str, Any],
    *,
    seeded: bool = True,
    structured: bool = True,
    token_fields: Sequence[str] = (),
    efforts: Collection[str] = (),
    fences: bool = False,
) -> ChatRequest:
    """Return what the simulated models read of a request; fields that a service lacks are not looked at.

    Where there is no seed to part repeats, the marker of the fence does, which is another for each.
    """
    messages = _messages(request)
    seed = request.get("seed") if seeded else marker("\n".join(text for _, text in messages)) or None
    return ChatRequest(
        model=request["model"],
        messages=messages,
        seed="0" if seed is None else str(seed),
        response_format=_format(request) if structured else {},
        budget=_budget(request, token_fields),
        effort=_effort(request, efforts),
        fences=fences,
        top_logprobs=_top_logprobs(request),
    )


def _top_logprobs(request: Mapping[str, Any]) -> int | None:
    top = request.get("top_logprobs") or 0
    if request.get("logprobs") is not True:
        return None
    if type(top) is not int or not 0 <= top <= MOST_LOGPROBS:
        raise BadRequest(
            f"top_logprobs must be a whole number from 0 to {MOST_LOGPROBS}, not {json.dumps(top)[:40]}.",
            "top_logprobs",
            "invalid_value",
        )
    return top


def _budget(request: Mapping[str, Any], fields: Sequence[str]) -> int | None:
    for field in fields:
        budget = request.get(field)
        if budget is None:
            continue
        if type(budget) is not int or budget < 1:
            raise BadRequest(
                f"{field} must be a whole number above 0, not {json.dumps(budget)[:40]}.",
                field,
                "invalid_value",
            )
        return budget
    return None


def _effort(request: Mapping[str, Any], efforts: Collection[str]) -> str:
    effort = request.get("reasoning_effort")
    if effort is None or not efforts:
        return ""
    if effort not in efforts:
        known = ", ".join(efforts)
        raise BadRequest(
            f"reasoning_effort must be one of {known}, not {json.dumps(effort)[:40]}.",
            "reasoning_effort",
            "unsupported_value",
        )
    return str(effort)


def _messages(request: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("The request must have a list of messages that is not empty.", "messages")
    return tuple(_message(message, number) for number, message in enumerate(messages))


def _message(message: object, number: int) -> tuple[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise BadRequest("A message must be an object with a role.", f"messages[{number}]")
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        content = "\n".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str | None):
        raise BadRequest("A message's content must be text.", f"messages[{number}].content")
    return message["role"], plain(content or "")


def _format(request: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = request.get("response_format") or {}
    if not isinstance(wanted, dict):
        raise BadRequest("response_format must be an object.", "response_format")
    if wanted.get("type") == "json_schema":
        named = wanted.get("json_schema")
        if not isinstance(named, dict) or not isinstance(named.get("schema"), dict):
            raise BadRequest("A json_schema needs a schema.", "response_format.json_schema.schema")
    return wanted

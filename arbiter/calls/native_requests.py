"""A call as Anthropic's Messages API and Gemini's generateContent take it. Pure. Sources: docs/dialects.md.

Whoever asks writes one body for every service, a chat completion's; here it becomes the service's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from arbiter.calls.dialects import TOKEN_FIELDS

ANTHROPIC_VERSION = "2023-06-01"
ANTHROPIC_LIMIT = 4096  # tokens, where the call names no limit: the service takes no call without one
SYSTEM_ROLES = ("system", "developer")
GEMINI_NAMES = {  # of what stands in generationConfig
    "frequency_penalty": "frequencyPenalty",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "top_k": "topK",
    "top_p": "topP",
}
GEMINI_OUTSIDE = {  # of generationConfig
    "cachedContent",
    "labels",
    "safetySettings",
    "serviceTier",
    "store",
    "systemInstruction",
    "toolConfig",
    "tools",
}


@dataclass(frozen=True, slots=True)
class NativeCall:
    path: str  # added to an endpoint's base_url
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NativeProtocol:
    """How a service of its own kind is called."""

    call: Callable[[Mapping[str, Any]], NativeCall]
    headers: Callable[[str], dict[str, str]]  # of a call with this key
    models: str  # the path of the list of models


def anthropic_call(request: Mapping[str, Any]) -> NativeCall:
    """Return the call of the Messages API that asks what a chat completion's body asks."""
    rest, limit, stops, schema = _parted(request)
    effort = rest.pop("reasoning_effort", None)
    system, turns = _conversation(rest.pop("messages"))
    body = {"model": rest.pop("model"), "max_tokens": limit or ANTHROPIC_LIMIT, "messages": turns}
    body |= {"system": "\n\n".join(map(_text, system))} if system else {}
    body |= {"stop_sequences": stops} if stops else {}
    output: dict[str, Any] = {"format": {"type": "json_schema", "schema": schema}} if schema else {}
    output |= {"effort": effort} if effort else {}
    return NativeCall("/messages", _laid_over(body | ({"output_config": output} if output else {}), rest))


def gemini_call(request: Mapping[str, Any]) -> NativeCall:
    """Return the call of generateContent that asks what a chat completion's body asks."""
    rest, limit, stops, schema = _parted(request)
    effort = rest.pop("reasoning_effort", None)
    model, (system, turns) = str(rest.pop("model")), _conversation(rest.pop("messages"))
    config: dict[str, Any] = {"maxOutputTokens": limit} if limit else {}
    config |= {"stopSequences": stops} if stops else {}
    if schema:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    if rest.get("logprobs") is True:  # else it is the service's own field of that name, a number
        config |= {"responseLogprobs": rest.pop("logprobs"), "logprobs": rest.pop("top_logprobs", 0)}
    if effort:
        config["thinkingConfig"] = {"thinkingLevel": effort}
    own = rest.pop("generationConfig", {})
    outside = {name: rest.pop(name) for name in list(rest) if name in GEMINI_OUTSIDE}
    config = _laid_over(config, {GEMINI_NAMES.get(name, name): value for name, value in rest.items()})
    body: dict[str, Any] = {"contents": [_gemini_turn(turn) for turn in turns]}
    if system:
        body["systemInstruction"] = {"parts": [{"text": "\n\n".join(map(_text, system))}]}
    if config := _laid_over(config, own):
        body["generationConfig"] = config
    named = model if "/" in model else f"models/{model}"
    return NativeCall(f"/{quote(named)}:generateContent", _laid_over(body, outside))


def _parted(
    request: Mapping[str, Any],
) -> tuple[dict[str, Any], int | None, list[str], Mapping[str, Any] | None]:
    """Part a body into what has one name everywhere, its token limit, its stop sequences and its schema."""
    rest = dict(request)
    limits = [rest.pop(name) for name in TOKEN_FIELDS if name in rest]
    stop = rest.pop("stop", None) or []
    form = rest.get("response_format")
    named = form.get("json_schema") if isinstance(form, dict) else None
    schema = named.get("schema") if isinstance(named, dict) else None
    if schema:
        del rest["response_format"]
    return rest, next(iter(limits), None), [stop] if isinstance(stop, str) else list(stop), schema


def _conversation(messages: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Part messages into the contents of the system's and the turns of the others."""
    system = [message["content"] for message in messages if message["role"] in SYSTEM_ROLES]
    turns = [
        {"role": message["role"], "content": message["content"]}
        for message in messages
        if message["role"] not in SYSTEM_ROLES
    ]
    return system, turns


def _gemini_turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    role = "model" if turn["role"] == "assistant" else turn["role"]
    content = turn["content"]
    parts = content if isinstance(content, list) else [content]
    return {"role": role, "parts": [{"text": _text(part)} for part in parts]}


def _text(content: Any) -> str:
    """Return the text of a message's content or of one of its parts."""
    if isinstance(content, list):
        return "".join(map(_text, content))
    return str(content["text"] if isinstance(content, dict) else content)


def _laid_over(body: Mapping[str, Any], more: Any) -> dict[str, Any]:
    """Return the body with a study's own parameters laid over it, objects field by field."""
    merged = dict(body)
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _laid_over(merged[name], value) if both else value
    return merged


PROTOCOLS: Mapping[str, NativeProtocol] = {
    "anthropic": NativeProtocol(
        anthropic_call,
        lambda key: {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION},
        "/models?limit=1000",
    ),
    "gemini": NativeProtocol(gemini_call, lambda key: {"x-goog-api-key": key}, "/models?pageSize=1000"),
}

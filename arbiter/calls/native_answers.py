"""What bodies of Anthropic's Messages API and Gemini's generateContent say, as chat completions do. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from arbiter.calls.faults import blocked_prompt

SIGNATURE_FIELDS = {"thought", "thoughtSignature"}  # a part of these alone says nothing


@dataclass(frozen=True, slots=True)
class NativeAnswer:
    """A native body, put as a chat completion has it."""

    choice: Mapping[str, Any]  # finish reason and message
    notice: str = ""  # what the service says of its filter
    usage: Mapping[str, Any] | None = None  # the service's own counts, and the same under usual names
    model: Any = None
    id: Any = None
    fingerprint: Any = None  # the simulated provider's


def native_answer(body: Any) -> NativeAnswer | None:
    """Read a body that is a message of Anthropic's or a generateContent response; None for any other."""
    if not isinstance(body, dict) or "choices" in body:
        return None
    if body.get("type") == "message" and isinstance(body.get("content"), list):
        return _anthropic(body)
    candidates = body.get("candidates")
    if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict):
        return _gemini(body, candidates[0])
    return _gemini_blocked(body)


def _anthropic(body: Mapping[str, Any]) -> NativeAnswer:
    reason = body.get("stop_reason")
    # Where it waits for a tool's result there is no answer; elsewhere an unknown part may be one.
    content = [part for part in body["content"] if not (reason == "tool_use" and _kind(part) == "tool_use")]
    return NativeAnswer(
        {"finish_reason": reason, "message": {"content": content or None}},
        notice=_anthropic_notice(body.get("stop_details")),
        usage=_usage(body.get("usage"), _anthropic_counts),
        model=body.get("model"),
        id=body.get("id"),
        fingerprint=body.get("system_fingerprint"),
    )


def _anthropic_notice(details: Any) -> str:
    """Return what the service says of a refusal: its explanation and the policy's category."""
    if not isinstance(details, dict) or details.get("type") != "refusal":
        return ""
    explanation, category = (_text(details.get(name)) for name in ("explanation", "category"))
    return f"{explanation} ({category})" if explanation and category else explanation or category


def _gemini(body: Mapping[str, Any], candidate: Mapping[str, Any]) -> NativeAnswer:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    said = [part for part in parts or [] if not (isinstance(part, dict) and set(part) <= SIGNATURE_FIELDS)]
    message = {"content": said or None}
    choice = {"finish_reason": candidate.get("finishReason"), "message": message}
    told = candidate.get("logprobsResult")
    return _of_gemini(body, choice | ({"logprobs": told} if told else {}), _gemini_notice(candidate))


def _gemini_notice(candidate: Mapping[str, Any]) -> str:
    """Return what the service says of an answer's end, else the categories for which it was blocked."""
    ratings = candidate.get("safetyRatings")
    blocked = [
        _text(rating.get("category"))
        for rating in (ratings if isinstance(ratings, list) else [])
        if isinstance(rating, dict) and rating.get("blocked") is True
    ]
    return _text(candidate.get("finishMessage")) or ", ".join(filter(None, blocked))


def _gemini_blocked(body: Mapping[str, Any]) -> NativeAnswer | None:
    """Read a response without candidates, where it says that the prompt was blocked."""
    blocked = blocked_prompt(body)
    if blocked is None:
        return None
    feedback = body.get("promptFeedback") or body.get("prompt_feedback")
    reason = feedback.get("blockReason") or feedback.get("block_reason") if isinstance(feedback, dict) else ""
    return _of_gemini(body, {"finish_reason": f"content_filter: {reason}", "message": {}}, blocked.message)


def _of_gemini(body: Mapping[str, Any], choice: Mapping[str, Any], notice: str) -> NativeAnswer:
    return NativeAnswer(
        choice,
        notice=notice,
        usage=_usage(body.get("usageMetadata"), _gemini_counts),
        model=body.get("modelVersion"),
        id=body.get("responseId"),
        fingerprint=body.get("system_fingerprint"),
    )


def _usage(
    usage: Any, counts: Callable[[Mapping[str, Any]], Iterator[tuple[str, Any]]]
) -> Mapping[str, Any] | None:
    """Return a service's counts with the usual names for them beside its own; None where it says none."""
    if not isinstance(usage, dict):
        return None
    return usage | {name: value for name, value in counts(usage) if value is not None}


def _anthropic_counts(usage: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the usual counts: `input_tokens` are those that were neither read from nor written to a cache."""
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    prompt, output = _sum(usage.get("input_tokens"), read, written), _sum(usage.get("output_tokens"))
    yield "prompt_tokens", prompt
    yield "completion_tokens", output
    yield "total_tokens", None if None in (prompt, output) else _sum(prompt, output)
    yield "prompt_tokens_details", None if read is None else {"cached_tokens": read}
    details = usage.get("output_tokens_details")
    thinking = details.get("thinking_tokens") if isinstance(details, dict) else None
    yield "completion_tokens_details", None if thinking is None else {"reasoning_tokens": thinking}


def _gemini_counts(usage: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the usual counts: thoughts stand beside what was written, cached tokens within the prompt's."""
    thoughts, cached = usage.get("thoughtsTokenCount"), usage.get("cachedContentTokenCount")
    yield "prompt_tokens", _sum(usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount"))
    # Where all went into thinking, candidatesTokenCount is left out, as other zeros are.
    yield "completion_tokens", _sum(usage.get("candidatesTokenCount"), thoughts)
    yield "total_tokens", _sum(usage.get("totalTokenCount"))
    yield "prompt_tokens_details", None if cached is None else {"cached_tokens": cached}
    yield "completion_tokens_details", None if thoughts is None else {"reasoning_tokens": thoughts}


def _sum(*counts: Any) -> int | None:
    """Return the sum of those counts that are there; None where none is."""
    known = [count for count in counts if type(count) is int and count >= 0]
    return sum(known) if known else None


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, dict) else None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""

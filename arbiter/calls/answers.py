"""The one reader of answers, chat completions and native ones, for responses and judges alike. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from arbiter.calls.dialects import cached_tokens, cost_in, output_tokens
from arbiter.calls.endings import ending_of, meaning
from arbiter.calls.faults import ErrorBody, Fault, error_in, error_of
from arbiter.calls.native_answers import NativeAnswer, native_answer
from arbiter.calls.reasoning import split
from arbiter.core.text import storable

SIMULATED = "arbiter-simulated"
NO_COMPLETION = "the body is not a chat completion"
THINKING_FIELDS = (
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
    "thinking",
    "thoughts",
)
TEXT_PARTS = {"text", "output_text", "input_text"}
THINKING_PARTS = {
    "thinking",
    "reasoning",
    "thought",
    "redacted_thinking",
    "reasoning_text",
    "summary_text",
    "reasoning.text",
    "reasoning.summary",
    "reasoning.encrypted",
    "reasoning_content",
}
WORDS_IN = ("text", "thinking", "reasoning", "reasoning_content", "summary", "content", "value")


@dataclass(frozen=True, slots=True)
class Completion:
    """What a chat completion's body says."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""  # the model's own words
    notice: str = ""  # what a service says of its filter
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None
    model: str = ""  # that answered, as the service names it
    fingerprint: str = ""
    id: str = ""
    unfinished: bool = False  # its reasoning has no end
    doubtful: bool = False  # its reasoning ends more than once
    silent: bool = False  # reasoning came, and no answer at all, not even an empty one
    logprobs: Any = None  # of its tokens, as the service has them; see arbiter.calls.logprobs

    @property
    def simulated(self) -> bool:
        return self.fingerprint == SIMULATED

    @property
    def refused(self) -> bool:
        return bool(self.refusal) or meaning(self.finish_reason) == "filter"

    @property
    def ending(self) -> str:
        """Return how the answer ended, by the names of `Response.Ending`."""
        return ending_of(self.text, self.finish_reason, refused=self.refused, unfinished=self.unfinished)

    @property
    def outcome(self) -> str:
        """Tell what the call that brought it came to: `refusal`, `length` or `answer`."""
        if self.refused:
            return "refusal"
        return "length" if self.ending == "cut_off" else "answer"

    @property
    def lacking(self) -> str:
        """Tell why a completion has no answer in it; empty where it has one, if an empty one."""
        if self.refused or self.text.strip():
            return ""
        if self.ending == "cut_off":
            return "it was cut off before the answer began"
        return "only reasoning came, and no answer" if self.silent else ""

    @property
    def prompt_tokens(self) -> int | None:
        return _count((self.usage or {}).get("prompt_tokens"))

    @property
    def completion_tokens(self) -> int | None:
        """Return how many tokens the model wrote, those of its reasoning among them."""
        return _count(output_tokens(self.usage or {}))

    @property
    def cached_tokens(self) -> int | None:
        """Return how many of its prompt tokens the service had cached."""
        return _count(cached_tokens(self.usage or {}))

    @property
    def cost(self) -> Decimal | None:
        """Return the dollars that the call cost, where the service itself says so."""
        return cost_in(self.usage or {})

    @property
    def reasoning_tokens(self) -> int | None:
        details = (self.usage or {}).get("completion_tokens_details")
        return _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None


def read_answer(raw: str) -> Completion | Fault:
    """Read an answer's body, or tell why there is no answer in it; fields may be added or left out."""
    try:
        body = json.loads(raw.lstrip("\ufeff"), strict=False)
        return _of_body(body)
    except (ValueError, RecursionError):
        return Fault("not_json", NO_COMPLETION)


def refusal_of(error: ErrorBody) -> Completion:
    """Return a filter's refusal that came as an error. What the service says of it is no answer."""
    return Completion(notice=storable(error.message)[0], finish_reason="content_filter")


def said(text: str, finish_reason: str = "stop") -> Completion:
    """Read what a text alone says, the reasoning in it told apart."""
    parts = split(text)
    return Completion(
        parts.answer,
        parts.reasoning,
        finish_reason=finish_reason,
        unfinished=parts.unfinished,
        doubtful=parts.doubtful,
    )


def _of_native(native: NativeAnswer) -> Completion | Fault:
    completion = _of_choice(native.choice)
    if isinstance(completion, Fault):
        return completion
    return replace(
        completion,
        notice=storable(native.notice)[0] if completion.refused else "",
        logprobs=native.choice.get("logprobs"),
        usage=native.usage,
        model=_name(native.model),
        id=_name(native.id),
        fingerprint=_name(native.fingerprint),
    )


def _of_body(body: Any) -> Completion | Fault:
    if native := native_answer(body):
        return _of_native(native)
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if error := _error(body, choice):
        return refusal_of(error) if error.filtered else error.fault()
    if not isinstance(choice, dict):
        return Fault("not_json", NO_COMPLETION)
    completion = _of_choice(choice)
    if isinstance(completion, Fault):
        return completion
    return replace(
        completion,
        logprobs=choice.get("logprobs"),
        usage=body["usage"] if isinstance(body.get("usage"), dict) else None,
        model=_name(body.get("model")),
        fingerprint=_name(body.get("system_fingerprint")),
        id=_name(body.get("id")),
    )


def _error(body: Any, choice: Any) -> ErrorBody | None:
    """Return what went wrong, where a body says so in spite of status 200: beside a choice, in it or for
    it."""
    if isinstance(choice, dict) and _is_one(choice.get("error")):
        return error_of(choice["error"])
    beside = isinstance(body, dict) and (body.get("error") if choice is None else _is_one(body.get("error")))
    return error_in(body) if beside or (choice is None and isinstance(body, dict | list)) else None


def _is_one(error: Any) -> bool:
    """Tell whether an error says anything: some gateways put `{"code": 0, "message": ""}` beside answers."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _of_choice(choice: Mapping[str, Any]) -> Completion | Fault:
    finish_reason = _finish_reason(choice)
    ended = meaning(finish_reason)
    if ended == "error":
        return Fault("server_error", f"the service ended the answer with {finish_reason!r}")
    message = choice.get("message")
    if message is None and ended in ("filter", "length"):  # Gemini leaves it out then
        message = {}
    if not isinstance(message, dict):
        return Fault("not_json", NO_COMPLETION)
    content = _content(message.get("content"))
    if isinstance(content, Fault):
        return content
    thought = next((words for name in THINKING_FIELDS if (words := _words(message.get(name)))), "")
    answer = said(content.text, finish_reason)
    parts = [thought, *([] if content.thinking in thought else [content.thinking]), answer.reasoning]
    answer = replace(
        answer,
        reasoning="\n\n".join(part for part in parts if part),
        refusal=content.refusal or _words(message.get("refusal")),
    )
    return _checked(answer, content)


def _finish_reason(choice: Mapping[str, Any]) -> str:
    """Return the service's word for how the answer ended.

    Of a gateway that says `stop` for what its provider calls a limit or a filter, it is the provider's.
    """
    said, native = (_name(choice.get(name))[:40] for name in ("finish_reason", "native_finish_reason"))
    if not said or (meaning(said) == "stop" and meaning(native) in ("length", "filter")):
        return native
    return said


def _checked(answer: Completion, content: "Content") -> Completion | Fault:
    """Return an answer; one without a word only where the service says that it ended so, or why."""
    ended = meaning(answer.finish_reason)
    has_ended = answer.refused or answer.ending == "cut_off" or (ended == "stop" and content.came)
    if has_ended or answer.text.strip():
        return answer
    if ended == "tool":
        return Fault("rejected", "the model called a tool instead of answering")
    if answer.reasoning and ended == "stop":
        return replace(answer, silent=True)
    if ended == "stop":
        return Fault("not_json", "no content came, though the service says that the answer was complete")
    reason = answer.finish_reason or "no finish reason"
    return Fault("not_json", f"the answer is empty, and the service does not say why ({reason})")


@dataclass(slots=True)
class Content:
    """A message's content, put together from its parts."""

    came: bool = False  # a text was there, if an empty one
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    refusal: str = ""

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def thinking(self) -> str:
        return "\n\n".join(self.thoughts)

    def take(self, part: Any) -> Fault | None:
        """Take a part; a fault where nobody knows what it is: leaving it out might leave out the answer."""
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str) or kind in TEXT_PARTS or (kind is None and _is_plain(part)):
            words = _words(part)
            if not words and isinstance(part, dict) and part.get("text") != "":
                return Fault("not_json", "the content has a part of text without a text")
            thought = isinstance(part, dict) and part.get("thought") is True  # Gemini's
            (self.thoughts if thought else self.texts).append(words)
            self.came = self.came or not thought
        elif kind in THINKING_PARTS:
            self.thoughts += [words] if (words := _words(part)) else []
        elif kind == "refusal":
            self.refusal += _words(part.get("refusal")) or _words(part)
        else:
            return Fault(
                "not_json", f"the content has a part of an unknown kind: {_name(kind) or type(part).__name__}"
            )
        return None


def _is_plain(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _content(value: Any) -> Content | Fault:
    content = Content()
    parts = [] if value is None else value if isinstance(value, list) else [value]
    for part in parts:
        if fault := content.take(part):
            return fault
    return content


def _words(value: Any) -> str:
    """Return the text in whatever shape it comes: a text, an object that holds one, a list of either."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return "".join(_words(part) for part in value)
    if isinstance(value, Mapping):
        return next((words for name in WORDS_IN if (words := _words(value.get(name)))), "")
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _name(value: Any) -> str:
    return storable(_text(value))[0][:200]


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None

"""How each service takes a request and words answers and errors; what is known of them: docs/dialects.md."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from arbiter.simulator import profiles
from arbiter.simulator.chat_request import BadRequest, ChatRequest, chat_request, read_request
from arbiter.simulator.fields import GEMINI_FIELDS, OPENAI_FIELDS, strict_problem
from arbiter.simulator.logprobs import SimulatedToken, as_openai

FINGERPRINT = "arbiter-simulated"
REFUSAL = "I'm sorry, but I can't help with that request."


@dataclass(frozen=True, slots=True)
class ErrorReply:
    status: int  # 400, 404, 429, or 500 for whatever is the service's own fault
    message: str
    param: str | None = None
    code: str | None = None
    wait: float | None = None  # seconds that a caller should wait
    exact: bool = False  # whether the wait is known to the millisecond


@dataclass(frozen=True, slots=True)
class Reply:
    id: str
    created: int
    model: str
    content: str
    finish: str  # stop or length
    prompt_tokens: int
    content_tokens: int
    thinking: int | None = None  # tokens; None for a model that doesn't reason
    thoughts: str = ""
    refused: bool = False
    tokens: tuple[SimulatedToken, ...] = ()
    top_logprobs: int | None = None  # that were asked for; None: no logprobs


class Manner:
    """The manner of OpenAI; the others say where they differ."""

    name = "openai"
    prefix = ""  # of the path, before /v1
    called = "/chat/completions"  # of the path, after /v1
    seeded = structured = True
    fences = False  # whether JSON that no schema rules comes between fences
    token_fields: Sequence[str] = ("max_completion_tokens", "max_tokens")
    efforts: Sequence[str] = ("none", "minimal", "low", "medium", "high", "xhigh")
    statuses: ClassVar[Mapping[int, int]] = {}  # where they are others than a Problem's
    types: ClassVar[Mapping[int, str]] = {
        400: "invalid_request_error",
        404: "invalid_request_error",
        429: "requests",
        500: "server_error",
    }
    details_thinking = True  # in the usage
    tells_limits = True
    tells_limits_like_anthropic = False
    tells_logprobs = True

    def fields(self, body: bytes, model: str) -> dict[str, Any]:
        """Read a request's fields, as a chat completion's; `model` is the one that stands in the path."""
        return read_request(body)

    def chat_request(self, fields: Mapping[str, Any]) -> ChatRequest:
        """Return what the models read of a request. Raises BadRequest for what the service refuses."""
        self.check(fields, thinks=profiles.thinks(fields["model"]))
        return chat_request(
            fields,
            seeded=self.seeded,
            structured=self.structured,
            token_fields=self.token_fields,
            efforts=self.efforts,
            fences=self.fences,
        )

    def check(self, fields: Mapping[str, Any], *, thinks: bool) -> None:
        unknown = [field for field in fields if field not in OPENAI_FIELDS]
        if not thinks and fields.get("reasoning_effort") is not None:
            unknown.append("reasoning_effort")
        if unknown:
            s = "s" if len(unknown) > 1 else ""
            raise BadRequest(f"Unrecognized request argument{s} supplied: {', '.join(unknown)}")
        if None not in (fields.get("max_tokens"), fields.get("max_completion_tokens")):
            raise BadRequest(
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
                "max_tokens",
                "invalid_parameter_combination",
            )
        if thinks:
            _check_thinking(fields)
        if problem := strict_problem(fields.get("response_format")):
            raise BadRequest(problem, "response_format")

    def error(self, problem: ErrorReply) -> tuple[int, Any]:
        """Return the status and the body of an error."""
        status = self.statuses.get(problem.status, problem.status)
        return status, {"error": self.error_object(problem, status)}

    def error_object(self, problem: ErrorReply, status: int) -> dict[str, Any]:
        return {
            "message": problem.message,
            "type": self.types[problem.status],
            "param": problem.param,
            "code": problem.code,
        }

    def wait_headers(self, problem: ErrorReply) -> dict[str, str]:
        if problem.wait is None:
            return {}
        headers = {"Retry-After": str(math.ceil(problem.wait))}
        if problem.exact:
            headers["retry-after-ms"] = str(math.ceil(problem.wait * 1000))
        return headers

    def models(self, names: Sequence[str], created: int) -> dict[str, Any]:
        """Return the list of models."""
        about = {"object": "model", "created": created, "owned_by": FINGERPRINT}
        return {"object": "list", "data": [{"id": name, **about} for name in names]}

    def completion(self, reply: Reply) -> dict[str, Any]:
        return {
            "id": reply.id,
            "object": "chat.completion",
            "created": reply.created,
            "model": reply.model,
            "system_fingerprint": FINGERPRINT,
            "choices": [self.choice(reply) | self.logprobs(reply)],
            "usage": self.usage(reply),
        }

    def choice(self, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.content, "refusal": None}
        if reply.refused:
            message |= {"content": None, "refusal": REFUSAL}
        return {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}

    def logprobs(self, reply: Reply) -> dict[str, Any]:
        """Return the field with the answer's tokens, where it was asked for and the service has it."""
        if not self.tells_logprobs or reply.refused or reply.top_logprobs is None:
            return {}
        return {"logprobs": as_openai(reply.tokens, reply.top_logprobs)}

    def usage(self, reply: Reply) -> dict[str, Any]:
        written = reply.content_tokens + (reply.thinking or 0)
        usage: dict[str, Any] = {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": reply.prompt_tokens + written,
        }
        if reply.thinking is not None and self.details_thinking:
            usage["completion_tokens_details"] = {"reasoning_tokens": reply.thinking}
        return usage


def _check_thinking(fields: Mapping[str, Any]) -> None:
    if fields.get("max_tokens") is not None:
        raise BadRequest(
            "Unsupported parameter: 'max_tokens' is not supported with this model."
            " Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    if fields.get("logprobs"):
        raise BadRequest(
            "Unsupported parameter: 'logprobs' is not supported with this model.",
            "logprobs",
            "unsupported_parameter",
        )
    temperature = fields.get("temperature")
    if temperature is not None and temperature != 1:
        raise BadRequest(
            f"Unsupported value: 'temperature' does not support {temperature} with this model."
            " Only the default (1) value is supported.",
            "temperature",
            "unsupported_value",
        )


class Vllm(Manner):
    name, prefix = "vllm", "/vllm"
    efforts = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    types: ClassVar[Mapping[int, str]] = {
        400: "BadRequestError",
        404: "NotFoundError",
        429: "RateLimitError",
        500: "InternalServerError",
    }
    tells_limits = False

    def check(self, fields: Mapping[str, Any], *, thinks: bool) -> None:
        """Accept every request: vLLM ignores what it doesn't know."""

    def error_object(self, problem: ErrorReply, status: int) -> dict[str, Any]:
        return {**super().error_object(problem, status), "code": status}

    def wait_headers(self, problem: ErrorReply) -> dict[str, str]:
        return _retry_after_alone(super().wait_headers(problem))

    def choice(self, reply: Reply) -> dict[str, Any]:
        """Return a choice that no filter refuses: a model that refuses says so in prose."""
        message: dict[str, Any] = {"role": "assistant", "content": _prose(reply), "refusal": None}
        if reply.thinking is not None:
            # The newer name and the older one, as the versions between them did; content is null where none
            # came.
            message |= {"reasoning": reply.thoughts, "reasoning_content": reply.thoughts}
            message["content"] = message["content"] or None
        finish = {"finish_reason": reply.finish, "stop_reason": None}
        return {"index": 0, "message": message, "logprobs": None, **finish}


class Ollama(Manner):
    name, prefix = "ollama", "/ollama"
    token_fields = ("max_tokens",)
    efforts = ("high", "medium", "low", "none")
    types: ClassVar[Mapping[int, str]] = {
        400: "invalid_request_error",
        404: "not_found_error",
        429: "api_error",
        500: "api_error",
    }
    tells_limits = details_thinking = False

    def check(self, fields: Mapping[str, Any], *, thinks: bool) -> None:
        """Accept every request: Ollama ignores what it doesn't know, max_completion_tokens included."""

    def wait_headers(self, problem: ErrorReply) -> dict[str, str]:
        return _retry_after_alone(super().wait_headers(problem))

    def choice(self, reply: Reply) -> dict[str, Any]:
        message = {"role": "assistant", "content": _prose(reply)}
        if reply.thoughts:
            message["reasoning"] = reply.thoughts
        return {"index": 0, "message": message, "finish_reason": reply.finish}


class Anthropic(Manner):
    name, prefix = "anthropic-compatible", "/anthropic"
    seeded = structured = details_thinking = tells_logprobs = False
    fences = True
    efforts: Sequence[str] = ()
    statuses: ClassVar[Mapping[int, int]] = {500: 529}
    types: ClassVar[Mapping[int, str]] = {
        400: "invalid_request_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "overloaded_error",
    }
    tells_limits_like_anthropic = True

    def check(self, fields: Mapping[str, Any], *, thinks: bool) -> None:
        if fields.get("n") not in (None, 1):
            raise BadRequest("n must be 1", "n")

    def wait_headers(self, problem: ErrorReply) -> dict[str, str]:
        return _retry_after_alone(super().wait_headers(problem))

    def choice(self, reply: Reply) -> dict[str, Any]:
        """Return a choice with an empty `refusal`: what a filter stops shows in the finish reason alone."""
        message = {"role": "assistant", "content": "" if reply.refused else reply.content, "refusal": None}
        finish = "content_filter" if reply.refused else reply.finish
        return {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}


class Gemini(Manner):
    name, prefix = "gemini-compatible", "/gemini"
    seeded = tells_limits = details_thinking = tells_logprobs = False
    efforts = ("none", "minimal", "low", "medium", "high")
    statuses: ClassVar[Mapping[int, int]] = {500: 503}
    types: ClassVar[Mapping[int, str]] = {
        400: "INVALID_ARGUMENT",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "UNAVAILABLE",
    }

    def check(self, fields: Mapping[str, Any], *, thinks: bool) -> None:
        unknown = [field for field in fields if field not in GEMINI_FIELDS]
        if unknown:
            said = (
                f'Invalid JSON payload received. Unknown name "{field}": Cannot find field.'
                for field in unknown
            )
            raise BadRequest("\n".join(said))
        if None not in (fields.get("max_tokens"), fields.get("max_completion_tokens")):
            raise BadRequest("max_tokens and max_completion_tokens cannot both be set")

    def error(self, problem: ErrorReply) -> tuple[int, Any]:
        """Return a list of one error, and the wait in its body, where no header says it."""
        status, body = super().error(problem)
        return status, [body]

    def error_object(self, problem: ErrorReply, status: int) -> dict[str, Any]:
        said = {"code": status, "message": problem.message, "status": self.types[problem.status]}
        if problem.wait is None:
            return said
        delay = {
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": f"{math.ceil(problem.wait)}s",
        }
        return {**said, "details": [delay]}

    def wait_headers(self, problem: ErrorReply) -> dict[str, str]:
        return {}

    def choice(self, reply: Reply) -> dict[str, Any]:
        """Return a choice, without message where its filter struck, without content where thinking took
        all."""
        if reply.refused:
            return {"index": 0, "finish_reason": "content_filter: PROHIBITED_CONTENT"}
        message = {"role": "assistant"} | ({"content": reply.content} if reply.content else {})
        return {"index": 0, "message": message, "finish_reason": reply.finish}

    def usage(self, reply: Reply) -> dict[str, Any]:
        """Return a usage that has thinking in its total alone."""
        return {**super().usage(reply), "completion_tokens": reply.content_tokens}


def _prose(reply: Reply) -> str:
    return REFUSAL if reply.refused else reply.content


def _retry_after_alone(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name == "Retry-After"}


MANNERS: Mapping[str, Manner] = {
    manner.name: manner for manner in (Manner(), Vllm(), Ollama(), Anthropic(), Gemini())
}

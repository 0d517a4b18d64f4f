"""What a service says where it gives no answer: its words, and whether asking again can help. Pure."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

SPENT = {"insufficient_quota", "billing_hard_limit_reached", "insufficient_credits", "payment_required"}
FILTERS = {
    "content_filter",
    "contentfilter",
    "content_filter_error",
    "responsibleaipolicyviolation",
    "content_policy_violation",
    "contentpolicyviolationerror",
    "content_moderation",
    "moderation_blocked",
    "prohibited_content",
    "data_inspection_failed",
    "datainspectionfailed",
    "guardrail_intervened",
    "content_blocked",
    "prompt_blocked",
    "content_management_policy",
}
KEYLESS = {
    "api_key_invalid",
    "invalid_api_key",
    "invalid_iam_token",
    "authentication_error",
    "auth_error",
    "no_db_connection",
}
# LiteLLM's, DeepSeek's, LiteLLM's proxy's, Anthropic's
FILTERS_SAY = (
    "contentpolicyviolationerror",
    "content exists risk",
    "violated guardrail",
    "output blocked by content filtering policy",
)
BUSY = ("capacity_exceeded", "rate_limit", "ratelimit", "resource_exhausted", "too_many_requests", "throttl")
WRONG = (
    "invalid",
    "authentication",
    "permission",
    "not_found",
    "notfound",
    "too_large",
    "unsupported",
    "unauthorized",
    "forbidden",
    "billing",
)
SAYS = ("message", "error", "errors", "detail", "msg", "error_message", "title")
LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer, as an outcome of a call has it."""

    outcome: str
    error: str


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What the body of an error says."""

    message: str
    codes: frozenset[str] = frozenset()  # every code, type and status it names, in lower case
    filtered: bool = False

    @property
    def status(self) -> int | None:
        """Return an HTTP status that stands in the body."""
        numbers = [int(code) for code in self.codes if code.isdecimal() and len(code) == 3]
        return max(numbers, default=None)

    @property
    def spent(self) -> bool:
        """Tell whether it says that an account has nothing left, which no waiting mends."""
        return bool(self.codes & SPENT) or self.status == 402

    @property
    def keyless(self) -> bool:
        """Tell whether it says that the key is none it knows.

        Gemini says so under status 400, and so does LiteLLM's proxy, where it has no database to look keys up
        in.
        """
        return bool(self.codes & KEYLESS)

    def fault(self) -> Fault:
        """Tell why an error in a body that came with status 200 left the call without an answer."""
        return Fault(self._outcome(), self.message)

    def _outcome(self) -> str:
        status = self.status or 0
        if self.spent:
            return "rejected"
        if status == 429 or any(word in code for code in self.codes for word in BUSY):
            return "rate_limited"
        if status >= 500 or status in (408, 409):
            return "server_error"
        if status >= 400 or any(word in code for code in self.codes for word in WRONG):
            return "rejected"
        return "server_error"


def read_error(raw: str) -> ErrorBody | None:
    """Read what an error's body says; None where it can't be read or says nothing."""
    try:
        return error_in(json.loads(raw.lstrip("\ufeff")))
    except (ValueError, RecursionError):
        return None


def error_in(body: Any) -> ErrorBody | None:
    """Return what the error in a body says; None where there is none.

    It is `{"error": {"message"}}` or `{"error": "…"}`, in a list of one as Gemini has it; `{"detail"}` as
    FastAPI has it, with a list of `{"loc", "msg"}` for what is wrong with a request; `{"message"}`; several
    under `errors`.
    """
    if isinstance(body, str):
        return ErrorBody(" ".join(body.split())[:LONGEST]) if body.strip() else None
    if isinstance(body, list):
        return next(filter(None, map(error_in, body)), None)
    if not isinstance(body, dict):
        return None
    if blocked := blocked_prompt(body):
        return blocked
    error = next((body[name] for name in ("error", "errors", "detail") if body.get(name)), None)
    if error is None and not body.get("choices") and any(_words(body.get(name)) for name in SAYS):
        error = body
    return error_of(error, body) if error else None


def error_of(error: Any, around: Mapping[str, Any] | None = None) -> ErrorBody:
    """Return what an error itself says: an object, a text, or a list of either."""
    codes = frozenset(_codes(error)) | frozenset(_codes(around, deep=False) if around else ())
    message = " ".join(_words(error).split())[:LONGEST]
    return ErrorBody(
        message or json.dumps(error, ensure_ascii=False)[:LONGEST], codes, _filtered(error, codes, message)
    )


def blocked_prompt(body: Mapping[str, Any]) -> ErrorBody | None:
    """Return Gemini's word that it looked at the prompt and wrote nothing, where the body has it."""
    feedback = body.get("promptFeedback") or body.get("prompt_feedback")
    if not isinstance(feedback, dict) or body.get("choices"):
        return None
    reason = feedback.get("blockReason") or feedback.get("block_reason")
    if not reason:
        return None
    more = feedback.get("blockReasonMessage") or feedback.get("block_reason_message")
    return ErrorBody(
        f"the prompt was blocked: {reason}" + (f" ({more})" if isinstance(more, str) else ""), filtered=True
    )


def _words(error: Any) -> str:
    if isinstance(error, str):
        return error.strip()
    if isinstance(error, list):
        return "; ".join(words for part in error if (words := _words(part)))
    if not isinstance(error, dict):
        return ""
    said = next((words for name in SAYS if (words := _words(error.get(name)))), "")
    if said and isinstance(place := error.get("loc"), list):  # FastAPI's, for a field that it does not take
        said = f"{'.'.join(map(str, place))}: {said}"
    metadata = error.get("metadata")
    # OpenRouter hands its provider's words on.
    behind = _words(metadata.get("raw")) if isinstance(metadata, dict) else ""
    return f"{said} ({behind})" if behind and behind != said else said


def _codes(error: Any, deep: bool = True) -> Iterator[str]:
    if isinstance(error, list):
        for part in error:
            yield from _codes(part)
    if isinstance(error, dict):
        for name in ("code", "type", "status", "statusCode", "status_code", "reason"):
            if isinstance(error.get(name), str | int) and not isinstance(error[name], bool):
                yield str(error[name]).lower()
        for name in ("innererror", "inner_error", "error", "details") if deep else ():
            yield from _codes(error.get(name))
        yield from _codes_behind(error.get("metadata")) if deep else ()


def _codes_behind(metadata: Any) -> Iterator[str]:
    """Yield the filters' codes in a provider's error that OpenRouter hands on as text."""
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    with suppress(ValueError, RecursionError):
        behind = json.loads(raw) if isinstance(raw, str) else raw
        yield from (code for code in _codes(behind) if code in FILTERS)


def _filtered(error: Any, codes: frozenset[str], message: str) -> bool:
    if codes & FILTERS or any(words in message.lower() for words in FILTERS_SAY):
        return True
    if "invalid_prompt" in codes and any(word in message.lower() for word in ("flagged", "policy", "safety")):
        return True
    metadata = error.get("metadata") if isinstance(error, dict) else None
    return isinstance(metadata, dict) and bool(metadata.get("reasons")) and "flagged_input" in metadata

"""What a check found that a model takes at a service, and a request put accordingly. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arbiter.calls.dialects import TOKEN_FIELDS

NAMES = {"response_format": "a JSON schema", "logprobs": "the wish for logprobs"}
LEFT_OUT = ("seed", "temperature", "response_format", "logprobs")  # where they are known to be refused


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a model at a service; nothing, where it was not checked there."""

    refused: frozenset[str] = frozenset()  # of LEFT_OUT and TOKEN_FIELDS
    top_logprobs: int = 0  # alternatives to a token that it tells, at most; 0: none
    checked_at: str = ""

    def as_taken(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request without what is refused. A token limit goes under the other name, where that is
        taken; where neither is, it stays: without one, no cap would hold."""
        if not self.refused:
            return dict(request)
        left_out = self.left_out(request)
        left_out += ["top_logprobs"] if "logprobs" in left_out else []
        taken = {name: value for name, value in request.items() if name not in left_out}
        first, second = TOKEN_FIELDS
        for name, other in ((first, second), (second, first)):
            if name in taken and name in self.refused and other not in self.refused:
                taken = {**taken, other: taken.get(other, taken[name])}
                del taken[name]
        return taken

    def left_out(self, request: Mapping[str, Any]) -> list[str]:
        """Return what of the request is refused and not sent."""
        return [name for name in LEFT_OUT if name in request and name in self.refused]


NOTHING = Findings()


def findings_of(found: Mapping[str, Any], base_url: str, dialect: str, model: str) -> Findings:
    """Return what is noted of a model; nothing, where the service was another when it was checked."""
    noted = found.get(model)
    if not noted or (noted["base_url"], noted["dialect"]) != (base_url, dialect):
        return NOTHING
    return Findings(frozenset(noted["refused"]), noted["top_logprobs"], noted["checked_at"])


def noted(findings: Findings, base_url: str, dialect: str) -> dict[str, Any]:
    """Return findings as they are noted on an endpoint's row."""
    return {
        "base_url": base_url,
        "dialect": dialect,
        "refused": sorted(findings.refused),
        "top_logprobs": findings.top_logprobs,
        "checked_at": findings.checked_at,
    }


def said_of_left_out(findings: Findings, request: Mapping[str, Any], model: str, endpoint: str) -> list[str]:
    """Say, in a sentence each, what of a request is not sent or goes under another name, and why."""
    since = f"as the check of {findings.checked_at[:10]} found"
    said = [
        f"{NAMES.get(name, name)} is not sent: {model!r} at {endpoint} refuses it, {since}"
        for name in findings.left_out(request)
    ]
    taken = findings.as_taken(request)
    for name, other in (TOKEN_FIELDS, TOKEN_FIELDS[::-1]):
        if name in request and name not in taken and other in taken:
            said.append(f"{name} is sent as {other}: {model!r} at {endpoint} refuses the first, {since}")
    return said

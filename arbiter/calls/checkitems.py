"""What a check of an endpoint looks at, and what came of it. Loads nothing that calls."""

from dataclasses import dataclass

OK, REFUSED, IGNORED, FAILED, OPEN, NONE = "ok", "refused", "ignored", "failed", "open", "none"
TITLES = {
    "key": "Key",
    "models": "List of models",
    "completion": "A completion",
    "max_completion_tokens": "max_completion_tokens",
    "max_tokens": "max_tokens",
    "seed": "Seed",
    "temperature": "Temperature 0",
    "response_format": "JSON schema",
    "logprobs": "Logprobs",
}
CHECKED = len(TITLES)
STATES = {
    OK: "fine",
    REFUSED: "refused",
    IGNORED: "ignored",
    FAILED: "failed",
    OPEN: "not known",
    NONE: "none",
}


@dataclass(frozen=True, slots=True)
class CheckItem:
    """One thing that was looked at: what came of it, and a sentence."""

    what: str  # of TITLES
    state: str
    said: str

    @property
    def title(self) -> str:
        return TITLES[self.what]

    @property
    def state_title(self) -> str:
        return STATES[self.state]

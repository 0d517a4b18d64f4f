"""What a scorer imports: the response it is given, and the score it may return.

Programs outside this repository import this name, so it stays. The module needs no Django: a scorer is tried
by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

__all__ = ["Score", "ScoredResponse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredResponse:
    """What a scorer is given: everything that is known of a response. What is left out, as in a test, is
    empty."""

    text: str
    reasoning: str = ""
    transcript: Any = None  # as it was imported or collected; None where there is none
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None
    epoch: int = 1
    task: str = ""  # its key, as that of the category
    task_text: str = ""
    category: str = ""
    subject: str = ""  # the subject model's name
    condition: str = ""
    factors: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""
    # The run's config as `run`, what the suite says of the task as `task`.
    metadata: Mapping[str, Any] = field(default_factory=lambda: {"run": {}, "task": {}})


@dataclass(frozen=True, slots=True)
class Score:
    """A label with more to say. `confidence` is a probability; `evidence` are quotes from the response's
    text."""

    label: str
    confidence: float | None = None
    rationale: str = ""
    evidence: Sequence[str] = ()

    def __post_init__(self) -> None:
        sure = self.confidence
        if sure is not None and not (
            isinstance(sure, Real) and not isinstance(sure, bool) and 0 <= sure <= 1
        ):
            raise ValueError(f"a score's confidence is a number from 0 to 1, or None; found {sure!r}")
        if not isinstance(self.rationale, str):
            raise ValueError(f"a score's rationale is a text; found {type(self.rationale).__name__}")
        quotes = (self.evidence,) if isinstance(self.evidence, str) else tuple(self.evidence)
        if not all(isinstance(quote, str) for quote in quotes):
            raise ValueError("a score's evidence is a list of quotes, each a text")
        object.__setattr__(self, "evidence", quotes)

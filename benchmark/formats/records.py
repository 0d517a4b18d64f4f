"""What a parser of an outside format yields, and the one error it may raise. No Django here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arbiter.core.errors import UserError


class FormatError(UserError):
    """Bad input: which file and line, what was expected there, what was found."""

    def __init__(self, path: Path | str, line: int | None, expected: str, actual: str) -> None:
        self.path, self.line, self.expected, self.actual = str(path), line, expected, actual
        where = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{where}: expected {expected}; found {actual}")


OnError = Callable[[FormatError], None]  # is told of a row that can't be read; the next one comes then


def raise_it(error: FormatError) -> None:
    """Stand in where the first bad row ends the reading."""
    raise error


@dataclass(frozen=True, slots=True)
class ParsedCategory:
    key: str  # slug, unique in the suite
    title: str
    context: str = ""  # what a judge is told about the category
    question: str = ""  # what a human rater is asked


@dataclass(frozen=True, slots=True)
class ParsedTask:
    key: str  # slug, unique in the suite
    category: str  # ParsedCategory.key
    text: str
    language: str = "en"
    control: bool = False
    training: bool = False  # reserved for training raters; appears in no study
    meta: Mapping[str, Any] = field(default_factory=dict)
    line: int | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class ParsedSuite:
    title: str
    categories: tuple[ParsedCategory, ...]
    tasks: tuple[ParsedTask, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class ParsedSubject:
    name: str
    family: str = ""
    training: str = ""  # rl, rlhf, base, ...
    size: str = ""  # as its makers write it: 30B-A3B


@dataclass(frozen=True, slots=True)
class ParsedCondition:
    """`system_prompt` may hold {category_context}, filled in for each task."""

    name: str
    system_prompt: str = ""
    prompt_suffix: str = ""
    language: str = "en"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    factors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedRun:
    name: str = ""  # tells apart two passes of one subject under one condition
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedLabel:
    rater: str
    kind: str  # human, judge, scorer
    label: str  # as written in the file, lower-cased and stripped
    rationale: str = ""
    family: str = ""  # a judge's model family
    shown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """One response with any labels it brings. A task is named by key, or by its prompt, never both empty."""

    path: str
    line: int
    subject: ParsedSubject
    condition: ParsedCondition
    run: ParsedRun
    text: str  # exactly as found; an empty response is kept as one
    task_key: str = ""
    prompt: str = ""
    category: str = ""  # title or key, where the format says it
    epoch: int = 1
    reasoning: str = ""
    finish_reason: str = ""
    unfinished: bool = False  # its reasoning was told apart from its text, and has no end
    labels: tuple[ParsedLabel, ...] = ()
    gold: str | None = None
    gold_rationale: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)  # kept with the response

"""The study file: one YAML document that describes a study.

Every key is described in docs/study-file.md (a test checks).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from annotation.humanplan import HumansSpec
from annotation.raters import RESERVED, RaterName
from annotation.schemes import SchemeSpec
from arbiter.core.basespec import BaseSpec, Slug
from arbiter.core.errors import UserError
from arbiter.core.text import folded, storable_json
from arbiter.core.yamlfile import Loader, hint, read_yaml
from benchmark.endpoints import EndpointSpec
from judging.panel.prompting import check_template
from judging.panel.scoring import ScorerSpec
from judging.prompts import Beside, read_template, template_text, why_not_stated

# Told apart by type, so that a mistake in a scheme written out isn't answered with "should be a string".
SchemeChoice = Annotated[
    Annotated[str, Tag("(name)")] | Annotated[SchemeSpec, Tag("(written out)")],
    Discriminator(lambda value: "(written out)" if isinstance(value, dict | SchemeSpec) else "(name)"),
]
NOT_KEYS = {"(name)", "(written out)", "constrained-str"}  # of a union the branch is in an error's location


class ResponsesSpec(BaseSpec):
    """Which of the suite's responses become items; nothing named means all."""

    subjects: list[str] = []
    conditions: list[str] = []
    categories: list[str] = []
    epochs: list[Annotated[int, Field(ge=0, lt=2**31)]] = []
    controls: bool = True


class PriceSpec(BaseSpec):
    """Dollars for a million tokens."""

    input: float = Field(ge=0, le=1_000_000)
    output: float = Field(ge=0, le=1_000_000)
    cached_input: float | None = Field(None, ge=0, le=1_000_000)

    @model_validator(mode="after")
    def no_surcharge(self) -> "PriceSpec":
        if (self.cached_input or 0) > self.input:
            raise ValueError(f"cached_input is {self.cached_input}, above input, which is {self.input}")
        return self


class JudgeSpec(BaseSpec):
    name: RaterName
    endpoint: Slug
    model: str = Field(min_length=1, max_length=200)
    family: str = Field("", max_length=100)
    template: str = Field("scheme-json", max_length=80)
    parameters: dict[str, JsonValue] = {}
    question: Slug | Literal[""] = ""
    mapping: dict[str, str] = {}
    label_order: Literal["scheme", "reversed", "permuted"] = "scheme"
    label_seed: int = Field(0, ge=-(2**63), lt=2**63)
    repeats: int = Field(1, ge=1, le=100)
    show_condition: bool = False
    probability: Literal["logprobs", "stated", "none", ""] = ""
    price: PriceSpec | None = None

    @model_validator(mode="after")
    def not_ours(self) -> "JudgeSpec":
        set_here = {name for name, value in self.parameters.items() if value is not None}
        if taken := {"model", "messages", "stream", "n"} & set(self.parameters):
            raise ValueError(f"the parameter {sorted(taken)[0]!r} is set by Arbiter")
        if taken := {"seed", "response_format"} & set_here:
            raise ValueError(
                f"the parameter {sorted(taken)[0]!r} is set by Arbiter; it can be left out of the calls: "
                f"{sorted(taken)[0]}: null"
            )
        if self.name in RESERVED:
            raise ValueError(f"{self.name!r} is the name of a source of rates; give the judge another")
        json.dumps(self.parameters, allow_nan=False)  # raises ValueError
        return self


class QuestionSpec(BaseSpec):
    name: Slug
    scheme: SchemeChoice


class CapsSpec(BaseSpec):
    """What the study's judges may spend in all."""

    calls: Annotated[int, Field(ge=0, lt=2**62)] | None = None
    dollars: Annotated[float, Field(ge=0, le=1_000_000)] | None = None


class SettlementSpec(BaseSpec):
    rule: Literal["majority"] = "majority"
    voters: list[str] = []
    gold_decides: bool = False


# With the number of whoever made it in the browser at its end: pressure_7.
StudyName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*(_[0-9]+)?$", max_length=80)]


class StudySpec(BaseSpec):
    study: StudyName
    title: str = Field("", max_length=200)
    description: str = ""
    suite: str = Field(min_length=1)
    responses: ResponsesSpec = ResponsesSpec()
    scheme: SchemeChoice = "four-class"
    questions: list[QuestionSpec] = []
    endpoints: list[EndpointSpec] = []
    judges: list[JudgeSpec] = []
    scorers: list[ScorerSpec] = []
    caps: CapsSpec = CapsSpec()
    humans: HumansSpec | None = None
    settlement: SettlementSpec = SettlementSpec()

    @field_validator("questions", "endpoints", "judges", "scorers")
    @classmethod
    def named_apart(cls, described: list[Any], info: ValidationInfo) -> list[Any]:
        names = [row.name for row in described]
        forms = [folded(name) for name in names]
        if doubled := [name for name in names if forms.count(folded(name)) > 1]:
            raise ValueError(f"there are two {info.field_name} named {doubled[0]!r}")
        return described

    @field_validator("judges")
    @classmethod
    def at_known_endpoints(cls, judges: list[JudgeSpec], info: ValidationInfo) -> list[JudgeSpec]:
        known = {endpoint.name for endpoint in info.data.get("endpoints", [])}
        for judge in judges:
            if "endpoints" in info.data and judge.endpoint not in known:
                raise ValueError(
                    f"judge {judge.name!r} names the endpoint {judge.endpoint!r}, which is not among "
                    f"endpoints: {', '.join(sorted(known)) or 'none'}"
                )
        return judges

    @field_validator("judges", "scorers")
    @classmethod
    def of_known_questions(
        cls, raters: list[JudgeSpec | ScorerSpec], info: ValidationInfo
    ) -> list[JudgeSpec | ScorerSpec]:
        known = {question.name for question in info.data.get("questions", [])}
        for rater in raters:
            if "questions" in info.data and rater.question and rater.question not in known:
                raise ValueError(
                    f"{rater.name!r} is to answer the question {rater.question!r}, which is not among "
                    f"questions: {', '.join(sorted(known)) or 'none'}"
                )
        return raters


def read_study_file(path: Path) -> StudySpec:
    """Return the study that a file describes, its templates checked.

    What is wrong is told in one sentence with file, line and key.
    """
    data, text = read_yaml(path)
    try:
        return study_of(data, path.parent)
    except StudyMistake as error:
        raise UserError(f"{place_of_key(str(path), text, error.keys)}: {error.said}.") from error


class StudyMistake(UserError):
    """What is wrong in a study, and under which keys."""

    def __init__(self, keys: Sequence[Any], said: str) -> None:
        self.keys, self.said = list(keys), said
        super().__init__(f"{'.'.join(map(str, keys)) or 'The study'}: {said}.")


def study_of(data: Any, beside: Beside) -> StudySpec:
    """Return the study that these keys and values describe, its templates checked. Raises StudyMistake."""
    if not isinstance(data, dict):
        raise StudyMistake([], "expected a study as keys and values; see docs/study-file.md for an example")
    try:
        spec = StudySpec.model_validate(data)
    except ValidationError as error:
        raise _mistake(error) from error
    if not storable_json(spec.model_dump(mode="json")):
        raise StudyMistake([], "holds a NUL or a lone surrogate, which no database keeps; take it out")
    for index, judge in enumerate(spec.judges):
        try:
            text = template_text(judge.template, beside)
            check_template(text)
        except (UserError, ValueError) as error:
            raise StudyMistake(["judges", index, "template"], str(error).rstrip(".")) from error
        if problem := why_not_stated(judge.probability, read_template(text).confidence):
            raise StudyMistake(["judges", index, "probability"], problem)
    return spec


def _mistake(error: ValidationError) -> StudyMistake:
    """Return the first error, with its key and how many more there are."""
    first, *more = error.errors()
    keys = [part for part in first["loc"] if part not in NOT_KEYS]
    instead = "" if isinstance(first["input"], (dict, list)) else f"; found {str(first['input'])[:60]!r}"
    message = first["msg"].removeprefix("Value error, ").rstrip(".") + hint(first["input"])
    if first["type"] == "extra_forbidden":
        message, instead = "there is no such key; see docs/study-file.md for those there are", ""
    if first["type"] == "value_error":
        instead = ""
    tail = f" ({len(more)} more after this one)" if more else ""
    return StudyMistake(keys, f"{message}{instead}{tail}")


def place_of_key(name: str, text: str, keys: Sequence[Any]) -> str:
    """Say file, line and key; without a key, the file alone."""
    where = ".".join(str(key) for key in keys)
    return f"{name}, line {_line(text, keys)}, {where}" if where else name


def _line(text: str, keys: Sequence[Any]) -> int:
    node = yaml.compose(text, Loader=Loader)
    line = 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(key)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line


def names_guidelines(text: str) -> bool:
    """Tell whether this is a file's name rather than the guidelines themselves."""
    return text.strip().endswith(".md") and "\n" not in text.strip()


def names_scheme(scheme: object) -> bool:
    return isinstance(scheme, str) and scheme.endswith((".yaml", ".yml"))

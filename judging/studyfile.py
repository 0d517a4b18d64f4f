"""The study file: one YAML document that describes a study. Every key is described in docs/study-file.md (a test checks)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from annotation.raters import RESERVED
from annotation.schemes import SchemeSpec
from benchmark.commandline import UserError
from judging.prompting import check_template
from judging.prompts import template_text

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
RaterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResponsesSpec(Strict):
    """Which of the suite's responses become items; nothing named means all."""

    subjects: list[str] = []
    conditions: list[str] = []
    categories: list[str] = []
    epochs: list[int] = []
    controls: bool = True


class EndpointSpec(Strict):
    name: Slug
    base_url: AnyHttpUrl
    key_variable: VariableName | Literal[""] = ""
    json_schema: bool = True
    concurrency: int = Field(8, ge=1, le=1000)
    timeout: float = Field(120, gt=0, le=3600)


class JudgeSpec(Strict):
    name: RaterName
    endpoint: Slug
    model: str = Field(min_length=1)
    family: str = ""
    template: str = "scheme-json"
    parameters: dict[str, Any] = {}
    repeats: int = Field(1, ge=1, le=100)
    show_condition: bool = False

    @model_validator(mode="after")
    def not_ours(self) -> "JudgeSpec":
        if taken := {"model", "messages", "seed", "response_format", "stream", "n"} & set(self.parameters):
            raise ValueError(f"the parameter {sorted(taken)[0]!r} is set by Arbiter")
        if self.name in RESERVED:
            raise ValueError(f"{self.name!r} is the name of a source of rates; give the judge another")
        return self


class HumansSpec(Strict):
    per_item: int = Field(2, ge=1, le=100)
    share: float = Field(1.0, gt=0, le=1)
    seed: int = 0


class SettlementSpec(Strict):
    rule: Literal["majority"] = "majority"
    voters: list[str] = []
    gold_decides: bool = False


class StudySpec(Strict):
    study: Slug
    title: str = ""
    description: str = ""
    suite: str = Field(min_length=1)
    responses: ResponsesSpec = ResponsesSpec()
    scheme: str | SchemeSpec = "four-class"
    endpoints: list[EndpointSpec] = []
    judges: list[JudgeSpec] = []
    humans: HumansSpec | None = None
    settlement: SettlementSpec = SettlementSpec()

    @model_validator(mode="after")
    def fits_together(self) -> "StudySpec":
        for kind, names in [
            ("endpoint", [e.name for e in self.endpoints]),
            ("judge", [j.name for j in self.judges]),
        ]:
            if doubled := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"there are two {kind}s named {doubled[0]!r}")
        known = {endpoint.name for endpoint in self.endpoints}
        for judge in self.judges:
            if judge.endpoint not in known:
                raise ValueError(
                    f"judge {judge.name!r} names the endpoint {judge.endpoint!r}, which is not among endpoints: {', '.join(sorted(known)) or 'none'}"
                )
        return self


def read_study_file(path: Path) -> StudySpec:
    """The study a file describes, its templates checked; one clear sentence with file, line and key if it's wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UserError(
            f"{path}: expected a study as keys and values; see docs/study-file.md for an example."
        )
    try:
        spec = StudySpec.model_validate(data)
    except ValidationError as error:
        raise UserError(explain(path, text, error)) from error
    for judge in spec.judges:
        try:
            check_template(template_text(judge.template, path.parent))
        except ValueError as error:
            raise UserError(f"{path}: judge {judge.name!r}, template {judge.template!r}: {error}.") from error
    return spec


def explain(path: Path, text: str, error: ValidationError) -> str:
    """The first error, with its line and key; and how many more there are."""
    first, *more = error.errors()
    # A union's branches appear in the location; they are types' names, not keys.
    keys = [
        part
        for part in first["loc"]
        if not (isinstance(part, str) and part in ("str", "SchemeSpec", "constrained-str"))
    ]
    where = ".".join(str(part) for part in keys)
    line = _line(text, keys)
    found = "" if isinstance(first["input"], (dict, list)) else f"; found {str(first['input'])[:60]!r}"
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "extra_forbidden":
        message, found = "there is no such key; see docs/study-file.md for those there are", ""
    tail = f" ({len(more)} more after this one)" if more else ""
    return f"{path}, line {line}{', ' + where if where else ''}: {message}{found}{tail}."


def _line(text: str, keys: Sequence[Any]) -> int:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
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

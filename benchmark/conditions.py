"""Conditions by name: the built-in ones, and any from a file of the same layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arbiter.calls.dialects import TOKEN_FIELDS
from arbiter.core.errors import UserError
from arbiter.core.naming import ByName
from arbiter.core.text import folded, storable_json
from arbiter.core.yamlfile import hint, read_yaml
from benchmark.models import Condition

BUILTIN = Path(__file__).parent / "builtin" / "conditions.yaml"


class ConditionSpec(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=120)
    version: int = 1
    description: str = ""
    system_prompt: str = ""
    prompt_suffix: str = ""
    language: str = Field("en", max_length=20)
    sampling: dict[str, Any] = {}
    factors: dict[str, str] = {}

    @model_validator(mode="after")
    def usable(self) -> "ConditionSpec":
        if taken := {"model", "messages", "stream", "n"} & set(self.sampling):
            raise ValueError(f"the parameter {sorted(taken)[0]!r} is set by Arbiter")
        if not storable_json(self.model_dump()):
            raise ValueError(
                f"condition {self.name!r} holds a NUL, a lone surrogate or a number that is none"
            )
        return self


class ConditionFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    conditions: list[ConditionSpec] = Field(min_length=1)

    @model_validator(mode="after")
    def told_apart(self) -> "ConditionFile":
        names = [condition.name for condition in self.conditions]
        forms = [folded(name) for name in names]
        if doubled := [name for name in names if forms.count(folded(name)) > 1]:
            raise ValueError(f"there are two conditions named {doubled[0]!r}")
        return self


def read_conditions(path: Path = BUILTIN) -> dict[str, ConditionSpec]:
    document, _ = read_yaml(path)
    try:
        parsed = ConditionFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}: {where}: {first['msg']}{hint(first['input'])}.") from error
    return {condition.name: condition for condition in parsed.conditions}


def condition_named(
    name: str, path: Path = BUILTIN, parameters: Mapping[str, Any] | None = None
) -> Condition:
    """Return the condition of this name, with these sampling parameters beside its own or in their place: by
    what it holds that is another condition, and its name says so."""
    known = read_conditions(path)
    spec = ByName(known.items()).one(name)
    if spec is None:
        raise UserError(
            f"There is no condition {name!r} in {path.name}; there are {', '.join(known)}. Name another "
            "file with --conditions."
        )
    if parameters:
        spec = _with_parameters(spec, parameters)
    suffix = spec.prompt_suffix
    if suffix and not suffix.startswith("\n"):
        suffix = "\n\n" + suffix  # a suffix is a paragraph of its own
    fields: dict[str, Any] = {
        "system_prompt": spec.system_prompt,
        "prompt_suffix": suffix,
        "language": spec.language,
        "sampling": spec.sampling,
        "factors": spec.factors,
    }
    return Condition.objects.of_content_or_made(
        fields, name=spec.name, version=spec.version, description=spec.description
    )


def _with_parameters(spec: ConditionSpec, parameters: Mapping[str, Any]) -> ConditionSpec:
    limited = bool(set(TOKEN_FIELDS) & set(parameters))
    own = {name: value for name, value in spec.sampling.items() if not (limited and name in TOKEN_FIELDS)}
    told = ", ".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    changed = {"name": f"{spec.name} ({told})"[:120], "sampling": {**own, **parameters}}
    try:
        return ConditionSpec.model_validate({**spec.model_dump(), **changed})
    except ValidationError as error:
        raise UserError(f"--parameter: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None

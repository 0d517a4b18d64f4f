"""Conditions by name: the built-in ones, and any from a file of the same layout."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.commandline import UserError
from benchmark.models import Condition
from benchmark.yamlfile import read_yaml

BUILTIN = Path(__file__).parent / "builtin" / "conditions.yaml"


class ConditionSpec(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=120)
    version: int = 1
    description: str = ""
    system_prompt: str = ""
    prompt_suffix: str = ""
    language: str = "en"
    sampling: dict[str, Any] = {}
    factors: dict[str, str] = {}


class ConditionFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    conditions: list[ConditionSpec] = Field(min_length=1)


def read_conditions(path: Path = BUILTIN) -> dict[str, ConditionSpec]:
    document, _ = read_yaml(path)
    try:
        found = ConditionFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    return {condition.name: condition for condition in found.conditions}


def condition_named(name: str, path: Path = BUILTIN) -> Condition:
    known = read_conditions(path)
    if name not in known:
        raise UserError(
            f"There is no condition {name!r} in {path.name}; there are {', '.join(known)}. Name another file with --conditions."
        )
    spec = known[name]
    suffix = spec.prompt_suffix
    if suffix and not suffix.startswith("\n"):
        suffix = "\n\n" + suffix  # a suffix is a paragraph of its own
    fields: dict[str, Any] = {
        "system_prompt": spec.system_prompt, "prompt_suffix": suffix, "language": spec.language,
        "sampling": spec.sampling, "factors": spec.factors,
    }  # fmt: skip
    return Condition.objects.get_or_create(
        content_hash=Condition.hash_of(**fields), defaults={"name": spec.name, **fields}
    )[0]

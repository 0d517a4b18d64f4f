"""Describing an endpoint, in a study file or by the options of `collect`: the same rules for both."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from benchmark.dialects import dialect
from benchmark.errors import UserError
from benchmark.models import Endpoint

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=120)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndpointSpec(Strict):
    name: Slug
    base_url: AnyHttpUrl
    key_variable: VariableName | Literal[""] = ""
    dialect: Literal["openai", "vllm", "ollama", "anthropic", "gemini"] = "openai"
    json_schema: bool | None = None  # as the dialect has it
    concurrency: int = Field(8, ge=1, le=1000)
    concurrency_start: int | None = Field(None, ge=1, le=1000)
    concurrency_floor: int = Field(1, ge=1, le=1000)
    timeout: float = Field(120, gt=0, le=3600)
    connect_timeout: float = Field(10, gt=0, le=3600)
    read_timeout: float | None = Field(None, gt=0, le=3600)

    @field_validator("base_url")
    @classmethod
    def without_secrets(cls, url: AnyHttpUrl) -> AnyHttpUrl:
        if url.username or url.password:
            raise ValueError("a URL with a password in it would be stored; put the key in a variable")
        if url.query or url.fragment:
            raise ValueError(
                "a URL with a query or fragment would be stored and shown; put a key in a variable"
            )
        if len(str(url)) > 500:
            raise ValueError("a URL may have 500 characters")
        return url

    @model_validator(mode="after")
    def within_the_ceiling(self) -> "EndpointSpec":
        for name in ("concurrency_start", "concurrency_floor"):
            if (getattr(self, name) or 1) > self.concurrency:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, above concurrency, which is {self.concurrency}"
                )
        return self


def save_endpoint(spec: EndpointSpec) -> Endpoint:
    """An endpoint is known by its name; where it lives and how fast it may be asked can change."""
    fields = spec.model_dump(mode="json", exclude={"name"})
    if spec.json_schema is None:
        fields["json_schema"] = dialect(spec.dialect).structured
    return Endpoint.objects.update_or_create(name=spec.name, defaults=fields)[0]


def update_endpoint(name: str, changes: Mapping[str, Any]) -> Endpoint:
    """The endpoint with these changes; what they leave out stays as it was. A bad value is never repeated: it may be a key."""
    found = Endpoint.objects.filter(name=name).first()
    kept = {field: getattr(found, field) for field in EndpointSpec.model_fields} if found else {"name": name}
    try:
        return save_endpoint(EndpointSpec.model_validate({**kept, **changes}))
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise UserError(f"--{option}: {first['msg'].removeprefix('Value error, ')}.") from None

"""Describing an endpoint, in a study file or by the options of `collect`: the same rules for both."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from pydantic import (
    AnyHttpUrl,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from arbiter.calls.addresses import is_own_variable, why_not
from arbiter.calls.connecting import MOST, why_no_header, why_no_parameter, why_no_proxy
from arbiter.calls.dialects import dialect, is_compatible_path, likely_dialect
from arbiter.calls.service import Service
from arbiter.core.basespec import BaseSpec, Slug
from arbiter.core.errors import UserError
from benchmark.models import Endpoint

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=120)]


CALL = re.compile(  # of one thing a service does
    r"/(?:(?:chat/)?completions|responses|messages|models(?:/[^/]+:\w+)?|embeddings)/?$"
)
# How it is reached; what a study file doesn't say of these stays as it is.
REACHING: Mapping[str, Any] = {"headers": {}, "query": {}, "ca_bundle": "", "proxy": ""}


def _checked(value: Any, what: str, why_not_this: Callable[[str, str], str]) -> dict[str, str] | None:
    """Return names and values, whole numbers as text. What is refused is not repeated: it may be a key."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or len(value) > MOST:
        raise ValueError(f"{what} are names with their values, at most {MOST}")
    said = {str(name): str(one) if type(one) is int else one for name, one in value.items()}
    if any(not isinstance(one, str) for one in said.values()):
        raise ValueError(f"a value of {what} must be text")
    if len({name.lower() for name in said}) < len(said):
        raise ValueError(f"{what} have one name twice")
    if why := next((why for name, one in said.items() if (why := why_not_this(name, one))), ""):
        raise ValueError(why)
    return said


class EndpointSpec(BaseSpec):
    name: Slug
    base_url: AnyHttpUrl
    key_variable: VariableName | Literal[""] = ""
    headers: dict[str, str] | None = None
    query: dict[str, str] | None = None
    ca_bundle: str | None = None
    proxy: str | None = None
    dialect: Literal[
        "openai", "vllm", "ollama", "anthropic", "gemini", "anthropic-compatible", "gemini-compatible"
    ] = "openai"
    json_schema: bool | None = None  # as the dialect has it
    concurrency: int = Field(8, ge=1, le=1000)
    concurrency_start: int | None = Field(None, ge=1, le=1000)
    concurrency_floor: int = Field(1, ge=1, le=1000)
    timeout: float = Field(120, gt=0, le=3600)
    connect_timeout: float = Field(10, gt=0, le=3600)
    read_timeout: float | None = Field(None, gt=0, le=3600)

    @field_validator("key_variable")
    @classmethod
    def of_a_service(cls, name: str) -> str:
        if is_own_variable(name):
            raise ValueError(f"{name} is a variable of Arbiter's own; name one that holds the service's key")
        return name

    @field_validator("headers", mode="before")
    @classmethod
    def headers_without_secrets(cls, value: Any) -> dict[str, str] | None:
        return _checked(value, "headers", why_no_header)

    @field_validator("query", mode="before")
    @classmethod
    def query_without_secrets(cls, value: Any) -> dict[str, str] | None:
        return _checked(value, "query parameters", why_no_parameter)

    @field_validator("ca_bundle", mode="before")
    @classmethod
    def of_one_file(cls, value: Any) -> str | None:
        if value is not None and not (isinstance(value, str) and value.isprintable() and len(value) <= 500):
            raise ValueError("ca_bundle is the path of a file with certificates, at most 500 characters")
        return value

    @field_validator("proxy", mode="before")
    @classmethod
    def proxy_without_secrets(cls, value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            raise ValueError("a proxy is an address such as http://proxy.example.org:3128")
        if value and (why := why_no_proxy(value)):
            raise ValueError(why)
        return value

    @field_validator("base_url")
    @classmethod
    def without_secrets(cls, url: AnyHttpUrl) -> AnyHttpUrl:
        if url.username or url.password:
            raise ValueError("a URL with a password in it would be stored; put the key in a variable")
        if url.query or url.fragment:
            raise ValueError(
                "a URL with a query or fragment would be stored and shown; put a key in a variable, "
                "and a parameter under query"
            )
        if len(str(url)) > 500:
            raise ValueError("a URL may have 500 characters")
        if said := why_not(url.host or ""):
            raise ValueError(said)
        return url

    @field_validator("base_url")
    @classmethod
    def without_path_of_a_call(cls, url: AnyHttpUrl) -> AnyHttpUrl:
        if call := CALL.search(str(url)):
            raise ValueError(
                f"it ends in {call[0].rstrip('/')}, and the path of a call is added to it; "
                f"leave that out: {CALL.sub('', str(url))}"
            )
        return url

    @field_validator("dialect")
    @classmethod
    def spoken_there(cls, name: str, info: ValidationInfo) -> str:
        url = info.data.get("base_url")
        if name == "gemini" and url and is_compatible_path(url.path or ""):
            raise ValueError(
                "gemini is Gemini's own protocol, and base_url ends in /openai, where it takes OpenAI's: "
                "leave that out, or make the dialect gemini-compatible"
            )
        return name

    @model_validator(mode="after")
    def within_the_ceiling(self) -> "EndpointSpec":
        for name in ("concurrency_start", "concurrency_floor"):
            if (getattr(self, name) or 1) > self.concurrency:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, above concurrency, which is {self.concurrency}"
                )
        return self


def save_endpoint(spec: EndpointSpec) -> Endpoint:
    """Save the endpoint under its name, by which it is known;
    where it lives and how fast it may be asked can change."""
    unsaid = {name for name in REACHING if getattr(spec, name) is None}
    fields = spec.model_dump(mode="json", exclude={"name", *unsaid})
    if spec.json_schema is None:
        fields["json_schema"] = dialect(spec.dialect).structured
    return Endpoint.objects.update_or_create(name=spec.name, defaults=fields)[0]


class EndpointMistake(UserError):
    """What is wrong in an endpoint's description, and in which field; none, where it is about several."""

    def __init__(self, name: str, field: str, said: str) -> None:
        self.field, self.said = field, said
        super().__init__(f"--{field.replace('_', '-')}: {said}" if field else f"Endpoint {name!r}: {said}")


def update_endpoint(name: str, changes: Mapping[str, Any]) -> Endpoint:
    """Save the endpoint with these changes; what they leave out stays as it was. A bad value is never
    repeated in the EndpointMistake: it may be a key."""
    stored = Endpoint.objects.filter(name=name).first()
    kept = (
        {field: getattr(stored, field) for field in EndpointSpec.model_fields} if stored else {"name": name}
    )
    if not stored and "base_url" in changes:
        kept["dialect"] = likely_dialect(changes["base_url"])
    try:
        return save_endpoint(EndpointSpec.model_validate({**kept, **changes}))
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{first['msg'].removeprefix('Value error, ')}."
        raise EndpointMistake(name, str(first["loc"][0]) if first["loc"] else "", said) from None


def endpoint_named(name: str) -> Endpoint:
    endpoint = Endpoint.objects.filter(name=name).first()
    if endpoint is None:
        known = ", ".join(Endpoint.objects.values_list("name", flat=True)) or "none"
        raise UserError(f"There is no endpoint {name!r} (there are: {known}).")
    return endpoint


def description(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint as a study file describes it: what is secret in it is the names of variables."""
    return {field: getattr(endpoint, field) for field in EndpointSpec.model_fields}


def merged(before: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """Return named values with changes to them, whatever the names' case; an empty one takes its name out."""
    changed = {name.lower() for name in changes}
    kept = {name: value for name, value in before.items() if name.lower() not in changed}
    return kept | {name: value for name, value in changes.items() if value}


class NotesEndpoints:
    """What the engine's work of any kind notes on the rows of endpoints."""

    def note_rest(self, endpoint: Service, until: datetime) -> None:
        """Note on the endpoint's row, for every worker and for the page,
        that nobody asks it before that time."""
        row = Endpoint.objects.filter(pk=endpoint.pk)
        row.filter(Q(rests_until=None) | Q(rests_until__lt=until)).update(rests_until=until)

    def note_down(self, endpoint: Service, error: str) -> None:
        """Note on the endpoint's row, for the page, that nobody answers there,
        or where `error` is empty that somebody does."""
        row = Endpoint.objects.filter(pk=endpoint.pk)
        if error:  # both at once: a page that is read in between would know of no reason
            row.update(down_since=Coalesce("down_since", timezone.now()), down_error=error)
        else:
            row.update(down_since=None, down_error="")


def awake() -> Q:
    """Return the condition that an endpoint may be asked."""
    return Q(rests_until=None) | Q(rests_until__lte=timezone.now())


def rests(endpoint: Endpoint) -> str:
    """Say that the endpoint rests, and until when, in a sentence; empty where it doesn't."""
    until = endpoint.rests_until
    if until is None or until <= timezone.now():
        return ""
    return (
        f"endpoint {endpoint.name!r} is left alone until {until:%Y-%m-%d %H:%M} UTC, as it asked; "
        "what it was to answer is still wanted"
    )

"""The form that describes an endpoint."""

from collections.abc import Mapping
from typing import Any

from django import forms

from arbiter.calls.dialects import DIALECTS
from arbiter.web.forms.fields import Number, SentForm, Text, WholeNumber
from benchmark.endpoints import EndpointMistake, EndpointSpec
from benchmark.models import Endpoint

CALLS = "A whole number from 1 to 1000."
SECONDS = "Seconds, above 0 and at most 3600."
SCHEMAS = {"": None, "yes": True, "no": False}


def _lines(about: str) -> dict[str, Any]:
    return {
        "help_text": about,
        "longest": 12_000,
        "widget": forms.Textarea(
            attrs={"rows": 3, "class": "code", "spellcheck": "false", "autocapitalize": "off"}
        ),
    }


class EndpointForm(SentForm):
    """Describing an endpoint. What is wrong with it, the domain says, beside the field."""

    name = Text(label="Short name", help_text="Lower-case letters, digits and hyphens; it stays.", longest=80)
    base_url = Text(
        label="Base URL",
        help_text="Up to and including /v1 (Gemini: /v1beta), without the path of a call.",
        longest=501,
        strip=True,
    )
    key_variable = Text(
        label="Key's variable",
        help_text="The name of the environment variable that holds the key, such as OPENAI_API_KEY. "
        "Keys themselves are never stored.",
        longest=121,
        strip=True,
    )
    dialect = forms.ChoiceField(
        label="Dialect",
        choices=[(name, dialect.title) for name, dialect in DIALECTS.items()],
        help_text="What the service understands.",
    )
    json_schema = forms.ChoiceField(
        label="JSON schema",
        choices=[("", "as the dialect has it"), ("yes", "taken"), ("no", "not taken")],
        required=False,
    )
    headers = Text(
        label="Headers",
        **_lines("One a line, as Name: value. Write ${VARIABLE} for what is secret."),
    )
    query = Text(
        label="Query",
        **_lines("One a line, as name=value, such as api-version=2024-10-21. ${VARIABLE} as above."),
    )
    ca_bundle = Text(
        label="Certificates",
        help_text="A file on the machines that call, in PEM: only what it signs is trusted. Empty: as usual.",
        longest=501,
        strip=True,
    )
    proxy = Text(
        label="Proxy",
        help_text="Such as http://${PROXY_USER}:${PROXY_PASSWORD}@proxy.example.org:3128. "
        "Empty: the environment's, if any.",
        longest=501,
        strip=True,
    )
    concurrency = WholeNumber(CALLS, label="Calls in flight, at most", least=1, most=1000, initial=8)
    concurrency_start = WholeNumber(CALLS, label="To begin with", least=1, most=1000, required=False)
    concurrency_floor = WholeNumber(CALLS, label="At least", least=1, most=1000, initial=1)
    timeout = Number(SECONDS, label="Seconds a call", most=3600, initial=120)
    connect_timeout = Number(SECONDS, label="To be connected", most=3600, initial=10)
    read_timeout = Number(SECONDS, label="Without a byte", most=3600, required=False)

    def __init__(self, *args: Any, endpoint: Endpoint | None = None, **named: Any) -> None:
        super().__init__(*args, initial=initial(endpoint) if endpoint else None, **named)
        if endpoint:
            self.fields["name"].disabled = True

    def changes(self) -> dict[str, Any]:
        """Return what was typed, as an endpoint's description has it."""
        typed = dict(self.cleaned_data)
        typed.pop("name")
        typed["headers"] = _pairs(typed["headers"], ":", "headers")
        typed["query"] = _pairs(typed["query"], "=", "query")
        return typed | {"json_schema": SCHEMAS[typed["json_schema"]]}

    def place(self, mistake: EndpointMistake) -> None:
        """Put what is wrong beside its field, or at the head of the form."""
        said = mistake.said[:1].upper() + mistake.said[1:]
        self.add_error(mistake.field if mistake.field in self.fields else None, said)


class CheckForm(forms.Form):
    """Which model is to be checked."""

    model = forms.CharField(max_length=200)


def initial(endpoint: Endpoint) -> dict[str, Any]:
    """Return what the form shows of an endpoint."""
    columns = {field: getattr(endpoint, field) for field in EndpointSpec.model_fields}
    usual = DIALECTS[endpoint.dialect].structured
    schema = "" if endpoint.json_schema == usual else "yes" if endpoint.json_schema else "no"
    return columns | {
        "json_schema": schema,
        "headers": "\n".join(f"{name}: {value}" for name, value in endpoint.headers.items()),
        "query": "\n".join(f"{name}={value}" for name, value in endpoint.query.items()),
    }


def _pairs(typed: str, separator: str, field: str) -> Mapping[str, str]:
    """Read lines of names and values. What is wrong is not repeated: it may be a key."""
    lines = [line.partition(separator) for line in typed.splitlines() if line.strip()]
    for number, (name, found, _) in enumerate(lines, start=1):
        if not found or not name.strip():
            raise EndpointMistake("", field, f"line {number} has no {separator} after a name.")
    names = [name.strip().lower() for name, _, _ in lines]
    if len(set(names)) < len(names):
        raise EndpointMistake("", field, "one name is there twice.")
    return {name.strip(): value.strip() for name, _, value in lines}

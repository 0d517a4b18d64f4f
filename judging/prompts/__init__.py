"""Prompt templates: those shipped here, by name, and a user's own, by path;
and what a template's header says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from arbiter.core.errors import UserError
from arbiter.core.yamlfile import YamlError, load

FOLDER = Path(__file__).parent
PLACEHOLDERS = {
    "context",
    "question",
    "label_keys",
    "label_definitions",
    "marker",
    "task",
    "response",
    "answer_format",
}
NEEDED = {"task", "response", "label_keys"}
PLACEHOLDER = re.compile(r"\{\{ ?(\w+) ?\}\}")
DIVIDER = "\n----- user -----\n"
HEADER = re.compile(r"---\n(.*?)^---(?:\n|\Z)", re.DOTALL | re.MULTILINE)

ANSWERS = ("either", "json", "lines")
CONFIDENCES = ("probability", "steps", "none")
STEPS = ("low", "medium", "high")
FIELDS = ("label", "confidence", "rationale", "evidence")
PROBABILITIES = ("logprobs", "stated", "none")
KEYS = ("answer", "labels", "confidence", "fields", "probability")


@dataclass(frozen=True, slots=True)
class Template:
    system: str  # empty: all of it is the user's message
    user: str
    answer: str  # "json", "lines", or "either": JSON where the endpoint takes a schema, else two lines
    labels: tuple[str, ...]  # in its own words; empty: whatever the scheme has
    definitions: Mapping[str, str]  # of those labels, where the header gives them
    confidence: str
    fields: tuple[str, ...]  # of the answer, in this order
    placeholders: frozenset[str]
    probability: str  # where the judge's probability over labels comes from, of PROBABILITIES


Beside = (
    Path | Mapping[str, str] | None
)  # where a study file's own files are: a folder; or their texts, by name


def is_file(name: str) -> bool:
    return "." in name or "/" in name


def template_text(name: str, beside: Beside = None) -> str:
    """Read the template's text. A name with a dot or a slash is a file, looked for beside the study file."""
    if is_file(name):
        if isinstance(beside, Mapping):
            return _kept(name, beside)
        path = (beside or Path.cwd()) / name
        if not path.is_file():
            raise UserError(f"template {name!r}: there is no file {path}.")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"template {name!r}: {path} is not UTF-8.") from error
    path = FOLDER / f"{name}.txt"
    if not path.is_file():
        raise UserError(
            f"template {name!r}: there is no such template; there are {', '.join(shipped())}, or give a "
            "file's path."
        )
    return path.read_text(encoding="utf-8")


def _kept(name: str, texts: Mapping[str, str]) -> str:
    if name not in texts:
        raise UserError(f"template {name!r}: there is no such file; name one of {', '.join(shipped())}.")
    return texts[name]


def shipped() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.txt"))


@lru_cache(maxsize=512)
def read_template(text: str) -> Template:
    """Read a template's header and text. Raises ValueError, one clause that says what to mend,
    where the header is wrong."""
    said, body = _header(text.removeprefix("\ufeff"))
    if unknown := [key for key in said if key not in KEYS]:
        raise ValueError(f"the header has no key {unknown[0]!r}; there are {', '.join(KEYS)}")
    answer = _one_of("answer", said.get("answer", "either"), ANSWERS)
    labels = _labels(said.get("labels", []))
    confidence, fields = _confidence_and_fields(said, answer)
    system, divided, user = body.partition(DIVIDER)
    if not divided:
        system, user = "", body
    named = frozenset(PLACEHOLDER.findall(body))
    stated = "stated" if confidence == "probability" else "none"
    probability = _one_of("probability", said.get("probability", stated), PROBABILITIES)
    if problem := why_not_stated(probability, confidence):
        raise ValueError(f"the header's probability: {problem}")
    return Template(
        system.strip(),
        user.strip(),
        answer,
        tuple(labels),
        labels,
        confidence,
        fields,
        named,
        probability,
    )


def why_not_stated(probability: str, confidence: str) -> str:
    """Say why a judge's probability can't be the one it states; empty where it can, or is taken elsewhere."""
    if probability != "stated" or confidence == "probability":
        return ""
    return f"stated needs an answer with confidence: probability, and this one's is {confidence}"


def _header(text: str) -> tuple[Mapping[Any, Any], str]:
    if not text.startswith("---\n"):
        return {}, text
    header = HEADER.match(text)
    if not header:
        raise ValueError(
            "the header that its first line --- opens is not closed; end it with another line ---"
        )
    try:
        said = load(header[1], from_a_page=True)
    except YamlError as error:
        where = f" (line {error.line + 1})" if error.line else ""
        raise ValueError(f"the header between the two lines --- {error.said}{where}") from error
    if not isinstance(said, dict | None):
        raise ValueError("the header between the two lines --- must be keys and values")
    return said or {}, text[header.end() :]


def _one_of(key: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"the header's {key} must be one of {', '.join(known)}; found {value!r}")
    return str(value)


def _labels(value: Any) -> dict[str, str]:
    """Label to definition, in the header's order."""
    if not isinstance(value, dict | list):
        raise ValueError("the header's labels must be a list, or labels with their definitions")
    pairs = list(value.items()) if isinstance(value, dict) else [(label, "") for label in value]
    labels = {_label(label): str(definition or "").strip() for label, definition in pairs}
    if len({label.lower() for label in labels}) < len(pairs):
        raise ValueError("the header's labels hold one twice (upper and lower case are the same)")
    if len(labels) == 1:
        raise ValueError("the header's labels must be two or more")
    return labels


def _label(value: Any) -> str:
    if isinstance(value, bool):  # YAML takes yes, no, on and off for these
        raise ValueError(f"the header's label {value!r} is no text; put labels such as yes and no in quotes")
    label = str(value)
    if not isinstance(value, str | int) or not re.fullmatch(r"\w[\w -]{0,58}\w|\w", label):
        raise ValueError(
            f"the header's label {label[:60]!r} must be 1 to 60 letters, figures, spaces, - or _, and "
            "begin and end with a letter or figure"
        )
    return label


def _confidence_and_fields(said: Mapping[Any, Any], answer: str) -> tuple[str, tuple[str, ...]]:
    """Return the confidence's scale and the answer's fields;
    each follows from the other where only one is given."""
    lines = answer == "lines"
    listed = said.get("fields", ["label", "rationale"] if lines else list(FIELDS))
    if not isinstance(listed, list) or not all(field in FIELDS for field in listed):
        raise ValueError(f"the header's fields must be a list of {', '.join(FIELDS)}")
    if "label" not in listed or len(set(listed)) < len(listed):
        raise ValueError("the header's fields must hold label, and each field once")
    asked = "confidence" in listed
    confidence = _one_of(
        "confidence", said.get("confidence", "probability" if asked else "none"), CONFIDENCES
    )
    if "fields" not in said and confidence == "none":
        listed = [field for field in listed if field != "confidence"]
    elif asked != (confidence != "none"):
        raise ValueError(
            f"the header's confidence is {confidence}, and its fields {'hold' if asked else 'lack'} "
            "confidence" + (" (an answer in lines has none)" if lines else "")
        )
    if lines and set(listed) - {"label", "rationale"}:
        raise ValueError("the header's fields of an answer in lines can be label and rationale only")
    return confidence, tuple(listed)

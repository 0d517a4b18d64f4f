"""All of a prompt that does not depend on the item, made once a judge, and filled for each item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from judging.prompts import PLACEHOLDER, STEPS, Template, read_template


class Choice(NamedTuple):
    """A label as the judge is offered it."""

    word: str
    definition: str = ""
    example: str = ""

    def line(self) -> str:
        said = f"- {self.word}: {self.definition}" if self.definition else f"- {self.word}"
        return said + (f" Example: {self.example}" if self.example else "")


@dataclass(frozen=True, slots=True)
class GapText:
    """A text with gaps, parted once."""

    pieces: tuple[str, ...]  # every second one is a gap's name

    @classmethod
    def of(cls, text: str, known: Mapping[str, str]) -> "GapText":
        """Part a text at its gaps. What is known already is filled in now;
        a name it brings along is not one of the text's gaps."""
        pieces = [""]
        for place, piece in enumerate(PLACEHOLDER.split(text)):
            if place % 2 and piece not in known:
                pieces += [piece, ""]
            else:
                pieces[-1] += known[piece] if place % 2 else piece
        return cls(tuple(pieces))

    def fill(self, values: Mapping[str, str]) -> str:
        """Fill the gaps in one pass, so that a response that holds a placeholder stays as it is."""
        parts = list(self.pieces)
        parts[1::2] = [values[name] for name in parts[1::2]]
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class PromptForm:
    """All of a prompt that does not depend on the item."""

    system: GapText | None
    user: GapText
    response_format: dict[str, Any] | None

    def messages(self, values: Mapping[str, str]) -> list[dict[str, str]]:
        user = {"role": "user", "content": self.user.fill(values)}
        return [{"role": "system", "content": self.system.fill(values)}, user] if self.system else [user]


@lru_cache(maxsize=1024)
def form_of(
    template_text: str, choices: tuple[Choice, ...], json_schema: bool, longest: int | None = None
) -> PromptForm:
    """Make the form of a judge's prompts. `longest`: characters that a schema lets the rationale have."""
    template = read_template(template_text)
    words = [choice.word for choice in choices]
    known = {
        "label_keys": " | ".join(words),
        "label_definitions": "\n".join(choice.line() for choice in choices),
        "answer_format": _answer_format(template, words, json_schema),
    }
    return PromptForm(
        GapText.of(template.system, known) if template.system else None,
        GapText.of(template.user, known),
        _answer_schema(template, words, longest) if json_schema and template.answer != "lines" else None,
    )


def _answer_format(template: Template, words: Sequence[str], json_schema: bool) -> str:
    keys = " | ".join(words)
    if template.answer == "lines" or (template.answer == "either" and not json_schema):
        name = "DECISION" if template.answer == "lines" else "LABEL"
        lines = {"label": f"{name}: one of {keys}", "rationale": "REASON: one sentence"}
        asked = [lines[field] for field in template.fields if field in lines]
        return "\n".join(
            [f"Answer in {'two lines' if len(asked) == 2 else 'one line'} and nothing else:", *asked]
        )
    meanings = {
        "label": f"one of {keys}",
        "confidence": f"{', '.join(STEPS[:-1])} or {STEPS[-1]}: how sure you are of the label"
        if template.confidence == "steps"
        else "your probability, from 0 to 1, that the label is right",
        "rationale": "one or two sentences",
        "evidence": "a list of short quotes, word for word from the response",
    }
    described = ", ".join(f"{field} ({meanings[field]})" for field in template.fields)
    return f"Answer with one JSON object and nothing else, its keys in this order: {described}."


def _answer_schema(template: Template, words: Sequence[str], longest: int | None) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "label": {"type": "string", "enum": list(words)},
        "confidence": {"type": "string", "enum": list(STEPS)}
        if template.confidence == "steps"
        else {"type": "number"},
        "rationale": {"type": "string"} | ({"maxLength": longest} if longest else {}),
        "evidence": {"type": "array", "items": {"type": "string"}},
    }
    schema = {
        "type": "object",
        "properties": {field: kinds[field] for field in template.fields},
        "required": list(template.fields),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "rating", "strict": True, "schema": schema}}

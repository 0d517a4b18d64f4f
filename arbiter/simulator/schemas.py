"""Answers that satisfy a JSON schema: the verdict where its names ask for it, plain fillers elsewhere.

Covers what structured output services allow: objects, arrays, enums, constants, bounds, `$ref` and `anyOf`.
A `pattern` or `format` is not looked at.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

# A schema may refer to itself; below this only what is required is filled in, with null if it may.
_DEEPEST = 5
ROLES = {
    "label": "label",
    "decision": "label",
    "grade": "label",
    "severity": "label",
    "rationale": "rationale",
    "reason": "rationale",
    "reasoning": "rationale",
    "explanation": "rationale",
    "confidence": "confidence",
    "evidence": "evidence",
    "quotes": "evidence",
}


@dataclass(frozen=True, slots=True)
class SimulatedVerdict:
    label: str
    rationale: str
    confidence: float  # 0 to 1
    evidence: tuple[str, ...]  # verbatim quotes


def resolve(schema: Any, root: Schema) -> Schema:
    """Return the schema that is meant, behind references and alternatives; the first that isn't null."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, dict):
            return {}
        if "$ref" in schema:
            schema = _referred(str(schema["$ref"]), root)
        elif several := schema.get("anyOf") or schema.get("oneOf"):
            schema = next((s for s in several if s != {"type": "null"}), several[0])
        elif parts := schema.get("allOf"):
            schema = {**schema, **resolve(parts[0], root), "allOf": None}
        else:
            return schema
    return {}


def _referred(reference: str, root: Schema) -> Any:
    schema: Any = root
    for part in filter(None, reference.removeprefix("#").strip("/").split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        schema = schema.get(name, {}) if isinstance(schema, Mapping) else {}
    return schema


def labels_allowed(schema: Any, root: Schema, depth: int = 0) -> list[str]:
    """Return the texts that the first property for the label may have; none where none lists them."""
    schema = resolve(schema, root)
    for name, part in (schema.get("properties") or {}).items():
        if ROLES.get(name) == "label":
            return [value for value in _choices(resolve(part, root)) if isinstance(value, str)]
        if depth < _DEEPEST and (deeper := labels_allowed(part, root, depth + 1)):
            return deeper
    if depth < _DEEPEST and "items" in schema:
        return labels_allowed(schema["items"], root, depth + 1)
    return []


def fill(schema: Any, root: Schema, verdict: SimulatedVerdict, role: str = "", depth: int = 0) -> Any:
    """Return a value that satisfies the schema and, as far as the schema lets it, says the verdict."""
    if depth >= _DEEPEST and _nullable(schema):
        return None
    schema = resolve(schema, root)
    choices, kind = _choices(schema), _type(schema)
    if choices:
        return _chosen(choices, role, verdict)
    if kind == "object":
        return _filled_object(schema, root, verdict, role, depth)
    if kind == "array":
        return _filled_array(schema, root, verdict, role, depth)
    if kind in ("number", "integer"):
        return _filled_number(schema, kind, verdict.confidence if role == "confidence" else 0.0)
    if kind == "string":
        return _filled_text(schema, role, verdict)
    return {"boolean": False, "null": None}.get(kind)


def _choices(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum") or [])


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _nullable(schema: Any) -> bool:
    several = (schema.get("anyOf") or schema.get("oneOf") or []) if isinstance(schema, Mapping) else []
    return {"type": "null"} in several


def _chosen(choices: list[Any], role: str, verdict: SimulatedVerdict) -> Any:
    if role == "label" and verdict.label in choices:
        return verdict.label
    if role == "confidence":
        return choices[min(int(verdict.confidence * len(choices)), len(choices) - 1)]
    return choices[0]


def _filled_object(
    schema: Schema, root: Schema, verdict: SimulatedVerdict, role: str, depth: int
) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    wanted = schema.get("required") or [] if depth >= _DEEPEST else properties
    # Inside an evidence object the quote goes to whatever text it has ("quote", "span", ...).
    inherited = "quote" if role == "quote" else ""
    return {
        name: fill(properties.get(name, {}), root, verdict, ROLES.get(name, inherited), depth + 1)
        for name in wanted
        if depth < 2 * _DEEPEST
    }


def _filled_array(
    schema: Schema, root: Schema, verdict: SimulatedVerdict, role: str, depth: int
) -> list[Any]:
    least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
    items = schema.get("items", {})
    if role != "evidence":
        part = "rationale" if role == "rationale" else ""
        count = min(max(least, 1 if part else 0), 100)
        return [fill(items, root, verdict, part, depth + 1) for _ in range(count)]
    quotes = verdict.evidence[:most]
    quotes += (quotes[0] if quotes else "",) * (least - len(quotes))
    return [fill(items, root, _only(quote, verdict), "quote", depth + 1) for quote in quotes]


def _only(quote: str, verdict: SimulatedVerdict) -> SimulatedVerdict:
    return SimulatedVerdict(verdict.label, verdict.rationale, verdict.confidence, (quote,))


def _filled_number(schema: Schema, kind: str, share: float) -> float | int:
    """Return the point that far between the bounds; 0 to 1 where there are none."""
    step = 1 if kind == "integer" else 0.001
    low = schema["minimum"] if "minimum" in schema else schema.get("exclusiveMinimum", -step) + step
    high = schema["maximum"] if "maximum" in schema else schema.get("exclusiveMaximum", low + 1 + step) - step
    value = float(low + (high - low) * share)
    return min(max(round(value), math.ceil(low)), math.floor(high)) if kind == "integer" else round(value, 4)


def _filled_text(schema: Schema, role: str, verdict: SimulatedVerdict) -> str:
    text = {
        "label": verdict.label,
        "rationale": verdict.rationale,
        "confidence": f"{verdict.confidence:.2f}",
        "evidence": next(iter(verdict.evidence), ""),
        "quote": next(iter(verdict.evidence), ""),
    }.get(role, "simulated")
    return text.ljust(int(schema.get("minLength", 0)), ".")[: schema.get("maxLength")]

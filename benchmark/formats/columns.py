"""The columns of our flat table of responses, and what a row's columns mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.formats.reading import excerpt, refuse_unknown
from benchmark.formats.records import FormatError

COLUMNS = (
    "task", "prompt", "subject", "response", "condition", "epoch", "run", "category", "language", "reasoning",
    "finish_reason", "subject_family", "subject_training", "subject_size", "system_prompt", "prompt_suffix",
    "gold", "gold_reason",
)  # fmt: skip
ALIASES = {"subject_model": "subject", "model": "subject", "task_key": "task", "text": "response"}
KINDS = ("human", "judge", "scorer")
LABEL_FORMS = ("label:KIND:RATER", "reason:KIND:RATER", "meta.*")
IGNORED = "meta."


@dataclass(frozen=True, slots=True)
class LabelColumn:
    column: str | None  # None where there is only a reason
    reason: str | None
    kind: str
    rater: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a row feeds which field."""

    fields: tuple[tuple[str, str], ...]  # (column, field)
    epoch: str | None
    labels: tuple[LabelColumn, ...]


def layout_of(path: Path, line: int, columns: Sequence[str]) -> Layout:
    fields: dict[str, str] = {}
    labels: dict[tuple[str, str], dict[str, str]] = {}
    for column in columns:
        if column.startswith(IGNORED):
            continue
        part, colon, rest = column.partition(":")
        if colon and part in ("label", "reason"):
            _add(path, line, labels.setdefault(_rater(path, line, column, rest), {}), part, column)
        else:
            name = ALIASES.get(column, column)
            if name not in COLUMNS:
                refuse_unknown(path, line, "columns", [column], (*COLUMNS, *ALIASES, *LABEL_FORMS))
            _add(path, line, fields, name, column)
    epoch = fields.pop("epoch", None)
    return Layout(tuple((column, name) for name, column in fields.items()), epoch, _label_columns(labels))


def _add(path: Path, line: int, found: dict[str, str], name: str, column: str) -> None:
    if name in found:
        both = f"{excerpt(found[name])} and {excerpt(column)}"
        raise FormatError(path, line, f"one column for {name}", both)
    found[name] = column


def _rater(path: Path, line: int, column: str, rest: str) -> tuple[str, str]:
    kind, _, rater = rest.partition(":")
    if kind not in KINDS:
        raise FormatError(
            path, line, f"one of {', '.join(KINDS)} as the KIND in a column's name", excerpt(column)
        )
    if not rater.strip():
        raise FormatError(path, line, "a rater's name after the KIND in a column's name", excerpt(column))
    return kind, rater.strip()


def _label_columns(labels: Mapping[tuple[str, str], Mapping[str, str]]) -> tuple[LabelColumn, ...]:
    return tuple(
        LabelColumn(found.get("label"), found.get("reason"), kind, rater)
        for (kind, rater), found in labels.items()
    )


def require_columns(path: Path, line: int, layout: Layout) -> None:
    """For a table with a header; an object's missing values are found with its row."""
    names = {name for _, name in layout.fields}
    missing = [name for name in ("subject", "response") if name not in names]
    missing += [] if names & {"task", "prompt"} else ["task (or prompt)"]
    if missing:
        have = ", ".join(column for column, _ in layout.fields) or "none of the known ones"
        what = "the column" if len(missing) == 1 else "the columns"
        raise FormatError(path, line, f"{what} {', '.join(missing)}", have)
    for label in layout.labels:
        if label.column is None:
            expected = "a column of labels beside each column of reasons"
            raise FormatError(path, line, expected, excerpt(label.reason))

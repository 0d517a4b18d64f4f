"""The columns of our flat table of responses, and what a row's columns mean."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arbiter.core.errors import UserError
from arbiter.core.text import folded
from benchmark.formats.reading import excerpt, nearest
from benchmark.formats.records import FormatError

COLUMNS = (
    "task",
    "prompt",
    "subject",
    "response",
    "condition",
    "epoch",
    "run",
    "category",
    "language",
    "reasoning",
    "finish_reason",
    "subject_family",
    "subject_training",
    "subject_size",
    "system_prompt",
    "prompt_suffix",
    "gold",
    "gold_reason",
)
ALIASES = {"subject_model": "subject", "model": "subject", "task_key": "task", "text": "response"}
# What other tools call them. Too many things are called so to be taken unasked, so they are only suggested.
OFTEN = {
    **dict.fromkeys(("output", "completion", "answer", "generation", "model_output"), "response"),
    **dict.fromkeys(("question", "input", "instruction", "user_prompt", "query"), "prompt"),
    **dict.fromkeys(("model_name", "llm"), "subject"),
    **dict.fromkeys(("id", "task_id", "prompt_id", "question_id"), "task"),
    **dict.fromkeys(("label", "rating", "annotation", "verdict"), "label:KIND:RATER"),
    "thinking": "reasoning",
    "system": "system_prompt",
    "lang": "language",
    "family": "subject_family",
}
KINDS = ("human", "judge", "scorer")
LABEL_FORMS = ("label:KIND:RATER", "reason:KIND:RATER", "meta.*")
META = "meta."


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
    meta: tuple[tuple[str, str], ...] = ()  # (column, the name it is kept under)


@dataclass(slots=True)
class ColumnMapping:
    """Which columns are to be read under another name, and which not at all, as asked for with a call. Names
    of columns are compared as all names are."""

    renamed: Mapping[str, str] = field(default_factory=dict)  # by the column's name as it is compared
    ignored: frozenset[str] = frozenset()
    met: set[str] = field(default_factory=set)

    @classmethod
    def asked(cls, renamed: Iterable[str] = (), ignored: Iterable[str] = ()) -> "ColumnMapping":
        """Read a mapping from a command's options, such as `output=response` and `id,created_at`."""
        pairs = [pair.partition("=") for text in renamed for pair in text.split(",") if pair.strip()]
        if bad := next(("".join(pair) for pair in pairs if not (pair[0].strip() and pair[2].strip())), None):
            raise UserError(f"--map is COLUMN=KNOWN, as output=response; it is {bad!r}.")
        forms = [folded(column) for column, _, _ in pairs]
        left = frozenset(folded(name) for text in ignored for name in text.split(",") if name.strip())
        if twice := next((one for one in forms if forms.count(one) > 1 or one in left), None):
            raise UserError(f"The column {twice!r} is mapped twice, or mapped and ignored.")
        return cls({form: known.strip() for form, (_, _, known) in zip(forms, pairs, strict=True)}, left)

    def name_of(self, column: str) -> str | None:
        """Return the name that a column is read under; None for one that is not read."""
        form = folded(column)
        self.met.add(form)
        return None if form in self.ignored else self.renamed.get(form, column)

    def refuse_unmet(self, path: Path) -> None:
        """Refuse a mapping of a column that no row has: its name was misspelt."""
        for form in self.renamed:
            if form not in self.met:
                there = f"none of that name; the nearest is {excerpt(nearest(form, sorted(self.met)))}"
                raise FormatError(path, None, f"the column {excerpt(form)} that --map names", there)


def layout_of(path: Path, line: int, columns: Sequence[str], mapping: ColumnMapping) -> Layout:
    fields: dict[str, str] = {}
    meta: dict[str, tuple[str, str]] = {}
    labels: dict[tuple[str, str], dict[str, str]] = {}
    raters: dict[tuple[str, str], tuple[str, str]] = {}
    for column in columns:
        name = mapping.name_of(column)
        if name is None:
            continue
        part, colon, rest = name.partition(":")
        if folded(name).startswith(META):
            key = name.strip()[len(META) :]
            _add(path, line, meta, f"{META}{folded(key)}", (column, key))
        elif colon and folded(part) in ("label", "reason"):
            kind, rater = _rater(path, line, column, rest)
            who = raters.setdefault((kind, folded(rater)), (kind, rater))
            _add(path, line, labels.setdefault(who, {}), folded(part), column)
        else:
            _add(path, line, fields, _field(path, line, column, name), column)
    epoch = fields.pop("epoch", None)
    pairs = tuple((column, name) for name, column in fields.items())
    return Layout(pairs, epoch, _label_columns(labels), tuple(meta.values()))


def _field(path: Path, line: int, column: str, name: str) -> str:
    form = folded(name)
    known = ALIASES.get(form, form)
    if known in COLUMNS:
        return known
    every = (*COLUMNS, *ALIASES, *LABEL_FORMS)
    near = OFTEN.get(form) or nearest(form, every)
    hint = (
        f"did you mean {near!r}? --map {column.strip()}={near} reads it so, --ignore {column.strip()} "
        "leaves it out"
    )
    raise FormatError(path, line, f"only known columns ({', '.join(every)})", f"{excerpt(column)} ({hint})")


def _add(path: Path, line: int, by_name: dict[str, Any], name: str, column: Any) -> None:
    if name in by_name:
        first, second = (one if isinstance(one, str) else one[0] for one in (by_name[name], column))
        both = f"{excerpt(first)} and {excerpt(second)}"
        raise FormatError(path, line, f"one column for {name}", both)
    by_name[name] = column


def _rater(path: Path, line: int, column: str, rest: str) -> tuple[str, str]:
    kind, _, rater = rest.partition(":")
    kind = folded(kind)
    if kind not in KINDS:
        raise FormatError(
            path, line, f"one of {', '.join(KINDS)} as the KIND in a column's name", excerpt(column)
        )
    if not rater.strip():
        raise FormatError(path, line, "a rater's name after the KIND in a column's name", excerpt(column))
    return kind, rater.strip()


def _label_columns(labels: Mapping[tuple[str, str], Mapping[str, str]]) -> tuple[LabelColumn, ...]:
    return tuple(
        LabelColumn(columns.get("label"), columns.get("reason"), kind, rater)
        for (kind, rater), columns in labels.items()
    )


def require_columns(path: Path, line: int, layout: Layout) -> None:
    """Refuse a table whose header lacks a column that every response needs;
    an object's missing values are told of with its row."""
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

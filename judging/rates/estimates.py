"""A study's rates by any estimator, with the reason where the design of its gold does not allow one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from annotation.models import Label, Rater, Study
from annotation.studies import get_study
from benchmark.errors import UserError
from judging.calibration.calibrating import human_error_kept
from judging.calibration.goldsample import Design
from judging.counting import scheme_labels
from judging.keeping import kept
from judging.rates.cells import Arm, Cell, Cells, cells_of, chosen_judges
from judging.rates.contrasting import Comparison, compared
from judging.rates.estimators import (
    BOTH,
    GOLD_ONLY,
    SAMPLING,
    Estimated,
    Pair,
    corrected,
    from_counts,
    gold_only,
    prediction_powered,
    transported,
)
from judging.rates.observed import cell_names, check_words, item_totals, roles_by_cell
from judging.rates.transporting import Carried, carried_from
from judging.sources import any_simulated, is_simulated
from judging.statistics import Undefined, rate_under_human_error

ESTIMATORS = ("raw", "majority", "gold", "corrected", "transported", "ppi", "settled")
FROM_LABELS = {"raw": "", "majority": "majority", "settled": "settled"}
FEW_TASKS = 10


@dataclass(frozen=True)
class Asked:
    """source: a rater's name; for raw whose labels, else whose votes (all judges' where empty). gold_from: another study."""

    estimator: str
    by: tuple[str, ...]
    finite: bool = False
    source: str = ""
    gold_from: str = ""

    def check(self) -> None:
        check_words(self.by)
        if self.estimator not in ESTIMATORS:
            raise UserError(f"--estimator is one of {', '.join(ESTIMATORS)}; it is {self.estimator!r}.")
        if self.estimator == "raw" and not self.source:
            raise UserError("--estimator raw needs --source: whose labels are meant.")
        if self.estimator in ("majority", "settled", "gold") and self.source:
            raise UserError(f"--source says nothing for --estimator {self.estimator}; leave it out.")
        if self.gold_from and self.estimator != "transported":
            raise UserError(
                f"--from is for --estimator transported. What a vote is worth moves with the rate (prevalence shift), so --estimator {self.estimator} "
                "takes gold of the arm itself only; sensitivity and specificity are what may be carried over."
            )


@dataclass(frozen=True, eq=False)
class Row:
    """A cell's figures. `counts` depend on the estimator."""

    names: dict[str, str]
    counts: dict[str, int]
    all: Estimated
    valid: Estimated
    under_error: tuple[float, float, float] | None = (
        None  # of all responses, once single humans' errors are out
    )


@dataclass(frozen=True, eq=False)
class Estimates:
    asked: Asked
    rows: tuple[Row, ...]
    judges: tuple[str, ...] = ()
    simulated: bool = False
    refused: str = ""
    caution: str = ""
    human_error: str = ""  # the model's effect is shown, or why not
    design: Design | None = None
    gold: int = 0
    carried: Carried | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def covers(self) -> str:
        if self.asked.estimator in FROM_LABELS:
            return SAMPLING
        return GOLD_ONLY if self.asked.estimator == "gold" else BOTH

    @property
    def estimand(self) -> str:
        return "these very items" if self.asked.finite else "tasks of this kind"


def estimates(study: Study, asked: Asked) -> Estimates:
    """Kept while nothing changes."""
    asked.check()
    return kept(study, "estimates", repr(asked), lambda: _estimates(study, asked))


def _estimates(study: Study, asked: Asked) -> Estimates:
    if asked.estimator in FROM_LABELS:
        return _labelled(study, asked)
    judges = [] if asked.estimator == "gold" else chosen_judges(study, asked.source)
    cells = cells_of(study, asked.by, judges)
    names = cell_names(study, asked.by)
    about: dict[str, Any] = {
        "judges": tuple(map(str, judges)), "simulated": any_simulated(study, judges),
        "design": cells.sample.design, "gold": len(cells.sample), "caution": cells.sample.design.caution,
    }  # fmt: skip
    carried, refused = None, refusal(asked, cells.judges, cells.sample.design)
    if not refused and asked.estimator == "transported":
        carried, refused = carried_or_why(study, asked, judges)
    if refused:
        rows = [_row(names[key], arm, _refused(), None) for key, arm in cells.arms.items()]
        return Estimates(asked, _sorted(rows, asked), refused=refused, **about)
    under, why = _human_error(study, asked)
    rows = [
        _row(names[key], arm, pair, under(pair[0], arm) if under else None)
        for key, arm in cells.arms.items()
        for pair in [_pair(cells, arm, asked, carried)]
    ]
    notes = _notes(asked, cells, carried)
    return Estimates(asked, _sorted(rows, asked), human_error=why, carried=carried, notes=notes, **about)


def refusal(asked: Asked, judges: Sequence[Rater], design: Design) -> str:
    """Why the estimator is not valid in this study at all; empty where it is."""
    if asked.estimator != "gold" and not judges:
        return "No judge has voted, so there is nothing to correct."
    if asked.estimator == "transported":
        return "" if asked.gold_from else design.refusal
    if design.refusal:
        return design.refusal
    never = [one.name for one in design.strata if one.items and one.probability <= 0]
    if never:
        return f"Items of the stratum {never[0]!r} can't be drawn (probability 0), so gold says nothing about them; give it a probability above 0."
    return ""


def carried_or_why(study: Study, asked: Asked, judges: Sequence[Rater]) -> tuple[Carried | None, str]:
    """The judges' errors as `asked.gold_from` (this study, unless named) has them, or why they may not be carried over."""
    origin = get_study(asked.gold_from) if asked.gold_from else study
    try:
        there = judges if origin.pk == study.pk else chosen_judges(origin, asked.source)
        if [str(one) for one in there] != [str(one) for one in judges]:
            return (
                None,
                f"The judges of {origin.slug} ({', '.join(map(str, there)) or 'none'}) are not those of this study, so their errors are not these judges'.",
            )
        return carried_from(origin, there), ""
    except Undefined as why:
        return None, f"{str(why)[0].upper()}{str(why)[1:]}."


def _pair(cells: Cells, arm: Arm, asked: Asked, carried: Carried | None) -> Pair:
    if asked.estimator == "gold":
        return gold_only(cells, arm, asked.finite)
    if asked.estimator == "corrected":
        return corrected(cells, arm, asked.finite)
    if asked.estimator == "ppi":
        return prediction_powered(cells, arm, asked.finite)
    assert carried is not None
    return transported(cells, arm, carried)


def _refused() -> Pair:
    return Estimated(why="refused"), Estimated(why="refused")


def _row(names: Mapping[str, str], arm: Arm, pair: Pair, under: tuple[float, float, float] | None) -> Row:
    counts = {
        "n": arm.size,
        "gold": int(arm.gold.counts.sum()),
        "waiting": arm.waiting,
        "tasks": len(arm.tasks),
    }
    return Row(dict(names), counts, *pair, under)


def _sorted(rows: Sequence[Row], asked: Asked) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: [row.names[word] for word in asked.by]))


def _human_error(study: Study, asked: Asked) -> tuple[Any, str]:
    """What turns an estimate into that under the human error model; None, with the reason, where there is none."""
    found, why = human_error_kept(study)
    if found is None:
        return None, why
    target = np.array([label.role == Label.Role.TARGET for label in scheme_labels(study)])

    def under(one: Estimated, arm: Arm) -> tuple[float, float, float] | None:
        if one.estimate is None or one.low is None or one.high is None or not arm.gold_weights.sum():
            return None
        single = min(
            1.0, float(arm.gold_weights @ arm.gold_single / arm.gold_weights.sum())
        )  # but for rounding
        try:
            moved = rate_under_human_error(one.estimate, one.low, one.high, found, target, single)
        except Undefined:
            return None
        return moved.estimate, moved.low, moved.high

    return under, ""


def _notes(asked: Asked, cells: Cells, carried: Carried | None) -> tuple[str, ...]:
    notes = []
    if carried and not carried.tested:
        notes.append(
            "Too few arms have enough gold to test whether the judge errs alike in all; it is assumed."
        )
    if carried and asked.finite:
        notes.append("The interval is that for tasks of this kind, which is wider than one for these items.")
    if not asked.finite and any(len(arm.tasks) < FEW_TASKS for arm in cells.arms.values()):
        notes.append(f"Some rates are over fewer than {FEW_TASKS} tasks: their intervals are too narrow.")
    return tuple(notes)


# From labels as they are


def _labelled(study: Study, asked: Asked) -> Estimates:
    source = FROM_LABELS[asked.estimator] or asked.source
    totals, names = item_totals(study, asked.by), cell_names(study, asked.by)
    roles = roles_by_cell(study, source, asked.by)
    tasks = sorted({task for by_task in roles.values() for task in by_task})
    place = {task: number for number, task in enumerate(tasks)}
    rows = [
        _labelled_row(names[cell], roles.get(cell, {}), totals[cell], place, asked.finite) for cell in totals
    ]
    notes = ("Where every item has a label, nothing is left to chance among these very items.",)
    return Estimates(
        asked,
        _sorted(rows, asked),
        simulated=is_simulated(study, source),
        notes=notes if asked.finite else (),
    )


def _labelled_row(
    names: Mapping[str, str], by_task: Mapping[int, Mapping[str, int]], items: int, place: Mapping[int, int], finite: bool
) -> Row:  # fmt: skip
    table = np.array(
        [[counts.get(role, 0) for role in ("target", "other", "excluded")] for counts in by_task.values()],
        dtype=float,
    ).reshape(len(by_task), 3)
    at = [place[task] for task in by_task]

    def everywhere(influence: Any) -> Any:
        found = np.zeros(len(place))
        found[at] = influence
        return found

    target, _, excluded = table.sum(axis=0).astype(int).tolist()
    n = int(table.sum())
    counts = {"n": n, "unlabelled": items - n, "excluded": excluded, "target": target}
    return Row(dict(names), counts, *from_counts(table, items, finite, everywhere))


# As a document


def document(study: Study, asked: Asked, contrasts: Sequence[str] = ()) -> dict[str, Any]:
    """What the command prints."""
    found = estimates(study, asked)
    return {
        "source": asked.source or asked.estimator, "estimator": asked.estimator, "estimand": found.estimand,
        "covers": found.covers, "simulated": found.simulated, "judges": list(found.judges), "refused": found.refused,
        "caution": found.caution, "notes": list(found.notes), "human_error": found.human_error,
        "gold": gold_document(found), "carried": vars_of(found.carried),
        "rows": [row_document(row) for row in found.rows],
        "contrasts": [one.document() for spec in contrasts for one in comparisons(found, spec)],
    }  # fmt: skip


def comparisons(found: Estimates, spec: str) -> list[Comparison]:
    rows = [(row.names, row.all, row.valid) for row in found.rows]
    return compared(rows, found.asked.by, spec, found.asked.finite)


def row_document(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {**row.names, **row.counts}
    for which, one in (("valid", row.valid), ("all", row.all)):
        told |= {f"rate_{which}": one.estimate, f"low_{which}": one.low, f"high_{which}": one.high}
        if one.why:
            told[f"why_{which}"] = one.why
    if row.under_error:
        told |= dict(
            zip(("rate_under_error", "low_under_error", "high_under_error"), row.under_error, strict=True)
        )
    return told


def gold_document(found: Estimates) -> dict[str, Any] | None:
    design = found.design
    if design is None:
        return None
    return {
        "items": found.gold, "design": design.kind, "draw": design.draw, "waiting": design.waiting, "outside": design.outside,
    }  # fmt: skip


def vars_of(carried: Carried | None) -> dict[str, Any] | None:
    return (
        None if carried is None else {name: getattr(carried, name) for name in carried.__dataclass_fields__}
    )


__all__ = [
    "ESTIMATORS",
    "Asked",
    "Cell",
    "Estimates",
    "Row",
    "comparisons",
    "document",
    "estimates",
    "refusal",
]

"""A study's rates by any estimator, with the reason where the design of its gold does not allow one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from annotation.models import Label, Rater, Study
from annotation.studyfinder import get_study
from arbiter.analysis.humanerror import error_said, human_error_kept
from arbiter.analysis.judgeraters import panel_of
from arbiter.analysis.rates.armrate import ArmRate, RatePair, few_tasks_caution
from arbiter.analysis.rates.cells import Arm, Cell, Cells, cells_of
from arbiter.analysis.rates.denominators import Denominators, denominators_of
from arbiter.analysis.rates.estimators import (
    BOTH,
    GOLD_ONLY,
    SAMPLING,
    corrected,
    gold_only,
    prediction_powered,
    rates_from_labels,
    transported,
)
from arbiter.analysis.rates.labelcounts import cell_names, item_totals, roles_by_cell
from arbiter.analysis.rates.ratespec import FROM_LABELS, RateSpec
from arbiter.analysis.rates.transport import CarriedErrors, carried_errors
from arbiter.analysis.responseoutcomes import failed_responses
from arbiter.statistics import Undefined, rate_under_human_error
from judging.votes.counting import scheme_labels
from judging.votes.goldsample import Design
from judging.votes.kept_figures import kept
from judging.votes.sources import any_simulated, is_simulated


@dataclass(frozen=True, eq=False)
class RateRow:
    """A cell's figures. `counts` depend on the estimator."""

    names: dict[str, str]
    counts: dict[str, int]
    all: ArmRate
    valid: ArmRate
    under_error: tuple[float, float, float] | None = None  # of all, once single humans' errors are out


@dataclass(frozen=True, eq=False)
class Estimates:
    spec: RateSpec
    rows: tuple[RateRow, ...]
    judges: tuple[str, ...] = ()
    simulated: bool = False
    refused: str = ""
    caution: str = ""
    human_error: str = ""  # the model's effect is shown, or why not
    design: Design | None = None
    gold: int = 0
    carried: CarriedErrors | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def covers(self) -> str:
        if self.spec.estimator in FROM_LABELS:
            return SAMPLING
        return GOLD_ONLY if self.spec.estimator == "gold" else BOTH

    @property
    def estimand(self) -> str:
        return "these very items" if self.spec.finite else "tasks of this kind"


def estimates(study: Study, spec: RateSpec) -> Estimates:
    """Return the estimated rates of a study's cells, kept while nothing changes."""
    spec.check()
    gone = failed_responses(study).count()  # of a collection, which the ledgers don't tell of
    return kept(study, "estimates", (repr(spec), gone), lambda: _estimates(study, spec))


def _estimates(study: Study, spec: RateSpec) -> Estimates:
    if spec.estimator in FROM_LABELS:
        return _labelled(study, spec)
    judges = [] if spec.estimator == "gold" else panel_of(study, spec.source)
    cells = cells_of(study, spec.by, judges)
    names = cell_names(study, spec.by)
    about: dict[str, Any] = {
        "judges": tuple(map(str, judges)),
        "simulated": any_simulated(study, judges),
        "design": cells.sample.design,
        "gold": len(cells.sample),
        "caution": cells.sample.design.caution,
    }
    carried, refused = None, refusal(spec, cells.judges, cells.sample.design)
    if not refused and spec.estimator == "transported":
        carried, refused = carried_errors_or_why(study, spec, judges)
    if refused:
        arms = {key: _row(names[key], arm, _refused(), None) for key, arm in cells.arms.items()}
        return Estimates(spec, _complete(study, spec, arms, cells.tasks, names), refused=refused, **about)
    under, why = _human_error(study, spec)
    rows = {
        key: _row(names[key], arm, pair, under(pair[0], arm) if under else None)
        for key, arm in cells.arms.items()
        for pair in [_pair(cells, arm, spec, carried)]
    }
    notes = _notes(spec, cells, carried)
    people, _ = human_error_kept(study)
    if people is not None and any(row.under_error for row in rows.values()):
        notes = (*notes, f"If humans err: {error_said(people)}")
    complete = _complete(study, spec, rows, cells.tasks, names)
    notes = (*notes, *_few(complete, spec))
    return Estimates(spec, complete, human_error=why, carried=carried, notes=notes, **about)


def refusal(spec: RateSpec, judges: Sequence[Rater], design: Design) -> str:
    """Say why the estimator is not valid in this study at all; empty where it is."""
    if spec.estimator != "gold" and not judges:
        return "No judge has voted, so there is nothing to correct."
    if spec.estimator == "transported":
        return "" if spec.gold_from else design.refusal
    if design.refusal:
        return design.refusal
    never = [one.name for one in design.strata if one.items and one.probability <= 0]
    if never:
        return (
            f"Items of the stratum {never[0]!r} can't be drawn (probability 0), so gold says nothing about "
            "them; give it a probability above 0."
        )
    return ""


def carried_errors_or_why(
    study: Study, spec: RateSpec, judges: Sequence[Rater]
) -> tuple[CarriedErrors | None, str]:
    """Return the judges' errors as `spec.gold_from` (this study, unless named) has them, or why they may not
    be carried over."""
    origin = get_study(spec.gold_from) if spec.gold_from else study
    try:
        there = judges if origin.pk == study.pk else panel_of(origin, spec.source)
        if [str(one) for one in there] != [str(one) for one in judges]:
            return (
                None,
                (
                    f"The judges of {origin.slug} ({', '.join(map(str, there)) or 'none'}) are not those of "
                    "this study, so their errors are not these judges'."
                ),
            )
        return carried_errors(origin, there), ""
    except Undefined as why:
        return None, f"{str(why)[0].upper()}{str(why)[1:]}."


def _pair(cells: Cells, arm: Arm, spec: RateSpec, carried: CarriedErrors | None) -> RatePair:
    if spec.estimator == "gold":
        return gold_only(cells, arm, spec.finite)
    if spec.estimator == "corrected":
        return corrected(cells, arm, spec.finite)
    if spec.estimator == "ppi":
        return prediction_powered(cells, arm, spec.finite)
    assert carried is not None
    return transported(cells, arm, carried)


def _refused() -> RatePair:
    return ArmRate(why="refused"), ArmRate(why="refused")


def _row(
    names: Mapping[str, str], arm: Arm, pair: RatePair, under: tuple[float, float, float] | None
) -> RateRow:
    counts = {
        "n": arm.size,
        "gold": int(arm.gold.counts.sum()),
        "waiting": arm.waiting,
        "tasks": len(arm.tasks),
    }
    return RateRow(dict(names), counts, *pair, under)


def _complete(
    study: Study,
    spec: RateSpec,
    rows: Mapping[Cell, RateRow],
    tasks: Any,
    names: Mapping[Cell, dict[str, str]],
) -> tuple[RateRow, ...]:
    """Return the rows with what was asked for and failed: in the denominator of all responses, and in rows of
    its own where nothing came."""
    denominators = denominators_of(study, spec.by)
    none = ArmRate(why="every response that was asked for failed")
    with_failed = dict(rows)
    for cell in denominators.only_failed(rows):
        with_failed[cell] = RateRow(
            names[cell], dict.fromkeys(next(iter(rows.values())).counts if rows else ("n",), 0), none, none
        )
    complete = []
    for cell, row in with_failed.items():
        every = denominators.of_all(cell, row.all, tasks, spec.finite)
        under = row.under_error and _under_of_all(denominators, cell, row, tasks, spec.finite)
        complete.append(
            replace(row, counts=row.counts | denominators.counts(cell), all=every, under_error=under)
        )
    return _sorted(complete, spec)


def _under_of_all(denominators: Denominators, cell: Cell, row: RateRow, tasks: Any, finite: bool) -> Any:
    """Return the rate of all that was asked for once humans' errors are out: how many fail of each task makes
    its bounds as much wider or narrower."""
    assert row.under_error is not None
    estimate, low, high = row.under_error
    moved = denominators.of_all(cell, replace(row.all, estimate=estimate, low=low, high=high), tasks, finite)
    return moved.estimate, moved.low, moved.high


def _sorted(rows: Sequence[RateRow], spec: RateSpec) -> tuple[RateRow, ...]:
    return tuple(sorted(rows, key=lambda row: [row.names[word] for word in spec.by]))


def _human_error(study: Study, spec: RateSpec) -> tuple[Any, str]:
    """Return a function that turns an estimate into that under the human error model; None, with the reason,
    where there is none."""
    error, why = human_error_kept(study)
    if error is None:
        return None, why
    target = np.array([label.role == Label.Role.TARGET for label in scheme_labels(study)])

    def under(one: ArmRate, arm: Arm) -> tuple[float, float, float] | None:
        if one.estimate is None or one.low is None or one.high is None or not arm.gold_weights.sum():
            return None
        share = float(arm.gold_weights @ arm.gold_single / arm.gold_weights.sum())
        single = min(1.0, share)  # by rounding it may be above
        try:
            moved = rate_under_human_error(one.estimate, one.low, one.high, error, target, single)
        except Undefined:
            return None
        return moved.estimate, moved.low, moved.high

    return under, ""


def _notes(spec: RateSpec, cells: Cells, carried: CarriedErrors | None) -> tuple[str, ...]:
    notes = []
    if carried and not carried.tested:
        notes.append(
            "Too few arms have enough gold to test whether the judge errs alike in all; it is assumed."
        )
    if carried and spec.finite:
        notes.append("The interval is that for tasks of this kind, which is wider than one for these items.")
    return tuple(notes)


def _few(rows: Sequence[RateRow], spec: RateSpec) -> tuple[str, ...]:
    if spec.finite:
        return ()
    caution = few_tasks_caution(
        (" · ".join(row.names[word] for word in spec.by), row.all.tasks) for row in rows
    )
    return (caution,) if caution else ()


# From labels as they are


def _labelled(study: Study, spec: RateSpec) -> Estimates:
    source = FROM_LABELS[spec.estimator] or spec.source
    totals, names = item_totals(study, spec.by), cell_names(study, spec.by)
    roles = roles_by_cell(study, source, spec.by)
    tasks = sorted({task for by_task in roles.values() for task in by_task})
    place = {task: number for number, task in enumerate(tasks)}
    rows = {
        cell: _labelled_row(names[cell], roles.get(cell, {}), totals[cell], place, spec.finite)
        for cell in totals
    }
    complete = _complete(study, spec, rows, tasks, names)
    notes = ("Where every item has a label, nothing is left to chance among these very items.",)
    return Estimates(
        spec,
        complete,
        simulated=is_simulated(study, source),
        notes=notes if spec.finite else _few(complete, spec),
    )


def _labelled_row(
    names: Mapping[str, str],
    by_task: Mapping[int, Mapping[str, int]],
    items: int,
    place: Mapping[int, int],
    finite: bool,
) -> RateRow:
    table = np.array(
        [[counts.get(role, 0) for role in ("target", "other", "excluded")] for counts in by_task.values()],
        dtype=float,
    ).reshape(len(by_task), 3)
    at = np.array([place[task] for task in by_task], dtype=np.int64)
    target, _, excluded = table.sum(axis=0).astype(int).tolist()
    n = int(table.sum())
    counts = {"n": n, "unlabelled": items - n, "excluded": excluded, "target": target}
    return RateRow(dict(names), counts, *rates_from_labels(table, items, finite, at, len(place)))

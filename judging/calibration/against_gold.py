"""How right each judge is, held against the study's gold: with its weights, part by part, and with no verdict as an outcome."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import Exists, OuterRef

from annotation.models import Gold, Label, Rater, Rating, Study
from annotation.raters import latest_raters, primary_raters
from judging.calibration.goldsample import Bools, Floats, GoldSample, gold_sample
from judging.calibration.goldsplit import looks, split_of
from judging.counting import Ints, group_names, votes_of
from judging.models import Verdict
from judging.statistics import (
    HumanError,
    LabelFigures,
    Rate,
    Reliability,
    Undefined,
    confusion_table,
    confusion_under_human_error,
    human_error,
    jackknife_interval,
    label_figures,
    reliability,
    table_ac1,
    table_kappa,
    task_tables,
    weighted_rate,
)

ALL, TUNING, SEALED = "all", "tuning", "sealed"
PROBABILITY = "probability"
NO_LABEL, NOT_ASKED, OPEN = "no label", "not asked", "open"
STATES = {
    "unparsed": "unparsed", "refused": "refused", "failed": "failed", "todo": OPEN, "leased": OPEN,
}  # fmt: skip


@dataclass(frozen=True)
class Coefficient:
    value: float | None
    low: float | None = None
    high: float | None = None
    undefined: str = ""


@dataclass(frozen=True)
class OfLabel:
    """A judge on one label; `lenient` figures are what they come to where single humans err as the model says."""

    label: Label
    figures: LabelFigures
    sensitivity_under_error: float | None = None
    specificity_under_error: float | None = None


@dataclass(frozen=True)
class OfCategory:
    name: str
    items: int
    judged: int
    right: Rate
    target: LabelFigures


@dataclass(frozen=True)
class JudgeFigures:
    """One judge on one part of the gold. Tables have gold in rows and, last, a column for no verdict."""

    part: str
    weighted: bool
    items: int
    judged: int
    missing: dict[str, int]
    counts: Floats
    table: Floats
    right: Rate
    target: LabelFigures  # as counted for rates: a target label, or another
    labels: tuple[OfLabel, ...]
    kappa: Coefficient
    ac1: Coefficient
    confidence: Reliability | None
    confidence_undefined: str
    categories: tuple[OfCategory, ...]

    @property
    def absent(self) -> int:
        return self.items - self.judged

    @property
    def in_sample(self) -> bool:
        """Prompts may have been tuned on these very items."""
        return self.part == TUNING


class Basis:
    """What figures of some judges are made from: read at most once for all of them, and only if one is not kept already."""

    def __init__(self, study: Study, raters: Sequence[Rater]) -> None:
        self.study, self.raters = study, tuple(raters)

    @cached_property
    def sample(self) -> GoldSample:
        return calibration_sample(self.study, self.raters)

    @cached_property
    def error(self) -> HumanError | None:
        return human_error_or_why(self.study)[0]

    @cached_property
    def categories(self) -> dict[int, str]:
        return group_names(self.study, "category")


def judge_raters(study: Study) -> list[Rater]:
    """Judges and scorers with a vote in the study, of each name the latest version."""
    return [rater for rater in latest_raters(study) if rater.kind != Rater.Kind.HUMAN]


def versions(study: Study, rater: Rater) -> list[Rater]:
    """All versions of that name with a vote here, the newest first."""
    return list(primary_raters(study).filter(name=rater.name).order_by("-version"))


def calibration_sample(study: Study, raters: Sequence[Rater]) -> GoldSample:
    """The gold that judges are held against: control tasks are left out, as they are of the rates."""
    sample = gold_sample(study, raters=raters)
    return sample.part(~sample.control)


def visible_parts(study: Study, rater: Rater) -> list[str]:
    """The parts whose figures may be shown for the rater: the sealed one after an explicit look at it."""
    if split_of(study) is None:
        return [ALL]
    return [TUNING, SEALED] if rater.pk in looks(study).raters else [TUNING]


def in_part(sample: GoldSample, part: str) -> Bools:
    return {ALL: np.ones(len(sample), dtype=bool), TUNING: ~sample.sealed, SEALED: sample.sealed}[part]


def judge_figures(study: Study, rater: Rater, part: str, basis: Basis | None = None) -> JudgeFigures:
    """Everything that is told of one judge (a rater among the basis's) on one part of the gold."""
    basis = Basis(study, [rater]) if basis is None else basis
    whole = basis.sample
    chosen = whole.part(in_part(whole, part))
    given = chosen.votes[:, [one.pk for one in whole.raters].index(rater.pk)]
    weights = None if chosen.design.refusal else chosen.weight
    k, tasks = len(chosen.labels), chosen.groups["task"]
    target = np.asarray([label.role == Label.Role.TARGET for label in chosen.labels], dtype=bool)
    there = given >= 0
    confidence, why = _confidence(study, rater, chosen, given, weights)
    tables = task_tables(chosen.gold, given, k, weights, tasks)
    return JudgeFigures(
        part=part, weighted=weights is not None and bool(len(chosen)), items=len(chosen), judged=int(there.sum()),
        missing=_missing(study, rater, chosen.items[~there]),
        counts=confusion_table(chosen.gold, given, k), table=confusion_table(chosen.gold, given, k, weights),
        right=_right(chosen.gold, given, weights, tasks), target=_on_target(chosen.gold, given, weights, tasks, target),
        labels=_labels(chosen, given, weights, basis.error),
        kappa=_coefficient(tables, table_kappa), ac1=_coefficient(tables, table_ac1),
        confidence=confidence, confidence_undefined=why,
        categories=_categories(basis.categories, chosen, given, weights, target),
    )  # fmt: skip


def human_error_of(study: Study) -> HumanError:
    """How often one human errs, from the items that two or more labelled; Undefined, with the reason, where too few are.

    What gold that is one human's word (`GoldSample.single`) tells is carried over by `rate_under_human_error(rate, low,
    high, found, target, single)`, with `target` the labels that count (a boolean for each of `GoldSample.labels`) and
    `single` that gold's share of the weight; several shares at once by `shares_under_human_error`. Gold that several agreed
    on, or an adjudicator decided, is taken as true. Experts are taken to err as the raters do.
    """
    humans = [rater for rater in latest_raters(study) if rater.kind == Rater.Kind.HUMAN]
    votes = votes_of(study, raters=humans)
    return human_error(votes.label_counts(), votes.counts)


def _right(gold: Ints, given: Ints, weights: Floats | None, tasks: Ints) -> Rate:
    there = given >= 0
    return weighted_rate((gold == given)[there], _some(weights, there), tasks[there])


def _on_target(
    gold: Ints, given: Ints, weights: Floats | None, tasks: Ints, target: npt.NDArray[np.bool_]
) -> LabelFigures:
    """Labels taken together as target or not."""
    as_two = np.where(given < 0, -1, target[given].astype(np.int64))
    return label_figures(target[gold].astype(np.int64), as_two, 2, weights, tasks)[1]


def _labels(
    sample: GoldSample, given: Ints, weights: Floats | None, error: HumanError | None
) -> tuple[OfLabel, ...]:
    k = len(sample.labels)
    found = label_figures(sample.gold, given, k, weights, sample.groups["task"])
    under = _under_error(sample, given, weights, error)
    return tuple(
        OfLabel(label, figures, *under[place])
        for place, (label, figures) in enumerate(zip(sample.labels, found, strict=True))
    )


def _under_error(
    sample: GoldSample, given: Ints, weights: Floats | None, error: HumanError | None
) -> list[tuple[float | None, float | None]]:
    """Sensitivity and specificity with single humans' errors taken out. Where nobody's single word is gold, nothing is."""
    k, there, single = len(sample.labels), given >= 0, sample.single
    if error is None or not (single & there).any():
        return [(None, None)] * k
    word, rest = (
        confusion_table(sample.gold[mask], given[mask], k, _some(weights, mask))[:, :k]
        for mask in (there & single, there & ~single)
    )
    truth = confusion_under_human_error(word, error) + rest
    rows, columns, total = truth.sum(axis=1), truth.sum(axis=0), float(truth.sum())
    pairs: list[tuple[float | None, float | None]] = []
    for c in range(k):
        outside = total - rows[c]
        wrong = columns[c] - truth[c, c]
        pairs.append(
            (
                float(truth[c, c] / rows[c]) if rows[c] > 1e-9 * total else None,
                float(1 - wrong / outside) if outside > 1e-9 * total else None,
            )
        )
    return pairs


def _coefficient(tables: Floats, statistic: Callable[[Floats], float]) -> Coefficient:
    try:
        value = statistic(tables.sum(axis=0))
    except Undefined as why:
        return Coefficient(None, undefined=str(why))
    try:
        interval = jackknife_interval(tables, statistic)
    except Undefined as why:
        return Coefficient(value, undefined=str(why))
    return Coefficient(value, interval.low, interval.high)


def _categories(
    names: Mapping[int, str],
    sample: GoldSample,
    given: Ints,
    weights: Floats | None,
    target: npt.NDArray[np.bool_],
) -> tuple[OfCategory, ...]:
    tasks, found = sample.groups["task"], []
    for key in np.unique(sample.groups["category"]).tolist():
        mask = sample.groups["category"] == key
        some = _some(weights, mask)
        found.append(
            OfCategory(
                names[key], int(mask.sum()), int((given[mask] >= 0).sum()),
                _right(sample.gold[mask], given[mask], some, tasks[mask]),
                _on_target(sample.gold[mask], given[mask], some, tasks[mask], target),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.name))


def _some(weights: Floats | None, mask: Bools) -> Floats | None:
    return None if weights is None else weights[mask]


def _missing(study: Study, rater: Rater, items: Ints) -> dict[str, int]:
    return dict(sorted(Counter(why_missing(study, rater, items.tolist()).values()).items()))


def why_missing(study: Study, rater: Rater, items: Sequence[int]) -> dict[int, str]:
    """Why gold items have no label of this judge: how its verdicts ended, or that none was asked for."""
    if not items:
        return {}
    judge = study.judges.filter(judge__rater=rater).first()
    if judge is None:
        return dict.fromkeys(items, NO_LABEL)
    with_gold = Exists(Gold.objects.filter(item=OuterRef("item")))
    rows = Verdict.objects.filter(with_gold, study_judge=judge, repeat=0).exclude(state=Verdict.State.DONE)
    state = dict(rows.values_list("item", "state"))
    return {item: STATES.get(state.get(item, ""), NOT_ASKED) for item in items}


def _confidence(
    study: Study, rater: Rater, sample: GoldSample, given: Ints, weights: Floats | None
) -> tuple[Reliability | None, str]:
    stated = confidences(study, rater)
    mask = np.asarray([item in stated for item in sample.items.tolist()], dtype=bool) & (given >= 0)
    if not mask.any():
        return None, "it states no probability with its labels"
    values = [stated[item] for item in sample.items[mask].tolist()]
    right, tasks = (sample.gold == given)[mask], sample.groups["task"][mask]
    return reliability(values, right, _some(weights, mask), tasks), ""


def confidences(study: Study, rater: Rater) -> dict[int, float]:
    """Of items with gold, the probability the rater stated; only where its scale is one."""
    with_gold = Exists(Gold.objects.filter(item=OuterRef("item")))
    rows = Rating.objects.votes().filter(with_gold, rater=rater, item__study=study)
    stated = rows.filter(confidence_scale=PROBABILITY, confidence__gte=0, confidence__lte=1)
    told = stated.order_by().values_list("item", "confidence")
    return {item: confidence for item, confidence in told if confidence is not None}


def human_error_or_why(study: Study) -> tuple[HumanError | None, str]:
    try:
        return human_error_of(study), ""
    except Undefined as why:
        return None, str(why)


def as_json(value: Any) -> Any:
    """Of what is told of a judge, what JSON can hold."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Label):
        return value.key
    if isinstance(value, (list, tuple)):
        return [as_json(one) for one in value]
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if fields := getattr(value, "__dataclass_fields__", None):
        return {name: as_json(getattr(value, name)) for name in fields}
    return value

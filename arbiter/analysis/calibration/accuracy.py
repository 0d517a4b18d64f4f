"""How right each judge is, held against the study's gold: with its weights, part by part, and with no verdict
as an outcome."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from django.db.models import Exists, OuterRef

from annotation.models import Gold, Label, Rater, Rating, Study
from arbiter.analysis.calibration.goldparts import TUNING, calibration_sample, in_part
from arbiter.analysis.humanerror import human_error_or_why
from arbiter.statistics import (
    HumanError,
    LabelFigures,
    Rate,
    Reliability,
    Undefined,
    confusion_table,
    confusion_under_human_error,
    jackknife_interval,
    label_figures,
    reliability,
    table_ac1,
    table_kappa,
    task_tables,
    weighted_rate,
)
from judging.models import Judge, Verdict
from judging.panel.prompting import probability_of
from judging.votes.counting import Ints, group_names
from judging.votes.goldsample import Bools, Floats, GoldSample

PROBABILITY = "probability"
NO_LABEL, NOT_ASKED, OPEN = "no label", "not asked", "open"
STATES = {"unparsed": "unparsed", "refused": "refused", "failed": "failed", "todo": OPEN, "leased": OPEN}


@dataclass(frozen=True)
class Coefficient:
    value: float | None
    low: float | None = None
    high: float | None = None
    undefined: str = ""


@dataclass(frozen=True)
class LabelAccuracy:
    """A judge on one label. What is `under_error` is what the figure comes to where single humans err as the
    model says."""

    label: Label
    figures: LabelFigures
    sensitivity_under_error: float | None = None
    specificity_under_error: float | None = None


@dataclass(frozen=True)
class CategoryAccuracy:
    name: str
    items: int
    judged: int
    right: Rate
    target: LabelFigures


@dataclass(frozen=True)
class JudgeAccuracy:
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
    labels: tuple[LabelAccuracy, ...]
    kappa: Coefficient
    ac1: Coefficient
    confidence: Reliability | None
    confidence_undefined: str
    logprobs: Reliability | None  # of the probability that tokens give the label it gave
    logprobs_undefined: str
    categories: tuple[CategoryAccuracy, ...]

    @property
    def absent(self) -> int:
        return self.items - self.judged

    @property
    def in_sample(self) -> bool:
        """Tell whether prompts may have been tuned on these very items."""
        return self.part == TUNING


class CalibrationInputs:
    """What figures of some judges are made from: read at most once for all of them, and only if one is not
    kept already."""

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


def judge_accuracy(
    study: Study, rater: Rater, part: str, inputs: CalibrationInputs | None = None
) -> JudgeAccuracy:
    """Return everything that is told of one judge (a rater among the inputs') on one part of the gold."""
    inputs = CalibrationInputs(study, [rater]) if inputs is None else inputs
    whole = inputs.sample
    chosen = whole.part(in_part(whole, part))
    given = chosen.votes[:, [one.pk for one in whole.raters].index(rater.pk)]
    weights = None if chosen.design.refusal else chosen.weight
    k, tasks = len(chosen.labels), chosen.groups["task"]
    target = np.asarray([label.role == Label.Role.TARGET for label in chosen.labels], dtype=bool)
    there = given >= 0
    judge = Judge.objects.filter(rater=rater).select_related("rater").first()
    confidence, why = _stated(study, rater, judge, chosen, given, weights)
    logprobs, why_none = _of_tokens(study, judge, chosen, given, weights)
    tables = task_tables(chosen.gold, given, k, weights, tasks)
    return JudgeAccuracy(
        part=part,
        weighted=weights is not None and bool(len(chosen)),
        items=len(chosen),
        judged=int(there.sum()),
        missing=_missing(study, rater, chosen.items[~there]),
        counts=confusion_table(chosen.gold, given, k),
        table=confusion_table(chosen.gold, given, k, weights),
        right=_right(chosen.gold, given, weights, tasks),
        target=_on_target(chosen.gold, given, weights, tasks, target),
        labels=_labels(chosen, given, weights, inputs.error),
        kappa=_coefficient(tables, table_kappa),
        ac1=_coefficient(tables, table_ac1),
        confidence=confidence,
        confidence_undefined=why,
        logprobs=logprobs,
        logprobs_undefined=why_none,
        categories=_categories(inputs.categories, chosen, given, weights, target),
    )


def _right(gold: Ints, given: Ints, weights: Floats | None, tasks: Ints) -> Rate:
    there = given >= 0
    return weighted_rate((gold == given)[there], _some(weights, there), tasks[there])


def _on_target(
    gold: Ints, given: Ints, weights: Floats | None, tasks: Ints, target: npt.NDArray[np.bool_]
) -> LabelFigures:
    """Return a judge's figures on labels taken together as target or not."""
    as_two = np.where(given < 0, -1, target[given].astype(np.int64))
    return label_figures(target[gold].astype(np.int64), as_two, 2, weights, tasks)[1]


def _labels(
    sample: GoldSample, given: Ints, weights: Floats | None, error: HumanError | None
) -> tuple[LabelAccuracy, ...]:
    k = len(sample.labels)
    by_label = label_figures(sample.gold, given, k, weights, sample.groups["task"])
    under = _under_error(sample, given, weights, error)
    return tuple(
        LabelAccuracy(label, figures, *under[place])
        for place, (label, figures) in enumerate(zip(sample.labels, by_label, strict=True))
    )


def _under_error(
    sample: GoldSample, given: Ints, weights: Floats | None, error: HumanError | None
) -> list[tuple[float | None, float | None]]:
    """Return each label's sensitivity and specificity with single humans' errors taken out. Where nobody's
    single word is gold, they are None."""
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
) -> tuple[CategoryAccuracy, ...]:
    tasks, categories = sample.groups["task"], []
    for key in np.unique(sample.groups["category"]).tolist():
        mask = sample.groups["category"] == key
        some = _some(weights, mask)
        categories.append(
            CategoryAccuracy(
                names[key],
                int(mask.sum()),
                int((given[mask] >= 0).sum()),
                _right(sample.gold[mask], given[mask], some, tasks[mask]),
                _on_target(sample.gold[mask], given[mask], some, tasks[mask], target),
            )
        )
    return tuple(sorted(categories, key=lambda one: one.name))


def _some(weights: Floats | None, mask: Bools) -> Floats | None:
    return None if weights is None else weights[mask]


def _missing(study: Study, rater: Rater, items: Ints) -> dict[str, int]:
    return dict(sorted(Counter(why_missing(study, rater, items.tolist()).values()).items()))


def why_missing(study: Study, rater: Rater, items: Sequence[int]) -> dict[int, str]:
    """Say why gold items have no label of this judge: how its verdicts ended, or that none was asked for."""
    if not items:
        return {}
    judge = study.judges.filter(judge__rater=rater).first()
    if judge is None:
        return dict.fromkeys(items, NO_LABEL)
    with_gold = Exists(Gold.objects.filter(item=OuterRef("item")))
    rows = Verdict.objects.filter(with_gold, study_judge=judge, repeat=0).exclude(state=Verdict.State.DONE)
    state = dict(rows.values_list("item", "state"))
    return {item: STATES.get(state.get(item, ""), NOT_ASKED) for item in items}


def _stated(
    study: Study, rater: Rater, judge: Judge | None, sample: GoldSample, given: Ints, weights: Floats | None
) -> tuple[Reliability | None, str]:
    """Return how far the probability that it states is right; why it has none, where it has none."""
    if judge and probability_of(judge) == "none":
        return None, "no probability is taken from it"
    told = _reliability(confidences(study, rater), sample, given, weights)
    return told, "" if told else "it states no probability with its labels"


def _of_tokens(
    study: Study, judge: Judge | None, sample: GoldSample, given: Ints, weights: Floats | None
) -> tuple[Reliability | None, str]:
    """Return how far the probability is right that tokens give its labels; why it has none, where it has
    none."""
    if judge is None or probability_of(judge) != "logprobs":
        return None, "its probability is not taken from logprobs"
    told = _reliability(token_probabilities(study, judge), sample, given, weights)
    return told, "" if told else "no answer came with logprobs that tell of its label"


def _reliability(
    probabilities: Mapping[int, float], sample: GoldSample, given: Ints, weights: Floats | None
) -> Reliability | None:
    """Hold probabilities of being right, by item, against what was right; None where there are none."""
    mask = np.asarray([item in probabilities for item in sample.items.tolist()], dtype=bool) & (given >= 0)
    if not mask.any():
        return None
    values = [probabilities[item] for item in sample.items[mask].tolist()]
    right, tasks = (sample.gold == given)[mask], sample.groups["task"][mask]
    return reliability(values, right, _some(weights, mask), tasks)


def token_probabilities(study: Study, judge: Judge) -> dict[int, float]:
    """Return the probability that the tokens of a judge's answers give the label it gave, of each item with
    gold of which they tell."""
    with_gold = Exists(Gold.objects.filter(item=OuterRef("item")))
    done = Verdict.objects.filter(
        with_gold, study_judge__study=study, study_judge__judge=judge, repeat=0, state=Verdict.State.DONE
    )
    told = done.filter(answer__probabilities__isnull=False).order_by()
    rows = told.values_list("item", "rating__label__key", "answer__probabilities")
    return {item: said["labels"][key] for item, key, said in rows if said and key in said.get("labels", ())}


def confidences(study: Study, rater: Rater) -> dict[int, float]:
    """Return the probability that the rater stated of each item with gold; only where its scale is one."""
    with_gold = Exists(Gold.objects.filter(item=OuterRef("item")))
    rows = Rating.objects.votes().filter(with_gold, rater=rater, item__study=study)
    stated = rows.filter(confidence_scale=PROBABILITY, confidence__gte=0, confidence__lte=1)
    probabilities = stated.order_by().values_list("item", "confidence")
    return {item: confidence for item, confidence in probabilities if confidence is not None}


def under_error_said(figures: JudgeAccuracy, error: HumanError | None) -> str:
    """Say what a judge's figures with humans' errors taken out don't hold; empty where there are none."""
    if error is None or all(one.sensitivity_under_error is None for one in figures.labels):
        return ""
    even = "" if error.full else ", and as even, as pairs of labels don't tell misses from inventions"
    return (
        "With human error out they are single figures without an interval: humans' errors are taken as "
        f"known{even}. How far they may be off is not measured, so no claim rests on them; the intervals of "
        "the figures beside them take gold as true."
    )

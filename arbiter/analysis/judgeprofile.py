"""What a judge's page tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annotation.models import Rater, Study
from annotation.raters import primary_raters
from arbiter.analysis.biases.biasreport import findings_of
from arbiter.analysis.calibration.accuracy import JudgeAccuracy, under_error_said
from arbiter.analysis.calibration.comparison import JudgeComparison, compare_judges
from arbiter.analysis.calibration.goldparts import PARTS_IN_WORDS, SEALED, gold_parts, visible_parts
from arbiter.analysis.calibration.humanceiling import EPSILON, CeilingInputs, HumanCeiling
from arbiter.analysis.calibration.judgetable import accuracy_kept, human_ceilings_kept
from arbiter.analysis.calibration.mistakes import JudgeMistakes, mistakes
from arbiter.analysis.figures.catalogue import Figure, make_figure
from arbiter.analysis.humanerror import human_error_kept
from arbiter.analysis.judgeraters import is_simulated_judge, judge_raters
from arbiter.statistics import HumanError
from judging.models import StudyJudge
from judging.votes.goldsplit import looks, split_of
from judging.votes.kept_figures import kept


@dataclass(frozen=True)
class JudgedPart:
    """A part of the gold, and all that is told of the judge on it."""

    name: str
    words: str
    figures: JudgeAccuracy
    matrix: Figure
    labels: Figure
    reliability: Figure | None
    logprobs: Figure | None
    ceilings: Sequence[HumanCeiling]
    mistakes: JudgeMistakes
    under_error: str  # what figures with human error out don't hold; empty where there are none


@dataclass(frozen=True)
class JudgeVersion:
    rater: Rater
    study_judge: StudyJudge | None
    labels: int  # items labelled here
    shown: bool  # it is this page's

    @property
    def active(self) -> bool:
        return bool(self.study_judge and self.study_judge.active)


def judge_page(study: Study, rater: Rater) -> dict[str, Any]:
    gold, (error, why) = gold_parts(study), human_error_kept(study)
    labelled = primary_raters(study).filter(pk=rater.pk).exists()
    versions = _versions(study, rater)
    study_judge = next((one.study_judge for one in versions if one.shown), None)
    split, seen, inputs = split_of(study), looks(study), CeilingInputs(study, [rater])
    return {
        "rater": rater,
        "simulated": is_simulated_judge(study, rater),
        "gold": gold,
        "labelled": labelled,
        "parts": [_part(study, rater, part, inputs) for part in visible_parts(study, rater)]
        if gold.items and labelled
        else [],
        "human_error": error,
        "human_error_why": why,
        "error_rows": _error_rows(study, error),
        "versions": versions,
        "asked": study_judge,
        "template": study_judge.judge.template_text if study_judge else "",
        "split": split,
        "looks": seen,
        "sealed_shown": rater.pk in seen.raters,
        "reveals": split.reveals.filter(rater=rater).select_related("by") if split else [],
        "others": _others(study, rater),
        "epsilon": EPSILON,
        "few": _few(versions),
        "findings": findings_of(study, rater) if labelled else [],
    }


def _part(study: Study, rater: Rater, part: str, inputs: CeilingInputs) -> JudgedPart:
    figures = accuracy_kept(study, rater, part, inputs)
    query = {"judge": str(rater.pk), "part": part}
    return JudgedPart(
        part,
        PARTS_IN_WORDS[part],
        figures,
        make_figure(study, "judge-matrix", query),
        make_figure(study, "judge-labels", query),
        make_figure(study, "judge-reliability", query) if figures.confidence else None,
        make_figure(study, "judge-logprobs", query) if figures.logprobs else None,
        human_ceilings_kept(study, rater, part, inputs=inputs),
        kept(study, "mistakes", (rater.pk, part), lambda: mistakes(study, rater, part, inputs=inputs)),
        under_error_said(figures, human_error_kept(study)[0]),
    )


def _versions(study: Study, rater: Rater) -> list[JudgeVersion]:
    """Return every version of that name that labelled here or is asked here, the newest first."""
    judges = {
        sj.judge.rater_id: sj
        for sj in study.judges.filter(judge__rater__name=rater.name).select_related(
            "judge__rater", "judge__endpoint"
        )
    }
    raters = {one.pk: one for one in primary_raters(study).filter(name=rater.name)}
    raters |= {pk: sj.judge.rater for pk, sj in judges.items()}
    labels = kept(
        study, "labels-of", sorted(raters), lambda: {pk: _labels(study, one) for pk, one in raters.items()}
    )
    order = sorted(raters.values(), key=lambda one: -one.version)
    return [JudgeVersion(one, judges.get(one.pk), labels[one.pk], one.pk == rater.pk) for one in order]


def _labels(study: Study, rater: Rater) -> int:
    return rater.ratings.given_as_votes().filter(item__study=study, revision=1).count()


def _few(versions: Sequence[JudgeVersion]) -> JudgeVersion | None:
    """Return the newest version with labels, where it has labelled less than one before it: it stands in for
    that one everywhere."""
    with_labels = [one for one in versions if one.labels]
    if len(with_labels) > 1 and with_labels[0].labels < max(one.labels for one in with_labels[1:]):
        return with_labels[0]
    return None


def _others(study: Study, rater: Rater) -> list[Rater]:
    """Return the raters that a judge can be held beside: its other versions, then the other judges."""
    own = [one.rater for one in _versions(study, rater) if one.rater.pk != rater.pk and one.labels]
    return own + [one for one in judge_raters(study) if one.name != rater.name]


def comparison_for(study: Study, rater: Rater, other: int) -> dict[str, Any]:
    """Compare a judge with the version before, or with whichever was asked for."""
    others = _others(study, rater)
    beside = next((one for one in others if one.pk == other), None)
    if beside is None and not other:
        beside = next((one for one in others if one.name == rater.name), None)
    if (
        beside is None
        or not gold_parts(study).items
        or not primary_raters(study).filter(pk=rater.pk).exists()
    ):
        return {"beside": None}
    first, second = _in_order(beside, rater)
    both_seen = {first.pk, second.pk} <= looks(study).raters
    comparisons = [_compared(study, first, second, part) for part in ("", *((SEALED,) if both_seen else ()))]
    return {"beside": beside, "comparisons": comparisons}


def _in_order(beside: Rater, rater: Rater) -> tuple[Rater, Rater]:
    """Return two judges with the one before first: of two versions that is the older."""
    older = beside.name == rater.name and beside.version > rater.version
    return (rater, beside) if older else (beside, rater)


def _compared(study: Study, first: Rater, second: Rater, part: str) -> JudgeComparison:
    return kept(
        study, "compared", (first.pk, second.pk, part), lambda: compare_judges(study, first, second, part)
    )


def _error_rows(study: Study, error: HumanError | None) -> list[tuple[Any, list[float]]]:
    if error is None:
        return []
    labels = study.scheme.labels.order_by("position")
    return list(zip(labels, error.error.tolist(), strict=True))

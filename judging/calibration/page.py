"""What a judge's page tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annotation.models import Rater, Study
from annotation.raters import primary_raters
from judging.biases.report import of_judge
from judging.calibration.against_gold import SEALED, JudgeFigures, judge_raters, visible_parts
from judging.calibration.calibrating import (
    WORDS,
    ceilings_of,
    figures_of,
    gold_parts,
    human_error_kept,
    simulated,
)
from judging.calibration.ceiling import EPSILON, Ceiling, Several
from judging.calibration.comparing import Comparison, compare
from judging.calibration.erring import Mistakes, mistakes
from judging.calibration.goldsplit import looks, split_of
from judging.figures import Figure, make_figure
from judging.keeping import kept
from judging.models import StudyJudge
from judging.statistics import HumanError


@dataclass(frozen=True)
class Part:
    """A part of the gold, and all that is told of the judge on it."""

    name: str
    words: str
    figures: JudgeFigures
    matrix: Figure
    labels: Figure
    reliability: Figure | None
    ceilings: Sequence[Ceiling]
    mistakes: Mistakes
    under_error: bool


@dataclass(frozen=True)
class Version:
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
    found = _versions(study, rater)
    asked = next((one.study_judge for one in found if one.shown), None)
    split, seen, basis = split_of(study), looks(study), Several(study, [rater])
    return {
        "rater": rater, "simulated": simulated(study, rater), "gold": gold, "labelled": labelled,
        "parts": [_part(study, rater, part, basis) for part in visible_parts(study, rater)] if gold.items and labelled else [],
        "human_error": error, "human_error_why": why, "error_rows": _error_rows(study, error),
        "versions": found, "asked": asked, "template": asked.judge.template_text if asked else "",
        "split": split, "looks": seen, "sealed_shown": rater.pk in seen.raters,
        "reveals": split.reveals.filter(rater=rater).select_related("by") if split else [],
        "others": _others(study, rater), "epsilon": EPSILON, "few": _few(found),
        "findings": of_judge(study, rater) if labelled else [],
    }  # fmt: skip


def _part(study: Study, rater: Rater, part: str, basis: Several) -> Part:
    figures = figures_of(study, rater, part, basis)
    query = {"judge": str(rater.pk), "part": part}
    return Part(
        part, WORDS[part], figures,
        make_figure(study, "judge-matrix", query), make_figure(study, "judge-labels", query),
        make_figure(study, "judge-reliability", query) if figures.confidence else None,
        ceilings_of(study, rater, part, basis=basis),
        kept(study, "mistakes", (rater.pk, part), lambda: mistakes(study, rater, part, basis=basis)),
        any(one.sensitivity_under_error is not None for one in figures.labels),
    )  # fmt: skip


def _versions(study: Study, rater: Rater) -> list[Version]:
    """Every version of that name that labelled here or is asked here, the newest first."""
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
    return [Version(one, judges.get(one.pk), labels[one.pk], one.pk == rater.pk) for one in order]


def _labels(study: Study, rater: Rater) -> int:
    return rater.ratings.filter(item__study=study, question="", purpose="slot", ordinal=0, revision=1).count()


def _few(found: Sequence[Version]) -> Version | None:
    """The newest version with labels, where it has labelled less than one before it: it stands in for that one everywhere."""
    with_labels = [one for one in found if one.labels]
    if len(with_labels) > 1 and with_labels[0].labels < max(one.labels for one in with_labels[1:]):
        return with_labels[0]
    return None


def _others(study: Study, rater: Rater) -> list[Rater]:
    """Whom it can be held beside: its other versions, then the other judges."""
    own = [one.rater for one in _versions(study, rater) if one.rater.pk != rater.pk and one.labels]
    return own + [one for one in judge_raters(study) if one.name != rater.name]


def comparison_for(study: Study, rater: Rater, other: int) -> dict[str, Any]:
    """Beside the version before, or whichever was asked for."""
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
    found = [_compared(study, first, second, part) for part in ("", *((SEALED,) if both_seen else ()))]
    return {"beside": beside, "comparisons": found}


def _in_order(beside: Rater, rater: Rater) -> tuple[Rater, Rater]:
    """Of two versions the older is the one before."""
    older = beside.name == rater.name and beside.version > rater.version
    return (rater, beside) if older else (beside, rater)


def _compared(study: Study, first: Rater, second: Rater, part: str) -> Comparison:
    return kept(study, "compared", (first.pk, second.pk, part), lambda: compare(study, first, second, part))


def _error_rows(study: Study, error: HumanError | None) -> list[tuple[Any, list[float]]]:
    if error is None:
        return []
    labels = study.scheme.labels.order_by("position")
    return list(zip(labels, error.error.tolist(), strict=True))

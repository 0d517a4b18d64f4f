"""The table of judges against gold: each judge on each part that may be seen, with its human ceiling."""

from collections.abc import Sequence
from dataclasses import dataclass

from annotation.models import Rater, Study
from arbiter.analysis.calibration.accuracy import CalibrationInputs, JudgeAccuracy, judge_accuracy
from arbiter.analysis.calibration.goldparts import visible_parts
from arbiter.analysis.calibration.humanceiling import EPSILON, CeilingInputs, HumanCeiling, human_ceilings
from arbiter.analysis.judgeraters import is_simulated_judge
from arbiter.core.errors import UserError
from judging.votes.kept_figures import kept


@dataclass(frozen=True)
class JudgeRow:
    """A judge on one part of the gold, for the table of judges."""

    rater: Rater
    simulated: bool
    figures: JudgeAccuracy
    ceiling: HumanCeiling


def accuracy_kept(
    study: Study, rater: Rater, part: str, inputs: CalibrationInputs | None = None
) -> JudgeAccuracy:
    """Return a judge's accuracy on a part of the gold, kept while nothing changes. UserError for a part that
    may not be seen."""
    if part not in visible_parts(study, rater):
        raise UserError(f"Nobody has looked at the {part} gold for {rater}, so its figures are not shown.")
    return kept(study, "judge-accuracy", (rater.pk, part), lambda: judge_accuracy(study, rater, part, inputs))


def human_ceilings_kept(
    study: Study, rater: Rater, part: str, epsilon: float = EPSILON, inputs: CeilingInputs | None = None
) -> list[HumanCeiling]:
    key = (rater.pk, part, epsilon)
    return kept(study, "ceilings", key, lambda: human_ceilings(study, rater, part, epsilon, inputs))


def judge_rows(study: Study, raters: Sequence[Rater], epsilon: float = EPSILON) -> list[JudgeRow]:
    """Return a row for every judge and every part that may be seen of it."""
    inputs = CeilingInputs(study, raters)
    return [
        JudgeRow(
            rater,
            is_simulated_judge(study, rater),
            accuracy_kept(study, rater, part, inputs),
            human_ceilings_kept(study, rater, part, epsilon, inputs)[0],
        )
        for rater in raters
        for part in visible_parts(study, rater)
    ]

"""A judge's errors on gold that may be seen: false alarms and misses, the most confident first."""

from dataclasses import dataclass

import numpy as np

from annotation.models import Label, Rater, Study
from arbiter.analysis.calibration.accuracy import CalibrationInputs, confidences
from arbiter.analysis.calibration.comparison import item_keys
from arbiter.analysis.calibration.goldparts import in_part

SHOWN = 8


@dataclass(frozen=True)
class JudgeMistake:
    item: str  # its key
    category: str
    gold: Label
    given: Label
    confidence: float | None


@dataclass(frozen=True)
class JudgeMistakes:
    """A judge's mistakes. `alarms`: a target label where gold has another; `misses`: the reverse; `others`:
    wrong on the same side."""

    alarms: tuple[JudgeMistake, ...]
    misses: tuple[JudgeMistake, ...]
    others: tuple[JudgeMistake, ...]
    alarm_count: int
    miss_count: int
    other_count: int

    @property
    def groups(self) -> list[tuple[str, int, tuple[JudgeMistake, ...]]]:
        shown = [("False alarm", self.alarm_count, self.alarms), ("Miss", self.miss_count, self.misses)]
        others = ("Wrong label on the right side", self.other_count, self.others)
        return [*shown, others] if self.other_count else shown


def mistakes(
    study: Study, rater: Rater, part: str, shown: int = SHOWN, inputs: CalibrationInputs | None = None
) -> JudgeMistakes:
    """Return the mistakes of a rater that is the inputs' first, on one part of the gold."""
    inputs = CalibrationInputs(study, [rater]) if inputs is None else inputs
    whole = inputs.sample
    sample = whole.part(in_part(whole, part))
    labels_given, stated = sample.votes[:, 0], confidences(study, rater)
    target = np.asarray([label.role == Label.Role.TARGET for label in sample.labels], dtype=bool)
    wrong = (labels_given >= 0) & (labels_given != sample.gold)
    says_target, is_target = target[labels_given] & (labels_given >= 0), target[sample.gold]
    groups = [
        np.flatnonzero(wrong & mask)
        for mask in (says_target & ~is_target, ~says_target & is_target, says_target == is_target)
    ]
    confidence = [stated.get(item, -1.0) for item in sample.items.tolist()]
    chosen = [sorted(group.tolist(), key=lambda i: -confidence[i])[:shown] for group in groups]
    keys = item_keys([int(sample.items[i]) for group in chosen for i in group])
    names = inputs.categories if keys else {}
    listed = [
        tuple(
            JudgeMistake(
                keys[int(sample.items[i])],
                names[int(sample.groups["category"][i])],
                sample.labels[sample.gold[i]],
                sample.labels[labels_given[i]],
                stated.get(int(sample.items[i])),
            )
            for i in group
        )
        for group in chosen
    ]
    return JudgeMistakes(listed[0], listed[1], listed[2], *(len(group) for group in groups))

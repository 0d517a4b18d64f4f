"""A judge's errors on gold that may be seen: false alarms and misses, the most confident first."""

from dataclasses import dataclass

import numpy as np

from annotation.models import Label, Rater, Study
from judging.calibration.against_gold import Basis, confidences, in_part
from judging.calibration.comparing import keys_of

SHOWN = 8


@dataclass(frozen=True)
class Mistake:
    item: str  # its key
    category: str
    gold: Label
    given: Label
    confidence: float | None


@dataclass(frozen=True)
class Mistakes:
    """`alarms`: a target label where gold has another; `misses`: the reverse; `others`: wrong on the same side."""

    alarms: tuple[Mistake, ...]
    misses: tuple[Mistake, ...]
    others: tuple[Mistake, ...]
    alarm_count: int
    miss_count: int
    other_count: int

    @property
    def groups(self) -> list[tuple[str, int, tuple[Mistake, ...]]]:
        found = [
            ("False alarm", self.alarm_count, self.alarms),
            ("Miss", self.miss_count, self.misses),
        ]
        others = ("Wrong label on the right side", self.other_count, self.others)
        return [*found, others] if self.other_count else found


def mistakes(
    study: Study, rater: Rater, part: str, shown: int = SHOWN, basis: Basis | None = None
) -> Mistakes:
    """Of a rater that is the basis's first."""
    basis = Basis(study, [rater]) if basis is None else basis
    whole = basis.sample
    sample = whole.part(in_part(whole, part))
    given, stated = sample.votes[:, 0], confidences(study, rater)
    target = np.asarray([label.role == Label.Role.TARGET for label in sample.labels], dtype=bool)
    wrong = (given >= 0) & (given != sample.gold)
    said, is_ = target[given] & (given >= 0), target[sample.gold]
    groups = [np.flatnonzero(wrong & mask) for mask in (said & ~is_, ~said & is_, said == is_)]
    confidence = [stated.get(item, -1.0) for item in sample.items.tolist()]
    chosen = [sorted(group.tolist(), key=lambda i: -confidence[i])[:shown] for group in groups]
    keys = keys_of([int(sample.items[i]) for group in chosen for i in group])
    names = basis.categories if keys else {}
    told = [
        tuple(
            Mistake(
                keys[int(sample.items[i])], names[int(sample.groups["category"][i])], sample.labels[sample.gold[i]],
                sample.labels[given[i]], stated.get(int(sample.items[i])),
            )
            for i in group
        )
        for group in chosen
    ]  # fmt: skip
    return Mistakes(told[0], told[1], told[2], *(len(group) for group in groups))

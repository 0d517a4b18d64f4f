"""The gold that judges are held against, its parts, and which of them may be seen of a judge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Max

from annotation.models import Gold, Rater, Study
from judging.models import GoldSplit
from judging.votes.goldsample import Bools, Design, GoldSample, gold_sample
from judging.votes.goldsplit import looks, split_of
from judging.votes.kept_figures import kept

ALL, TUNING, SEALED = "all", "tuning", "sealed"
PARTS_IN_WORDS = {ALL: "all gold", TUNING: "the tuning part, in-sample", SEALED: "the sealed part"}


def calibration_sample(study: Study, raters: Sequence[Rater]) -> GoldSample:
    """Return the gold that judges are held against: control tasks are left out, as they are of the rates."""
    sample = gold_sample(study, raters=raters)
    return sample.part(~sample.control)


def visible_parts(study: Study, rater: Rater) -> list[str]:
    """Return the parts whose figures may be shown for the rater: the sealed one after an explicit look at
    it."""
    if split_of(study) is None:
        return [ALL]
    return [TUNING, SEALED] if rater.pk in looks(study).raters else [TUNING]


def in_part(sample: GoldSample, part: str) -> Bools:
    return {ALL: np.ones(len(sample), dtype=bool), TUNING: ~sample.sealed, SEALED: sample.sealed}[part]


@dataclass(frozen=True)
class GoldParts:
    """The gold that judges are held against, as one sees it: how many items in each part, and how it was
    drawn."""

    items: int
    tuning: int
    sealed: int
    single: int
    control: int  # left out
    design: Design
    split: GoldSplit | None

    @property
    def weighted(self) -> bool:
        return not self.design.refusal

    @property
    def words(self) -> str:
        """Say what figures made of this gold are about."""
        if self.weighted and self.design.kind == "census":
            return "every item has gold"
        if self.weighted:
            return f"weighted by the draw {self.design.draw!r}"
        return "of these items alone, unweighted"


def gold_parts(study: Study) -> GoldParts:
    split, newest = split_of(study), Gold.objects.aggregate(Max("pk"))["pk__max"]
    # What has just been split, or written, is seen at once.
    return kept(study, "gold-parts", (split and split.pk, newest), lambda: _gold_parts(study))


def _gold_parts(study: Study) -> GoldParts:
    sample = calibration_sample(study, [])
    everything = len(gold_sample(study, raters=[]))
    return GoldParts(
        len(sample),
        int((~sample.sealed).sum()),
        int(sample.sealed.sum()),
        int(sample.single.sum()),
        everything - len(sample),
        sample.design,
        split_of(study),
    )

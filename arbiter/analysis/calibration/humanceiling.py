"""The human ceiling: may a judge stand in for a rater, and on which category? Each judge against humans left
out in turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from django.db.models import Count

from annotation.models import Rater, Study
from annotation.raters import latest_raters
from arbiter.analysis.calibration.accuracy import CalibrationInputs
from arbiter.analysis.calibration.goldparts import ALL, SEALED
from arbiter.statistics import AlternativeTest, Undefined, alternative_annotator_test
from judging.votes.counting import PATHS, Ints, VoteReader, scheme_labels
from judging.votes.goldsplit import is_sealed, split_of

EPSILON = 0.15  # what a trained rater's label costs more, after the paper


@dataclass(frozen=True)
class JudgeAgainstRater:
    """The judge against one human, who was left out of those both are held to."""

    rater: Rater
    items: int
    judge_as_good: float
    human_as_good: float
    p: float
    won: bool


@dataclass(frozen=True)
class HumanCeiling:
    """What the test says of one judge, over all categories (name empty) or on one."""

    category: str
    items: int  # with labels from two humans or more
    test: AlternativeTest | None
    humans: tuple[JudgeAgainstRater, ...]
    undefined: str

    @property
    def won(self) -> int:
        return sum(one.won for one in self.humans)


class CeilingInputs(CalibrationInputs):
    """The same inputs, and the items that several humans labelled, as patterns by task: labels, task,
    category, items."""

    @cached_property
    def humans(self) -> list[Rater]:
        return [one for one in latest_raters(self.study) if one.kind == Rater.Kind.HUMAN]

    @cached_property
    def rows(self) -> Ints:
        return _rows(self.study, [*self.raters, *self.humans])

    def of(self, rater: Rater, part: str) -> Ints:
        """Return rows of the judge's column, then the humans'; on the part of the tasks that may be seen, if
        the gold is split."""
        column, split = [one.pk for one in self.raters].index(rater.pk), split_of(self.study)
        chosen = self.rows[:, [column, *range(len(self.raters), self.rows.shape[1])]]
        if part == ALL:
            return chosen
        sealed = {task: is_sealed(split, task) for task in np.unique(chosen[:, -3]).tolist()}
        keep = [sealed[task] == (part == SEALED) for task in chosen[:, -3].tolist()]
        part_of: Ints = chosen[np.asarray(keep, dtype=bool)]
        return part_of


def human_ceilings(
    study: Study, rater: Rater, part: str, epsilon: float = EPSILON, inputs: CeilingInputs | None = None
) -> list[HumanCeiling]:
    """Return the human ceiling of a judge over all categories, then by category."""
    inputs = CeilingInputs(study, [rater]) if inputs is None else inputs
    humans, names, rows = inputs.humans, inputs.categories, inputs.of(rater, part)
    ceilings = [_ceiling("", humans, rows, epsilon)]
    for key in np.unique(rows[:, -2]).tolist():
        ceilings.append(_ceiling(names[key], humans, rows[rows[:, -2] == key], epsilon))
    return [ceilings[0], *sorted(ceilings[1:], key=lambda one: one.category)]


def _rows(study: Study, raters: Sequence[Rater]) -> Ints:
    read = cache(VoteReader(raters, scheme_labels(study)))
    counted = (
        study.items.filter(human_votes__gte=2, response__task__control=False)
        .order_by()
        .values_list("votes", PATHS["task"], PATHS["category"])
        .annotate(Count("pk"))
    )
    table = [
        (*read(votes), task, category, items)
        for votes, task, category, items in counted.iterator(chunk_size=5000)
    ]
    return np.asarray(table, dtype=np.int64).reshape(len(table), len(raters) + 3)


def _ceiling(category: str, humans: Sequence[Rater], rows: Ints, epsilon: float) -> HumanCeiling:
    judge, labels, items = rows[:, 0], rows[:, 1:-3].T, rows[:, -1]
    several = int(items[(labels >= 0).sum(axis=0) >= 2].sum())
    try:
        test = alternative_annotator_test(labels, judge, epsilon, items=items, tasks=rows[:, -3])
    except Undefined as why:
        return HumanCeiling(category, several, None, (), str(why))
    against = tuple(
        JudgeAgainstRater(humans[one.human], one.items, one.judge_as_good, one.human_as_good, one.p, one.won)
        for one in test.humans
    )
    return HumanCeiling(category, several, test, against, "")

"""The human ceiling: may a judge stand in for a rater, and on which category? Each judge against humans left out in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Count

from annotation.models import Rater, Study
from annotation.raters import latest_raters
from judging.calibration import ALL, SEALED
from judging.counting import PATHS, Ints, Reader, group_names, scheme_labels
from judging.goldsplit import is_sealed, split_of
from judging.statistics import AlternativeTest, Undefined, alternative_annotator_test

EPSILON = 0.15  # what a trained rater's label costs more, after the paper


@dataclass(frozen=True)
class Against:
    """The judge against one human, who was left out of those both are held to."""

    rater: Rater
    items: int
    judge_as_good: float
    human_as_good: float
    p: float
    won: bool


@dataclass(frozen=True)
class Ceiling:
    """What the test says of one judge, over all categories (name empty) or on one."""

    category: str
    items: int  # with labels from two humans or more
    test: AlternativeTest | None
    humans: tuple[Against, ...]
    undefined: str

    @property
    def won(self) -> int:
        return sum(one.won for one in self.humans)


def ceilings(study: Study, rater: Rater, part: str, epsilon: float = EPSILON) -> list[Ceiling]:
    """Over everything, then by category. On the part of the tasks that may be seen, if the gold is split."""
    humans = [one for one in latest_raters(study) if one.kind == Rater.Kind.HUMAN]
    rows = _rows(study, [rater, *humans], part)
    names = group_names(study, "category")
    found = [_ceiling("", humans, rows, epsilon)]
    for key in np.unique(rows[:, -2]).tolist():
        found.append(_ceiling(names[key], humans, rows[rows[:, -2] == key], epsilon))
    return [found[0], *sorted(found[1:], key=lambda one: one.category)]


def _rows(study: Study, raters: Sequence[Rater], part: str) -> Ints:
    """Patterns by task of the items that two humans or more labelled: labels, task, category, items."""
    split = split_of(study)
    read = Reader(raters, scheme_labels(study))
    counted = (
        study.items.filter(human_votes__gte=2, response__task__control=False)
        .order_by()
        .values_list("votes", PATHS["task"], PATHS["category"])
        .annotate(Count("pk"))
    )
    table = [
        (*read(votes), task, category, items)
        for votes, task, category, items in counted.iterator(chunk_size=5000)
        if part == ALL or is_sealed(split, task) == (part == SEALED)
    ]
    return np.asarray(table, dtype=np.int64).reshape(len(table), len(raters) + 3)


def _ceiling(category: str, humans: Sequence[Rater], rows: Ints, epsilon: float) -> Ceiling:
    judge, labels, items = rows[:, 0], rows[:, 1:-3].T, rows[:, -1]
    several = int(items[(labels >= 0).sum(axis=0) >= 2].sum())
    try:
        test = alternative_annotator_test(labels, judge, epsilon, items=items, tasks=rows[:, -3])
    except Undefined as why:
        return Ceiling(category, several, None, (), str(why))
    against = tuple(
        Against(humans[one.human], one.items, one.judge_as_good, one.human_as_good, one.p, one.won)
        for one in test.humans
    )
    return Ceiling(category, several, test, against, "")

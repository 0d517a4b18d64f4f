"""A study's current votes as counts: which combinations of raters and labels there are,
and how many items have each.

One GROUP BY over the key that items keep of their votes (annotation.votes) answers, so the cost follows the
number of patterns and not of ratings. Agreement, settlement and rates all begin here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from django.db.models import Count

from annotation.models import Label, Rater, Study
from annotation.raters import latest_raters
from annotation.votes import unpacked

Ints = npt.NDArray[np.int64]
NONE = -1  # no vote
# What items can be grouped by, and where it is.
PATHS = {
    "task": "response__task_id",
    "category": "response__task__category_id",
    "subject": "response__run__subject_id",
    "condition": "response__run__condition_id",
}
NAMES = {
    "task": "response__task__key",
    "category": "response__task__category__title",
    "subject": "response__run__subject__name",
    "condition": "response__run__condition__name",
}


@dataclass(frozen=True)
class Votes:
    """Distinct patterns of votes, within what they are grouped by, and how many items have each."""

    raters: tuple[Rater, ...]
    labels: tuple[Label, ...]  # all of the primary scheme's, in order, whether they occur or not
    patterns: Ints  # (patterns, raters): place of the label, -1 where the rater has no vote
    counts: Ints  # (patterns,)
    groups: dict[str, Ints] = field(
        default_factory=dict
    )  # by word, the pk of each pattern's group: (patterns,)

    @property
    def items(self) -> int:
        return int(self.counts.sum())

    def only(self, raters: Sequence[Rater]) -> "Votes":
        """Return the votes of some of its raters, in the order given.
        Items none of them voted on stay, as patterns of -1."""
        place = {rater.pk: column for column, rater in enumerate(self.raters)}
        columns = [place[rater.pk] for rater in raters]
        chosen = replace(self, raters=tuple(raters), patterns=self.patterns[:, columns])
        return chosen.merged(tuple(self.groups))

    def merged(self, by: Sequence[str] = ()) -> "Votes":
        """Group the votes by these words alone; what has become equal is counted together."""
        keys = [self.groups[word] for word in by]
        rows = np.column_stack([self.patterns, *keys]).astype(np.int64, copy=False)
        distinct, counts = merge_rows(rows, self.counts)
        width = len(self.raters)
        groups = {word: distinct[:, width + place] for place, word in enumerate(by)}
        return replace(self, patterns=distinct[:, :width], counts=counts, groups=groups)

    def label_counts(self) -> Ints:
        """Count for every pattern how many of the raters gave each label: (patterns, labels)."""
        shape = (len(self.patterns), len(self.labels))
        rows, columns = np.nonzero(self.patterns >= 0)
        cells = rows * shape[1] + self.patterns[rows, columns]
        return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64, copy=False)

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Votes":
        """Return some of the patterns."""
        groups = {word: keys[chosen] for word, keys in self.groups.items()}
        return replace(self, patterns=self.patterns[chosen], counts=self.counts[chosen], groups=groups)


def votes_of(
    study: Study,
    by: Sequence[str] = (),
    *,
    raters: Sequence[Rater] | None = None,
    control: bool | None = None,
) -> Votes:
    """Count the study's votes, of everybody's latest version, unless raters are named; of every item, unless
    `control` tells which tasks."""
    chosen = tuple(latest_raters(study) if raters is None else raters)
    labels = scheme_labels(study)
    items = study.items.all()
    if control is not None:
        items = items.filter(response__task__control=control)
    rows = items.order_by().values_list("votes", *(PATHS[word] for word in by)).annotate(items_=Count("pk"))
    read = cache(VoteReader(chosen, labels))
    table = [(*read(key), *rest) for key, *rest in rows.iterator(chunk_size=5000)]
    width = len(chosen)
    data = np.asarray(table, dtype=np.int64).reshape(len(table), width + len(by) + 1)
    groups = {word: data[:, width + place] for place, word in enumerate(by)}
    votes = Votes(chosen, labels, data[:, :width], data[:, -1], groups)
    return votes.merged(tuple(by))  # those that differ in what raters left out said


def scheme_labels(study: Study) -> tuple[Label, ...]:
    return tuple(Label.objects.filter(scheme=study.scheme_id).order_by("position"))


class VoteReader:
    """Reads an item's kept votes: the place of each rater's label, -1 where there is none."""

    def __init__(self, raters: Sequence[Rater], labels: Sequence[Label]) -> None:
        self.columns = {rater.pk: column for column, rater in enumerate(raters)}
        self.places = {label.pk: place for place, label in enumerate(labels)}

    def __call__(self, key: str) -> tuple[int, ...]:
        row = [NONE] * len(self.columns)
        for rater, label in unpacked(key):
            if (column := self.columns.get(rater)) is not None:
                row[column] = self.places[label]
        return tuple(row)


def merge_rows(rows: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return equal rows once, in ascending order, with their counts summed."""
    if not len(rows):
        return rows, counts
    if not rows.shape[1]:
        return rows[:1], counts.sum(keepdims=True)
    order = np.lexsort(rows.T[::-1])
    sorted_rows = rows[order]
    starts = np.flatnonzero(np.r_[True, (sorted_rows[1:] != sorted_rows[:-1]).any(axis=1)])
    return sorted_rows[starts], np.add.reduceat(counts[order], starts)


def group_names(study: Study, word: str) -> dict[int, str]:
    """Return what the groups of a word are called.
    Two conditions of one name are told apart by their content's hash."""
    fields = [PATHS[word], NAMES[word]]
    if word == "condition":
        fields.append("response__run__condition__content_hash")
    rows = list(study.items.order_by().values_list(*fields).distinct())
    names = [row[1] for row in rows]
    return {
        row[0]: f"{row[1]} #{row[2][:6]}" if len(row) > 2 and names.count(row[1]) > 1 else row[1]
        for row in rows
    }

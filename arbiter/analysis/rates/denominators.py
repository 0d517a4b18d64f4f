"""Rates of all responses that were asked for. One that failed shows no convergence and is no item: it stays
in the denominator of all, and out of that of the valid ones, as a response with an excluded label does."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from django.db.models import Count

from annotation.models import Study
from arbiter.analysis.rates.armrate import ArmRate
from arbiter.analysis.responseoutcomes import ENDED, endings_by_cell, failed_responses
from arbiter.statistics import task_influence
from judging.votes.counting import PATHS

Cell = tuple[int, ...]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NOTHING = dict.fromkeys(ENDED, 0)


@dataclass(frozen=True, eq=False)
class Denominators:
    """What became of all that was asked for, of every cell. `items` and `failed` by task, where anything
    failed at all."""

    endings: Mapping[Cell, Mapping[str, int]]
    items: Mapping[Cell, Counter[int]] = field(default_factory=dict)
    failed: Mapping[Cell, Counter[int]] = field(default_factory=dict)

    @property
    def tasks(self) -> set[int]:
        return {task for by_task in self.failed.values() for task in by_task}

    def counts(self, cell: Cell) -> dict[str, int]:
        return dict(self.endings.get(cell, NOTHING))

    def only_failed(self, cells: Mapping[Cell, object]) -> dict[Cell, int]:
        """Return the cells of which nothing but failures came, with their number of items, which is 0."""
        return {cell: 0 for cell, one in self.endings.items() if one["failed"] and cell not in cells}

    def share(self, cell: Cell) -> float:
        """Return the share of a cell's responses that are items, among all that were asked for."""
        items, gone = sum(self.items.get(cell, {}).values()), sum(self.failed.get(cell, {}).values())
        return items / (items + gone) if gone else 1.0

    def of_all(self, cell: Cell, one: ArmRate, tasks: npt.ArrayLike, finite: bool) -> ArmRate:
        """Return the rate among a cell's items as one among all that was asked for. Its influence comes by
        `tasks`, and goes by those and the tasks that failed.

        With S the share of items and p the rate among them, the rate is S p. How many failed is known, so
        among these very items the interval is only scaled. Over tasks of this kind S is a ratio over the same
        tasks as p: the interval's arms grow or shrink as the standard error does, by the influence S p_t + p
        S_t (Cochran 1977, section 6.19).
        """
        if not self.failed or one.estimate is None:
            return one
        of_items = np.asarray(tasks, dtype=np.int64)
        everywhere = np.union1d(of_items, np.array(sorted(self.tasks), dtype=np.int64))
        share, rate = self.share(cell), one.estimate
        scale, influence = share, None
        if one.influence is not None:
            before = share * _placed(one.influence, of_items, everywhere)
            influence = before + rate * self._influence(cell, everywhere)
            size = float(np.sqrt(before @ before))
            scale *= float(np.sqrt(influence @ influence)) / size if size > 0 and not finite else 1.0
        low = None if one.low is None else max(0.0, share * rate - scale * (rate - one.low))
        high = None if one.high is None else min(1.0, share * rate + scale * (one.high - rate))
        return replace(one, estimate=share * rate, low=low, high=high, influence=influence)

    def _influence(self, cell: Cell, tasks: Ints) -> Floats:
        """Return what each task adds to the share of items among all that was asked for."""
        by_task = (self.items.get(cell, Counter[int]()), self.failed.get(cell, Counter[int]()))
        items, gone = (np.array([one[task] for task in tasks.tolist()], dtype=np.float64) for one in by_task)
        return task_influence(items, items + gone)


def _placed(influence: Floats, tasks: Ints, everywhere: Ints) -> Floats:
    placed = np.zeros(len(everywhere))
    placed[np.searchsorted(everywhere, tasks)] = influence
    return placed


def denominators_of(study: Study, by: Sequence[str]) -> Denominators:
    paths = [PATHS[word] for word in by]
    endings = endings_by_cell(study, paths)
    if not any(one["failed"] for one in endings.values()):
        return Denominators(endings)
    gone = failed_responses(study).filter(task__control=False).order_by()
    of_response = [path.removeprefix("response__") for path in paths]
    there = study.items.filter(response__task__control=False).order_by()
    return Denominators(
        endings,
        _by_task(there.values_list(*paths, "response__task").annotate(Count("pk"))),
        _by_task(gone.values_list(*of_response, "task").annotate(Count("pk"))),
    )


def _by_task(rows: object) -> dict[Cell, Counter[int]]:
    counts: dict[Cell, Counter[int]] = defaultdict(Counter)
    for *cell, task, count in rows:  # type: ignore[attr-defined]
        counts[tuple(cell)][task] = count
    return dict(counts)

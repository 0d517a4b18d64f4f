"""How far a study's raters agree: reads votes, hands arrays to the statistics."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from annotation.models import Rater, Study
from annotation.raters import find_raters, latest_raters
from judging.sources import votes
from judging.statistics import agreement_estimates, count_rows, pairwise


def agreement(study: Study, names: Sequence[str] = ()) -> dict[str, Any]:
    """Alpha (nominal) with an interval that resamples tasks, percent agreement, and every pair."""
    raters = list(dict.fromkeys(find_raters(study, names))) if names else latest_raters(study)
    labels, tasks = label_matrix(study, raters)
    categories = study.scheme.labels.count()
    result: dict[str, Any] = {
        "raters": len(raters),
        "names": [str(rater) for rater in raters],
        "simulated": votes(study, [rater.pk for rater in raters]).filter(simulated=True).exists(),
        "items": labels.shape[1],
        "pairable": int(((labels >= 0).sum(axis=0) >= 2).sum()),
        **_figures(labels, tasks, categories),
    }
    result["pairs"] = [
        {
            "first": str(raters[p.first]),
            "second": str(raters[p.second]),
            "items": p.items,
            "percent": p.percent,
            "kappa": p.kappa,
            "alpha": p.alpha,
        }
        for p in (pairwise(labels, categories) if len(raters) > 1 and labels.size else [])
    ]
    return result


def _figures(labels: np.ndarray, tasks: np.ndarray, categories: int) -> dict[str, Any]:
    """A figure that can't be had is null, and `undefined` says why."""
    found = agreement_estimates(count_rows(labels, categories), tasks=tasks)
    alpha, percent = found["alpha"], found["percent"]
    between = alpha.bootstrap
    figures = {
        "alpha": alpha.value,
        "low": between.low if between else None,
        "high": between.high if between else None,
        "percent": percent.value,
    }
    return figures | ({"undefined": alpha.undefined} if alpha.undefined else {})


def label_matrix(study: Study, raters: Sequence[Rater]) -> tuple[np.ndarray, np.ndarray]:
    """Labels as (raters, items) positions from 0, -1 where missing; and each item's task."""
    place = {label: index for index, label in enumerate(study.scheme.labels.values_list("pk", flat=True))}
    row_of = {rater.pk: index for index, rater in enumerate(raters)}
    rows = (
        votes(study, list(row_of))
        .order_by()
        .values_list("item_id", "rater_id", "label_id", "item__response__task_id")
    )
    data = np.fromiter(
        (
            (item, row_of[rater], place[label], task)
            for item, rater, label, task in rows.iterator(chunk_size=5000)
        ),
        dtype=np.dtype((np.int64, 4)),
    )
    items, first, column = np.unique(data[:, 0], return_index=True, return_inverse=True)
    labels = np.full((len(raters), len(items)), -1, dtype=np.int64)
    labels[data[:, 1], column] = data[:, 2]
    return labels, data[first, 3]


def confusion(study: Study, first: Rater, second: Rater) -> tuple[list[str], np.ndarray]:
    """How often `second` gave each label (columns) where `first` gave each (rows)."""
    titles = list(study.scheme.labels.values_list("title", flat=True))
    labels, _ = label_matrix(study, [first, second])
    pairs = pairwise(labels, len(titles))
    return titles, np.asarray(pairs[0].table)

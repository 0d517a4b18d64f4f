"""How far raters agree with themselves: what they said of items they were given again, and what that leaves
others to agree with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db.models import Count, Exists, OuterRef, Q

from annotation.models import Label, PlacePurpose, Rater, Rating, Study
from arbiter.statistics import Estimate, Undefined, agreement_ceiling, agreement_estimates

Ints = np.ndarray
CHUNK = 5000  # items read at a time


def repeats(
    study: Study, raters: Sequence[Rater], labels: Sequence[Label], *, clusters: str, level: float
) -> list[dict[str, Any]]:
    """Return how steady each rater is who was given items again, then people and judges together where there
    are several of a kind."""
    answers = repeated_answers(study, raters, labels)
    steadiness = [
        _row(str(rater), rater.kind, answers[answers[:, 0] == rater.pk], clusters, level)
        for rater in raters
        if (answers[:, 0] == rater.pk).any()
    ]
    for kind, name in ((Rater.Kind.HUMAN, "humans"), (Rater.Kind.JUDGE, "judges")):
        members = [rater.pk for rater in raters if rater.kind == kind]
        ours = answers[np.isin(answers[:, 0], members)]
        if len(np.unique(ours[:, 0])) > 1:
            steadiness.append(_row(name, "together", ours, clusters, level))
    return steadiness


def repeated_answers(study: Study, raters: Sequence[Rater], labels: Sequence[Label]) -> Ints:
    """Return rows of rater, task, how often each label was given to an item that the rater was given again,
    and how many items are like that."""
    width = len(labels) + 3
    if not raters or not labels:
        return np.empty((0, width), dtype=np.int64)
    answers = Rating.objects.filter(question="", purpose__in=(PlacePurpose.SLOT, PlacePurpose.REPEAT))
    again = answers.filter(item=OuterRef("item"), rater=OuterRef("rater"), ordinal__gt=0)
    counts = {f"label_{place}": Count("pk", filter=Q(label=label)) for place, label in enumerate(labels)}
    by_item = (
        answers.newest()
        .filter(Exists(again), item__study=study, rater__in=raters)
        .order_by()
        .values_list("rater", "item__response__task", "item")
        .annotate(**counts)
    )
    alike = Counter((rater, task, *given) for rater, task, _, *given in by_item.iterator(chunk_size=CHUNK))
    table = sorted((*answer, items) for answer, items in alike.items())
    return np.array(table, dtype=np.int64).reshape(len(table), width)


def _row(name: str, kind: str, answers: Ints, clusters: str, level: float) -> dict[str, Any]:
    counts, items = answers[:, 2:-1], answers[:, -1]
    tasks = answers[:, 1] if clusters == "task" else None
    estimates = agreement_estimates(counts, items, tasks, level=level)
    percent, alpha = estimates["percent"], estimates["alpha"]
    flips = {key: _turned(getattr(percent, key)) for key in ("delta", "bootstrap")}
    row = {
        "rater": name,
        "kind": kind,
        "items": int(items[counts.sum(axis=1) > 1].sum()),
        "flip_rate": None if percent.value is None else 1 - percent.value,
        "flip_rate_delta": flips["delta"],
        "flip_rate_bootstrap": flips["bootstrap"],
        "alpha": alpha.value,
        "alpha_delta": _bounds(alpha.delta),
        "alpha_bootstrap": _bounds(alpha.bootstrap),
    }
    row |= agreement_ceilings(name, "", {name: row})
    why = _why(percent, alpha)
    return row | ({"undefined": why} if why else {})


def _why(percent: Estimate, alpha: Estimate) -> str:
    if percent.value is None:
        return "nothing was labelled twice"
    if alpha.undefined.startswith("only one label"):
        return "only one label was given to these items, so a change was not possible to tell from chance"
    return alpha.undefined or percent.undefined


def _bounds(interval: Any) -> list[float] | None:
    return [interval.low, interval.high] if interval else None


def _turned(interval: Any) -> list[float] | None:
    return [1 - interval.high, 1 - interval.low] if interval else None


def agreement_ceilings(
    first: str, second: str, rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, float | None]:
    """Return the most that two raters can be expected to agree, in per cent and in kappa or alpha; None
    without any repeat."""
    known = [rows[name] for name in (first, second) if name in rows]
    return {
        "ceiling_percent": _ceiling([row["flip_rate"] for row in known], lambda flips: 1 - flips),
        "ceiling_kappa": _ceiling([row["alpha"] for row in known], lambda alpha: alpha),
    }


def _ceiling(values: Sequence[float | None], read: Any) -> float | None:
    """Return the bound that two raters' own steadiness sets. One who was given nothing again is taken to be
    steady, which still gives a bound."""
    known = [read(value) for value in values if value is not None]
    if not known:
        return None
    try:
        return agreement_ceiling(*[*known, 1.0][:2])
    except Undefined:
        return None

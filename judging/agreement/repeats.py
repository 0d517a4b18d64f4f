"""How far raters agree with themselves: what they said of items they were given again, and what that leaves others to agree with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from annotation.models import Label, Purpose, Rater, Study
from benchmark.statements import places, rows
from judging.statistics import Estimate, Undefined, agreement_ceiling, agreement_estimates

# A rater's current answers about an item that was given again, as counts by label: how many items have the same, by task.
AGAIN = """
    SELECT rater_id, task_id, {names}, COUNT(*) FROM (
        SELECT g.rater_id, p.task_id, g.item_id, {sums}
        FROM (
            SELECT DISTINCT r.item_id, r.rater_id FROM annotation_rating r
            JOIN annotation_item i ON i.id = r.item_id
            WHERE i.study_id = %s AND r.ordinal > 0 AND r.question = '' AND r.purpose IN (%s, %s)
                AND r.rater_id IN ({raters})
        ) again
        JOIN annotation_rating g ON g.item_id = again.item_id AND g.rater_id = again.rater_id
        JOIN annotation_item i ON i.id = g.item_id
        JOIN benchmark_response p ON p.id = i.response_id
        WHERE g.question = '' AND g.purpose IN (%s, %s) AND NOT EXISTS (
            SELECT 1 FROM annotation_rating later
            WHERE later.item_id = g.item_id AND later.rater_id = g.rater_id AND later.question = g.question
                AND later.purpose = g.purpose AND later.ordinal = g.ordinal AND later.revision > g.revision
        )
        GROUP BY g.rater_id, p.task_id, g.item_id
    ) answers
    GROUP BY rater_id, task_id, {names}
"""
Ints = np.ndarray


def repeats(
    study: Study, raters: Sequence[Rater], labels: Sequence[Label], *, clusters: str, level: float
) -> list[dict[str, Any]]:
    """Of each rater who was given items again, then of people and judges together, where there are several of a kind."""
    given = answers(study, raters, labels)
    found = [
        _row(str(rater), rater.kind, given[given[:, 0] == rater.pk], clusters, level)
        for rater in raters
        if (given[:, 0] == rater.pk).any()
    ]
    for kind, name in ((Rater.Kind.HUMAN, "humans"), (Rater.Kind.JUDGE, "judges")):
        members = [rater.pk for rater in raters if rater.kind == kind]
        ours = given[np.isin(given[:, 0], members)]
        if len(np.unique(ours[:, 0])) > 1:
            found.append(_row(name, "together", ours, clusters, level))
    return found


def answers(study: Study, raters: Sequence[Rater], labels: Sequence[Label]) -> Ints:
    """Rows of rater, task, how often each label was given to an item, and how many items are like that."""
    width = len(labels) + 3
    if not raters or not labels:
        return np.empty((0, width), dtype=np.int64)
    names = ", ".join(f"n{place}" for place in range(len(labels)))
    sums = ", ".join(
        f"SUM(CASE WHEN g.label_id = %s THEN 1 ELSE 0 END) AS n{place}" for place in range(len(labels))
    )
    query = AGAIN.format(names=names, sums=sums, raters=places(raters))
    purposes = (Purpose.SLOT, Purpose.REPEAT)
    values: list[Any] = [
        *(label.pk for label in labels),
        study.pk,
        *purposes,
        *(rater.pk for rater in raters),
        *purposes,
    ]
    found = [tuple(map(int, row)) for row in rows(query, values)]
    return np.array(sorted(found), dtype=np.int64).reshape(len(found), width)


def _row(name: str, kind: str, given: Ints, clusters: str, level: float) -> dict[str, Any]:
    counts, items = given[:, 2:-1], given[:, -1]
    tasks = given[:, 1] if clusters == "task" else None
    found = agreement_estimates(counts, items, tasks, level=level)
    percent, alpha = found["percent"], found["alpha"]
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
    row |= ceilings(name, "", {name: row})
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


def ceilings(first: str, second: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """The most that two raters can be expected to agree: in percent, and in kappa or alpha. Without any repeat, None."""
    known = [rows[name] for name in (first, second) if name in rows]
    return {
        "ceiling_percent": _ceiling([row["flip_rate"] for row in known], lambda flips: 1 - flips),
        "ceiling_kappa": _ceiling([row["alpha"] for row in known], lambda alpha: alpha),
    }


def _ceiling(values: Sequence[float | None], read: Any) -> float | None:
    """A rater who was given nothing again is taken to be steady, which still gives a bound."""
    known = [read(value) for value in values if value is not None]
    if not known:
        return None
    try:
        return agreement_ceiling(*[*known, 1.0][:2])
    except Undefined:
        return None

"""Convergence rates by subject model, condition and category, for any source of labels.

Counts come from two GROUP BYs (items, and labels by role) over the cells' tasks, since responses to one task
are not independent: the interval is Wilson's on the count over the design effect. Control tasks stay out.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from annotation.models import Study
from arbiter.analysis.rates.armrate import ArmRate, EffectiveTasks, few_tasks_caution
from arbiter.analysis.rates.denominators import Denominators, denominators_of
from arbiter.analysis.rates.labelcounts import (
    Cell,
    Roles,
    cell_names,
    check_grouping,
    item_totals,
    roles_by_cell,
)
from arbiter.statistics import Rate, clustered_rate, task_influence
from benchmark.importunderway import refuse_while_importing
from judging.votes.sources import is_simulated


def observed_rates(study: Study, source: str, by: Sequence[str]) -> dict[str, Any]:
    """Return the rates of a source's labels, one row a cell, in the order of the names."""
    refuse_while_importing(study.pk)
    check_grouping(by)
    totals, denominators = item_totals(study, by), denominators_of(study, by)
    roles = roles_by_cell(study, source, by)
    names = cell_names(study, by)
    rows = [
        {**names[cell], **observed_row(roles.get(cell, {}), totals.get(cell, 0), denominators, cell)}
        for cell in {**totals, **denominators.only_failed(totals)}
    ]
    rows.sort(key=lambda r: [str(r[word]) for word in by])
    caution = few_tasks_caution((" · ".join(r[word] for word in by), r.pop("tasks")) for r in rows)
    return {
        "source": source,
        "simulated": is_simulated(study, source),
        "rows": rows,
        "notes": [caution] if caution else [],
    }


def observed_row(
    by_task: dict[int, Roles], items: int, denominators: Denominators, cell: Cell
) -> dict[str, Any]:
    """Return the figures of one cell from its labels' roles by task."""
    total: Roles = sum(by_task.values(), Counter())
    tasks = list(by_task.values())
    target = [counts["target"] for counts in tasks]
    valid = clustered(target, [counts.total() - counts["excluded"] for counts in tasks])
    every = _of_all(by_task, target, denominators, cell)
    over = EffectiveTasks.of([counts.total() for counts in tasks])
    return {
        "n": total.total(),
        "unlabelled": items - total.total(),
        "excluded": total["excluded"],
        "target": total["target"],
        "rate_valid": valid.estimate,
        "low_valid": valid.low,
        "high_valid": valid.high,
        "rate_all": every.estimate,
        "low_all": every.low,
        "high_all": every.high,
        "effective_tasks": round(over.effective, 2),
        "tasks": over,
        **denominators.counts(cell),
        **_why(valid.estimate, every.estimate, total.total(), items),
    }


def _why(valid: float | None, every: float | None, labelled: int, items: int) -> dict[str, str]:
    """Say why rates are missing, as `estimates` does; nothing where none is."""
    if not labelled:
        missing = "no labels" if items else "every response that was asked for failed"
    else:
        missing = "every label is an excluded one"
    return {f"why_{name}": missing for name, rate in (("valid", valid), ("all", every)) if rate is None}


def _of_all(by_task: dict[int, Roles], target: list[int], denominators: Denominators, cell: Cell) -> ArmRate:
    totals = [counts.total() for counts in by_task.values()]
    rate, influence = clustered(target, totals), task_influence(target, totals)
    order = sorted(range(len(totals)), key=list(by_task).__getitem__)
    of_items = ArmRate(rate.estimate, rate.low, rate.high, influence=influence[order])
    return denominators.of_all(cell, of_items, sorted(by_task), finite=False)


def clustered(successes: list[int], totals: list[int]) -> Rate:
    kept = [(s, n) for s, n in zip(successes, totals, strict=True) if n]
    return clustered_rate([s for s, _ in kept], [n for _, n in kept])

"""Estimated rates as one document, for the command."""

from collections.abc import Sequence
from typing import Any

from annotation.models import Study
from arbiter.analysis.rates.differences import comparisons_of
from arbiter.analysis.rates.estimates import Estimates, RateRow, estimates
from arbiter.analysis.rates.ratespec import RateSpec
from arbiter.analysis.rates.transport import CarriedErrors
from benchmark.importunderway import refuse_while_importing

# As a document


def rate_document(study: Study, spec: RateSpec, contrasts: Sequence[str] = ()) -> dict[str, Any]:
    """Return the estimated rates and the differences that were asked for, as the command prints them."""
    refuse_while_importing(study.pk)
    estimated = estimates(study, spec)
    return {
        "source": spec.source or spec.estimator,
        "estimator": spec.estimator,
        "estimand": estimated.estimand,
        "covers": estimated.covers,
        "simulated": estimated.simulated,
        "judges": list(estimated.judges),
        "refused": estimated.refused,
        "caution": estimated.caution,
        "notes": list(estimated.notes),
        "human_error": estimated.human_error,
        "gold": gold_document(estimated),
        "carried": vars_of(estimated.carried),
        "rows": [row_document(row) for row in estimated.rows],
        "contrasts": [
            one.document() for contrast in contrasts for one in comparisons_of(estimated, contrast)
        ],
    }


def row_document(row: RateRow) -> dict[str, Any]:
    values: dict[str, Any] = {**row.names, **row.counts}
    for which, one in (("valid", row.valid), ("all", row.all)):
        values |= {f"rate_{which}": one.estimate, f"low_{which}": one.low, f"high_{which}": one.high}
        if one.why:
            values[f"why_{which}"] = one.why
    values["effective_tasks"] = row.all.tasks and round(row.all.tasks.effective, 2)
    if row.under_error:
        values |= dict(
            zip(("rate_under_error", "low_under_error", "high_under_error"), row.under_error, strict=True)
        )
    return values


def gold_document(estimated: Estimates) -> dict[str, Any] | None:
    design = estimated.design
    if design is None:
        return None
    return {
        "items": estimated.gold,
        "design": design.kind,
        "draw": design.draw,
        "waiting": design.waiting,
        "outside": design.outside,
    }


def vars_of(carried: CarriedErrors | None) -> dict[str, Any] | None:
    return (
        None if carried is None else {name: getattr(carried, name) for name in carried.__dataclass_fields__}
    )

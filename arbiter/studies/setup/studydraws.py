"""Drawing a study's items for people, as its human plan says."""

from typing import Any

from django.db import transaction
from django.db.models import Count

from annotation.draws import Waiting, extend_draws, plan_draw, waits_for
from annotation.humanplan import DrawSpec, humans_of
from annotation.models import Draw, Study
from arbiter.core.errors import UserError
from benchmark.importunderway import refuse_while_importing


def draw_items(study: Study, *, now: bool = False) -> list[str]:
    """Make or grow the draws of the study's human plan; return what they wait for."""
    plan, waiting = humans_of(study), []
    plans: list[tuple[DrawSpec, str, str]] = [(plan, "main", Draw.Purpose.SLOT)] if study.humans else []
    if plan.gold:
        plans.append((plan.gold, "gold", Draw.Purpose.GOLD))
    for spec, name, purpose in plans:
        draw = plan_draw(study, spec, name=name, purpose=purpose, now=now)
        waiting.append(draw.reason if isinstance(draw, Waiting) else waits_for(study, spec, draw, name))
    extend_draws(study)
    return [reason for reason in waiting if reason]


def draw_now(study: Study) -> dict[str, Any]:
    """Draw without waiting for judges, and tell what is drawn by stratum, for `study draw`."""
    if not study.humans and not study.draws.exists():
        raise UserError(
            f"Study {study.slug!r} has no human plan; "
            "describe one under humans in its study file and apply it."
        )
    refuse_while_importing(study.pk)
    with transaction.atomic():
        draw_items(study, now=True)
    return {
        "study": study.slug,
        "draws": [draw_figures(draw) for draw in study.draws.order_by("-purpose", "pk")],
    }


def draw_figures(draw: Draw) -> dict[str, Any]:
    """Return what a draw is of and, by stratum, how many items of its frame are drawn."""
    counts = draw.framed.order_by().values("stratum")
    items = dict(counts.annotate(n=Count("pk")).values_list("stratum", "n"))
    drawn = dict(counts.drawn().annotate(n=Count("pk")).values_list("stratum", "n"))  # type: ignore[attr-defined]
    strata = [
        {
            "stratum": stratum.name,
            "probability": stratum.probability,
            "items": items.get(stratum.name, 0),
            "drawn": drawn.get(stratum.name, 0),
        }
        for stratum in draw.strata.order_by("position")
    ]
    return {
        "draw": draw.name,
        "purpose": draw.purpose,
        "raters_per_item": draw.raters_per_item,
        "strata": strata,
    }

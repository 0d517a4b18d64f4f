"""What a study has cost: its judges' calls, tokens and money, its people's time; and what is still to come.

Money is in picodollars, as it is counted (arbiter.calls.prices). A call whose answer never came is counted at
its worst case.
"""

from collections import defaultdict
from typing import Any

from django.db.models import Count, Sum

from annotation.models import PlacePurpose, Rater, Rating, Study
from arbiter.calls.prices import PICO
from judging.models import FINAL, Attempt, Budget, StudyJudge, Verdict
from judging.panel.forecast import dry_run
from judging.panel.wanted_verdicts import State, tally
from judging.votes.kept_figures import kept

ANSWERED = (Attempt.Outcome.ANSWER, Attempt.Outcome.REFUSAL)  # what the service meant to say
PURPOSES = {
    PlacePurpose.SLOT: "Labels",
    PlacePurpose.GOLD: "Gold by experts",
    PlacePurpose.GOLD_CHECK: "Checks against gold",
    PlacePurpose.REPEAT: "Repeats",
    PlacePurpose.TRAINING: "Training",
}
COUNTS = ("verdicts", "calls", "failed_calls", "cached", "prompt_tokens", "completion_tokens")


def costs(study: Study) -> dict[str, Any]:
    """Return what a study has cost by judge and in all, what its people's time was for, and the caps."""
    rows = kept(study, "costs:judges", None, lambda: _by_judge(study))
    people = kept(study, "costs:people", None, lambda: _people(study))
    return {
        "study": study.slug,
        "rows": rows,
        "total": _total(rows),
        "people": people,
        "seconds": sum(row["seconds"] or 0.0 for row in people),
        "budget": _budget(study),
    }


def _by_judge(study: Study) -> list[dict[str, Any]]:
    """Return what each judge has cost. Versions that were replaced have cost what they did, so they are here
    too."""
    states, outcomes, items = tally(study), _outcomes(study), study.items.count()
    judges = study.judges.select_related("judge__rater").order_by("-active", "pk")
    cached, simulated = _cached(study), _simulated(study)
    return [
        _judge(one, states.get(one.pk, {}), outcomes[one.pk], items)
        | {"cached": cached.get(one.pk, 0), "simulated": one.pk in simulated}
        for one in judges
    ]


def _judge(one: StudyJudge, states: dict[str, int], outcomes: dict[str, int], items: int) -> dict[str, Any]:
    final = sum(states.get(state, 0) for state in FINAL)
    failed = sum(count for word, count in outcomes.items() if word not in ANSWERED)
    priced = one.output_price is not None or bool(one.cost)
    cost = one.cost if priced else None
    return {
        "judge": str(one.judge),
        "active": one.active,
        "verdicts": final,
        "without_label": final - states.get(State.DONE, 0),
        "calls": one.calls,
        "failed_calls": failed,
        "outcomes": dict(sorted(outcomes.items())),
        "prompt_tokens": one.prompt_tokens,
        "completion_tokens": one.completion_tokens,
        "cost": cost,
        "cost_at_most": one.cost_at_most if priced else None,
        "cost_told": one.cost_told if priced else None,
        "per_verdict": _each(cost, final),
        "per_item": _each(cost, items if final else 0),
        "failed_share": failed / one.calls if one.calls else None,
        "calls_per_verdict": one.calls / final if final and one.calls else None,
    }


def _each(cost: int | None, count: int) -> int | None:
    return None if cost is None or not count else round(cost / count)


def _outcomes(study: Study) -> dict[int, dict[str, int]]:
    """Count each study judge's calls by outcome, from the index alone."""
    outcomes: dict[int, dict[str, int]] = defaultdict(dict)
    judges = list(study.judges.values_list("pk", flat=True))
    calls = Attempt.objects.filter(study_judge__in=judges).order_by()
    for judge, outcome, count in calls.values_list("study_judge", "outcome").annotate(Count("pk")):
        outcomes[judge][outcome] = count
    return outcomes


def _cached(study: Study) -> dict[int, int]:
    """Count the verdicts that were answered from an earlier equal call, for nothing."""
    judges = list(study.judges.values_list("pk", flat=True))
    verdicts = Verdict.objects.filter(study_judge__in=judges, cached=True).order_by()
    return dict(verdicts.values_list("study_judge").annotate(Count("pk")))


def _simulated(study: Study) -> set[int]:
    judges = list(study.judges.values_list("pk", flat=True))
    return {pk for pk in judges if Attempt.objects.filter(study_judge=pk, simulated=True).exists()}


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    priced = [row for row in rows if row["cost"] is not None]
    total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in COUNTS}
    cost = sum(row["cost"] for row in priced) if priced else None
    failed = total["failed_calls"]
    return total | {
        "cost": cost,
        "cost_at_most": sum(row["cost_at_most"] for row in priced) if priced else None,
        "cost_told": sum(row["cost_told"] for row in priced) if priced else None,
        "per_verdict": _each(cost, sum(row["verdicts"] for row in priced)),
        "failed_share": failed / total["calls"] if total["calls"] else None,
        "unpriced": [row["judge"] for row in rows if row["cost"] is None and row["calls"]],
    }


def _people(study: Study) -> list[dict[str, Any]]:
    """Sum active time by what it was for, revised labels included: it was spent."""
    ratings = Rating.objects.filter(item__study=study, rater__kind=Rater.Kind.HUMAN).order_by()
    sums = ratings.values_list("purpose").annotate(
        Count("pk"), Count("active_seconds"), Sum("active_seconds"), Count("rater", distinct=True)
    )
    rows = {purpose: rest for purpose, *rest in sums}
    return [
        {
            "purpose": title,
            "labels": rows[purpose][0],
            "timed": rows[purpose][1],
            "seconds": rows[purpose][2],
            "each": rows[purpose][2] / rows[purpose][1] if rows[purpose][1] else None,
            "raters": rows[purpose][3],
        }
        for purpose, title in PURPOSES.items()
        if purpose in rows
    ]


def _budget(study: Study) -> Budget | None:
    return Budget.objects.filter(study=study).first()


def still_to_come(study: Study) -> dict[str, Any] | None:
    """Return what asking the judges for the rest would take; None where they owe nothing. Prompts are built
    for it, so it is kept."""
    judges = list(study.judges.filter(active=True).select_related("judge__rater", "judge__endpoint"))
    if not judges:
        return None
    forecast = kept(study, "costs:forecast", None, lambda: dry_run(study, judges))
    if not forecast["total"]["calls"] and not forecast["total"]["cached"]:
        return None
    return forecast | {name: _pico(forecast["total"][name]) for name in ("cost", "cost_at_most")}


def _pico(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * PICO)

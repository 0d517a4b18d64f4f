"""What a decision on an item is worth where settling gave it a posterior: how much error it is expected to
take away, whether the item may come to count otherwise, and how much it weighs in its arm's rate (an arm is a
subject model under a condition)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Count

from annotation.models import Label, Study
from benchmark.models import Run
from judging.models import Settlement
from judging.votes.kept_figures import kept

ROLE, LABEL, ARM = 0.5, 0.3, 0.1  # of a stake; its category's part is the rest
AT_ONCE = 500
NAMED = 0.1  # a label with less is not named


@dataclass(frozen=True)
class Chances:
    """A posterior over labels, those with most first. Many items share one."""

    labels: tuple[tuple[Label, float], ...]

    @cached_property
    def error(self) -> float:
        """Return the chance of error in taking the leading label: what a right decision takes away."""
        return 1 - self.labels[0][1] if self.labels else 1.0

    @cached_property
    def role_error(self) -> float:
        """Return the chance of error in taking the leading role: target, other or excluded."""
        roles: dict[str, float] = {}
        for label, chance in self.labels:
            roles[label.role] = roles.get(label.role, 0.0) + chance
        return max(0.0, 1 - max(roles.values(), default=0.0))

    @cached_property
    def stake(self) -> float:
        """Return all of a stake but the arm's part and the category's.
        Half a chance of error is as bad as it gets between two labels."""
        return ROLE * min(1.0, 2 * self.role_error) + LABEL * min(1.0, 2 * self.error)

    def words(self) -> list[str]:
        said = [
            f"{round(100 * chance)} % for {label.title}"
            for label, chance in self.labels[:3]
            if chance >= NAMED
        ]
        clauses = [f"the model gives {', '.join(said)}"] if said else ["the model can't tell"]
        if self.role_error >= NAMED:
            clauses.append(
                "it may come to count otherwise in the rates, with a chance of "
                f"{round(100 * self.role_error)} %"
            )
        return clauses


def chances_of(rows: Iterable[tuple[int, str]]) -> dict[str, Chances]:
    """Return posteriors by the votes that items keep. Items of the same votes have the same posterior, so
    that one is read for all of them."""
    one_of = {votes: item for item, votes in rows}
    posteriors: dict[int, dict[str, float]] = {}
    labels: dict[int, Sequence[Label]] = {}
    items = list(one_of.values())
    for start in range(0, len(items), AT_ONCE):
        newest = Settlement.objects.filter(item__in=items[start : start + AT_ONCE]).newest().order_by()
        for item, posterior, scheme in newest.values_list("item", "posterior", "item__study__scheme"):
            posteriors[item] = posterior
            if scheme not in labels:
                labels[scheme] = list(Label.objects.filter(scheme=scheme))
    by_key = {label.key: label for scheme in labels.values() for label in scheme}
    return {votes: _chances(posteriors.get(item, {}), by_key) for votes, item in one_of.items()}


def _chances(posterior: Mapping[str, float], labels: Mapping[str, Label]) -> Chances:
    ranked = sorted(posterior.items(), key=lambda one: -one[1])
    return Chances(tuple((labels[key], chance) for key, chance in ranked if key in labels))


def arm_weights(study: Study, runs: Iterable[int]) -> dict[int, float]:
    """Return by run what an item weighs in its arm's rate,
    in proportion to one of the smallest arm: between 0 and 1."""
    arms = kept(study, "arm-sizes", "", lambda: _arm_sizes(study))
    smallest = min(arms.values(), default=1)
    arms_of_runs = Run.objects.filter(pk__in=set(runs)).values_list("pk", "subject", "condition")
    return {
        run: ARM * smallest / arms.get((subject, condition), smallest)
        for run, subject, condition in arms_of_runs
    }


def _arm_sizes(study: Study) -> dict[Any, int]:
    rows = study.items.filter(response__task__control=False).order_by()
    by_run = dict(rows.values_list("response__run").annotate(Count("pk")))
    sizes: dict[Any, int] = {}
    for run, subject, condition in Run.objects.filter(pk__in=by_run).values_list(
        "pk", "subject", "condition"
    ):
        sizes[subject, condition] = sizes.get((subject, condition), 0) + by_run[run]
    return sizes

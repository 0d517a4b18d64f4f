"""Before a study is run: what its tasks and epochs can show."""

from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Max

from annotation.models import Study
from arbiter.core.errors import UserError
from arbiter.statistics import (
    PlannedStudy,
    Undefined,
    difference_power,
    rate_power,
    rate_width,
    smallest_difference,
)
from benchmark.importunderway import refuse_while_importing
from judging.votes.kept_figures import kept

EPOCHS = (1, 2, 3, 5, 10, 20)
ICC = 0.3  # assumed where nobody says: answers of one model to one task are mostly alike
LARGEST = 100_000


@dataclass(frozen=True)
class ExpectedStudy:
    """What is expected of a study. `tasks` and `epochs` None: as the study has them."""

    rate: float = 0.2
    against: float = 0.1
    difference: float = 0.1
    tasks: int | None = None
    epochs: int | None = None
    icc: float = ICC
    pairing: float = 0.5
    sensitivity: float = 1.0
    specificity: float = 1.0
    power: float = 0.8
    level: float = 0.95

    def check(self) -> None:
        for name in ("rate", "against"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(
                    f"--{name} is a rate, strictly between 0 and 1; it is {getattr(self, name):g}."
                )
        if not 0 < self.rate + self.difference < 1 or not self.difference:
            raise UserError(
                "--difference takes the rate to another one strictly between 0 and 1, and is not 0."
            )
        if self.rate == self.against:
            raise UserError("--against is the rate to be told from --rate, so the two must differ.")
        for name in ("icc", "pairing", "sensitivity", "specificity"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"--{name} lies in 0..1; it is {getattr(self, name):g}.")
        if not self.sensitivity + self.specificity > 1:
            raise UserError(
                "--sensitivity and --specificity must add up to more than 1: else labels say nothing."
            )
        if not 0.5 <= self.power < 1 or not 0.5 <= self.level < 1:
            raise UserError("--power and --level are shares, of at least 0.5 and below 1.")


def power_analysis(study: Study, expected: ExpectedStudy | None = None) -> dict[str, Any]:
    """Return power and width by epochs, for as many tasks as the study has or is to have."""
    expected = expected or ExpectedStudy()
    expected.check()
    tasks, epochs = expected.tasks, expected.epochs
    if tasks is None or epochs is None:
        refuse_while_importing(study.pk)
        own_tasks, own_epochs = kept(study, "shape", None, lambda: _shape(study))
        tasks, epochs = tasks or own_tasks, epochs or own_epochs
    if not 2 <= tasks <= LARGEST or not 1 <= epochs <= LARGEST:
        raise UserError(f"--tasks is at least 2 and --epochs at least 1, both at most {LARGEST:,}.")
    return kept(study, "before", (expected, tasks, epochs), lambda: _before(study, expected, tasks, epochs))


def _before(study: Study, expected: ExpectedStudy, tasks: int, epochs: int) -> dict[str, Any]:
    design = PlannedStudy(tasks, epochs, expected.icc, expected.sensitivity, expected.specificity)
    return {
        "study": study.slug,
        "tasks": tasks,
        "epochs": epochs,
        **{
            name: getattr(expected, name)
            for name in (
                "rate",
                "against",
                "difference",
                "icc",
                "pairing",
                "sensitivity",
                "specificity",
                "power",
                "level",
            )
        },
        "rows": [_row(replace(design, epochs=each), expected, epochs) for each in sorted({*EPOCHS, epochs})],
    }


def _shape(study: Study) -> tuple[int, int]:
    """Count the tasks that count, and the answers to each by a model under a condition, the most there
    are."""
    items = study.items.filter(response__task__control=False).order_by()
    shape = items.aggregate(tasks=Count("response__task", distinct=True), epochs=Max("response__epoch"))
    return max(2, shape["tasks"]), min(LARGEST, shape["epochs"] or 1)


def _row(design: PlannedStudy, expected: ExpectedStudy, planned: int) -> dict[str, Any]:
    level, other = expected.level, expected.rate + expected.difference
    try:
        smallest = smallest_difference(expected.rate, design, expected.pairing, expected.power, level)
    except Undefined:
        smallest = None
    return {
        "epochs": design.epochs,
        "responses": design.tasks * design.epochs,
        "width": rate_width(expected.rate, design, level),
        "power_rate": rate_power(expected.rate, expected.against, design, level),
        "power_difference": difference_power(expected.rate, other, design, expected.pairing, level),
        "smallest": smallest,
        "planned": design.epochs == planned,
    }

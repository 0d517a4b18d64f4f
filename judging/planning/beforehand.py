"""Before a study is run: what its tasks and epochs can show."""

from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Max

from annotation.models import Study
from benchmark.errors import UserError
from judging.keeping import kept
from judging.statistics import (
    Trial,
    Undefined,
    difference_power,
    rate_power,
    rate_width,
    smallest_difference,
)

EPOCHS = (1, 2, 3, 5, 10, 20)
ICC = 0.3  # assumed where nobody says: answers of one model to one task are mostly alike
LARGEST = 100_000


@dataclass(frozen=True)
class Expected:
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


def before(study: Study, expected: Expected | None = None) -> dict[str, Any]:
    """Power and width by epochs, for as many tasks as the study has or is to have."""
    expected = expected or Expected()
    expected.check()
    tasks, epochs = kept(study, "shape", None, lambda: _shape(study))
    tasks, epochs = expected.tasks or tasks, expected.epochs or epochs
    if not 2 <= tasks <= LARGEST or not 1 <= epochs <= LARGEST:
        raise UserError(f"--tasks is at least 2 and --epochs at least 1, both at most {LARGEST:,}.")
    return kept(study, "before", (expected, tasks, epochs), lambda: _before(study, expected, tasks, epochs))


def _before(study: Study, expected: Expected, tasks: int, epochs: int) -> dict[str, Any]:
    trial = Trial(tasks, epochs, expected.icc, expected.sensitivity, expected.specificity)
    return {
        "study": study.slug, "tasks": tasks, "epochs": epochs,
        **{name: getattr(expected, name) for name in (
            "rate", "against", "difference", "icc", "pairing", "sensitivity", "specificity", "power", "level",
        )},
        "rows": [_row(replace(trial, epochs=each), expected, epochs) for each in sorted({*EPOCHS, epochs})],
    }  # fmt: skip


def _shape(study: Study) -> tuple[int, int]:
    """Tasks that count, and answers to each by a model under a condition, the most there are."""
    items = study.items.filter(response__task__control=False).order_by()
    found = items.aggregate(tasks=Count("response__task", distinct=True), epochs=Max("response__epoch"))
    return max(2, found["tasks"]), min(LARGEST, found["epochs"] or 1)


def _row(trial: Trial, expected: Expected, planned: int) -> dict[str, Any]:
    level, other = expected.level, expected.rate + expected.difference
    try:
        smallest = smallest_difference(expected.rate, trial, expected.pairing, expected.power, level)
    except Undefined:
        smallest = None
    return {
        "epochs": trial.epochs,
        "responses": trial.tasks * trial.epochs,
        "width": rate_width(expected.rate, trial, level),
        "power_rate": rate_power(expected.rate, expected.against, trial, level),
        "power_difference": difference_power(expected.rate, other, trial, expected.pairing, level),
        "smallest": smallest,
        "planned": trial.epochs == planned,
    }

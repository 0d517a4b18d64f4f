"""Studies with next to nothing in them: every command gives figures that JSON can hold, or one sentence, and
never a NaN."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from annotation.models import Gold, Study
from tests import builders
from tests.databases import rewrite
from tests.judging.calibrated import golden, labels

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
ESTIMATORS = ("majority", "gold", "corrected", "transported", "ppi", "settled")
COMMANDS = [
    ("agreement", "tiny"),
    ("agreement", "tiny", "--by", "subject", "--clusters", "item"),
    ("calibrate", "tiny"),
    ("bias", "tiny"),
    ("plan", "tiny"),
    ("plan", "tiny", "--finite"),
    ("settle", "tiny", "--rule", "majority"),
    ("settle", "tiny", "--rule", "weighted"),
    ("settle", "tiny", "--rule", "model"),
    *(("rates", "tiny", "--estimator", one) for one in ESTIMATORS),
    *(("rates", "tiny", "--estimator", one, "--finite") for one in ESTIMATORS),
    ("rates", "tiny", "--source", "judge-a", "--by", "subject"),
]
# tasks, epochs, what judges say, what all gold says ("truth" as `golden` has it; empty for none)
WORLDS = {
    "nothing but items": (1, 1, {}, ""),
    "one item, one judge": (1, 1, {"judge-a": "convergence"}, ""),
    "one item with gold": (1, 1, {"judge-a": "convergence"}, "convergence"),
    "one task": (1, 12, {"judge-a": "convergence", "judge-b": "no_convergence"}, "truth"),
    "everything excluded": (8, 2, {"judge-a": "nonsensical", "judge-b": "nonsensical"}, "nonsensical"),
    "no gold": (8, 2, {"judge-a": "convergence", "judge-b": "no_convergence"}, ""),
    "all gold alike": (30, 2, {"judge-a": "convergence", "judge-b": "convergence"}, "convergence"),
    "votes that never vary": (30, 2, {"judge-a": "convergence", "judge-b": "no_convergence"}, "truth"),
    "gold of which judges say nothing": (30, 2, {}, "truth"),
}


def _made(tasks: int, epochs: int, said: dict[str, str], gold: str) -> Study:
    study = builders.study(tasks=tasks, epochs=epochs)
    for name, label in said.items():
        labels(study, builders.rater(name), lambda item, label=label: label)
    if gold:
        golden(study)
    if gold not in ("", "truth"):
        rewrite(Gold.objects.all(), label=study.scheme.labels.get(key=gold))
    return study


def _refuse(constant: str) -> float:
    raise AssertionError(f"JSON holds {constant}")


@pytest.mark.parametrize("world", WORLDS)
def test_every_command_gives_figures_or_a_reason(world):
    _made(*WORLDS[world])
    for command in COMMANDS:
        out = StringIO()
        try:
            call_command(*command, "--json", stdout=out, stderr=StringIO())
        except CommandError as refusal:
            assert str(refusal).strip() and "\n" not in str(refusal), command
            assert "nan" not in str(refusal).split(), command
            continue
        printed = json.loads(out.getvalue(), parse_constant=_refuse)
        if command[0] == "rates":
            _reasoned(printed, command)


def _reasoned(rates, command) -> None:
    """A rate that isn't there has its reason beside it."""
    for row in rates["rows"]:
        for which in ("valid", "all"):
            if row[f"rate_{which}"] is None:
                told = rates.get("refused") or row.get(f"why_{which}")
                assert told, (command, row)
            else:
                low, rate, high = (row[f"{name}_{which}"] for name in ("low", "rate", "high"))
                assert 0 <= low <= rate <= high <= 1, (command, row)

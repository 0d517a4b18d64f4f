"""Differences between arms, and gaps between differences, paired by task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from arbiter.analysis.rates.armrate import ArmRate, CoveredTasks, rate_or_why, tasks_differ, tasks_in_common
from arbiter.analysis.rates.estimators import SampledTasks
from arbiter.core.errors import UserError
from arbiter.statistics import FEW_TASKS, Contrast, contrast, task_correlation

Measured = tuple[Mapping[str, str], ArmRate, ArmRate]  # names, all, valid


@dataclass(frozen=True)
class ArmComparison:
    """What is compared, within which other words, and the difference of all and of valid responses; or why
    there is none.

    common: the difference of valid responses to the `tasks` that all arms have some of, where they have not
    all the same.
    """

    what: str
    within: dict[str, str]
    all: Contrast | None
    valid: Contrast | None
    why_all: str = ""
    why_valid: str = ""
    caution_all: str = ""
    caution_valid: str = ""
    common: Contrast | None = None
    tasks: int | None = None

    def document(self) -> dict[str, Any]:
        values: dict[str, Any] = {"contrast": self.what, **self.within}
        for which, one, why in (("valid", self.valid, self.why_valid), ("all", self.all, self.why_all)):
            values |= {
                f"difference_{which}": one and one.estimate,
                f"low_{which}": one and one.low,
                f"high_{which}": one and one.high,
            }
            if why:
                values[f"why_{which}"] = why
        values |= {"caution_valid": self.caution_valid, "caution_all": self.caution_all}
        if self.tasks is not None:
            values |= {
                "common_tasks_valid": self.tasks,
                "difference_common_valid": self.common and self.common.estimate,
                "low_common_valid": self.common and self.common.low,
                "high_common_valid": self.common and self.common.high,
            }
        return values


def arm_comparisons(
    rows: Sequence[Measured], by: Sequence[str], spec: str, finite: bool = False
) -> list[ArmComparison]:
    """Compare arms as the specification says: `condition=pro,anti` is pro less anti within every combination
    of the other words; with a second part after a semicolon, `subject=a,b`, how much larger that difference
    is for a than for b."""
    parts = _parts(spec, by, rows)
    rest = [word for word in by if word not in parts]
    rates = {tuple(names[word] for word in by): (every, valid) for names, every, valid in rows}
    inside = sorted({tuple(names[word] for word in rest) for names, _, _ in rows})
    comparisons = [_compare(rates, by, parts, dict(zip(rest, one, strict=True)), finite) for one in inside]
    return [one for one in comparisons if one is not None]


def _parts(spec: str, by: Sequence[str], rows: Sequence[Measured]) -> dict[str, tuple[str, str]]:
    parts: dict[str, tuple[str, str]] = {}
    for part in spec.split(";"):
        word, _, values = part.partition("=")
        word, two = word.strip(), [value.strip() for value in values.split(",")]
        if word not in by or word in parts or len(two) != 2 or two[0] == two[1]:
            raise UserError(
                "--contrast is like condition=pro,anti (or condition=pro,anti;subject=a,b), with words "
                f"of --by ({', '.join(by)}); it is {spec!r}."
            )
        known = sorted({names[word] for names, _, _ in rows})
        if missing := [value for value in two if value not in known]:
            raise UserError(f"--contrast: there is no {word} {missing[0]!r}; there are {', '.join(known)}.")
        parts[word] = (two[0], two[1])
    if len(parts) > 2:
        raise UserError(f"--contrast takes one word or two; it is {spec!r}.")
    return parts


def _compare(
    rates: Mapping[tuple[str, ...], tuple[ArmRate, ArmRate]],
    by: Sequence[str],
    parts: Mapping[str, tuple[str, str]],
    within: dict[str, str],
    finite: bool,
) -> ArmComparison | None:
    arms, signs = [], []
    for choice in product((0, 1), repeat=len(parts)):
        chosen = {word: two[side] for (word, two), side in zip(parts.items(), choice, strict=True)}
        key = tuple({**within, **chosen}[word] for word in by)
        if key not in rates:
            return None
        arms.append(rates[key])
        signs.append((-1.0) ** sum(choice))
    what = ", ".join(f"{word} {first} − {second}" for word, (first, second) in parts.items())
    of_all, of_valid = [arm[0] for arm in arms], [arm[1] for arm in arms]
    every, why_all = arm_difference(of_all, signs, finite)
    valid, why_valid = arm_difference(of_valid, signs, finite)
    shared, tasks = _in_common(of_valid, signs, finite)
    return ArmComparison(
        what,
        within,
        every,
        valid,
        why_all,
        why_valid,
        common=shared,
        tasks=tasks,
        caution_all=difference_caution(of_all, valid=False, finite=finite),
        caution_valid=difference_caution(of_valid, valid=True, finite=finite),
    )


def _in_common(
    arms: Sequence[ArmRate], signs: Sequence[float], finite: bool
) -> tuple[Contrast | None, int | None]:
    """Return the difference over the tasks that all arms have responses to, and how many those are; None
    where they have the same."""
    covered = [one.covered for one in arms if one.covered]
    if len(covered) < len(arms) or not tasks_differ(covered):
        return None, None
    chosen = tasks_in_common(covered)
    rates = [rate_or_why(partial(one.among, chosen)) for one in covered]
    return arm_difference(rates, signs, finite)[0], int(chosen.sum())


def arm_difference(
    arms: Sequence[ArmRate], signs: Sequence[float], finite: bool
) -> tuple[Contrast | None, str]:
    """Return the arms' rates summed with their signs, or why there is no such sum."""
    known = [(one.estimate, one.low, one.high) for one in arms]
    if any(value is None for three in known for value in three):
        return None, next((one.why for one in arms if one.why), "a rate is not known")
    influences = [one.influence for one in arms if one.influence is not None]
    # Among these very items, arms share no chance: each has its own gold.
    paired = len(influences) == len(arms) and not finite
    estimate, low, high = zip(*known, strict=True)
    return contrast(signs, estimate, low, high, task_correlation(influences) if paired else None), ""


def difference_caution(arms: Sequence["ArmRate"], *, valid: bool, finite: bool) -> str:
    """Say what to be wary of in a difference: few tasks, or arms that don't cover the same; empty where there
    is nothing."""
    worth = [one.tasks.effective for one in arms if one.tasks]
    cautions = []
    if not finite and worth and min(worth) < FEW_TASKS:
        cautions.append(
            f"Over {min(worth):.1f} effective tasks, fewer than {FEW_TASKS}: take the interval as rough."
        )
    covered = [one.covered for one in arms if one.covered]
    if len(covered) == len(arms):
        cautions += _sets_said(covered, valid)
    return " ".join(cautions)


def _sets_said(covered: Sequence[CoveredTasks], valid: bool) -> list[str]:
    of = "valid responses" if valid else "responses"
    if tasks_differ(covered):
        counts = [int(one.over.sum()) for one in covered]
        return [
            (
                f"The arms have {of} to different tasks ({_listed(counts)}; "
                f"{int(tasks_in_common(covered).sum())} in common), so part of the difference may be the "
                "tasks'."
            )
        ]
    if (
        valid
        and min(one.valid for one in covered) < 1
        and all(isinstance(one, SampledTasks) for one in covered)
    ):
        shares = _listed([f"{100 * one.valid:.0f} %" for one in covered])
        return [
            (
                f"By gold {shares} of the responses are valid; which tasks those leave each arm is not "
                "known, so compare all responses too."
            )
        ]
    return []


def _listed(values: Sequence[object]) -> str:
    return f"{', '.join(map(str, values[:-1]))} and {values[-1]}"

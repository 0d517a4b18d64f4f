"""Differences between arms, and gaps between differences, paired by task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmark.errors import UserError
from judging.rates.estimators import Estimated
from judging.statistics import Contrast, contrast, task_correlation

Measured = tuple[Mapping[str, str], Estimated, Estimated]  # names, all, valid


@dataclass(frozen=True)
class Comparison:
    """What is compared, within which other words, and the difference of all and of valid responses; or why there is none."""

    what: str
    within: dict[str, str]
    all: Contrast | None
    valid: Contrast | None
    why_all: str = ""
    why_valid: str = ""

    def document(self) -> dict[str, Any]:
        told: dict[str, Any] = {"contrast": self.what, **self.within}
        for which, one, why in (("valid", self.valid, self.why_valid), ("all", self.all, self.why_all)):
            told |= {
                f"difference_{which}": one and one.estimate,
                f"low_{which}": one and one.low,
                f"high_{which}": one and one.high,
            }
            if why:
                told[f"why_{which}"] = why
        return told


def compared(
    rows: Sequence[Measured], by: Sequence[str], spec: str, finite: bool = False
) -> list[Comparison]:
    """`condition=pro,anti` is pro less anti within every combination of the other words; with a second part after a
    semicolon, `subject=a,b`, how much larger that difference is for a than for b."""
    parts = _parts(spec, by, rows)
    rest = [word for word in by if word not in parts]
    held = {tuple(names[word] for word in by): (every, valid) for names, every, valid in rows}
    inside = sorted({tuple(names[word] for word in rest) for names, _, _ in rows})
    found = [_compare(held, by, parts, dict(zip(rest, one, strict=True)), finite) for one in inside]
    return [one for one in found if one is not None]


def pairs_of(rows: Sequence[Mapping[str, str]], word: str, most: int = 12) -> list[str]:
    """Specifications of every two values of a word, the later in the alphabet less the earlier."""
    values = sorted({names[word] for names in rows})
    found = [
        f"{word}={second},{first}" for place, first in enumerate(values) for second in values[place + 1 :]
    ]
    return [spec for spec in found if spec.count(",") == 1][:most]


def _parts(spec: str, by: Sequence[str], rows: Sequence[Measured]) -> dict[str, tuple[str, str]]:
    parts: dict[str, tuple[str, str]] = {}
    for part in spec.split(";"):
        word, _, values = part.partition("=")
        word, two = word.strip(), [value.strip() for value in values.split(",")]
        if word not in by or word in parts or len(two) != 2 or two[0] == two[1]:
            raise UserError(
                f"--contrast is like condition=pro,anti (or condition=pro,anti;subject=a,b), with words of --by ({', '.join(by)}); it is {spec!r}."
            )
        known = sorted({names[word] for names, _, _ in rows})
        if missing := [value for value in two if value not in known]:
            raise UserError(f"--contrast: there is no {word} {missing[0]!r}; there are {', '.join(known)}.")
        parts[word] = (two[0], two[1])
    if len(parts) > 2:
        raise UserError(f"--contrast takes one word or two; it is {spec!r}.")
    return parts


def _compare(
    held: Mapping[tuple[str, ...], tuple[Estimated, Estimated]],
    by: Sequence[str],
    parts: Mapping[str, tuple[str, str]],
    within: dict[str, str],
    finite: bool,
) -> Comparison | None:
    arms, signs = [], []
    for choice in product((0, 1), repeat=len(parts)):
        chosen = {word: two[side] for (word, two), side in zip(parts.items(), choice, strict=True)}
        key = tuple({**within, **chosen}[word] for word in by)
        if key not in held:
            return None
        arms.append(held[key])
        signs.append((-1.0) ** sum(choice))
    what = ", ".join(f"{word} {first} − {second}" for word, (first, second) in parts.items())
    every, why_all = _difference([arm[0] for arm in arms], signs, finite)
    valid, why_valid = _difference([arm[1] for arm in arms], signs, finite)
    return Comparison(what, within, every, valid, why_all, why_valid)


def _difference(
    arms: Sequence[Estimated], signs: Sequence[float], finite: bool
) -> tuple[Contrast | None, str]:
    known = [(one.estimate, one.low, one.high) for one in arms]
    if any(value is None for three in known for value in three):
        return None, next((one.why for one in arms if one.why), "a rate is not known")
    influences = [one.influence for one in arms if one.influence is not None]
    # Among these very items, arms share no chance: each has its own gold.
    paired = len(influences) == len(arms) and not finite
    estimate, low, high = zip(*known, strict=True)
    return contrast(signs, estimate, low, high, task_correlation(influences) if paired else None), ""

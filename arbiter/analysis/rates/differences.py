"""Differences of a study's estimated rates: which are offered, what they come to, and what must be said of
them."""

from collections.abc import Mapping, Sequence
from typing import Any

from arbiter.analysis.rates.armcontrasts import ArmComparison, arm_comparisons
from arbiter.analysis.rates.estimates import Estimates

NAMED = 3  # differences that a caution names


def pairs_of(rows: Sequence[Mapping[str, str]], word: str, most: int = 12) -> list[str]:
    """Return the specifications of every two values of a word, the later in the alphabet less the earlier."""
    values = sorted({names[word] for names in rows})
    specs = [
        f"{word}={second},{first}" for place, first in enumerate(values) for second in values[place + 1 :]
    ]
    return [spec for spec in specs if spec.count(",") == 1][:most]


def comparisons_of(estimated: Estimates, spec: str) -> list[ArmComparison]:
    rows = [(row.names, row.all, row.valid) for row in estimated.rows]
    return arm_comparisons(rows, estimated.spec.by, spec, estimated.spec.finite)


def offered_differences(estimated: Estimates, spec: str) -> list[Any]:
    """Return the differences of every two values of the last word that has two or more, unless one pair is
    asked for."""
    specs = [spec] if spec else offered_pairs(estimated)
    return [one for pair in specs for one in comparisons_of(estimated, pair)]


def cautions_of(gaps: Sequence[Mapping[str, Any]], by: Sequence[str]) -> list[str]:
    """Return what has to be said of differences, each thing once with those it is said of."""
    named: dict[str, list[str]] = {}
    for gap in gaps:
        name = " · ".join([gap["contrast"], *(str(gap[word]) for word in by if word in gap)])
        same = gap["caution_valid"] == gap["caution_all"]
        for which, words in (("valid", " (valid only)"), ("all", " (all)")):
            if text := gap[f"caution_{which}"]:
                named.setdefault(text, []).append(name + words * (not same))
    return [f"{_named(names, len(gaps))}: {text}" for text, names in named.items()]


def _named(names: Sequence[str], many: int) -> str:
    once = list(dict.fromkeys(names))
    if len(once) == many > 1:
        return "All differences"
    more = f" and {len(once) - NAMED} more" if len(once) > NAMED else ""
    return "; ".join(once[:NAMED]) + more


def offered_pairs(estimated: Estimates) -> list[str]:
    names = [row.names for row in estimated.rows]
    order = [word for word in ("condition", "subject", "category") if word in estimated.spec.by]
    return next((pairs for word in order if (pairs := pairs_of(names, word))), [])

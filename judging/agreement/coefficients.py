"""How far a study's raters agree: reads votes as counts, hands them to the statistics, and says what to be wary of."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from annotation.models import Label, Rater, Study
from annotation.raters import find_raters, latest_raters
from benchmark.errors import UserError
from judging.agreement.repeats import ceilings, repeats
from judging.counting import Votes, group_names, votes_of
from judging.keeping import kept
from judging.sources import votes
from judging.statistics import (
    Estimate,
    PairAgreement,
    Undefined,
    agreement_cautions,
    agreement_estimates,
    label_shares,
    pairwise,
)

RESAMPLES = 1000
BY = ("category", "subject", "condition")
CLUSTERS = ("task", "item")
COEFFICIENTS = ("alpha", "alpha_ordinal", "fleiss", "ac1", "percent", "brennan_prediger")
KINDS = {"humans": Rater.Kind.HUMAN, "judges": Rater.Kind.JUDGE}


def agreement_kept(study: Study) -> dict[str, Any]:
    """What the study's page shows of everybody, kept while nothing was added."""
    return kept(study, "agreement", "", lambda: agreement(study))


def agreement_by(study: Study, word: str) -> list[dict[str, Any]]:
    """People, judges and all on the items of each category, or what else the word is; kept."""
    _check([word], "task", 0.95)
    if word == "category":
        return [dict(row) for row in agreement_kept(study)["by"]]
    return kept(
        study,
        "agreement-by",
        word,
        lambda: _by(study, _found(study, (word,)), word, clusters="task", level=0.95),
    )


def _found(study: Study, by: Sequence[str], raters: Sequence[Rater] | None = None) -> Votes:
    """Votes by task and these words, of the items that have any."""
    found = votes_of(study, tuple(dict.fromkeys(["task", *by])), raters=raters)
    return found.where(np.any(found.patterns >= 0, axis=1))


def agreement(
    study: Study,
    names: Sequence[str] = (),
    *,
    by: Sequence[str] = ("category",),
    clusters: str = "task",
    level: float = 0.95,
) -> dict[str, Any]:
    """Every coefficient of people, of judges and of all together, of each group of items, and of each two raters."""
    _check(by, clusters, level)
    raters = list(dict.fromkeys(find_raters(study, names))) if names else latest_raters(study)
    found = _found(study, by, raters)
    asked: dict[str, Any] = {"clusters": clusters, "level": level}
    again = repeats(study, raters, found.labels, **asked)
    pairs = _pairs(study, found, {row["rater"]: row for row in again}, **asked)
    every = _group(study, "all", found, pairs, **asked)
    simulated = _simulated(study, raters)
    groups = [
        _group(study, name, part, pairs, **asked)
        for name, kind in KINDS.items()
        if 0 < len((part := _only(found, kind)).raters) < len(raters)
    ]
    return {
        "raters": len(raters),
        "names": [str(rater) for rater in raters],
        "simulated": bool(simulated),
        "simulated_raters": simulated,
        "items": found.items,
        "pairable": every["pairable"],
        **_headline(every),
        "labels": [label.key for label in found.labels],
        "graded": study.scheme.ordinal,
        "ungraded": [label.key for label in found.labels if not _graded(study, label)],
        "clusters": clusters,
        "level": level,
        "resamples": RESAMPLES,
        "groups": [*groups, every],
        "by": [row for word in by for row in _by(study, found, word, **asked)],
        "pairs": pairs,
        "repeats": again,
    }


def _check(by: Sequence[str], clusters: str, level: float) -> None:
    if unknown := [word for word in by if word not in BY]:
        raise UserError(f"Agreement can't be given by {unknown[0]!r}; it can by {', '.join(BY)}.")
    if clusters not in CLUSTERS:
        raise UserError(f"Intervals can be clustered by {' or '.join(CLUSTERS)}, not by {clusters!r}.")
    if not 0.5 <= level < 1:
        raise UserError(f"A confidence level lies between 0.5 and 1, as 0.95; {level} doesn't.")


def _simulated(study: Study, raters: Sequence[Rater]) -> list[str]:
    """Those among them with a simulated vote. That nobody has one is found out at once for all."""
    if not votes(study, [rater.pk for rater in raters]).filter(simulated=True).exists():
        return []
    return [str(rater) for rater in raters if votes(study, [rater.pk]).filter(simulated=True).exists()]


def _headline(every: Mapping[str, Any]) -> dict[str, Any]:
    """Nominal alpha of everybody with its bootstrap interval. What can't be had is null, and `undefined` says why."""
    alpha, percent = every["coefficients"]["alpha"], every["coefficients"]["percent"]
    low, high = alpha["bootstrap"] or (None, None)
    found = {"alpha": alpha["value"], "low": low, "high": high, "percent": percent["value"]}
    return found | ({"undefined": alpha["undefined"]} if "undefined" in alpha else {})


def _only(found: Votes, kind: str) -> Votes:
    """The votes of one kind of rater, by columns: merging what has become equal would cost more than it saves."""
    columns = [place for place, rater in enumerate(found.raters) if rater.kind == kind]
    raters = tuple(found.raters[place] for place in columns)
    patterns = found.patterns[:, columns]
    part = Votes(raters, found.labels, patterns, found.counts, found.groups)
    return part.where(np.any(patterns >= 0, axis=1))


def _graded(study: Study, label: Label) -> bool:
    """Whether the label is a grade. One that leaves the denominator, as "can't be judged", has no place among grades."""
    return study.scheme.ordinal and label.role != Label.Role.EXCLUDED


def _group(
    study: Study, name: str, part: Votes, pairs: Sequence[Mapping[str, Any]], *, clusters: str, level: float
) -> dict[str, Any]:
    """Every coefficient of these raters on these items."""
    counts, items = part.label_counts(), part.counts
    tasks = part.groups["task"] if clusters == "task" else None
    options: dict[str, Any] = {"resamples": RESAMPLES, "level": level}
    found = agreement_estimates(counts, items, tasks, **options)
    grades = [place for place, label in enumerate(part.labels) if _graded(study, label)]
    if grades:
        graded = agreement_estimates(counts[:, grades], items, tasks, scale="ordinal", **options)
        found["alpha_ordinal"] = graded["alpha_ordinal"]
    pairable = counts.sum(axis=1) > 1
    return {
        "group": name,
        "raters": [str(rater) for rater in part.raters],
        "items": part.items,
        "pairable": int(items[pairable].sum()),
        "tasks": len(np.unique(part.groups["task"][pairable])),
        "coefficients": {key: _estimate(found[key]) for key in COEFFICIENTS if key in found},
        "labels": _labels(part, counts, pairs),
        "warnings": agreement_cautions(counts, items, found, clusters),
    }


def _labels(part: Votes, counts: np.ndarray, pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By label, its share, the prevalence index of that, and the widest bias between two of the raters."""
    try:
        shares: list[float | None] = label_shares(counts, part.counts).tolist()
    except Undefined:
        shares = [None] * len(part.labels)
    names = {str(rater) for rater in part.raters}
    ours = [pair["bias"] for pair in pairs if {pair["first"], pair["second"]} <= names and pair["items"]]
    return [
        {
            "label": label.key,
            "share": share,
            "prevalence": None if share is None else 2 * share - 1,
            "bias": max((abs(bias[label.key]) for bias in ours), default=None),
        }
        for label, share in zip(part.labels, shares, strict=True)
    ]


def _estimate(found: Estimate) -> dict[str, Any]:
    figures = {
        "value": found.value,
        "error": found.error,
        "delta": [found.delta.low, found.delta.high] if found.delta else None,
        "bootstrap": [found.bootstrap.low, found.bootstrap.high] if found.bootstrap else None,
    }
    return figures | ({"undefined": found.undefined} if found.undefined else {})


def _by(study: Study, found: Votes, word: str, **asked: Any) -> list[dict[str, Any]]:
    """People, judges and all on the items of each category (or what else the word is)."""
    names, keys = group_names(study, word), found.groups[word]
    rows = []
    for key in sorted(np.unique(keys).tolist(), key=lambda key: names[key]):
        part = found.where(keys == key)
        kinds = {name: _only(part, kind) for name, kind in KINDS.items()}
        chosen = {name: one for name, one in kinds.items() if 1 < len(one.raters) < len(found.raters)}
        for name, one in {**chosen, "all": part}.items():
            group = _group(study, name, one, (), **asked)
            rows.append({"by": word, "value": names[key], **group})
    return rows


def _pairs(
    study: Study, found: Votes, again: Mapping[str, Any], *, clusters: str, level: float
) -> list[dict[str, Any]]:
    """Each two raters, on the items that both labelled."""
    if len(found.raters) < 2:
        return []
    tasks = found.groups["task"] if clusters == "task" else None
    options: dict[str, Any] = {"resamples": RESAMPLES, "level": level}
    labels, k = found.patterns.T, len(found.labels)
    rows = [_pair(found, one, again) for one in pairwise(labels, k, found.counts, tasks, **options)]
    places = [place for place, label in enumerate(found.labels) if _graded(study, label)]
    if places:
        grade = np.full(k + 1, -1)  # the last is what -1 finds
        grade[places] = np.arange(len(places))
        graded = pairwise(grade[labels], len(places), found.counts, tasks, scale="ordinal", **options)
        for row, one in zip(rows, graded, strict=True):
            row["alpha_ordinal"] = one.estimates["alpha_ordinal"].value
            row["intervals"]["alpha_ordinal"] = _estimate(one.estimates["alpha_ordinal"])
    return rows


def _pair(found: Votes, one: PairAgreement, again: Mapping[str, Any]) -> dict[str, Any]:
    first, second = str(found.raters[one.first]), str(found.raters[one.second])
    keys = [label.key for label in found.labels]
    return {
        "first": first,
        "second": second,
        "items": one.items,
        "percent": one.percent,
        "kappa": one.kappa,
        "alpha": one.alpha,
        "ac1": one.estimates["ac1"].value if "ac1" in one.estimates else None,
        "alone": one.alone,
        "prevalence": _by_label(keys, one.prevalence),
        "bias": _by_label(keys, one.bias),
        "intervals": {name: _estimate(estimate) for name, estimate in one.estimates.items()},
        **ceilings(first, second, again),
        "table": one.table.tolist(),
    }


def _by_label(keys: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {key: None if np.isnan(value) else value for key, value in zip(keys, values.tolist(), strict=True)}


def pair_of(study: Study, first: str, second: str) -> dict[str, Any]:
    """Two raters compared, by name: as the study's page has it, or worked out where one is an earlier version."""
    pairs = {(pair["first"], pair["second"]): pair for pair in agreement_kept(study)["pairs"]}
    if found := _among(pairs, (first, second)):
        return found
    raters = find_raters(study, [first, second])
    if raters[0] == raters[1]:
        raise UserError("a rater can't be compared with the same rater")
    if found := _among(pairs, (str(raters[0]), str(raters[1]))):
        return found
    exact = [f"{rater.name}@{rater.version}" for rater in raters]
    (found,) = kept(study, "pair", exact, lambda: agreement(study, exact, by=())["pairs"])
    return dict(found)


def _among(
    pairs: Mapping[tuple[str, str], Mapping[str, Any]], names: tuple[str, str]
) -> dict[str, Any] | None:
    if names in pairs:
        return dict(pairs[names])
    return _turned(pairs[names[::-1]]) if names[::-1] in pairs else None


def _turned(pair: Mapping[str, Any]) -> dict[str, Any]:
    """The same two the other way round."""
    return {
        **pair,
        "first": pair["second"],
        "second": pair["first"],
        "bias": {key: None if value is None else -value for key, value in pair["bias"].items()},
        "table": [list(column) for column in zip(*pair["table"], strict=True)],
    }

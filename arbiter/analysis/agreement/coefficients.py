"""How far a study's raters agree: reads votes as counts, hands them to the statistics, and says what to be
wary of."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from annotation.models import Label, Rater, Study
from annotation.raters import find_raters, latest_raters, owners_who_labelled
from arbiter.analysis.agreement.repeats import agreement_ceilings, repeats
from arbiter.core.errors import UserError
from arbiter.statistics import (
    Estimate,
    PairAgreement,
    Undefined,
    ac2_estimate,
    agreement_cautions,
    agreement_estimates,
    label_shares,
    pairwise,
    widest_bias,
)
from benchmark.importunderway import refuse_while_importing
from judging.votes.counting import Votes, group_names, votes_of
from judging.votes.kept_figures import kept
from judging.votes.sources import votes

RESAMPLES = 1000
BY = ("category", "subject", "condition")
CLUSTERS = ("task", "item")
FEW = 20  # raters; of more, each two are compared on request, and without a bootstrap
COEFFICIENTS = (
    "alpha",
    "alpha_ordinal",
    "fleiss",
    "ac1",
    "ac2_linear",
    "ac2_quadratic",
    "percent",
    "brennan_prediger",
)
GRADED = ("alpha_ordinal", "kappa_linear", "kappa_quadratic")  # of pairs, for labels that are grades
KINDS = {"humans": Rater.Kind.HUMAN, "judges": Rater.Kind.JUDGE}


def agreement_kept(study: Study) -> dict[str, Any]:
    """Return the agreement of all of a study's raters, as its page shows it, kept while nothing was added."""
    refuse_while_importing(study.pk)
    return kept(study, "agreement", "", lambda: agreement(study))


def pairs_kept(study: Study) -> list[dict[str, Any]]:
    """Return the comparison of each two raters, however many raters there are."""
    everybody = agreement_kept(study)
    if not everybody["pairs_left_out"]:
        return [dict(pair) for pair in everybody["pairs"]]
    return kept(study, "agreement-pairs", "", lambda: agreement(study, by=(), pairs=True)["pairs"])


def agreement_by(study: Study, word: str) -> list[dict[str, Any]]:
    """Return the agreement of people, of judges and of all on the items of each category, or what else the
    word is; kept."""
    _check([word], "task", 0.95)
    refuse_while_importing(study.pk)
    if word == "category":
        return [dict(row) for row in agreement_kept(study)["by"]]
    return kept(
        study,
        "agreement-by",
        word,
        lambda: _by(study, _votes_by(study, (word,)), word, clusters="task", level=0.95),
    )


def _votes_by(study: Study, by: Sequence[str], raters: Sequence[Rater] | None = None) -> Votes:
    """Return the votes of the items that have any, by task and these words."""
    votes = votes_of(study, tuple(dict.fromkeys(["task", *by])), raters=raters)
    return votes.where(np.any(votes.patterns >= 0, axis=1))


def agreement(
    study: Study,
    names: Sequence[str] = (),
    *,
    by: Sequence[str] = ("category",),
    clusters: str = "task",
    level: float = 0.95,
    pairs: bool | None = None,
) -> dict[str, Any]:
    """Return every coefficient of people, of judges and of all together, of each group of items, and of each
    two raters.

    pairs: whether to compare each two; unless said, where there are no more than `FEW` raters.
    """
    _check(by, clusters, level)
    refuse_while_importing(study.pk)
    raters = list(dict.fromkeys(find_raters(study, names))) if names else latest_raters(study)
    votes = _votes_by(study, by, raters)
    options: dict[str, Any] = {"clusters": clusters, "level": level}
    again = repeats(study, raters, votes.labels, **options)
    wanted = len(raters) <= FEW if pairs is None else pairs
    compared = _pairs(study, votes, {row["rater"]: row for row in again}, **options) if wanted else []
    every = _group(study, "all", votes, bias=True, **options)
    simulated = _simulated(study, raters)
    groups = [
        _group(study, name, part, bias=True, **options)
        for name, kind in KINDS.items()
        if 0 < len((part := _only(votes, kind)).raters) < len(raters)
    ]
    return {
        "raters": len(raters),
        "names": [str(rater) for rater in raters],
        "simulated": bool(simulated),
        "simulated_raters": simulated,
        "owners": _owners(study, raters),
        "items": votes.items,
        "pairable": every["pairable"],
        **_headline(every, study.scheme.ordinal),
        "headline": [
            {"group": _of_one_kind(group, raters), **_headline(group, study.scheme.ordinal)}
            for group in ([one for one in groups if len(one["raters"]) > 1] or [every])
        ],
        "labels": [label.key for label in votes.labels],
        "graded": study.scheme.ordinal,
        "ungraded": [label.key for label in votes.labels if not _graded(study, label)],
        "clusters": clusters,
        "level": level,
        "resamples": RESAMPLES,
        "groups": [*groups, every],
        "by": [row for word in by for row in _by(study, votes, word, **options)],
        "pairs": compared,
        "pairs_left_out": 0 if wanted else len(raters) * (len(raters) - 1) // 2,
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
    """Return the names of those raters who have a simulated vote. That nobody has one is known from one query
    for all."""
    if not votes(study, [rater.pk for rater in raters]).filter(simulated=True).exists():
        return []
    return [str(rater) for rater in raters if votes(study, [rater.pk]).filter(simulated=True).exists()]


def _owners(study: Study, raters: Sequence[Rater]) -> list[str]:
    """Return the names of those raters who labelled as the study's owner: they could see other labels, so
    agreement with them says less."""
    owners = set(owners_who_labelled(study))
    return [str(rater) for rater in raters if rater in owners]


def _headline(group: Mapping[str, Any], graded: bool) -> dict[str, Any]:
    """Return alpha of a group's raters with its bootstrap interval, ordinal where labels are grades. What
    can't be had is null, and `undefined` says why."""
    scale = "ordinal" if graded and "alpha_ordinal" in group["coefficients"] else "nominal"
    alpha = group["coefficients"]["alpha_ordinal" if scale == "ordinal" else "alpha"]
    low, high = alpha["bootstrap"] or (None, None)
    headline = {"alpha": alpha["value"], "low": low, "high": high, "scale": scale}
    headline["percent"] = group["coefficients"]["percent"]["value"]
    return headline | ({"undefined": alpha["undefined"]} if "undefined" in alpha else {})


def _of_one_kind(group: Mapping[str, Any], raters: Sequence[Rater]) -> str:
    """Name those whose agreement a group of raters has: people or judges, also where these are all there
    are."""
    kinds = {rater.kind for rater in raters}
    if group["group"] != "all" or len(kinds) != 1:
        return str(group["group"])
    return next((name for name, kind in KINDS.items() if kind in kinds), "all")


def _only(votes: Votes, kind: str) -> Votes:
    """Return the votes of one kind of rater, by columns: merging rows that have become equal would cost more
    than it saves."""
    columns = [place for place, rater in enumerate(votes.raters) if rater.kind == kind]
    raters = tuple(votes.raters[place] for place in columns)
    patterns = votes.patterns[:, columns]
    part = Votes(raters, votes.labels, patterns, votes.counts, votes.groups)
    return part.where(np.any(patterns >= 0, axis=1))


def _graded(study: Study, label: Label) -> bool:
    """Tell whether a label is a grade. One that leaves the denominator, as "can't be judged", has no place
    among grades."""
    return study.scheme.ordinal and label.role != Label.Role.EXCLUDED


def _group(
    study: Study, name: str, part: Votes, *, clusters: str, level: float, bias: bool = False
) -> dict[str, Any]:
    """Return every coefficient of some raters on some items, with the labels' shares and the cautions."""
    counts, items = part.label_counts(), part.counts
    tasks = part.groups["task"] if clusters == "task" else None
    options: dict[str, Any] = {"resamples": RESAMPLES, "level": level}
    estimates = agreement_estimates(counts, items, tasks, **options)
    grades = [place for place, label in enumerate(part.labels) if _graded(study, label)]
    if grades:
        graded = agreement_estimates(counts[:, grades], items, tasks, scale="ordinal", **options)
        estimates["alpha_ordinal"] = graded["alpha_ordinal"]
        for power, key in ((1, "ac2_linear"), (2, "ac2_quadratic")):
            estimates[key] = ac2_estimate(counts[:, grades], items, tasks, power=power, **options)
    pairable = counts.sum(axis=1) > 1
    return {
        "group": name,
        "raters": [str(rater) for rater in part.raters],
        "items": part.items,
        "pairable": int(items[pairable].sum()),
        "tasks": len(np.unique(part.groups["task"][pairable])),
        "coefficients": {key: _estimate(estimates[key]) for key in COEFFICIENTS if key in estimates},
        "labels": _labels(part, counts, bias),
        "warnings": agreement_cautions(counts, items, estimates, clusters),
    }


def _labels(part: Votes, counts: np.ndarray, bias: bool) -> list[dict[str, Any]]:
    """Return each label's share, its prevalence index, and, if wanted, the widest bias between two of the
    raters."""
    k = len(part.labels)
    try:
        shares: list[float | None] = label_shares(counts, part.counts).tolist()
    except Undefined:
        shares = [None] * k
    widest = widest_bias(part.patterns.T, k, part.counts) if bias else np.full(k, np.nan)
    return [
        {
            "label": label.key,
            "share": share,
            "prevalence": None if share is None else 2 * share - 1,
            "bias": None if np.isnan(apart) else float(apart),
        }
        for label, share, apart in zip(part.labels, shares, widest, strict=True)
    ]


def _estimate(estimate: Estimate) -> dict[str, Any]:
    figures = {
        "value": estimate.value,
        "error": estimate.error,
        "delta": [estimate.delta.low, estimate.delta.high] if estimate.delta else None,
        "bootstrap": [estimate.bootstrap.low, estimate.bootstrap.high] if estimate.bootstrap else None,
    }
    return figures | ({"undefined": estimate.undefined} if estimate.undefined else {})


def _by(study: Study, votes: Votes, word: str, **options: Any) -> list[dict[str, Any]]:
    """Return the agreement of people, of judges and of all on the items of each category, or what else the
    word is."""
    names, keys = group_names(study, word), votes.groups[word]
    rows = []
    for key in sorted(np.unique(keys).tolist(), key=lambda key: names[key]):
        part = votes.where(keys == key)
        kinds = {name: _only(part, kind) for name, kind in KINDS.items()}
        chosen = {name: one for name, one in kinds.items() if 1 < len(one.raters) < len(votes.raters)}
        for name, one in {**chosen, "all": part}.items():
            group = _group(study, name, one, **options)
            rows.append({"by": word, "value": names[key], **group})
    return rows


def _pairs(
    study: Study, votes: Votes, again: Mapping[str, Any], *, clusters: str, level: float
) -> list[dict[str, Any]]:
    """Return the agreement of each two raters on the items that both labelled."""
    if len(votes.raters) < 2:
        return []
    tasks = votes.groups["task"] if clusters == "task" else None
    options: dict[str, Any] = {"resamples": RESAMPLES if len(votes.raters) <= FEW else 0, "level": level}
    labels, k = votes.patterns.T, len(votes.labels)
    rows = [_pair(votes, one, again) for one in pairwise(labels, k, votes.counts, tasks, **options)]
    places = [place for place, label in enumerate(votes.labels) if _graded(study, label)]
    if places:
        grade = np.full(k + 1, -1)  # the last is what -1 finds
        grade[places] = np.arange(len(places))
        graded = pairwise(grade[labels], len(places), votes.counts, tasks, scale="ordinal", **options)
        for row, one in zip(rows, graded, strict=True):
            for key in GRADED:
                row[key] = one.estimates[key].value
                row["intervals"][key] = _estimate(one.estimates[key])
    return rows


def _pair(votes: Votes, one: PairAgreement, again: Mapping[str, Any]) -> dict[str, Any]:
    first, second = str(votes.raters[one.first]), str(votes.raters[one.second])
    keys = [label.key for label in votes.labels]
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
        **agreement_ceilings(first, second, again),
        "table": one.table.tolist(),
    }


def _by_label(keys: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {key: None if np.isnan(value) else value for key, value in zip(keys, values.tolist(), strict=True)}


def pair_of(study: Study, first: str, second: str) -> dict[str, Any]:
    """Return the comparison of two raters, by name: as the study's page has it, or worked out where one is an
    earlier version."""
    pairs = {(pair["first"], pair["second"]): pair for pair in agreement_kept(study)["pairs"]}
    if comparison := _among(pairs, (first, second)):
        return comparison
    raters = find_raters(study, [first, second])
    if raters[0] == raters[1]:
        raise UserError("a rater can't be compared with the same rater")
    if comparison := _among(pairs, (str(raters[0]), str(raters[1]))):
        return comparison
    exact = [f"{rater.name}@{rater.version}" for rater in raters]
    (comparison,) = kept(study, "pair", exact, lambda: agreement(study, exact, by=(), pairs=True)["pairs"])
    return dict(comparison)


def _among(
    pairs: Mapping[tuple[str, str], Mapping[str, Any]], names: tuple[str, str]
) -> dict[str, Any] | None:
    if names in pairs:
        return dict(pairs[names])
    return _turned(pairs[names[::-1]]) if names[::-1] in pairs else None


def _turned(pair: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison of the same two raters the other way round."""
    return {
        **pair,
        "first": pair["second"],
        "second": pair["first"],
        "bias": {key: None if value is None else -value for key, value in pair["bias"].items()},
        "table": [list(column) for column in zip(*pair["table"], strict=True)],
    }

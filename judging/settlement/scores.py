"""How well posteriors do on gold, as a settling keeps it: by confidence, in all, and by arm (subject model
and condition); and which of them gold backs. Nothing is read here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log
from typing import Any

import numpy as np
import numpy.typing as npt

from annotation.models import Rater
from arbiter.statistics.posteriors import (
    Calibrated,
    calibration_bins,
    calibration_error,
    least_share,
    weighted_share,
)
from judging.votes.counting import Votes
from judging.votes.goldsample import GoldSample

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
SUPPORT = (
    5  # items with gold that gave each label as often; a pattern with fewer is not accepted by the model
)
THRESHOLDS = (0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)  # that the page compares
NOTHING = {"items": 0, "claimed": None, "right": None, "low": None, "high": None}
DIGITS = 6
FEWEST = 20  # items with gold in an arm; the calibration error of fewer is mostly chance
TOO_FEW = f"fewer than {FEWEST} items with gold"


@dataclass(frozen=True)
class GoldEvidence:
    """What rules are fitted on: the voters' patterns, and the tuning part of the gold with its weights."""

    votes: Votes
    gold: GoldSample
    rows: Ints  # which pattern the votes on each of its items are
    weights: Floats
    sealed: int  # items with gold that are left out, as they lie in the sealed part
    names: Mapping[str, Mapping[int, str]]  # of subject models and conditions
    left_out: tuple[Rater, ...] = ()  # people whose votes became gold


@dataclass(frozen=True)
class HeldToGold:
    """A fit held to gold: what came of it, which patterns gold backs,
    and why nothing may be accepted, if so."""

    facts: dict[str, Any]
    patterns: Bools
    reason: str


def held_to_gold(evidence: GoldEvidence, fit: Calibrated, threshold: float) -> HeldToGold:
    votes, like = evidence.votes, _supported(evidence)
    confidence = fit.posteriors.max(axis=1)
    facts = _fit_facts(evidence, fit) | scored_on_gold(evidence, fit.out, threshold=threshold)
    facts["error_plain"] = scored_on_gold(evidence, fit.plain_out)["error"]
    facts["curve"] = threshold_curve(evidence, fit, like)
    facts["backing"] = backing_of(evidence, fit, threshold)
    backed = like & is_backed(facts["backing"], confidence)
    reach = (confidence >= threshold) & (votes.patterns >= 0).any(axis=1)
    facts["held_back"] = int(votes.counts[reach & like & ~backed].sum())
    facts["unbacked"] = unbacked(facts["backing"], threshold)
    return HeldToGold(facts, backed, too_sure(facts, threshold) or nothing_backed(facts))


def binned(
    confidence: Floats, right: Bools, weights: Floats, tasks: Ints
) -> tuple[list[dict[str, Any]], float | None]:
    """Return bins of posteriors with the interval of what is right in each, and the calibration error. No
    bins and None where there is no gold."""
    if not len(right):
        return [], None
    rows = []
    for bin_ in calibration_bins(confidence, right, weights):
        last = bin_.high >= 1
        here = (confidence >= bin_.low - 1e-9) & ((confidence < bin_.high - 1e-9) | last)
        share = weighted_share(right[here], weights[here], tasks[here])
        rows.append(
            {
                "low": bin_.low,
                "high": bin_.high,
                "items": bin_.items,
                "confidence": _short(bin_.confidence),
                "right": _short(bin_.right),
                "from": _short(share.interval.low),
                "to": _short(share.interval.high),
            }
        )
    return rows, _error(confidence, right, weights)


def by_arm(
    groups: Mapping[str, Ints],
    names: Mapping[str, Mapping[int, str]],
    confidence: Floats,
    right: Bools,
    weights: Floats,
) -> list[dict[str, Any]]:
    """Return the calibration error of each subject model under each condition, or why it has none."""
    arms = sorted(set(zip(groups["subject"].tolist(), groups["condition"].tolist(), strict=True)))
    rows = []
    for subject, condition in arms:
        here = (groups["subject"] == subject) & (groups["condition"] == condition)
        few = int(here.sum()) < FEWEST
        worth = weights[here] / weights[here].sum()
        rows.append(
            {
                "subject": names["subject"].get(subject, "?"),
                "condition": names["condition"].get(condition, "?"),
                "items": int(here.sum()),
                "confidence": _short(float(worth @ confidence[here])),
                "right": _short(float(worth @ right[here])),
                "error": None if few else _error(confidence[here], right[here], weights[here]),
                "reason": TOO_FEW if few else "",
            }
        )
    return sorted(rows, key=lambda row: (row["subject"], row["condition"]))


def _error(confidence: Floats, right: Bools, weights: Floats) -> float:
    return _short(calibration_error(confidence, right, weights))


def _short(value: float) -> float:
    return round(value, DIGITS)


BINS = 10  # of posteriors from 0 to 1, as those of `binned`
NEAR = 0.1  # that what is claimed may lie above what is shown at least
ALPHA = 0.05  # chance that any bin is taken to hold a promise that it does not


def backing(
    confidence: Floats, right: Bools, weights: Floats, tasks: Ints, promised: float
) -> list[dict[str, Any]]:
    """Return by bins of posteriors from what is promised up to 1 how often gold is right there, at least,
    and whether that backs them.

    Bins are looked at from the surest down, and one is backed where the lower bound of the share right
    reaches what is promised and comes within `NEAR` of what its posteriors claim, and all surer ones are
    backed too; at the first that is not, one stops. So that any bin is taken to hold a promise that it does
    not happens in one study of twenty at most (a fixed sequence, P. H. Westfall & A. Krishen 2001, J. Stat.
    Plan. Inference 99:25-40). Too little gold in a bin backs nothing, however right it is.
    """
    edges = [promised, *(n / BINS for n in range(1, BINS) if n / BINS > promised + 1e-9), 1.0]
    rows: list[dict[str, Any]] = []
    for low, high in reversed(list(pairwise(edges))):
        here = (confidence >= low - 1e-9) & ((confidence < high - 1e-9) | (high >= 1))
        row: dict[str, Any] = {
            "low": low,
            "high": high,
            "items": int(here.sum()),
            "claimed": None,
            "right": None,
            "least": 0.0,
        }
        if here.any():
            share = weighted_share(right[here], weights[here], tasks[here])
            claimed = float(weights[here] @ confidence[here] / weights[here].sum())
            row |= {
                "claimed": _short(claimed),
                "right": _short(share.estimate),
                "least": _short(least_share(share, ALPHA)),
            }
        asked = max(promised, (row["claimed"] or 1.0) - NEAR)
        surer = all(one["backed"] for one in rows)
        rows.append(row | {"backed": surer and row["least"] >= asked})
    return rows[::-1]


def is_backed(rows: Sequence[Mapping[str, Any]], confidence: Floats) -> Bools:
    """Tell of each posterior whether it lies in a bin that gold backs."""
    backed = np.zeros(confidence.shape, dtype=bool)
    for row in rows:
        here = (confidence >= row["low"] - 1e-9) & ((confidence < row["high"] - 1e-9) | (row["high"] >= 1))
        backed |= here & row["backed"]
    return backed


def unbacked(rows: Sequence[Mapping[str, Any]], promised: float) -> str:
    """Say in words why bins are left to people; empty where none is."""
    open_ = [row for row in rows if not row["backed"]]
    if not open_:
        return ""
    parts = [
        f"of posteriors from {row['low']:g} to {row['high']:g}, "
        + (
            f"which claim {100 * row['claimed']:.0f} %, {100 * row['right']:.0f} % of {row['items']} gold "
            f"items are right, so at least {100 * row['least']:.0f} % of all"
            if row["items"]
            else "no item has gold"
        )
        for row in reversed(open_)
    ]
    enough = ceil(log(ALPHA) / log(promised))
    return (
        f"Gold does not back everything: {100 * promised:.0f} % are promised, and {'; '.join(parts)}. What "
        f"lies there goes to people. It takes {enough} gold items of different tasks in each, all of them "
        "right, or more where some are not."
    )


# What was estimated, and how well it does on gold


def facts_of(evidence: GoldEvidence) -> dict[str, Any]:
    design = evidence.gold.design
    return {
        "voters": [str(rater) for rater in evidence.votes.raters],
        "left_out": len(evidence.left_out),
        "gold": len(evidence.gold),
        "sealed": evidence.sealed,
        "design": design.kind,
        "draw": design.draw,
        "refusal": design.refusal,
    }


def _fit_facts(evidence: GoldEvidence, fit: Calibrated) -> dict[str, Any]:
    model = fit.model
    return {
        "temperature": round(fit.temperature, 4),
        "strengths": [None if strength == float("inf") else strength for strength in fit.strengths],
        "prior": {
            label.key: round(float(value), DIGITS)
            for label, value in zip(evidence.votes.labels, model.prior, strict=True)
        },
        "errors": {
            str(rater): [[round(float(value), DIGITS) for value in row] for row in matrix]
            for rater, matrix in zip(evidence.votes.raters, model.errors, strict=True)
        },
        "log_likelihood": round(model.log_likelihood, DIGITS),
        "steps": model.steps,
        "converged": model.converged,
        "switched": model.switched,
    }


def scored_on_gold(
    evidence: GoldEvidence, posteriors: Floats, *, threshold: float = 0.0, in_sample: bool = False
) -> dict[str, Any]:
    """Return how the posteriors of gold items do:
    by confidence, in all, by arm, and of those that would be accepted."""
    sample, weights = evidence.gold, evidence.weights
    confidence = np.minimum(posteriors.max(axis=1), 1.0)
    right = posteriors.argmax(axis=1) == sample.gold
    bins, error = binned(confidence, right, weights, sample.groups["task"])
    facts: dict[str, Any] = {
        "bins": bins,
        "error": error,
        "in_sample": in_sample,
        "arms": by_arm(sample.groups, evidence.names, confidence, right, weights),
    }
    sure = confidence >= threshold
    if threshold and sure.any():
        share = weighted_share(right[sure], weights[sure], sample.groups["task"][sure])
        facts["accepted"] = {
            "items": share.n,
            "claimed": round(float(weights[sure] @ confidence[sure] / weights[sure].sum()), DIGITS),
            "right": round(share.estimate, DIGITS),
            "low": round(share.interval.low, DIGITS),
            "high": round(share.interval.high, DIGITS),
        }
    return facts


def threshold_curve(
    evidence: GoldEvidence, fit: Calibrated, supported: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Return what each threshold would accept, and how often gold left out is right from there on."""
    votes, rows = evidence.votes, []
    reach = np.where(supported & (votes.patterns >= 0).any(axis=1), fit.posteriors.max(axis=1), 0.0)
    for threshold in THRESHOLDS:
        facts = scored_on_gold(evidence, fit.out, threshold=threshold)
        accepted = is_backed(backing_of(evidence, fit, threshold), reach) & (not too_sure(facts, threshold))
        rows.append(
            {
                "threshold": threshold,
                "accepted": int(votes.counts[accepted].sum()),
                **facts.get("accepted", NOTHING),
            }
        )
    return rows


def backing_of(evidence: GoldEvidence, fit: Calibrated, threshold: float) -> list[dict[str, Any]]:
    """Return by bins of posteriors from the threshold on whether gold
    that was left out of the fit backs them."""
    sample = evidence.gold
    confidence = np.minimum(fit.out.max(axis=1), 1.0)
    right = fit.out.argmax(axis=1) == sample.gold
    return backing(confidence, right, evidence.weights, sample.groups["task"], threshold)


def nothing_backed(facts: Mapping[str, Any]) -> str:
    """Say why nothing may be accepted, where gold backs no bin of posteriors from the threshold on; else
    empty."""
    if any(row["backed"] for row in facts["backing"]):
        return ""
    return f"There is too little gold to promise anything, so nothing is accepted. {facts['unbacked']}"


def too_sure(facts: Mapping[str, Any], threshold: float) -> str:
    """Say why nothing may be accepted although there is a fit;
    empty where it holds what it promises on gold left out."""
    accepted = facts.get("accepted")
    if accepted is None or accepted["claimed"] <= accepted["high"]:
        return ""
    return (
        "Posteriors are too sure, so nothing is accepted: of gold left out of the fit with a posterior "
        f"from {threshold:g}, {100 * accepted['right']:.1f} % are right (at most "
        f"{100 * accepted['high']:.1f} % with 95 % confidence), where {100 * accepted['claimed']:.1f} % "
        "are claimed."
    )


def _supported(evidence: GoldEvidence) -> npt.NDArray[np.bool_]:
    """Tell of each pattern whether its labels were each given as often on enough items with gold."""
    votes, sample = evidence.votes, evidence.gold
    counts = votes.label_counts()
    like = np.stack([(sample.votes == label).sum(axis=1) for label in range(len(votes.labels))], axis=1)
    often: dict[tuple[int, ...], int] = {}
    for row in map(tuple, like.tolist()):
        often[row] = often.get(row, 0) + 1
    return np.asarray([often.get(row, 0) >= SUPPORT for row in map(tuple, counts.tolist())])

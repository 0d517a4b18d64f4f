"""Calibration as one document, for the command: the gold, the split, human error, and every judge with its
figures."""

from dataclasses import replace
from typing import Any

import numpy as np

from annotation.models import Label, Study
from annotation.raters import pseudonym
from arbiter.analysis.calibration.accuracy import under_error_said
from arbiter.analysis.calibration.comparison import JudgeComparison
from arbiter.analysis.calibration.goldparts import GoldParts, gold_parts
from arbiter.analysis.calibration.humanceiling import EPSILON, HumanCeiling
from arbiter.analysis.calibration.judgetable import human_ceilings_kept, judge_rows
from arbiter.analysis.humanerror import human_error_kept
from arbiter.analysis.judgeraters import judges_named
from arbiter.core.errors import UserError
from benchmark.importunderway import refuse_while_importing
from judging.votes.counting import scheme_labels
from judging.votes.goldsplit import split_of


def as_json(value: Any) -> Any:
    """Return of a value what JSON can hold: arrays as lists, labels as their keys, dataclasses as
    mappings."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Label):
        return value.key
    if isinstance(value, (list, tuple)):
        return [as_json(one) for one in value]
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if fields := getattr(value, "__dataclass_fields__", None):
        return {name: as_json(getattr(value, name)) for name in fields}
    return value


def calibrate(study: Study, judge: str = "", epsilon: float = EPSILON) -> dict[str, Any]:
    """Return the whole calibration as one document, for `calibrate --json`."""
    refuse_while_importing(study.pk)
    parts, (error, why) = gold_parts(study), human_error_kept(study)
    if not parts.items:
        raise UserError(f"Study {study.slug!r}: {parts.design.refusal or 'no item has gold yet.'}")
    raters = judges_named(study, judge)
    if not raters:
        raise UserError(f"No judge has labelled anything in study {study.slug!r} yet.")
    return {
        "study": study.slug,
        "labels": [label.key for label in scheme_labels(study)],
        "gold": _gold_json(parts),
        "split": split_json(study),
        "human_error": as_json(replace(error, pairs=None, draws=())) if error else {"undefined": why},
        "judges": [
            {
                "judge": str(row.rater),
                "simulated": row.simulated,
                "in_sample": row.figures.in_sample,
                **as_json(row.figures),
                "under_error": under_error_said(row.figures, error),
                "stands_in": [
                    ceiling_json(study, one)
                    for one in human_ceilings_kept(study, row.rater, row.figures.part, epsilon)
                ],
            }
            for row in judge_rows(study, raters, epsilon)
        ],
    }


def _gold_json(parts: GoldParts) -> dict[str, Any]:
    design = parts.design
    return {
        "items": parts.items,
        "single": parts.single,
        "controls_left_out": parts.control,
        "weighted": parts.weighted,
        "kind": design.kind,
        "draw": design.draw,
        "refusal": design.refusal,
        "caution": design.caution,
        "waiting": design.waiting,
        "outside": design.outside,
    }


def split_json(study: Study) -> dict[str, Any] | None:
    split, parts = split_of(study), gold_parts(study)
    if split is None:
        return None
    looks = split.reveals.select_related("rater", "by").order_by("pk")
    return {
        "seed": split.seed,
        "share": split.share,
        "tuning": parts.tuning,
        "sealed": parts.sealed,
        "tasks": len(split.parts),
        "sealed_tasks": sum(split.parts.values()),
        "looks": [
            {
                "judge": str(one.rater),
                "by": one.by.get_username() if one.by else None,
                "reason": one.reason,
                "at": one.created_at.isoformat(),
            }
            for one in looks
        ],
    }


def ceiling_json(study: Study, one: HumanCeiling) -> dict[str, Any]:
    test = one.test
    return {
        "category": one.category or None,
        "items": one.items,
        "undefined": one.undefined or None,
        "epsilon": test.epsilon if test else None,
        "omega": test.omega if test else None,
        "rho": test.rho if test else None,
        "passed": test.passed if test else None,
        "humans": [
            {
                "human": pseudonym(study, against.rater),
                "items": against.items,
                "judge_as_good": against.judge_as_good,
                "human_as_good": against.human_as_good,
                "p": against.p,
                "won": against.won,
            }
            for against in one.humans
        ],
    }


def comparison_json(comparison: JudgeComparison) -> dict[str, Any]:
    return {
        **as_json(comparison),
        "first": str(comparison.first),
        "second": str(comparison.second),
        "counts": dict(comparison.counts),
        "changes": [
            {
                "kind": one.kind,
                "item": one.item,
                "category": one.category,
                "gold": one.gold.key,
                "before": one.before and one.before.key,
                "after": one.after and one.after.key,
            }
            for one in comparison.changes
        ],
    }

"""Calibration as a whole: which gold, which parts of it, how right every judge is on them, and what humans' own errors do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Max

from annotation.models import Gold, Rater, Study
from annotation.raters import find_raters, pseudonym
from benchmark.errors import UserError
from judging.calibration.against_gold import (
    ALL,
    SEALED,
    TUNING,
    Basis,
    JudgeFigures,
    as_json,
    calibration_sample,
    human_error_or_why,
    judge_figures,
    judge_raters,
    visible_parts,
)
from judging.calibration.ceiling import EPSILON, Ceiling, Several, ceilings
from judging.calibration.comparing import Comparison
from judging.calibration.goldsample import Design, gold_sample
from judging.calibration.goldsplit import split_of
from judging.counting import scheme_labels
from judging.keeping import kept
from judging.models import GoldSplit
from judging.overview import rater_is_simulated
from judging.statistics import HumanError

WORDS = {
    ALL: "all gold",
    TUNING: "the tuning part, in-sample",
    SEALED: "the sealed part",
}


@dataclass(frozen=True)
class GoldParts:
    """The gold that judges are held against, as one sees it: how many items in each part, and how it was drawn."""

    items: int
    tuning: int
    sealed: int
    single: int
    control: int  # left out
    design: Design
    split: GoldSplit | None

    @property
    def weighted(self) -> bool:
        return not self.design.refusal

    @property
    def words(self) -> str:
        """What figures made of it are about."""
        if self.weighted and self.design.kind == "census":
            return "every item has gold"
        if self.weighted:
            return f"weighted by the draw {self.design.draw!r}"
        return "of these items alone, unweighted"


@dataclass(frozen=True)
class JudgeRow:
    """A judge on one part of the gold, for the table of judges."""

    rater: Rater
    simulated: bool
    figures: JudgeFigures
    ceiling: Ceiling


def gold_parts(study: Study) -> GoldParts:
    split, newest = split_of(study), Gold.objects.aggregate(Max("pk"))["pk__max"]
    # What has just been split, or written, is seen at once.
    return kept(study, "gold-parts", (split and split.pk, newest), lambda: _gold_parts(study))


def _gold_parts(study: Study) -> GoldParts:
    sample = calibration_sample(study, [])
    everything = len(gold_sample(study, raters=[]))
    return GoldParts(
        len(sample), int((~sample.sealed).sum()), int(sample.sealed.sum()), int(sample.single.sum()),
        everything - len(sample), sample.design, split_of(study),
    )  # fmt: skip


def human_error_kept(study: Study) -> tuple[HumanError | None, str]:
    return kept(study, "human-error", "", lambda: human_error_or_why(study))


def simulated(study: Study, rater: Rater) -> bool:
    return kept(study, "simulated", rater.pk, lambda: rater_is_simulated(study, rater))


def figures_of(study: Study, rater: Rater, part: str, basis: Basis | None = None) -> JudgeFigures:
    """Kept while nothing changes. Refused for a part that may not be seen."""
    if part not in visible_parts(study, rater):
        raise UserError(f"Nobody has looked at the {part} gold for {rater}, so its figures are not shown.")
    return kept(study, "judge-figures", (rater.pk, part), lambda: judge_figures(study, rater, part, basis))


def ceilings_of(
    study: Study, rater: Rater, part: str, epsilon: float = EPSILON, basis: Several | None = None
) -> list[Ceiling]:
    make = lambda: ceilings(study, rater, part, epsilon, basis)  # noqa: E731
    return kept(study, "ceilings", (rater.pk, part, epsilon), make)


def rows(study: Study, raters: Sequence[Rater], epsilon: float = EPSILON) -> list[JudgeRow]:
    """A row for every judge and every part that may be seen of it."""
    basis = Several(study, raters)
    return [
        JudgeRow(
            rater, simulated(study, rater), figures_of(study, rater, part, basis),
            ceilings_of(study, rater, part, epsilon, basis)[0],
        )
        for rater in raters
        for part in visible_parts(study, rater)
    ]  # fmt: skip


def chosen_judges(study: Study, name: str = "") -> list[Rater]:
    """The judge of that name (its latest version, or NAME@VERSION), or all of them."""
    if not name:
        return judge_raters(study)
    found = find_raters(study, [name])
    if found[0].kind == Rater.Kind.HUMAN:
        raise UserError(f"{name!r} is a person; calibration is of judges.")
    return found


def calibrate(study: Study, judge: str = "", epsilon: float = EPSILON) -> dict[str, Any]:
    """Everything as one document, for `calibrate --json`."""
    parts, (error, why) = gold_parts(study), human_error_kept(study)
    if not parts.items:
        raise UserError(f"Study {study.slug!r}: {parts.design.refusal or 'no item has gold yet.'}")
    raters = chosen_judges(study, judge)
    if not raters:
        raise UserError(f"No judge has labelled anything in study {study.slug!r} yet.")
    return {
        "study": study.slug,
        "labels": [label.key for label in scheme_labels(study)],
        "gold": _gold_json(parts),
        "split": split_json(study),
        "human_error": as_json(error) if error else {"undefined": why},
        "judges": [
            {
                "judge": str(row.rater), "simulated": row.simulated, "in_sample": row.figures.in_sample, **as_json(row.figures),
                "stands_in": [ceiling_json(study, one) for one in ceilings_of(study, row.rater, row.figures.part, epsilon)],
            }
            for row in rows(study, raters, epsilon)
        ],
    }  # fmt: skip


def _gold_json(parts: GoldParts) -> dict[str, Any]:
    design = parts.design
    return {
        "items": parts.items, "single": parts.single, "controls_left_out": parts.control, "weighted": parts.weighted,
        "kind": design.kind, "draw": design.draw, "refusal": design.refusal, "caution": design.caution,
        "waiting": design.waiting, "outside": design.outside,
    }  # fmt: skip


def split_json(study: Study) -> dict[str, Any] | None:
    split, parts = split_of(study), gold_parts(study)
    if split is None:
        return None
    looks = split.reveals.select_related("rater", "by").order_by("pk")
    return {
        "seed": split.seed, "share": split.share, "tuning": parts.tuning, "sealed": parts.sealed,
        "tasks": len(split.parts), "sealed_tasks": sum(split.parts.values()),
        "looks": [
            {
                "judge": str(one.rater), "by": one.by.get_username() if one.by else None, "reason": one.reason,
                "at": one.created_at.isoformat(),
            }
            for one in looks
        ],
    }  # fmt: skip


def ceiling_json(study: Study, one: Ceiling) -> dict[str, Any]:
    test = one.test
    return {
        "category": one.category or None, "items": one.items, "undefined": one.undefined or None,
        "epsilon": test.epsilon if test else None, "omega": test.omega if test else None, "rho": test.rho if test else None,
        "passed": test.passed if test else None,
        "humans": [
            {
                "human": pseudonym(study, against.rater), "items": against.items, "judge_as_good": against.judge_as_good,
                "human_as_good": against.human_as_good, "p": against.p, "won": against.won,
            }
            for against in one.humans
        ],
    }  # fmt: skip


def comparison_json(found: Comparison) -> dict[str, Any]:
    return {
        **as_json(found),
        "first": str(found.first), "second": str(found.second), "counts": dict(found.counts),
        "changes": [
            {
                "kind": one.kind, "item": one.item, "category": one.category, "gold": one.gold.key,
                "before": one.before and one.before.key, "after": one.after and one.after.key,
            }
            for one in found.changes
        ],
    }  # fmt: skip

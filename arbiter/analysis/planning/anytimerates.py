"""Looking while labels come in: the corrected rates with intervals that hold at every look, and whether it is
enough."""

from dataclasses import dataclass
from typing import Any

from annotation.models import Study
from arbiter.analysis.judgeraters import panel_of
from arbiter.analysis.planning.planspec import PlanSpec
from arbiter.analysis.rates.armcontrasts import arm_difference
from arbiter.analysis.rates.armrate import ArmRate
from arbiter.analysis.rates.cells import cells_of
from arbiter.analysis.rates.denominators import denominators_of
from arbiter.analysis.rates.estimates import refusal
from arbiter.analysis.rates.estimators import corrected
from arbiter.analysis.rates.ratespec import RateSpec
from arbiter.statistics import Interval, anytime_interval, anytime_planned
from judging.votes.counting import group_names

ENOUGH = 30  # gold items of an arm before its figures are watched
SILENT = {"corrected": None, "anytime_low": None, "anytime_high": None, "anytime_width": None, "stop": False}


@dataclass(frozen=True, eq=False)
class MonitoredRates:
    """The corrected rates of a study's arms, by name, as `rates` shows them, and their gold items."""

    rates: dict[str, ArmRate]
    gold: dict[str, int]

    def of(self, names: tuple[str, ...], spec: PlanSpec) -> dict[str, Any]:
        """Return what labels so far say of an arm, or of the difference of two. Nothing is said before each
        has enough gold."""
        if any(self.gold.get(name, 0) < ENOUGH for name in names):
            return dict(SILENT)
        arms = [self.rates[name] for name in names]
        estimate, _ = arm_difference(arms, [1.0, -1.0][: len(arms)], spec.finite)
        if estimate is None:
            return dict(SILENT)
        apart = len(arms) > 1
        # Narrowest at the width that was asked for: a choice that looks at no data, so it stands since the
        # plan was made.
        planned = anytime_planned(spec.width, spec.level)
        seen, bounds = Interval(estimate.low, estimate.high), (-1.0, 1.0) if apart else (0.0, 1.0)
        interval = anytime_interval(estimate.estimate, seen, planned, spec.level, bounds)
        width = interval.high - interval.low
        excludes_zero = interval.low > 0 or interval.high < 0
        return {
            "corrected": estimate.estimate,
            "anytime_low": interval.low,
            "anytime_high": interval.high,
            "anytime_width": width,
            "stop": excludes_zero if apart else width <= spec.width,
        }


def monitored_rates(study: Study, spec: PlanSpec) -> MonitoredRates:
    """Return the corrected rates of a study's arms; none where the gold's design allows no corrected rate."""
    judges = panel_of(study, "")
    cells = cells_of(study, spec.by, judges)
    if refusal(RateSpec("corrected", spec.by), judges, cells.sample.design):
        return MonitoredRates({}, {})
    names = {word: group_names(study, word) for word in spec.by}
    denominators = denominators_of(study, spec.by)
    rates, gold = {}, {}
    for key, arm in cells.arms.items():
        name = ", ".join(names[word][pk] for word, pk in zip(spec.by, key, strict=True))
        gold[name] = int(arm.gold.counts.sum())
        if gold[name] >= ENOUGH:
            of_items = corrected(cells, arm, spec.finite, spec.level)[0]
            rates[name] = denominators.of_all(key, of_items, cells.tasks, spec.finite)
    return MonitoredRates(rates, gold)

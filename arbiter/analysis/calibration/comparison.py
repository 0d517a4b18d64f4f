"""Two versions of a judge, or two judges, side by side on the gold: which items changed, for better or
worse."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from annotation.models import Item, Label, Rater, Study
from arbiter.analysis.calibration.accuracy import NOT_ASKED, OPEN, Coefficient, why_missing
from arbiter.analysis.calibration.goldparts import SEALED, calibration_sample, in_part, visible_parts
from arbiter.core.errors import UserError
from arbiter.statistics import Rate, Undefined, exact_mcnemar, jackknife_interval, weighted_rate
from benchmark.importunderway import refuse_while_importing
from judging.votes.counting import Ints, group_names
from judging.votes.goldsample import Bools, Floats, GoldSample

WORSE, BETTER, SIDEWAYS, LOST, GAINED = "worse", "better", "sideways", "lost", "gained"
KINDS = {
    WORSE: "was right, is wrong",
    BETTER: "was wrong, is right",
    SIDEWAYS: "was wrong, is wrong otherwise",
    LOST: "had a verdict, has none",
    GAINED: "had no verdict, has one",
}


@dataclass(frozen=True)
class LabelChange:
    kind: str
    item: str  # its key
    category: str
    gold: Label
    before: Label | None
    after: Label | None

    @property
    def words(self) -> str:
        return KINDS[self.kind]


@dataclass(frozen=True)
class JudgeComparison:
    """Two judges on one part of the gold: `first` is the one before. Rates and the difference are over items
    both gave a label."""

    first: Rater
    second: Rater
    part: str
    items: int  # with gold
    both: int
    unasked: int  # items that one of them was not asked, or has not answered yet
    same: int
    counts: Mapping[str, int]
    p: float  # exact McNemar, on how many became better and worse
    right_first: Rate
    right_second: Rate
    difference: Coefficient  # second less first, weighted
    changes: tuple[LabelChange, ...]


def compare_judges(study: Study, first: Rater, second: Rater, part: str = "") -> JudgeComparison:
    """Compare two judges on the part of the gold that may be seen of both; on the sealed one only after a
    look at each."""
    refuse_while_importing(study.pk)
    if first.pk == second.pk:
        raise UserError(f"Choose two judges, or two versions of one; {first} is {second}.")
    seen = [one for one in visible_parts(study, first) if one in visible_parts(study, second)]
    if part and part not in seen:
        raise UserError(_hidden(part))
    chosen = part or seen[0]
    sample = calibration_sample(study, [first, second])
    return _compare(study, sample.part(in_part(sample, chosen)), chosen)


def _hidden(part: str) -> str:
    if part == SEALED:
        return "The sealed gold was not looked at for both of them; look at each first."
    return f"The gold has no part {part!r} that may be seen of both."


def _compare(study: Study, sample: GoldSample, part: str) -> JudgeComparison:
    before, after = sample.votes[:, 0], sample.votes[:, 1]
    weights = None if sample.design.refusal else sample.weight
    tasks, both = sample.groups["task"], (before >= 0) & (after >= 0)
    asked = [_asked(study, sample, column) for column in (0, 1)]
    kinds = _kinds(sample.gold, before, after, asked[0] & asked[1])
    counts = {kind: int((kinds == kind).sum()) for kind in KINDS}
    rights = [sample.gold == given for given in (before, after)]
    some = None if weights is None else weights[both]
    return JudgeComparison(
        sample.raters[0],
        sample.raters[1],
        part,
        len(sample),
        int(both.sum()),
        int((~(asked[0] & asked[1])).sum()),
        int((both & (before == after)).sum()),
        counts,
        exact_mcnemar(counts[BETTER], counts[WORSE]),
        weighted_rate(rights[0][both], some, tasks[both]),
        weighted_rate(rights[1][both], some, tasks[both]),
        _difference(rights[0][both], rights[1][both], some, tasks[both]),
        _changes(study, sample, kinds),
    )


def _asked(study: Study, sample: GoldSample, column: int) -> Bools:
    """Tell of which items the judge was asked: not of those whose verdict was never asked for, or is still
    open, which is no outcome yet."""
    missing = sample.items[sample.votes[:, column] < 0].tolist()
    why = why_missing(study, sample.raters[column], missing)
    waiting = [item for item, reason in why.items() if reason in (NOT_ASKED, OPEN)]
    return ~np.isin(sample.items, waiting)


def _kinds(
    gold: Ints, before: Ints, after: Ints, asked: Bools
) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    kinds = np.full(len(gold), "", dtype=object)
    both = (before >= 0) & (after >= 0)
    kinds[both & (before == gold) & (after != gold)] = WORSE
    kinds[both & (before != gold) & (after == gold)] = BETTER
    kinds[both & (before != gold) & (after != gold) & (before != after)] = SIDEWAYS
    kinds[asked & (before >= 0) & (after < 0)] = LOST
    kinds[asked & (before < 0) & (after >= 0)] = GAINED
    return kinds


def _difference(first: Bools, second: Bools, weights: Floats | None, tasks: Ints) -> Coefficient:
    if not len(first):
        return Coefficient(None, undefined="there is no item with gold that both gave a label")
    worth = np.ones(len(first)) if weights is None else weights
    _, index = np.unique(tasks, return_inverse=True)
    change = worth * (second.astype(np.float64) - first)
    columns = [np.bincount(index, weights=column) for column in (change, worth)]
    sums = np.column_stack(columns).astype(np.float64)
    value = float(sums[:, 0].sum() / sums[:, 1].sum())
    try:
        interval = jackknife_interval(sums, _ratio)
    except Undefined as why:
        return Coefficient(value, undefined=str(why))
    return Coefficient(value, interval.low, interval.high)


def _ratio(sums: Floats) -> float:
    if sums[1] <= 0:
        raise Undefined("no weight is left")
    return float(sums[0] / sums[1])


def _changes(study: Study, sample: GoldSample, kinds: np.ndarray) -> tuple[LabelChange, ...]:
    """Return the items whose label changed, those for the worse first."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    places = sorted(np.flatnonzero(kinds != "").tolist(), key=lambda i: (order[str(kinds[i])], i))
    keys = item_keys([int(sample.items[i]) for i in places])
    names = group_names(study, "category") if places else {}
    return tuple(
        LabelChange(
            str(kinds[i]),
            keys[int(sample.items[i])],
            names[int(sample.groups["category"][i])],
            sample.labels[sample.gold[i]],
            *(sample.labels[given] if given >= 0 else None for given in sample.votes[i].tolist()),
        )
        for i in places
    )


def item_keys(items: list[int]) -> dict[int, str]:
    """Return the keys that pages know a few items by."""
    keys: dict[int, str] = {}
    for start in range(0, len(items), 500):
        chunk = items[start : start + 500]
        keys |= dict(Item.objects.filter(pk__in=chunk).values_list("pk", "key"))
    return keys

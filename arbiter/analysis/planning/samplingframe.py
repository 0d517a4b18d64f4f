"""What a plan of human labels begins from: the frame of a draw as counts, and what gold says so far."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from django.db.models import Count

from annotation.draws import JUDGED
from annotation.models import Draw, Label, Rater, Study
from annotation.raters import latest_raters
from arbiter.statistics import Undefined, alike_in_tasks
from judging.votes.counting import PATHS, Ints, VoteReader, group_names, merge_rows, scheme_labels, votes_of
from judging.votes.goldsample import GoldSample, gold_sample

Floats = npt.NDArray[np.float64]
PRIOR_WEIGHT = 2.0  # gold items that the prior of a number of target votes is worth
ALIKE, ALIKE_WEIGHT = 0.2, 30  # how alike gold of one task is assumed to be, and pairs of gold worth as much
POOL_WEIGHT = 5.0  # gold items that what all arms' gold says is worth beside an arm's own
IN_FILE = ("gold", "main")  # draws that the study file describes, those of experts first


@dataclass(frozen=True)
class FrameStratum:
    """A stratum of a draw; of a study without one, of the draw that the judges' votes would make."""

    name: str
    items: int
    probability: float | None = None
    drawn: int = 0
    labelled: int = 0


@dataclass(frozen=True, eq=False)
class FrameArm:
    """A cell that a rate is wanted for. A kind of item is its number of target votes."""

    name: str
    items: Ints  # (strata, kinds)
    tasks: Ints  # pks, ascending
    by_task: Ints  # (tasks, kinds)
    gold: Ints  # (kinds,) gold items
    rates: Floats  # (kinds,) what share is convergent, as far as known

    @property
    def total(self) -> int:
        return int(self.items.sum())


@dataclass(frozen=True, eq=False)
class SamplingFrame:
    draw: str  # its name; empty where there is none yet
    strata: tuple[FrameStratum, ...]
    arms: tuple[FrameArm, ...]
    kinds: int
    gold: int  # items with gold that count here
    alike: float  # how alike responses to one task are beyond their votes
    basis: tuple[str, ...]  # what the figures rest on, in sentences

    @property
    def sizes(self) -> Ints:
        return np.array([one.items for one in self.strata], dtype=np.int64)

    @property
    def labelled(self) -> Ints:
        return np.array([one.labelled for one in self.strata], dtype=np.int64)


def sampling_frame(study: Study, by: Sequence[str]) -> SamplingFrame:
    judges = [rater for rater in latest_raters(study) if rater.kind == Rater.Kind.JUDGE]
    sample = gold_sample(study, raters=judges)
    draw = _draw(study, sample)
    if draw and draw.name != sample.design.draw:
        sample = gold_sample(study, raters=judges, draw=draw)
    cells = _framed(study, draw, judges, by) if draw else _undrawn(study, judges, by)
    strata = _strata(sample, cells)
    known = _usable(sample)
    rates = _Rates(known, len(judges), by)
    arms = tuple(_arms(study, cells, by, strata, rates))
    alike, said_of_alike = _alike(known, rates)
    return SamplingFrame(
        draw.name if draw else "",
        strata,
        arms,
        len(judges) + 1,
        len(known),
        alike,
        tuple(_basis(sample, draw, len(judges), len(known), said_of_alike)),
    )


def _draw(study: Study, sample: GoldSample) -> Draw | None:
    """Return the draw that the gold came through, else the one it will come through."""
    draws = {draw.name: draw for draw in study.draws.all()}
    through = draws.get(sample.design.draw)
    return through or next((draws[name] for name in IN_FILE if name in draws), None)


@dataclass(frozen=True, eq=False)
class _Cells:
    """How many items of each arm, task, stratum and kind. `sizes`: of strata, control tasks included."""

    arm: Ints  # (n, words)
    task: Ints
    stratum: Ints
    kind: Ints
    count: Ints
    names: tuple[str, ...]
    sizes: tuple[int, ...]


def _framed(study: Study, draw: Draw, judges: Sequence[Rater], by: Sequence[str]) -> _Cells:
    sizes = dict(draw.framed.order_by().values_list("stratum").annotate(Count("pk")))
    order = [name for name in draw.strata.values_list("name", flat=True) if name in sizes]
    names = (*order, *sorted(set(sizes) - set(order)))
    place = {name: index for index, name in enumerate(names)}
    read = _targets(study, judges)
    fields = (f"item__{PATHS[word]}" for word in (*by, "task"))
    rows = draw.framed.filter(item__response__task__control=False).order_by()
    counted = rows.values_list("stratum", "item__votes", *fields).annotate(items_=Count("pk"))
    table = [
        (*arm, task, place[stratum], read(votes), count)
        for stratum, votes, *arm, task, count in counted.iterator(chunk_size=5000)
    ]
    return _cells(table, len(by), names, [sizes[name] for name in names])


def _undrawn(study: Study, judges: Sequence[Rater], by: Sequence[str]) -> _Cells:
    """Count items by the strata in which a draw by the judges' votes would place them."""
    votes = votes_of(study, (*by, "task"), raters=judges, control=False)
    targets = _target_mask(votes.labels)
    rows = [
        (*arm, task, int(not _of_one_mind(pattern)), int(targets[pattern[pattern >= 0]].sum()), count)
        for pattern, count, task, *arm in zip(
            votes.patterns,
            votes.counts.tolist(),
            votes.groups["task"].tolist(),
            *(votes.groups[word].tolist() for word in by),
            strict=True,
        )
    ]
    sizes = Counter[int]()
    for row in rows:
        sizes[row[-3]] += row[-1]
    return _cells(rows, len(by), ("unanimous", "split"), [sizes[0], sizes[1]])


def _of_one_mind(pattern: Ints) -> bool:
    labels = pattern[pattern >= 0]
    return len(labels) >= JUDGED and bool((labels == labels[0]).all())


def _cells(rows: Sequence[Sequence[int]], width: int, names: Sequence[str], sizes: Sequence[int]) -> _Cells:
    data = np.asarray(rows, dtype=np.int64).reshape(len(rows), width + 4)
    distinct, counts = merge_rows(data[:, :-1], data[:, -1])
    filled = [index for index, size in enumerate(sizes) if size]
    places = np.full(max(len(sizes), 1), -1)
    places[filled] = np.arange(len(filled))
    return _Cells(
        distinct[:, :width],
        distinct[:, width],
        places[distinct[:, width + 1]],
        distinct[:, width + 2],
        counts,
        tuple(names[index] for index in filled),
        tuple(sizes[index] for index in filled),
    )


def _targets(study: Study, judges: Sequence[Rater]) -> Callable[[str], int]:
    """Return a function that reads an item's kept votes and counts how many of the judges gave a target
    label."""
    labels = scheme_labels(study)
    read, mask = VoteReader(judges, labels), _target_mask(labels).tolist()
    return cache(lambda votes: sum(mask[place] for place in read(votes) if place >= 0))


def _target_mask(labels: Sequence[Label]) -> Ints:
    return np.array([label.role == Label.Role.TARGET for label in labels], dtype=np.int64)


def _strata(sample: GoldSample, cells: _Cells) -> tuple[FrameStratum, ...]:
    if sample.design.kind == "census":
        return tuple(
            FrameStratum(name, size, 1.0, size, size)
            for name, size in zip(cells.names, cells.sizes, strict=True)
        )
    known = {one.name: one for one in sample.design.strata}
    strata = []
    for name, size in zip(cells.names, cells.sizes, strict=True):
        one = known.get(name)
        strata.append(
            FrameStratum(name, size, one.probability, one.drawn, one.labelled)
            if one
            else FrameStratum(name, size)
        )
    return tuple(strata)


def _usable(sample: GoldSample) -> GoldSample:
    """Return the gold without control tasks, and without gold that nobody knows what it stands for."""
    return sample.part(~sample.control & (sample.design.kind != "unknown"))


class _Rates:
    """What share of each kind of item is convergent: a prior, what all gold says, and what an arm's own
    says."""

    def __init__(self, sample: GoldSample, judges: int, by: Sequence[str]) -> None:
        targets = _target_mask(sample.labels)
        self.kind = np.where(sample.votes >= 0, targets[sample.votes], 0).sum(axis=1)
        self.hit = targets[sample.gold] if len(sample) else np.zeros(0, dtype=np.int64)
        self.task = sample.groups["task"]
        self.arm = [tuple(row) for row in zip(*(sample.groups[word].tolist() for word in by), strict=True)]
        self.kinds = judges + 1
        prior = (np.arange(self.kinds) + 0.5) / (judges + 1)
        weight = sample.weight / sample.weight.mean() if len(sample) else sample.weight
        hits, seen = (np.bincount(self.kind, one, self.kinds) for one in (weight * self.hit, weight))
        self.pooled: Floats = (hits + PRIOR_WEIGHT * prior) / (seen + PRIOR_WEIGHT)

    def of(self, arm: tuple[int, ...]) -> tuple[Ints, Floats]:
        """Return the arm's gold items of each kind, and the rates."""
        own = np.array([one == arm for one in self.arm], dtype=bool)
        seen = np.bincount(self.kind[own], minlength=self.kinds)
        hits = np.bincount(self.kind[own], self.hit[own], self.kinds)
        return seen, (hits + POOL_WEIGHT * self.pooled) / (seen + POOL_WEIGHT)


def _arms(
    study: Study, cells: _Cells, by: Sequence[str], strata: Sequence[FrameStratum], rates: _Rates
) -> Iterator[FrameArm]:
    names = {word: group_names(study, word) for word in by}
    by_arm = {key: np.array(places) for key, places in _places(cells.arm).items()}
    titled = {key: ", ".join(names[word][pk] for word, pk in zip(by, key, strict=True)) for key in by_arm}
    for key in sorted(by_arm, key=lambda one: titled[one]):
        rows = by_arm[key]
        count, kind = cells.count[rows], cells.kind[rows]
        items = np.zeros((len(strata), rates.kinds), dtype=np.int64)
        np.add.at(items, (cells.stratum[rows], kind), count)
        tasks, place = np.unique(cells.task[rows], return_inverse=True)
        by_task = np.zeros((tasks.size, rates.kinds), dtype=np.int64)
        np.add.at(by_task, (place, kind), count)
        yield FrameArm(titled[key], items, tasks, by_task, *rates.of(key))


def _places(keys: Ints) -> dict[tuple[int, ...], list[int]]:
    places: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, key in enumerate(keys.tolist()):
        places[tuple(key)].append(index)
    return places


def _alike(sample: GoldSample, rates: _Rates) -> tuple[float, str]:
    """Return how alike gold of one task is beyond its votes, and a sentence on that or on what is assumed
    where there is too little to say."""
    together: dict[tuple[object, int], list[int]] = defaultdict(list)
    for index, (arm, task) in enumerate(zip(rates.arm, rates.task.tolist(), strict=True)):
        together[arm, task].append(index)
    groups = [np.array(one) for one in together.values() if len(one) > 1]
    expected = rates.pooled[rates.kind] if len(sample) else np.zeros(0)
    pairs = sum(len(one) * (len(one) - 1) // 2 for one in groups)
    try:
        alike = alike_in_tasks(
            [rates.hit[one] - expected[one] for one in groups],
            [np.sqrt(expected[one] * (1 - expected[one])) for one in groups],
        )
    except Undefined:
        return ALIKE, (
            f"Gold labels of one task are assumed to correlate by {ALIKE:g} beyond what their votes say: it "
            f"takes 30 pairs of gold in one task to tell, and there are {pairs}."
        )
    alike = (pairs * alike + ALIKE_WEIGHT * ALIKE) / (pairs + ALIKE_WEIGHT)
    return (
        alike,
        f"Gold labels of one task correlate by {alike:.2f} beyond what their votes say ({pairs:,} pairs).",
    )


def _basis(sample: GoldSample, draw: Draw | None, judges: int, gold: int, alike: str) -> Iterator[str]:
    if draw is None:
        yield "Nothing is drawn for people yet; this plans a draw by the judges' votes, split and unanimous."
    if sample.design.refusal and gold:
        yield f"The gold there is can't be used for rates as it stands: {sample.design.refusal}"
    elif sample.design.kind == "unknown" and len(sample):
        yield "The gold there is came through no draw, so it is left out here."
    if not gold:
        yield (
            (
                f"No gold yet: of items that j of {judges} judges call convergent, (j + 1/2) / {judges + 1} "
                "are assumed to be."
            )
            if judges
            else (
                "Neither judges nor gold yet: half of the items are assumed to be convergent, the worst case."
            )
        )
    else:
        yield (
            f"From {gold:,} gold labels; an arm's own count beside {POOL_WEIGHT:g} labels' worth of what all "
            f"arms' say, and that beside {PRIOR_WEIGHT:g} labels' worth of (j + 1/2) / {judges + 1} for j "
            "target votes."
        )
        yield alike

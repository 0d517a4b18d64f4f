"""Gold labels with how they came to be a sample:
what calibration, settlement and corrected rates are estimated from.

A sample is that of one draw. Its items are served in the order of their random numbers, so those labelled so
far are a random sample of each stratum, and each stands for as many items as the stratum has for every
labelled one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import Count, F, Q

from annotation.draws import ACCEPTED_FRAME
from annotation.models import Draw, Gold, Label, Rater, Study
from annotation.raters import latest_raters
from arbiter.core.text import how_many
from judging.votes.counting import PATHS, Ints, VoteReader, scheme_labels
from judging.votes.goldsplit import is_sealed, split_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
ALL = "all"
FIELDS = ("item", "label", "origin", "draw", "item__votes", "item__response__task__control")
PROMOTED = (Gold.Origin.CONSENSUS, Gold.Origin.ADJUDICATED)


@dataclass(frozen=True)
class StratumSize:
    """A stratum of the draw: the items it could have drawn, has drawn, and has gold of."""

    name: str
    items: int
    probability: float
    drawn: int
    labelled: int


@dataclass(frozen=True)
class Design:
    """How the gold was drawn. `refusal` says, where it is not empty, why no rate can be estimated from it."""

    kind: str  # census, draw or unknown
    draw: str = ""
    refusal: str = ""
    caution: str = ""
    strata: tuple[StratumSize, ...] = ()
    outside: int = 0  # items with gold that the draw did not draw, which are left out

    @property
    def waiting(self) -> int:
        """Return how many items are drawn, and without gold so far."""
        return sum(one.drawn - one.labelled for one in self.strata)


@dataclass(frozen=True)
class GoldSample:
    """One element for each item with gold, in the order of items.
    Arrays are of shape (n,) but for `votes`."""

    raters: tuple[Rater, ...]
    labels: tuple[Label, ...]
    items: Ints
    gold: Ints  # place of the label
    votes: Ints  # (n, raters), place of the label or -1
    groups: dict[str, Ints]  # task, category, subject, condition: pks
    control: Bools
    stratum: npt.NDArray[np.object_]
    probability: Floats  # of the item to be drawn; NaN where unknown
    weight: Floats  # items it stands for; NaN where unknown
    sealed: Bools  # lies in the sealed part of the gold split
    single: Bools  # rests on one person's word, as far as is known
    design: Design

    def __len__(self) -> int:
        return len(self.items)

    def part(self, mask: Bools) -> "GoldSample":
        """Return some of the sample's items; the design stays that of all."""
        arrays = {
            name: getattr(self, name)[mask]
            for name in (
                "items",
                "gold",
                "votes",
                "control",
                "stratum",
                "probability",
                "weight",
                "sealed",
                "single",
            )
        }
        groups = {word: keys[mask] for word, keys in self.groups.items()}
        return replace(self, groups=groups, **arrays)


def gold_sample(
    study: Study, *, raters: Sequence[Rater] | None = None, draw: Draw | None = None
) -> GoldSample:
    """Read the study's gold as a sample of the draw it came through: of the one with most gold, unless named.

    Gold on every item of the study is a census. Gold that came through no draw says nothing about other
    items: its weights are unknown and `design.refusal` says so.
    """
    chosen = tuple(latest_raters(study) if raters is None else raters)
    labels = scheme_labels(study)
    rows = list(
        Gold.objects.current_in(study)
        .filter(label__scheme=study.scheme_id)
        .order_by("item")
        .values_list(*FIELDS, *(f"item__{path}" for path in PATHS.values()))
    )
    if draw is None and len(rows) < study.items.count():
        draw = _main_draw(study, rows)
    placed = _placed(draw) if draw else {}
    kept = [row for row in rows if not draw or row[0] in placed]
    design = _design(study, draw, rows, kept)
    sample = _sample(chosen, labels, kept, design)
    sample = _weighted(sample, placed) if draw else sample
    return replace(sample, sealed=_sealed(study, sample.groups["task"]))


def _main_draw(study: Study, rows: Sequence[Any]) -> Draw | None:
    through = Counter(row[3] for row in rows if row[3])
    for pk, plan in study.draws.filter(pk__in=list(through)).values_list("pk", "plan"):
        if plan.get("frame") == ACCEPTED_FRAME["frame"]:  # an audit's frame is not the study's items
            del through[pk]
    if not through:
        return None
    most = max(through, key=lambda pk: (through[pk], -pk))
    return study.draws.get(pk=most)


def _placed(draw: Draw) -> dict[int, tuple[str, float]]:
    """Return stratum and probability by drawn item."""
    rows = draw.framed.drawn().order_by().values_list("item", "stratum", "probability")
    return {item: (stratum, probability) for item, stratum, probability in rows.iterator(chunk_size=5000)}


def _design(study: Study, draw: Draw | None, rows: Sequence[Any], kept: Sequence[Any]) -> Design:
    if not rows:
        return Design("unknown", refusal="No item has gold yet; draw some for experts, or import it.")
    if draw is None:
        if len(rows) == study.items.count():
            return Design("census")
        return Design(
            "unknown",
            refusal=(
                "The gold came through no draw, so nobody knows which items it stands for; draw gold in "
                "the study file (humans.gold), and rates can be estimated from that."
            ),
        )
    strata = _strata(draw, [row[0] for row in kept])
    return Design(
        "draw",
        draw.name,
        refusal=_selective(draw, kept) or _uncovered(strata),
        caution=_contested(draw),
        strata=strata,
        outside=len(rows) - len(kept),
    )


def _strata(draw: Draw, labelled: Sequence[int]) -> tuple[StratumSize, ...]:
    counted = (
        draw.framed.order_by()
        .values_list("stratum")
        .annotate(Count("pk"), drawn=Count("pk", filter=Q(number__lt=F("probability"))))
    )
    sizes = {stratum: (items, drawn) for stratum, items, drawn in counted}
    stratum_of = dict(draw.framed.drawn().order_by().values_list("item", "stratum"))
    with_gold = Counter(stratum_of[item] for item in labelled)
    probabilities = dict(draw.strata.values_list("name", "probability"))
    order = [*probabilities, *sorted(set(sizes) - set(probabilities))]
    return tuple(
        StratumSize(name, sizes[name][0], probabilities.get(name, 1.0), sizes[name][1], with_gold[name])
        for name in order
        if name in sizes
    )


def _selective(draw: Draw, kept: Sequence[Any]) -> str:
    """Say that gold was promoted from some of what raters finished, which is easier, or harder, than the
    rest; empty where it was not."""
    promoted = [row for row in kept if row[2] in PROMOTED and row[3] == draw.pk]
    if draw.purpose != Draw.Purpose.SLOT or not promoted:
        return ""
    finished = draw.framed.drawn().filter(item__human_votes__gte=draw.raters_per_item)
    with_gold = {row[0] for row in kept}
    missing = sum(item not in with_gold for item in finished.values_list("item", flat=True))
    if not missing:
        return ""
    return (
        f"Of draw {draw.name!r}, {how_many(missing, 'item')} that raters have finished got no gold, so "
        "what has it is easier or harder than they are; adjudicate the disputed ones and promote both "
        "consensus and adjudication, or have experts write gold."
    )


def _uncovered(strata: Sequence[StratumSize]) -> str:
    bare = [one for one in strata if one.items and not one.labelled]
    if not bare:
        return ""
    return (
        f"No item of the stratum {bare[0].name!r} ({how_many(bare[0].items, 'item')}) has gold yet, so "
        "nothing is known about it; label some of it first."
    )


def _contested(draw: Draw) -> str:
    last = Gold.objects.filter(item__study=draw.study, draw=draw, origin=Gold.Origin.WITHDRAWN)
    count = (
        last.exclude(item__in=Gold.objects.current_in(draw.study).values("item"))
        .values("item")
        .distinct()
        .count()
    )
    if not count:
        return ""
    items = "1 drawn item has" if count == 1 else f"{count} drawn items have"
    return (
        f"{items} no gold because its experts differ; they are harder than average, and left out until "
        "somebody decides."
    )


def _sample(
    raters: tuple[Rater, ...], labels: tuple[Label, ...], rows: Sequence[Any], design: Design
) -> GoldSample:
    place = {label.pk: index for index, label in enumerate(labels)}
    read, n = VoteReader(raters, labels), len(rows)
    groups = {
        word: np.asarray([row[len(FIELDS) + column] for row in rows], dtype=np.int64)
        for column, word in enumerate(PATHS)
    }
    weight = np.full(n, 1.0 if design.kind == "census" else np.nan)
    votes = np.asarray([read(row[4]) for row in rows], dtype=np.int64).reshape(n, len(raters))
    return GoldSample(
        raters,
        labels,
        items=np.asarray([row[0] for row in rows], dtype=np.int64),
        gold=np.asarray([place[row[1]] for row in rows], dtype=np.int64),
        votes=votes,
        groups=groups,
        control=np.asarray([row[5] for row in rows], dtype=bool),
        stratum=np.full(n, ALL, dtype=object),
        probability=weight.copy(),
        weight=weight,
        sealed=np.zeros(n, dtype=bool),
        single=np.asarray([row[2] in (Gold.Origin.SINGLE, Gold.Origin.IMPORTED) for row in rows], dtype=bool),
        design=design,
    )


def _weighted(sample: GoldSample, placed: dict[int, tuple[str, float]]) -> GoldSample:
    worth = {one.name: one.items / one.labelled for one in sample.design.strata if one.labelled}
    places = [placed[item] for item in sample.items.tolist()]
    return replace(
        sample,
        stratum=np.asarray([stratum for stratum, _ in places], dtype=object),
        probability=np.asarray([probability for _, probability in places], dtype=np.float64),
        weight=np.asarray([worth[stratum] for stratum, _ in places], dtype=np.float64),
    )


def _sealed(study: Study, tasks: Ints) -> Bools:
    split = split_of(study)
    return np.asarray([is_sealed(split, task) for task in tasks.tolist()], dtype=bool)

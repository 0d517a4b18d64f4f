"""Draws: samples of a study's items for people.

A draw has strata, each with an inclusion probability above 0. Every item of the frame gets its stratum once,
and a permanent random number; it is drawn where the number is below the stratum's probability. So raising a
probability draws more and undraws nobody, and each item's probability stays known, whatever judges and raters
say later.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Exists, Max, OuterRef, QuerySet

from annotation.humanplan import NO_CHANCE, DrawSpec, WhereSpec
from annotation.itemvotes import lock
from annotation.models import Assignment, Draw, DrawnItem, Item, Stratum, Study
from arbiter.core.batching import pages
from arbiter.core.bulkinsert import insert
from arbiter.core.errors import UserError
from arbiter.core.naming import among
from arbiter.core.text import digest

Step = Callable[[], None]
Held = dict[str, dict[str, int]]  # by draw and stratum: the items that lie in it
Strata = Sequence[tuple[str, WhereSpec, float]]
STEP = 500  # items
JUDGED = 2  # votes it takes to say whether judges are of one mind
MOST_RATERS = 100
COLLISIONS = 5
LONGEST_NAME = 120  # of a stratum; a category's title may be longer
ACCEPTED_FRAME = {
    "frame": "accepted"
}  # the plan of a draw among what was settled; its frame is not all items


def permanent_number(seed: int, item: Item) -> float:
    """Return the item's place in [0, 1), made from the seed and what the item is, so that any machine draws
    the same sample."""
    response = item.response
    run = response.run
    parts = (
        str(seed),
        str(run.suite),
        run.subject.name,
        run.condition.content_hash,
        run.name,
        response.task.key,
        str(response.epoch),
    )
    return (int(digest(*parts)[:16], 16) >> 11) / 2**53


# Plans


@dataclass(frozen=True)
class Waiting:
    """Why a draw was not made yet."""

    reason: str


@transaction.atomic
def plan_draw(
    study: Study, spec: DrawSpec, *, name: str = "main", purpose: str = Draw.Purpose.SLOT, now: bool = False
) -> Draw | Waiting:
    """Make the study's draw of that name, or grow it: thresholds and the raters an item needs only rise.

    A plan whose strata depend on judges is first drawn when every item has two judges' votes; `now` draws all
    the same, and counts items with fewer among those on which judges split. Once drawn, it grows at once;
    items that are not judged yet join later.
    """
    one_at_a_time(study)
    rules = rules_of(study, spec, name)
    draw = Draw.objects.filter(study=study, name=name).first()
    if draw is None and not now and (reason := waits_for(study, spec, name=name)):
        return Waiting(reason)
    if draw is None:
        draw = Draw.objects.create(
            study=study,
            name=name,
            purpose=purpose,
            frame="every item of the study",
            seed=spec.seed,
            raters_per_item=spec.per_item,
        )
    _refuse_shrinking(draw, spec)
    draw.raters_per_item = spec.per_item
    draw.plan = spec.model_dump(mode="json", include=set(DrawSpec.model_fields))
    draw.save()
    held = _sizes(draw)
    _set_rules(draw, rules, ordered=not spec.by)
    _frame(draw, unjudged=now or not spec.needs_judges())
    _set_thresholds(draw, spec, {name: probability for name, _, probability in rules}, held)
    _add_slots(draw)
    return draw


def one_at_a_time(study: Study) -> None:
    """Lock the study's row until the transaction ends. Two who draw at once would both make the draw, or
    frame an item twice. SQLite has one writer at a time anyway."""
    if connection.features.has_select_for_update:
        list(Study.objects.select_for_update(no_key=True).filter(pk=study.pk).values_list("pk"))


def waits_for(study: Study, spec: DrawSpec, draw: Draw | None = None, name: str = "main") -> str:
    """Return what the plan waits for, in a sentence; empty where it waits for nothing."""
    if not spec.needs_judges():
        return ""
    unjudged = study.items.filter(judge_votes__lt=JUDGED)
    if draw:  # what was drawn "now" keeps its stratum
        unjudged = unjudged.filter(~Exists(DrawnItem.objects.filter(draw=draw, item=OuterRef("pk"))))
    count = unjudged.count()
    if not count:
        return ""
    items = "1 item has" if count == 1 else f"{count} items have"
    return (
        f"{items} fewer than two judges' votes, and the strata of {_key(name)} are made of them: "
        f"let the judges finish, then run `manage.py study draw {study.slug}`."
    )


def _key(name: str) -> str:
    """Return where the study file describes the draw of that name."""
    return "humans" if name == "main" else f"humans.{name}"


def rules_of(study: Study, spec: DrawSpec, name: str = "main") -> list[tuple[str, WhereSpec, float]]:
    """Return the plan's strata in order, each with its rule and probability. Of `disagreement` the
    probabilities come later."""
    plan = spec.chosen()
    if plan == "disagreement":
        return [("split", WhereSpec(judges="split"), 1.0), ("unanimous", WhereSpec(), 1.0)]
    if plan == "strata" and spec.by:
        return _rules_by(study, spec, _key(name))
    if plan == "strata":
        return [(one.name, one.where, one.probability) for one in spec.strata]
    return [("all", WhereSpec(), 1.0 if spec.share is None else spec.share)]


def _rules_by(study: Study, spec: DrawSpec, key: str) -> list[tuple[str, WhereSpec, float]]:
    fields = {
        "category": ("response__task__category__title", "categories"),
        "condition": ("response__run__condition__name", "conditions"),
    }
    if spec.by == "judges":
        rules = [("split", WhereSpec(judges="split")), ("unanimous", WhereSpec(judges="unanimous"))]
    else:
        path, field = fields[str(spec.by)]
        names_there = sorted(set(study.items.order_by().values_list(path, flat=True).distinct()))
        rules = [(name, WhereSpec.model_validate({field: [name]})) for name in names_there]
    names = {name for name, _ in rules}
    if strange := set(spec.probabilities) - names - {"default"}:
        raise UserError(
            f"{key}.probabilities: there is no {spec.by} {sorted(strange)[0]!r} in the study; there are "
            f"{', '.join(sorted(names)) or 'none yet'}."
        )
    default = spec.probabilities.get("default")
    for name, _ in rules:
        if name not in spec.probabilities and default is None:
            raise _no_probability(key, name)
    return [
        (name[:LONGEST_NAME], where, spec.probabilities.get(name, default or 1.0)) for name, where in rules
    ]


def _no_probability(key: str, name: str) -> UserError:
    return UserError(
        f"{key}.probabilities: {name!r} has none, and without one no rate can be estimated; give it a number "
        "above 0, or a default."
    )


def _set_rules(draw: Draw, rules: Sequence[tuple[str, WhereSpec, float]], *, ordered: bool) -> None:
    """Make the strata there are none of yet. Once items lie in them, they can't change: neither their rules
    nor, where an item belongs to the first it fits (`ordered`), what stands before them."""
    dumped = {name: where.model_dump(exclude_defaults=True) for name, where, _ in rules}
    before = list(draw.strata.order_by("position"))
    held = set(_sizes(draw))
    last = max((place for place, one in enumerate(before, start=1) if one.name in held), default=0)
    for place, (stratum, name) in enumerate(zip_longest(before[:last], list(dumped)[:last])):
        moved = ordered and name != stratum.name
        if moved or (stratum.name in held and dumped.get(stratum.name) != stratum.rule):
            raise UserError(
                f"{_key(draw.name)}: items lie in the stratum {_first(before[place:], held)!r}; "
                "strata and their order can't change once items lie in them: "
                "only their probabilities can rise, and other strata can follow."
            )
        if ordered and dumped[stratum.name] != stratum.rule:
            raise UserError(
                f"{_key(draw.name)}: the stratum {stratum.name!r} stands before "
                f"{_first(before[place:], held)!r}, in which items lie, so it can't change: "
                "it would take from it."
            )
    draw.strata.exclude(name__in=dumped).delete()
    for position, (name, _, probability) in enumerate(rules, start=1):
        draw.strata.update_or_create(
            name=name,
            defaults={"position": position, "rule": dumped[name]},
            create_defaults={"position": position, "rule": dumped[name], "probability": probability},
        )


def _first(strata: Sequence[Stratum], held: set[str]) -> str:
    return next(one.name for one in strata if one.name in held)


def _set_thresholds(draw: Draw, spec: DrawSpec, wanted: dict[str, float], held: dict[str, int]) -> None:
    """Set each stratum's probability, which only rises once items lie in it (`held`), and those of its items.
    One made of a budget never falls: as more items come, the same budget would thin out what has been
    drawn."""
    computed = spec.chosen() == "disagreement"
    if computed:
        wanted = budgeted(_sizes(draw), spec.budget or 0, spec.split_share)
    for stratum in draw.strata.all():
        probability = wanted[stratum.name]
        if stratum.name in held and probability < stratum.probability:
            if not computed:
                raise UserError(_shrinks(draw, stratum, probability))
            probability = stratum.probability
        draw.framed.filter(stratum=stratum.name).exclude(probability=probability).update(
            probability=probability
        )
        Stratum.objects.filter(pk=stratum.pk).update(probability=probability)


def _shrinks(draw: Draw, stratum: Stratum, wanted: float) -> str:
    key = _key(draw.name)
    which = f"{key}.share" if stratum.name == "all" else f"{key}: the probability of stratum {stratum.name!r}"
    return (
        f"{which} can only grow: the draw has {stratum.probability:g}, the file says {wanted:g}; "
        "items already handed out can't be taken back."
    )


def budgeted(sizes: dict[str, int], budget: int, split_share: float) -> dict[str, float]:
    """Return the inclusion probabilities of both strata that spend `budget` items, in expectation, the given
    share of them on items where judges split. What one stratum can't use the other gets. Both stay above 0:
    an empty stratum has 1."""
    split, rest = sizes.get("split", 0), sizes.get("unanimous", 0)
    for_split = min(split, budget * split_share)
    for_rest = min(rest, budget - for_split)
    for_split = min(split, budget - for_rest)
    return {
        "split": for_split / split if split else 1.0,
        "unanimous": for_rest / rest if rest else 1.0,
    }


def _sizes(draw: Draw) -> dict[str, int]:
    return dict(draw.framed.order_by().values_list("stratum").annotate(Count("pk")))


def _refuse_shrinking(draw: Draw, spec: DrawSpec) -> None:
    if spec.per_item < draw.raters_per_item:
        raise UserError(
            f"{_key(draw.name)}.per_item can only grow: the draw has {draw.raters_per_item:g}, the file says "
            f"{spec.per_item:g}; items already handed out can't be taken back."
        )
    if spec.seed != draw.seed:
        raise UserError(
            f"{_key(draw.name)}.seed can't change once items are drawn: the draw has {draw.seed}, the file "
            f"says {spec.seed}."
        )


# The frame and its slots


@transaction.atomic
def extend_draws(study: Study) -> None:
    """Draw among items that came later, by the same rules and thresholds, and make the slots that are
    missing."""
    one_at_a_time(study)
    for step in extension_steps(study):
        step()


def held_by(study: Study) -> Held:
    """Return what lies in the strata of the study's draws."""
    return {draw.name: _sizes(draw) for draw in study.draws.all()}


def extension_steps(study: Study, held: Held | None = None) -> Iterator[Step]:
    """Yield what extends a study's draws, in steps that may each be a transaction of its own; what was cut
    off between two of them is gone on with by the next extension. Slots are made in the order they are served
    in, so that what is labelled meanwhile is a random sample too.

    Whoever goes on after being cut off gives what was `held` before the first step: a stratum that was empty
    then may still get a lower probability. Steps write there what has got its probability since.
    """
    held = held_by(study) if held is None else held
    for draw in study.draws.all():
        if draw.plan.get("frame") == ACCEPTED_FRAME["frame"]:
            continue
        spec = _plan_of(draw)
        if spec.by in ("category", "condition"):  # there may be new ones
            yield partial(_set_rules, draw, rules_of(study, spec, draw.name), ordered=False)
        yield from _framing(draw, unjudged=not spec.needs_judges())
        if spec.chosen() == "disagreement":  # a stratum that was empty takes its part of the budget
            yield partial(_spend_anew, draw, spec, held)
        yield from _slots_missing(draw)


def _spend_anew(draw: Draw, spec: DrawSpec, held: Held) -> None:
    _set_thresholds(draw, spec, {}, held.get(draw.name, {}))
    held[draw.name] = _sizes(draw)


def _plan_of(draw: Draw) -> DrawSpec:
    known = {key: draw.plan[key] for key in DrawSpec.model_fields if key in draw.plan}
    return DrawSpec.model_validate(known)


def refuse_undrawable(draw: Draw, item: Item) -> None:
    """Refuse an item that is to come to the study where its draw could not take it into any stratum."""
    if draw.plan.get("frame") == ACCEPTED_FRAME["frame"]:
        return
    spec = _plan_of(draw)
    if spec.by in ("category", "condition"):
        response = item.response
        title = response.task.category.title if spec.by == "category" else response.run.condition.name
        if title not in spec.probabilities and spec.probabilities.get("default") is None:
            raise _no_probability(_key(draw.name), title)
    elif item.judge_votes >= JUDGED or not spec.needs_judges():  # others join once they are judged
        _stratum_of(draw, item, _strata(draw))


def _frame(draw: Draw, *, unjudged: bool) -> None:
    """Give every item that is not in the frame yet its stratum and number. Those not judged stay out where
    that decides."""
    for step in _framing(draw, unjudged=unjudged):
        step()


def _framing(draw: Draw, *, unjudged: bool) -> Iterator[Step]:
    strata = _strata(draw)
    missing = _unframed(draw, draw.study.items.all())
    if not unjudged:
        missing = missing.filter(judge_votes__gte=JUDGED)
    for page in pages(missing, STEP):
        yield partial(_frame_these, draw, missing, page, strata)


def _frame_these(draw: Draw, missing: QuerySet[Item], page: Sequence[int], strata: Strata) -> None:
    one_at_a_time(draw.study)  # somebody may have drawn since the page was read
    insert([_drawn(draw, item, strata) for item in missing.filter(pk__in=page).order_by("pk")])


def _strata(draw: Draw) -> Strata:
    return [(one.name, WhereSpec.model_validate(one.rule), one.probability) for one in draw.strata.all()]


def _unframed(draw: Draw, items: QuerySet[Item]) -> QuerySet[Item]:
    """Return those of the items that are not in the draw's frame yet, with what numbers and strata are made
    of."""
    missing = items.filter(~Exists(DrawnItem.objects.filter(draw=draw, item=OuterRef("pk"))))
    rows = missing.select_related(
        "response__run__suite",
        "response__run__subject",
        "response__run__condition",
        "response__task__category",
    )
    return rows.defer("votes", "response__text", "response__reasoning", "response__task__text")


def _drawn(draw: Draw, item: Item, strata: Strata) -> DrawnItem:
    number = permanent_number(draw.seed, item)
    name, probability = _stratum_of(draw, item, strata)
    return DrawnItem(draw=draw, item=item, stratum=name, number=number, probability=probability)


def _stratum_of(draw: Draw, item: Item, strata: Strata) -> tuple[str, float]:
    for name, where, probability in strata:
        if _meets(item, where):
            return name, probability
    raise UserError(
        f"{_key(draw.name)}.strata: item {item.key} ({item.response.task.category.title}, "
        f"{item.response.run}) falls in no stratum, so it could never be drawn "
        f"and {NO_CHANCE}; give a last stratum without a where."
    )


def _meets(item: Item, where: WhereSpec) -> bool:
    split = item.judges_split or item.judge_votes < JUDGED
    run, task = item.response.run, item.response.task
    return (
        (where.judges is None or split == (where.judges == "split"))
        and (not where.subjects or among(run.subject.name, where.subjects))
        and (not where.conditions or among(run.condition.name, where.conditions))
        and (not where.categories or among(task.category.title, where.categories))
        and (not where.languages or among(task.language, where.languages))
    )


def _add_slots(draw: Draw) -> None:
    for step in _slots_missing(draw):
        step()


def _slots_missing(draw: Draw) -> Iterator[Step]:
    """Yield what makes the slots that are missing, in the order of their numbers. Their keys are read once:
    there is no index by number."""
    for slot in range(1, draw.raters_per_item + 1):
        taken = Assignment.objects.filter(item=OuterRef("item"), purpose=draw.purpose, slot=slot)
        missing = draw.framed.drawn().filter(~Exists(taken)).order_by("number")
        keys = array("q", missing.values_list("pk", flat=True).iterator(chunk_size=5000))
        for start in range(0, len(keys), STEP):
            yield partial(_add_these_slots, draw, slot, keys[start : start + STEP])


def _add_these_slots(draw: Draw, slot: int, page: Sequence[int]) -> None:
    # Whoever asks for more at this moment may make the very same slot: then it is there.
    drawn = draw.framed.filter(pk__in=page).order_by("number")
    Assignment.objects.bulk_create(
        [empty_slot(draw.study_id, one.item_id, draw.purpose, slot, one.number) for one in drawn],
        ignore_conflicts=True,
    )


# A draw among what was settled: its strata are named by whoever draws, and its items get places beside those
# they have


def raise_share(draw: Draw, stratum: str, share: float) -> None:
    """Raise the stratum's probability, or make the stratum with it, and give items that this draws their
    place. A probability that would fall stays."""
    made, new = draw.strata.get_or_create(
        name=stratum, defaults={"position": draw.strata.count() + 1, "probability": share}
    )
    if new or share <= made.probability:
        return
    risen = draw.framed.filter(stratum=stratum, number__gte=made.probability, number__lt=share)
    places = list(risen.values_list("item", "number"))
    draw.framed.filter(stratum=stratum).update(probability=share)
    draw.strata.filter(pk=made.pk).update(probability=share)
    _add_places(draw, places)


def frame_more(draw: Draw, items: QuerySet[Item], stratum: str) -> None:
    """Take items that are not in the frame yet into a stratum, and give those drawn their place. To be called
    in a transaction."""
    probability = draw.strata.get(name=stratum).probability
    for batch in _pages(_unframed(draw, items)):
        made = [
            DrawnItem(
                draw=draw,
                item=item,
                stratum=stratum,
                number=permanent_number(draw.seed, item),
                probability=probability,
            )
            for item in batch
        ]
        insert(made)
        _add_places(draw, [(one.item_id, one.number) for one in made if one.number < probability])


def _add_places(draw: Draw, places: Sequence[tuple[int, float]]) -> None:
    """Add one more place on each item. They are locked, so that whoever asks for more raters at this moment
    waits."""
    for start in range(0, len(places), 1000):
        part = dict(places[start : start + 1000])
        lock(part)
        taken = Assignment.objects.filter(item__in=part).slots(draw.purpose).order_by()
        last = dict(taken.values_list("item").annotate(Max("slot")))
        insert(
            [
                empty_slot(draw.study_id, item, draw.purpose, last.get(item, 0) + 1, number)
                for item, number in part.items()
            ]
        )


def empty_slot(study_id: int, item_id: int, purpose: str, slot: int, number: float) -> Assignment:
    return Assignment(study_id=study_id, item_id=item_id, purpose=purpose, slot=slot, number=number)


def ask_for_more(item: Item, extra: int, *, purpose: str = Draw.Purpose.SLOT) -> int:
    """Add slots to an item, beside those it has; returns how many there are now. Two who ask at once add
    twice.

    The item is locked first, so the second sees the first's slots. A draw that grows meanwhile doesn't take
    the lock and may make a slot of the same number; then the numbers are read again.
    """
    if not 1 <= extra <= MOST_RATERS:
        raise UserError(f"Between 1 and {MOST_RATERS} more raters can be asked for, not {extra}.")
    for _ in range(COLLISIONS):
        try:
            with transaction.atomic():
                lock([item.pk])
                return _add_more(item, extra, purpose)
        except IntegrityError:
            continue
    raise UserError("Others are asking for more raters of this item at this moment; try again.")


def _add_more(item: Item, extra: int, purpose: str) -> int:
    slots = item.assignments.slots(purpose)
    last = slots.aggregate(last=Max("slot"))["last"] or 0
    drawn = item.drawn.filter(draw__purpose=purpose).first()
    number = drawn.number if drawn else 0.0
    Assignment.objects.bulk_create(
        empty_slot(item.study_id, item.pk, purpose, last + n, number) for n in range(1, extra + 1)
    )
    return last + extra


def _pages(queryset: QuerySet[Any], size: int = 1000) -> Iterator[list[Any]]:
    """Yield the rows in pages by key, so that rows written meanwhile don't shift them."""
    last = 0
    while batch := list(queryset.filter(pk__gt=last).order_by("pk")[:size]):
        yield batch
        last = batch[-1].pk


def slot_counts(study: Study) -> dict[str, int]:
    """Count the study's slots, those filled, and the drawn items. The slots are counted along one index, by
    state: places with this purpose are slots, all of them."""
    slots = Assignment.objects.filter(study=study, purpose=Draw.Purpose.SLOT).order_by()
    states = dict(slots.values_list("state").annotate(Count("pk")))
    drawn = DrawnItem.objects.drawn().filter(draw__study=study, draw__purpose=Draw.Purpose.SLOT)
    return {
        "slots": sum(states.values()),
        "filled": states.get(Assignment.State.DONE, 0),
        "drawn": drawn.count(),
    }

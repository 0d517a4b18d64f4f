"""Gold that comes otherwise than from an expert's own label: imported from a file, or promoted from what
raters agreed on or adjudicators decided.

Every way in goes through `write`, which adds revisions and changes none. A gold label says through which draw
it came, or that it came through none: an estimator that needs a design looks there (docs/gold.md).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, QuerySet

from annotation.itemvotes import lock, voices
from annotation.models import (
    Adjudication,
    Assignment,
    Draw,
    DrawnItem,
    Gold,
    Item,
    Label,
    PlacePurpose,
    Rater,
    Study,
)
from arbiter.core.batching import pages
from arbiter.core.countcache import remembered
from arbiter.core.errors import UserError
from benchmark.importunderway import without_later_imports

Origin = Gold.Origin
AT_ONCE = 500
COUNTED_FOR = 30  # seconds
SOURCES = ("consensus", "adjudication")
DISPUTED = ("tie", "split", "unsure")  # what settling leaves to people, of those there are votes for


@dataclass(frozen=True, kw_only=True)
class GoldEntry:
    """A gold label to be written, unless the item's says the same already."""

    item: int
    label: int
    origin: str
    draw: int | None = None
    author: int | None = None
    rationale: str = ""
    evidence: Sequence[Any] = field(default_factory=list)
    from_file: bool = False
    any_origin: bool = (
        False  # comes without a draw and an origin of its own: gold that says the same says it already
    )

    def said_by(self, gold: Gold) -> bool:
        if (gold.label_id, gold.rationale) != (self.label, self.rationale):
            return False
        if self.any_origin:
            return gold.origin != Origin.WITHDRAWN
        return (gold.origin, gold.draw_id) == (self.origin, self.draw)


@dataclass
class GoldCount:
    written: int = 0
    unchanged: int = 0
    kept: int = 0  # stronger gold that stays
    withdrawn: int = 0


def of_experts(gold: Gold) -> bool:
    """Tell whether gold was written in the workspace, by one expert or by several of one mind; or withdrawn,
    as they came to differ."""
    if gold.from_file:
        return False
    drawn_for = gold.draw.purpose if gold.draw else ""
    return gold.origin == Origin.SINGLE or (
        gold.origin in (Origin.CONSENSUS, Origin.WITHDRAWN) and drawn_for == Draw.Purpose.GOLD
    )


def by_people(gold: Gold) -> bool:
    """Tell whether an expert or an adjudicator decided this gold here: no file takes its place."""
    return of_experts(gold) or (gold.origin == Origin.ADJUDICATED and not gold.from_file)


@transaction.atomic
def write(wanted: Sequence[GoldEntry], may_follow: Callable[[Gold], bool], count: GoldCount) -> list[int]:
    """Add a revision for each item whose gold says something else and may be followed by another; returns the
    items that keep theirs. The items are locked as they are for ratings, so that gold from several sides gets
    its numbers one after the other."""
    lock(one.item for one in wanted)
    golds = Gold.objects.filter(item__in=[one.item for one in wanted]).select_related("draw")
    before: dict[int, list[Gold]] = defaultdict(list)
    for gold in golds.history():
        before[gold.item_id].append(gold)
    new, kept = [], []
    for one in wanted:
        last = before[one.item][-1] if before[one.item] else None
        if last and one.said_by(last):
            count.unchanged += 1
        elif last and (_kept_from_file(one, before[one.item]) or not may_follow(last)):
            kept.append(one.item)
        else:
            new.append(_row(one, last.revision + 1 if last else 1))
    Gold.objects.bulk_create(new)
    count.written += len(new)
    count.kept += len(kept)
    return kept


def _kept_from_file(one: GoldEntry, before: Sequence[Gold]) -> bool:
    """Tell whether a file must leave an item's gold as it is: people decided it, or something else has come
    after the very label that the file brings again. Repeating an import brings nothing back."""
    if not one.from_file or before[-1].from_file:
        return False
    files = [gold for gold in before if gold.from_file]
    return by_people(before[-1]) or bool(files and one.said_by(files[-1]))


def _row(one: GoldEntry, revision: int) -> Gold:
    return Gold(
        item_id=one.item,
        label_id=one.label,
        revision=revision,
        origin=one.origin,
        draw_id=one.draw,
        author_id=one.author,
        rationale=one.rationale,
        evidence=list(one.evidence),
        from_file=one.from_file,
    )


# Promotion


def promote(study: Study, source: str, *, minimum: int = 2, replace: bool = False) -> dict[str, Any]:
    """Make gold of what raters agree on, or of what adjudicators decided. Expert and imported gold stays
    unless `replace`.

    Works through the items a page at a time, each page in its own transaction; stopped half-way, the next
    call goes on.
    """
    if source not in SOURCES:
        raise UserError(f"Gold can be promoted from {' or '.join(SOURCES)}, not from {source!r}.")
    items = without_later_imports(study.items.all(), study.pk)
    count = GoldCount()
    if source == "consensus":
        _promote_consensus(items, minimum, replace, count)
    else:
        _promote_adjudications(study, replace, count)
    return {"study": study.slug, "from": source, **vars(count)}


def agreed(items: QuerySet[Item], minimum: int) -> QuerySet[Item]:
    """Return those on which at least so many people gave one and the same label, none of whose places is
    still open."""
    waiting = Assignment.objects.filter(item=OuterRef("pk")).slots(PlacePurpose.SLOT).unfinished()
    return items.filter(~Exists(waiting), human_votes__gte=minimum, humans_split=False)


def _promote_consensus(items: QuerySet[Item], minimum: int, replace: bool, count: GoldCount) -> None:
    def may_follow(gold: Gold) -> bool:
        ours = gold.origin in (Origin.CONSENSUS, Origin.WITHDRAWN) and not gold.from_file
        return replace or (ours and not of_experts(gold))

    for page in pages(agreed(items, minimum), AT_ONCE):
        with transaction.atomic():
            lock(page)
            votes, draws = voices(page), _draws(page)
            people = {
                item: {vote.label for vote in votes.get(item, ()) if vote.kind == Rater.Kind.HUMAN}
                for item in page
            }
            wanted = [
                GoldEntry(item=item, label=labels.pop(), origin=Origin.CONSENSUS, draw=draws.get(item))
                for item, labels in people.items()
                if len(labels) == 1  # one of them may have changed their mind since we looked
            ]
            write(wanted, may_follow, count)
    for page in pages(_broken(items), AT_ONCE):
        count.withdrawn += sum(withdraw(item) for item in page)


def _broken(items: QuerySet[Item]) -> QuerySet[Item]:
    """Return those whose gold is a consensus of raters who have come to differ."""
    held = Gold.objects.newest().filter(item=OuterRef("pk"), origin=Origin.CONSENSUS, from_file=False)
    return items.filter(Exists(held.exclude(draw__purpose=Draw.Purpose.GOLD)), humans_split=True)


@transaction.atomic
def withdraw(item: int) -> bool:
    """End an item's gold by a revision of its own: what it was stays to be seen, and nothing counts as its
    gold any more."""
    lock([item])
    last = Gold.objects.filter(item=item).history().last()
    if last is None or last.origin == Origin.WITHDRAWN:
        return False
    ended = GoldEntry(item=item, label=last.label_id, origin=Origin.WITHDRAWN, draw=last.draw_id)
    write([ended], lambda _: True, GoldCount())
    return True


def _draws(items: Sequence[int]) -> dict[int, int]:
    """Return, by item, the raters' draw that it was drawn by."""
    drawn = DrawnItem.objects.drawn().filter(item__in=items, draw__purpose=Draw.Purpose.SLOT)
    return dict(drawn.order_by("-draw").values_list("item", "draw"))


def _promote_adjudications(study: Study, replace: bool, count: GoldCount) -> None:
    """Write gold of adjudicators' decisions. Adjudicators see what people differed on, which is no random
    part of a draw. Only where each such item of a draw has been decided does their gold complete it, and is
    the draw named."""

    def may_follow(gold: Gold) -> bool:
        kept = of_experts(gold) or gold.from_file or gold.origin == Origin.IMPORTED
        return replace or gold.origin == Origin.WITHDRAWN or not kept

    whole = {
        draw.pk for draw in study.draws.filter(purpose=Draw.Purpose.SLOT) if not undecided(draw).exists()
    }
    decisions = Adjudication.objects.filter(item__study=study).newest()
    for page in pages(decisions, AT_ONCE):
        page_decisions = list(Adjudication.objects.filter(pk__in=page))
        draws = _draws([one.item_id for one in page_decisions])
        wanted = [
            GoldEntry(
                item=one.item_id,
                label=one.label_id,
                origin=Origin.ADJUDICATED,
                author=one.adjudicator_id,
                draw=draws.get(one.item_id) if draws.get(one.item_id) in whole else None,
                rationale=one.reason,
            )
            for one in page_decisions
        ]
        write(wanted, may_follow, count)


def undecided(draw: Draw) -> QuerySet[DrawnItem]:
    """Return what was drawn, is disputed, and has no adjudicator's decision."""
    decided = Adjudication.objects.filter(item=OuterRef("item"))
    disputed = Q(item__humans_split=True) | Q(item__final_rule__in=DISPUTED)
    return DrawnItem.objects.drawn().filter(disputed, ~Exists(decided), draw=draw)


# Counts


def gold_counts(study: Study) -> dict[str, list[dict[str, Any]]]:
    """Return `gold_rows` and `coverage`, counted once a while or when there is more gold."""
    last = Gold.objects.order_by("-pk").values_list("pk", flat=True).first()
    return remembered(
        f"gold:{study.pk}:{last}",
        lambda: {"rows": gold_rows(study), "coverage": coverage(study)},
        seconds=COUNTED_FOR,
    )


def gold_rows(study: Study) -> list[dict[str, Any]]:
    """Count the items that have gold, by its origin, the draw it came through, the item's stratum there, and
    the label."""
    golds = Gold.objects.current_in(study).annotate(
        place=FilteredRelation("item__drawn", condition=Q(item__drawn__draw=F("draw")))
    )
    draws = dict(study.draws.values_list("pk", "name"))
    rows = list(
        golds.order_by().values_list("origin", "draw", "place__stratum", "label").annotate(Count("pk"))
    )
    labels = Label.objects.in_bulk({row[3] for row in rows})
    counts = [
        {
            "origin": origin,
            "draw": draws.get(draw),
            "stratum": stratum,
            "label": labels[label].key,
            "items": count,
        }
        for origin, draw, stratum, label, count in sorted(rows, key=lambda row: labels[row[3]].position)
    ]
    return sorted(counts, key=lambda row: (row["origin"], row["draw"] or "", row["stratum"] or ""))


def coverage(study: Study) -> list[dict[str, Any]]:
    """Count what each draw drew, by stratum: how many items, and how many of them have gold, whichever way it
    came."""
    draws = dict(study.draws.values_list("pk", "name"))
    drawn = DrawnItem.objects.drawn().filter(draw__in=draws)
    totals = drawn.order_by().values_list("draw", "stratum").annotate(Count("pk"))
    golds = Gold.objects.current_in(study).filter(item__drawn__number__lt=F("item__drawn__probability"))
    rows = golds.order_by().values_list("item__drawn__draw", "item__drawn__stratum").annotate(Count("pk"))
    with_gold = {(draw, stratum): count for draw, stratum, count in rows}
    return [
        {"draw": draws[draw], "stratum": stratum, "drawn": count, "gold": with_gold.get((draw, stratum), 0)}
        for draw, stratum, count in sorted(totals)
    ]


def gold_page(study: Study, after: int, size: int) -> list[Gold]:
    """Return so many gold labels with their items, in the order of items, from an item's key on."""
    golds = Gold.objects.current_in(study).filter(item__gt=after)
    return list(golds.select_related("item", "label", "draw", "author").order_by("item")[:size])

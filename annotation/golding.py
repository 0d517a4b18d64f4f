"""Gold that comes otherwise than from an expert's own label: imported from a file, or promoted from what raters agreed on or
adjudicators decided.

Every way in goes through `write`, which adds revisions and changes none. A gold label says through which draw it came, or
that it came through none: an estimator that needs a design looks there (docs/gold.md).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, QuerySet

from annotation.keeping import lock
from annotation.models import (
    Adjudication,
    Assignment,
    Draw,
    DrawnItem,
    Gold,
    Item,
    Label,
    Purpose,
    Rater,
    Rating,
    Study,
    newest,
)
from benchmark.batching import pages
from benchmark.errors import UserError
from benchmark.remembering import remembered

Origin = Gold.Origin
AT_ONCE = 500
COUNTED_FOR = 30  # seconds
SOURCES = ("consensus", "adjudication")
DISPUTED = ("tie", "split", "unsure")  # what settling leaves to people, of those there are votes for


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A gold label to be written, unless the item's says the same already."""

    item: int
    label: int
    origin: str
    draw: int | None = None
    author: int | None = None
    rationale: str = ""
    evidence: Sequence[Any] = field(default_factory=list)

    def said_by(self, gold: Gold) -> bool:
        return (gold.label_id, gold.origin, gold.draw_id, gold.rationale) == (
            self.label, self.origin, self.draw, self.rationale
        )  # fmt: skip


@dataclass
class Written:
    written: int = 0
    unchanged: int = 0
    kept: int = 0  # stronger gold that stays
    withdrawn: int = 0


def of_experts(gold: Gold) -> bool:
    """Written in the workspace, by one expert or by several of one mind; or withdrawn, as they came to differ."""
    drawn_for = gold.draw.purpose if gold.draw else ""
    return gold.origin == Origin.SINGLE or (
        gold.origin in (Origin.CONSENSUS, Origin.WITHDRAWN) and drawn_for == Draw.Purpose.GOLD
    )


@transaction.atomic
def write(wanted: Sequence[Wanted], may_follow: Callable[[Gold], bool], count: Written) -> None:
    """Add a revision for each item whose gold says something else and may be followed by another. The items are locked as
    they are for ratings, so that gold from several sides gets its numbers one after the other."""
    lock(one.item for one in wanted)
    golds = Gold.objects.filter(item__in=[one.item for one in wanted]).select_related("draw")
    before = {gold.item_id: gold for gold in golds.order_by("revision")}
    new = []
    for one in wanted:
        last = before.get(one.item)
        if last and one.said_by(last):
            count.unchanged += 1
        elif last and not may_follow(last):
            count.kept += 1
        else:
            new.append(_row(one, last.revision + 1 if last else 1))
    Gold.objects.bulk_create(new)
    count.written += len(new)


def _row(one: Wanted, revision: int) -> Gold:
    return Gold(
        item_id=one.item, label_id=one.label, revision=revision, origin=one.origin, draw_id=one.draw,
        author_id=one.author, rationale=one.rationale, evidence=list(one.evidence),
    )  # fmt: skip


# Promotion


def promote(study: Study, source: str, *, minimum: int = 2, replace: bool = False) -> dict[str, Any]:
    """Make gold of what raters agree on, or of what adjudicators decided. Expert and imported gold stays unless `replace`.

    Works through the items a page at a time, each page in its own transaction; stopped half-way, the next call goes on.
    """
    if source not in SOURCES:
        raise UserError(f"Gold can be promoted from {' or '.join(SOURCES)}, not from {source!r}.")
    count = Written()
    if source == "consensus":
        _promote_consensus(study, minimum, replace, count)
    else:
        _promote_adjudications(study, replace, count)
    return {"study": study.slug, "from": source, **vars(count)}


def agreed(study: Study, minimum: int) -> QuerySet[Item]:
    """Items on which at least so many people gave one and the same label, none of whose places is still open."""
    waiting = Assignment.objects.filter(item=OuterRef("pk"), purpose=Purpose.SLOT, slot__isnull=False)
    return study.items.filter(
        ~Exists(waiting.exclude(state=Assignment.State.DONE)), human_votes__gte=minimum, humans_split=False
    )


def _promote_consensus(study: Study, minimum: int, replace: bool, count: Written) -> None:
    def may_follow(gold: Gold) -> bool:
        return replace or (gold.origin in (Origin.CONSENSUS, Origin.WITHDRAWN) and not of_experts(gold))

    for page in pages(agreed(study, minimum), AT_ONCE):
        with transaction.atomic():
            lock(page)
            labels, draws = _votes(page), _draws(page)
            wanted = [
                Wanted(item=item, label=labels[item].pop(), origin=Origin.CONSENSUS, draw=draws.get(item))
                for item in page
                if len(labels[item]) == 1  # one of them may have changed their mind since we looked
            ]
            write(wanted, may_follow, count)
    for page in pages(_broken(study), AT_ONCE):
        count.withdrawn += sum(withdraw(item) for item in page)


def _broken(study: Study) -> QuerySet[Item]:
    """Items whose gold is a consensus of raters who have come to differ."""
    held = newest(Gold.objects.filter(item=OuterRef("pk"), origin=Origin.CONSENSUS))
    return study.items.filter(Exists(held.exclude(draw__purpose=Draw.Purpose.GOLD)), humans_split=True)


@transaction.atomic
def withdraw(item: int) -> bool:
    """End an item's gold by a revision of its own: what it was stays to be seen, and nothing counts as its gold any more."""
    lock([item])
    last = Gold.objects.filter(item=item).order_by("-revision").first()
    if last is None or last.origin == Origin.WITHDRAWN:
        return False
    Gold.objects.create(
        item_id=item, label_id=last.label_id, revision=last.revision + 1, origin=Origin.WITHDRAWN,
        draw_id=last.draw_id,
    )  # fmt: skip
    return True


def _votes(items: Sequence[int]) -> dict[int, set[int]]:
    """The labels that people's current votes give each item."""
    found = Rating.objects.filter(item__in=items, question="", purpose=Purpose.SLOT, ordinal=0)
    rows = found.filter(rater__kind=Rater.Kind.HUMAN).order_by("revision")
    last = {
        (item, rater): (label, surplus)
        for item, rater, label, surplus in rows.values_list("item", "rater", "label", "surplus")
    }
    labels: dict[int, set[int]] = defaultdict(set)
    for (item, _), (label, surplus) in last.items():
        if not surplus:
            labels[item].add(label)
    return labels


def _draws(items: Sequence[int]) -> dict[int, int]:
    """The raters' draw each item was drawn by."""
    drawn = DrawnItem.objects.drawn().filter(item__in=items, draw__purpose=Draw.Purpose.SLOT)
    return dict(drawn.order_by("-draw").values_list("item", "draw"))


def _promote_adjudications(study: Study, replace: bool, count: Written) -> None:
    """Adjudicators see what people differed on, which is no random part of a draw. Only where each such item of a draw has
    been decided does their gold complete it, and is the draw named."""

    def may_follow(gold: Gold) -> bool:
        kept = of_experts(gold) or gold.origin == Origin.IMPORTED
        return replace or gold.origin == Origin.WITHDRAWN or not kept

    whole = {
        draw.pk for draw in study.draws.filter(purpose=Draw.Purpose.SLOT) if not undecided(draw).exists()
    }
    decisions = newest(Adjudication.objects.filter(item__study=study))
    for page in pages(decisions, AT_ONCE):
        found = list(Adjudication.objects.filter(pk__in=page))
        draws = _draws([one.item_id for one in found])
        wanted = [
            Wanted(
                item=one.item_id, label=one.label_id, origin=Origin.ADJUDICATED, author=one.adjudicator_id,
                draw=draws.get(one.item_id) if draws.get(one.item_id) in whole else None, rationale=one.reason,
            )
            for one in found
        ]  # fmt: skip
        write(wanted, may_follow, count)


def undecided(draw: Draw) -> QuerySet[DrawnItem]:
    """What was drawn, is disputed, and has no adjudicator's decision."""
    decided = Adjudication.objects.filter(item=OuterRef("item"))
    disputed = Q(item__humans_split=True) | Q(item__final_rule__in=DISPUTED)
    return DrawnItem.objects.drawn().filter(disputed, ~Exists(decided), draw=draw)


# Counts


def current(study: Study) -> QuerySet[Gold]:
    """Each item's gold, without what was withdrawn; written so that many can be counted at once."""
    later = Gold.objects.filter(item=OuterRef("item"), revision__gt=OuterRef("revision"))
    return Gold.objects.filter(~Exists(later), item__study=study).exclude(origin=Origin.WITHDRAWN)


def counted(study: Study) -> dict[str, list[dict[str, Any]]]:
    """`gold_rows` and `coverage`, counted once a while or when there is more gold."""
    last = Gold.objects.order_by("-pk").values_list("pk", flat=True).first()
    return remembered(
        f"gold:{study.pk}:{last}",
        lambda: {"rows": gold_rows(study), "coverage": coverage(study)},
        seconds=COUNTED_FOR,
    )


def gold_rows(study: Study) -> list[dict[str, Any]]:
    """How many items have gold, by its origin, the draw it came through, the item's stratum there, and the label."""
    golds = current(study).annotate(
        place=FilteredRelation("item__drawn", condition=Q(item__drawn__draw=F("draw")))
    )
    draws = dict(study.draws.values_list("pk", "name"))
    rows = list(
        golds.order_by().values_list("origin", "draw", "place__stratum", "label").annotate(Count("pk"))
    )
    labels = Label.objects.in_bulk({row[3] for row in rows})
    found = [
        {
            "origin": origin, "draw": draws.get(draw), "stratum": stratum, "label": labels[label].key, "items": count,
        }
        for origin, draw, stratum, label, count in sorted(rows, key=lambda row: labels[row[3]].position)
    ]  # fmt: skip
    return sorted(found, key=lambda row: (row["origin"], row["draw"] or "", row["stratum"] or ""))


def coverage(study: Study) -> list[dict[str, Any]]:
    """Of what each draw drew, by stratum: how many items, and how many of them have gold, whichever way it came."""
    draws = dict(study.draws.values_list("pk", "name"))
    drawn = DrawnItem.objects.drawn().filter(draw__in=draws)
    totals = drawn.order_by().values_list("draw", "stratum").annotate(Count("pk"))
    golds = current(study).filter(item__drawn__number__lt=F("item__drawn__probability"))
    rows = golds.order_by().values_list("item__drawn__draw", "item__drawn__stratum").annotate(Count("pk"))
    with_gold = {(draw, stratum): count for draw, stratum, count in rows}
    return [
        {"draw": draws[draw], "stratum": stratum, "drawn": count, "gold": with_gold.get((draw, stratum), 0)}
        for draw, stratum, count in sorted(totals)
    ]


def listed(study: Study, after: int, size: int) -> list[Gold]:
    """Items with gold in order, from a key on."""
    golds = current(study).filter(item__gt=after)
    return list(golds.select_related("item", "label", "draw", "author").order_by("item")[:size])

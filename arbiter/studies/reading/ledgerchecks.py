"""Whether the ledger is whole: what is guarded, counted, kept and hashed says one and the same.

It reads all there is, a page of items at a time. What others write meanwhile is no fault: what seems to
differ is looked at once more with its items locked.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Count, Exists, F, Max, Min, Model, OuterRef, Q

from annotation.itemvotes import differing, lock
from annotation.models import Item
from arbiter.core import guards
from arbiter.core.appendonly import AppendOnly
from arbiter.core.batching import pages
from arbiter.core.models import Purge
from arbiter.core.revisions import Revised
from judging.models import Settlement, Verdict
from judging.settlement.settledinputs import deciders_of, ever_said
from judging.settlement.settling import finals_differing

PAGE = 500
FIRST = 20  # faults of a kind that are named; all of them are counted up to here
REBUILD = "rebuildkeys writes them anew"


@dataclass(frozen=True)
class LedgerFault:
    """Something about the ledger that can't be: which check found it, where, and what is wrong."""

    check: str
    where: str
    what: str


def check_ledger() -> dict[str, Any]:
    """Run every check; return whether the ledger is sound, and the first faults of each kind."""
    found = {name: list(islice(check(), FIRST)) for name, check in CHECKS.items()}
    faults = [asdict(fault) for of_kind in found.values() for fault in of_kind]
    return {
        "sound": not faults,
        "checks": {name: "ok" if not of_kind else _more(of_kind) for name, of_kind in found.items()},
        "faults": faults,
    }


def _more(faults: Sequence[LedgerFault]) -> str:
    return f"{len(faults)} or more faults" if len(faults) == FIRST else f"{len(faults)} faults"


# The database's own guard


def unguarded() -> Iterator[LedgerFault]:
    """Find tables whose rows could be changed, and a door left open."""
    for table in guards.missing():
        yield LedgerFault("guards", table, f"its rows could be changed or deleted; {guards.ADVICE}")
    for purge in Purge.objects.filter(open=True):
        yield LedgerFault("guards", str(purge), "the door for deletion was left open")


# Revisions


def gaps() -> Iterator[LedgerFault]:
    """Find places whose revisions don't go from 1 to their count."""
    for model in guarded(Revised):
        place = model.PLACE
        counted = (
            model._base_manager.order_by()
            .values(*place)
            .annotate(count=Count("pk"), first=Min("revision"), last=Max("revision"))
        )
        for row in counted.exclude(first=1, last=F("count")).iterator():
            where = ", ".join(f"{name} {row[name]}" for name in place if row[name] not in ("", None))
            what = f"has {row['count']} revisions, numbered {row['first']} to {row['last']}"
            yield LedgerFault("revisions", f"{model._meta.verbose_name} of {where}", what)


def guarded(base: Any) -> list[Any]:
    return [model for model in apps.get_models() if issubclass(model, base)]


# What items keep


def stale_items() -> Iterator[LedgerFault]:
    """Find items that keep other votes than their ratings say, or another label than their newest
    settlement's."""
    for check, what in (
        (differing, f"keeps other votes than its ratings say; {REBUILD}"),
        (finals_differing, f"keeps something else than its newest settlement says; {REBUILD}"),
    ):
        for page in pages(Item.objects.all(), PAGE):
            for item in _surely(check, page):
                yield LedgerFault("votes", f"item {item.key} of {item.study.slug}", what)


def _surely(check: Callable[[Sequence[int]], list[int]], page: Sequence[int]) -> list[Item]:
    """Return the items that a check still finds while nobody can write on them."""
    seeming = check(page)
    if not seeming:
        return []
    with transaction.atomic():
        lock(sorted(seeming))
        return list(Item.objects.filter(pk__in=check(seeming)).select_related("study"))


# Settlements


def changed_inputs() -> Iterator[LedgerFault]:
    """Find settlements whose hash is of no votes, gold and decision that they can have been made from."""
    for page in pages(Item.objects.exclude(final_rule=""), PAGE):
        said = ever_said(page)
        settlements = Settlement.objects.filter(item__in=page).select_related("version", "item__study")
        for one in settlements.order_by("item", "revision"):
            if deciders_of(one, said[one.item_id]) is None:
                where = f"settlement {one.revision} of item {one.item.key} of {one.item.study.slug}"
                yield LedgerFault("settlements", where, "is not what its hash was made from")


# Orphans


def orphans() -> Iterator[LedgerFault]:
    """Find rows of the ledger that name a row which is not there, and verdicts with another's rating."""
    for model in guarded(AppendOnly):
        for field in model._meta.concrete_fields:
            if field.is_relation:
                yield from _without_parent(model, field)
    elsewhere = ~Q(rating__item=F("item")) | ~Q(rating__rater=F("study_judge__judge__rater"))
    for verdict in Verdict.objects.filter(elsewhere, rating__isnull=False).iterator():
        yield LedgerFault("orphans", f"verdict {verdict.pk}", "names a rating of another item or judge")


def _without_parent(model: type[Model], field: Any) -> Iterator[LedgerFault]:
    parent = field.related_model._base_manager.filter(pk=OuterRef(field.attname))
    lost = model._base_manager.filter(~Exists(parent), **{f"{field.name}__isnull": False})
    for pk in lost.order_by().values_list("pk", flat=True).iterator():
        yield LedgerFault("orphans", f"{model._meta.verbose_name} {pk}", f"names a {field.name} that is gone")


CHECKS: dict[str, Callable[[], Iterator[LedgerFault]]] = {
    "guards": unguarded,
    "revisions": gaps,
    "votes": stale_items,
    "settlements": changed_inputs,
    "orphans": orphans,
}

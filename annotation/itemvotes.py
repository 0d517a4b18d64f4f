"""Keeps on each item what its ratings and settlements say, so that pages group and filter items instead of
ratings.

Written with the ratings, in their transaction; `rebuild` writes it all anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import connection, transaction

from annotation.models import Item, Rater, Rating, Study
from annotation.votes import PLACE, latest, packed
from arbiter.core.batching import pages
from arbiter.core.statements import changed_rows, column_names, columns, placeholders, rows


class Voice(NamedTuple):
    """A vote with who gave it, of what kind."""

    rater: int
    label: int
    surplus: bool
    kind: str
    name: str
    version: int


VOICES = f"""
    SELECT {columns(Rating, "g", ["item", "rater", "label", "surplus"])},
        {columns(Rater, "r", ["kind", "name", "version"])}
    FROM annotation_rating g JOIN annotation_rater r ON r.id = g.rater_id
    WHERE g.item_id IN ({{items}}) AND {{place}}
    ORDER BY g.revision
"""  # noqa: S608


def voices(items: Sequence[int]) -> dict[int, list[Voice]]:
    """Return the votes on some items in the order of raters, those that `Rating.objects.votes()` has.

    Asked with every label, and so written out: of one item in a study of 50,000 with 300,000 ratings this
    took 0.06 ms on SQLite and 0.3 on PostgreSQL, by Django 0.5 and 0.9, and with `votes()` 1.2 and 1.4.
    """
    place = " AND ".join(f"g.{name} = %s" for name in PLACE)
    by_item: dict[int, dict[int, Voice]] = defaultdict(dict)
    statement = VOICES.format(items=placeholders(items), place=place)
    for item, *voice in rows(statement, [*items, *PLACE.values()]) if items else ():
        by_item[item][voice[0]] = Voice(*voice)
    return {
        item: [voice for _, voice in sorted(by_rater.items()) if not voice.surplus]
        for item, by_rater in by_item.items()
    }


class KeptVotes(NamedTuple):
    """What an item keeps of its votes, in the fields of these names."""

    votes: str
    human_votes: int
    judge_votes: int
    humans_split: bool
    judges_split: bool


# Both are asked with every label, and so written out; see `arbiter.core.statements`. Of many items, an
# `update` for each took 160 ms for 500 instead of 22 on SQLite and 200 instead of 35 on PostgreSQL, and
# `bulk_update`, whose one statement is a CASE a field, 1,100 and 450.
LOCK = "SELECT id FROM annotation_item WHERE id IN ({places}) ORDER BY id FOR NO KEY UPDATE"
_COLUMNS = column_names(Item)
_SET = ", ".join(f"{_COLUMNS[name]} = %s" for name in KeptVotes._fields)
UPDATE = f"UPDATE annotation_item SET {_SET} WHERE id = %s"  # noqa: S608


def lock(item_ids: Iterable[int]) -> None:
    """Lock the items until the transaction ends, before their ratings are written: of two writers the second
    then counts what the first wrote. In one order for everybody, else two would wait for each other. SQLite
    has one writer at a time anyway."""
    ids = list(item_ids)
    if ids and connection.features.has_select_for_update:
        rows(LOCK.format(places=placeholders(ids)), ids)


def keep_votes(item_ids: Sequence[int]) -> None:
    """Bring the items' kept votes up to date."""
    if not item_ids:
        return
    votes = voices(item_ids)
    values = [(*_kept(votes.get(pk, [])), pk) for pk in item_ids]
    if len(values) == 1:  # of one row, psycopg would make a pipeline
        changed_rows(UPDATE, values[0])
        return
    with connection.cursor() as cursor:
        cursor.executemany(UPDATE, values)


def first_votes(given: Iterable[tuple[Rater, int]]) -> KeptVotes:
    """Return what an item keeps of its first votes, each a rater and a label's key, of a rater the last."""
    said = {
        rater.pk: Voice(rater.pk, label, False, rater.kind, rater.name, rater.version)
        for rater, label in given
    }
    return _kept([said[rater] for rater in sorted(said)])


def _kept(votes: Sequence[Voice]) -> KeptVotes:
    people = [vote.label for vote in votes if vote.kind == Rater.Kind.HUMAN]
    judges = latest(
        [vote for vote in votes if vote.kind == Rater.Kind.JUDGE], lambda vote: (vote.name, vote.version)
    )
    key = packed((vote.rater, vote.label) for vote in votes)
    judged = {vote.label for vote in judges}
    return KeptVotes(key, len(people), len(judges), len(set(people)) > 1, len(judged) > 1)


def differing(item_ids: Sequence[int]) -> list[int]:
    """Return those of some items that keep other votes than their ratings say."""
    votes = voices(item_ids)
    there = Item.objects.filter(pk__in=item_ids).values_list("pk", *KeptVotes._fields)
    return [pk for pk, *fields in there if KeptVotes(*fields) != _kept(votes.get(pk, []))]


def rebuild(study: Study) -> int:
    """Keep all anew, a page of items at a time; returns how many items."""
    count = 0
    for ids in pages(study.items.all(), 500):
        with transaction.atomic():
            lock(ids)
            keep_votes(ids)
        count += len(ids)
    return count

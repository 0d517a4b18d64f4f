"""Keeps on each item what its ratings and settlements say, so that pages group and filter items instead of ratings.

Written with the ratings, in their transaction; `rebuild` writes it all anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import connection, transaction

from annotation.models import Purpose, Rater, Study
from benchmark.batching import pages
from benchmark.statements import changed, places, rows

KEPT = ("votes", "human_votes", "judge_votes", "humans_split", "judges_split")
UPDATE = f"UPDATE annotation_item SET {', '.join(f'{name} = %s' for name in KEPT)} WHERE id = %s"  # noqa: S608
VOTES = """
    SELECT g.item_id, g.rater_id, g.label_id, g.surplus, r.kind, r.name, r.version
    FROM annotation_rating g JOIN annotation_rater r ON r.id = g.rater_id
    WHERE g.item_id IN ({places}) AND g.question = '' AND g.purpose = %s AND g.ordinal = 0
    ORDER BY g.revision
"""
LOCK = "SELECT id FROM annotation_item WHERE id IN ({places}) ORDER BY id FOR NO KEY UPDATE"
Kept = tuple[str, int, int, bool, bool]


class Vote(NamedTuple):
    label: int
    surplus: bool
    kind: str
    name: str
    version: int


def lock(item_ids: Iterable[int]) -> None:
    """Before their ratings are written: of two writers the second then counts what the first wrote. In one order for
    everybody, else two would wait for each other. SQLite has one writer at a time anyway."""
    ids = list(item_ids)
    if ids and connection.features.has_select_for_update:
        rows(LOCK.format(places=places(ids)), ids)


def keep_votes(item_ids: Sequence[int]) -> None:
    """Bring the items' kept votes up to date."""
    if not item_ids:
        return
    latest: dict[int, dict[int, Vote]] = defaultdict(dict)
    for item, rater, *vote in rows(VOTES.format(places=places(item_ids)), [*item_ids, Purpose.SLOT]):
        latest[item][rater] = Vote(*vote)
    kept = [(*_kept(latest[pk]), pk) for pk in item_ids]
    if len(kept) == 1:  # of one row, psycopg would make a pipeline
        changed(UPDATE, kept[0])
        return
    with connection.cursor() as cursor:  # bulk_update would put all values into one statement's CASEs
        cursor.executemany(UPDATE, kept)


def _kept(latest: dict[int, Vote]) -> Kept:
    votes = {rater: vote for rater, vote in sorted(latest.items()) if not vote.surplus}
    humans = [vote.label for vote in votes.values() if vote.kind == Rater.Kind.HUMAN]
    judges: dict[str, tuple[int, int]] = {}
    for vote in votes.values():
        if vote.kind == Rater.Kind.JUDGE:
            judges[vote.name] = max(judges.get(vote.name, (0, 0)), (vote.version, vote.label))
    key = " ".join(f"{rater}:{vote.label}" for rater, vote in votes.items())
    judged = {label for _, label in judges.values()}
    return key, len(humans), len(judges), len(set(humans)) > 1, len(judged) > 1


def rebuild(study: Study) -> int:
    """Keep all anew, a page of items at a time; returns how many items."""
    count = 0
    for ids in pages(study.items.all(), 500):
        with transaction.atomic():
            lock(ids)
            keep_votes(ids)
        count += len(ids)
    return count

"""Responses that are there already, by their places."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from arbiter.core.batching import even_parts
from arbiter.core.statements import columns, rows
from benchmark.models import Response

Meta = dict[str, Any]
Place = tuple[int, int, int]  # run, task, epoch
AT_ONCE = 500  # places a statement
FIELDS = ("id", "run", "task", "epoch", "content_hash", "escaped", "imported_in")


class StoredResponse(NamedTuple):
    """A response that is there, without its texts."""

    pk: int
    run: int
    task: int
    epoch: int
    content_hash: str
    escaped: bool
    imported_in: int | None


# Three conditions IN (...) would name the whole cross product, and one of rows SQLite answers by reading all.
THERE = f"""
    WITH place (run, task, epoch) AS (VALUES {{places}})
    SELECT {columns(Response, "r", FIELDS)} FROM place
    JOIN benchmark_response r ON (r.run_id, r.task_id, r.epoch) = (place.run, place.task, place.epoch)
"""  # noqa: S608


def stored_at(places: Sequence[Place]) -> dict[Place, StoredResponse]:
    """Return the responses in these places."""
    found: dict[Place, StoredResponse] = {}
    for part in even_parts(places, AT_ONCE):
        statement = THERE.format(places=", ".join(["(%s, %s, %s)"] * len(part)))
        for row in rows(statement, [value for place in part for value in place]):
            found[row[1:4]] = StoredResponse(*row)
    return found


def meta_of(keys: Sequence[int]) -> dict[int, Meta]:
    """Return what is said beside responses, by key."""
    said: dict[int, Meta] = {}
    for start in range(0, len(keys), AT_ONCE):
        part = Response.objects.filter(pk__in=keys[start : start + AT_ONCE])
        said |= dict(part.values_list("pk", "meta"))
    return said

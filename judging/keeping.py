"""What takes long to work out, kept until something it may depend on has changed."""

from collections.abc import Callable
from time import monotonic
from typing import TypeVar, cast

from django.core.cache import cache
from django.db import connection

from annotation.models import Study
from benchmark.text import digest

T = TypeVar("T")
SLOW = 0.02  # seconds; what is quicker is not kept
DAY = 24 * 3600
BREATH = 20  # while a study is being labelled, a figure may be as many times older than it took to work out
# Rows are only ever added to these, so their newest keys change with everything that is said of any item.
LEDGERS = (
    "annotation_rating", "annotation_gold", "annotation_adjudication", "annotation_drawnitem", "judging_settlement",
    "judging_settlementversion", "judging_reveal", "judging_goldsplit", "judging_verdict", "annotation_item",
    "annotation_assignment",
)  # fmt: skip


def kept(study: Study, name: str, key: object, compute: Callable[[], T]) -> T:
    """`compute()`, or what it gave before while no rating, gold, decision or settlement has been added since.

    Where labels keep coming, what took a second to work out may be up to 20 seconds old: else each page of a large study would
    begin anew with every vote. A result must be something that can be pickled.
    """
    place = "kept:" + digest(str(study.pk), name, repr(key))
    now, state = monotonic(), stamp(study)
    held = cache.get(place)
    if held is not None and (held[0] == state or now - held[1] < BREATH * held[2]):
        return cast(T, held[3])
    found = compute()
    taken = monotonic() - now
    if taken >= SLOW:
        cache.set(place, (state, monotonic(), taken, found), DAY)
    return found


def stamp(study: Study) -> str:
    """Differs whenever something was added that a study's figures may depend on, or the study was changed."""
    newest = ", ".join(f"(SELECT MAX(id) FROM {table})" for table in LEDGERS)  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {newest}")
        row = cursor.fetchone()
    return digest(repr(row), repr([study.voters, study.gold_decides, study.scheme_id, study.humans]))

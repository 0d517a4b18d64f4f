"""The one door through which append-only rows go: whoever takes them away says who, what and why first.

1. a row of `core_purge` is written, open. While it is, triggers let its own transaction delete.
2. the rows go.
3. the row is closed with what went. Killed anywhere before the commit: nothing has happened.

On SQLite the transaction is the only writer; on PostgreSQL the row names the transaction that it is open for.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from arbiter.core.errors import UserError
from arbiter.core.models import Purge
from arbiter.core.statements import rows

Removed = dict[str, int]  # how many rows, by what they are


@contextmanager
def purge(*, who: str, what: str, why: str) -> Iterator[Removed]:
    """Open the door in a transaction of its own, and yield where to count what goes."""
    if not (who.strip() and what.strip() and why.strip()):
        raise UserError("Say who takes it away and why: both are kept.")
    removed: Removed = {}
    with transaction.atomic():
        entry = Purge.objects.create(who=who.strip(), what=what, why=why.strip(), transaction=_transaction())
        yield removed
        Purge._base_manager.filter(pk=entry.pk).update(open=False, removed=removed)


def _transaction() -> int | None:
    if connection.vendor != "postgresql":
        return None
    return int(rows("SELECT txid_current()", [])[0][0])

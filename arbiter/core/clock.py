"""The database's clock, by which leases run: all machines agree on it, however wrong their own are."""

from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Func


def moment(seconds: float = 0) -> str:
    """Return SQL for the moment so many seconds from now, for a statement that is given values.

    On SQLite it is text as Django stores times, to be compared with them: SQLite's own, to the millisecond,
    filled up.
    """
    if connection.vendor == "sqlite":
        return f"(STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '{seconds:+.3f} seconds') || '000')"
    return f"(STATEMENT_TIMESTAMP() + INTERVAL '{seconds:.3f} seconds')"


class Moment(Func):
    """The moment so many seconds from now by the database's clock, for Django's queries."""

    arity = 0
    output_field = DateTimeField()

    def __init__(self, seconds: float = 0) -> None:
        super().__init__()
        self.seconds = seconds

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> Any:
        return moment(self.seconds), ()

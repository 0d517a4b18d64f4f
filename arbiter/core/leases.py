"""Rows that are work: each is open, claimed under a lease that runs by the database's clock, or over.

Whoever claims a row does so by a conditional UPDATE whose row count says who won, renews the lease
while at work, and concludes the row or releases it. Of one that dies the lease runs out, and the
row may be claimed by another.
"""

from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Q

from arbiter.core.clock import Moment, moment

LEASED = "leased"
Row = TypeVar("Row", bound="Leased")


def lapsed() -> Q:
    """Return the condition that a row's lease ran out and nobody has claimed it since."""
    return Q(state=LEASED, leased_until__lt=Moment())


class LeasedQuerySet(models.QuerySet[Row]):
    """Which rows may be claimed and which are, and the UPDATEs that claim, renew, release and conclude them.

    The UPDATEs are refused behind a join. Django would move the conditions to a subquery, which PostgreSQL
    does not look at again after waiting for another writer: two would hold one row.
    """

    def open(self) -> Self:
        """Return those that nobody has claimed."""
        return self.filter(state=self.model.OPEN)

    def unfinished(self) -> Self:
        """Return those that are open or claimed."""
        return self.filter(state__in=[self.model.OPEN, LEASED])

    def claimable(self) -> Self:
        """Return those that are open, and those whose holder let the lease run out."""
        return self.filter(Q(state=self.model.OPEN) | lapsed())

    def claimed(self) -> Self:
        """Return those that somebody took, under a lease that runs or ran out."""
        return self.filter(state=LEASED)

    def claimed_by(self, holder: Any) -> Self:
        """Return those that the holder took and nobody else since, also past their lease."""
        return self.claimed().filter(**{self.model.HOLDER: holder})

    def under_lease(self) -> Self:
        """Return those whose lease runs."""
        return self.claimed().filter(leased_until__gte=Moment())

    def lapsed(self) -> Self:
        """Return those whose lease ran out, and nobody has claimed them since."""
        return self.filter(lapsed())

    def claim(self, holder: Any, seconds: float) -> int:
        """Take for the holder those that are claimable at the moment of writing; how many they are."""
        taken = {self.model.HOLDER: holder, "leased_until": Moment(seconds)}
        return self.claimable()._write(state=LEASED, **taken)

    def renew(self, seconds: float) -> int:
        """Let the leases of those that are still claimed run so long from now; how many they are."""
        return self.claimed()._write(leased_until=Moment(seconds))

    def release(self) -> int:
        """Give back those that are still claimed, open as they were; how many they are."""
        return self.claimed()._write(
            state=self.model.OPEN, leased_until=None, **{self.model.HOLDER: self.model.NOBODY}
        )

    def conclude(self, state: str, **outcome: Any) -> int:
        """Give the rows their last state, and no holder unless the outcome names one; how many they are."""
        return self._write(
            state=state, leased_until=None, **{self.model.HOLDER: self.model.NOBODY, **outcome}
        )

    def _write(self, **values: Any) -> int:
        if self.query.count_active_tables() > 1:
            raise TypeError(
                "A lease is written by conditions on its own table: look the rows' keys up first."
            )
        return self.update(**values)


class Leased(models.Model):
    """A row that is work.

    It has a field `state`, in which OPEN is the value to begin with, and the field HOLDER.
    """

    OPEN: ClassVar[str] = "todo"
    HOLDER: ClassVar[str] = "lease"  # the field that says who claimed it
    NOBODY: ClassVar[Any] = ""  # what is in that field where nobody did

    leased_until = models.DateTimeField(null=True, blank=True)

    objects = LeasedQuerySet.as_manager()

    class Meta:
        abstract = True

    # The conditions `open`, `lapsed` and `claimable` of a table's alias, for a statement that is written out.

    @classmethod
    def open_sql(cls, alias: str) -> str:
        return f"({alias}.state = '{cls.OPEN}')"

    @classmethod
    def lapsed_sql(cls, alias: str) -> str:
        return f"({alias}.state = '{LEASED}' AND {alias}.leased_until < {moment()})"

    @classmethod
    def claimable_sql(cls, alias: str) -> str:
        return f"({cls.open_sql(alias)} OR {cls.lapsed_sql(alias)})"

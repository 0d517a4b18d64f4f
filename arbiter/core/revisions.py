"""Rows that are never changed: what comes to hold of a place is a new revision, and the earlier ones stay."""

from typing import ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Exists, OuterRef

from arbiter.core.appendonly import AppendOnly, AppendOnlyQuerySet

Row = TypeVar("Row", bound="Revised")


class RevisedQuerySet(AppendOnlyQuerySet[Row]):
    def newest(self) -> Self:
        """Return of each place the newest revision, where it is among these rows."""
        same = {name: OuterRef(name) for name in self.model.PLACE}
        later = self.model._base_manager.filter(revision__gt=OuterRef("revision"), **same)
        return self.filter(~Exists(later))

    def history(self) -> Self:
        """Return all revisions, each after those that it took over from."""
        return self.order_by("revision")


class Revised(AppendOnly):
    """A revision of what is said in a place.

    PLACE are the fields that name the place, unique together with the revision.
    """

    PLACE: ClassVar[tuple[str, ...]] = ("item",)

    revision = models.PositiveIntegerField(default=1)

    objects = RevisedQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        abstract = True

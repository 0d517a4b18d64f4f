"""Rows that are only ever added: a model opts in by its base, and the database itself refuses the rest.

What inherits from `AppendOnly` gets its triggers with the next `migrate` (arbiter.core.guards). Rows go by
one door alone, and whoever takes them away says why (arbiter.core.purging).
"""

from typing import Any, ClassVar, NoReturn, TypeVar

from django.db import models

Row = TypeVar("Row", bound="AppendOnly", covariant=True)


class AppendOnlyQuerySet(models.QuerySet[Row]):
    def update(self, **_: Any) -> NoReturn:
        raise _refused(self.model, "changed")

    def delete(self) -> NoReturn:
        raise _refused(self.model, "deleted")


class AppendOnly(models.Model):
    """A row that is never changed and never deleted.

    MUTABLE are fields that may change all the same, none of them content. ERASABLE are those that a person's
    erasure may change, by the door of `arbiter.core.purging`. PERMANENT rows pass no door. UNFINISHED is a
    field and its value in a row that is written before what it tells of has ended: until then it may be
    completed, or taken back where nothing came of it, by SQL or `_raw_delete`.
    """

    MUTABLE: ClassVar[tuple[str, ...]] = ()
    UNFINISHED: ClassVar[tuple[str, str]] = ("", "")
    ERASABLE: ClassVar[tuple[str, ...]] = ()
    PERMANENT: ClassVar[bool] = False

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk:
            raise _refused(type(self), "changed")
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise _refused(type(self), "deleted")


def _refused(model: type[models.Model], done: str) -> TypeError:
    return TypeError(f"A {model._meta.verbose_name} is never {done}: write a new row.")

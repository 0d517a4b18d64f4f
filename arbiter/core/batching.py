"""Rows in batches, so that memory stays flat."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from django.db.models import QuerySet

T = TypeVar("T")


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` rows, the last one shorter.

    Give it an iterator, since a queryset would be loaded whole.
    """
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def even_parts(rows: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Yield the rows `most` at a time, and those that are left in powers of two.

    For statements that name each row: few texts of them recur, which drivers and databases have read before.
    Of as many texts as there are numbers of rows, SQLite's driver kept 128 in 200 MB.
    """
    start = 0
    while left := len(rows) - start:
        size = most if left >= most else 1 << (left.bit_length() - 1)
        yield rows[start : start + size]
        start += size


def pages(rows: "QuerySet[Any]", size: int) -> Iterator[list[int]]:
    """Yield the rows' keys in order, `size` at a time.

    An open cursor would be in the way: SQLite can't write under one that another process has written past.
    """
    keys = rows.order_by("pk").values_list("pk", flat=True)
    page = list(keys[:size])
    while page:
        yield page
        page = list(keys.filter(pk__gt=page[-1])[:size])

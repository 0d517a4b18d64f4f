"""Rows in batches, so that memory stays flat."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` rows, the last one shorter. Give it an iterator: a queryset itself would be loaded whole."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch

"""Finding things by name: as written first, else by the form in which names are compared."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Generic, TypeVar

from arbiter.core.text import folded

Thing = TypeVar("Thing")


class ByName(Generic[Thing]):
    """Things by their names.

    A name finds what bears it to the letter; where nothing does, what bears it in another case or
    composition: several, where such things stood before names were compared so.
    """

    def __init__(self, named: Iterable[tuple[str, Thing]] = ()) -> None:
        self._exact: dict[str, list[Thing]] = defaultdict(list)
        self._folded: dict[str, list[Thing]] = defaultdict(list)
        for name, thing in named:
            self.add(name, thing)

    def add(self, name: str, thing: Thing) -> None:
        self._exact[name].append(thing)
        self._folded[folded(name)].append(thing)

    def find(self, name: str) -> list[Thing]:
        return self._exact.get(name.strip()) or self._folded.get(folded(name), [])

    def one(self, name: str) -> Thing | None:
        """Return the first thing of that name; None where there is none."""
        things = self.find(name)
        return things[0] if things else None


def same_name(one: str, other: str) -> bool:
    return folded(one) == folded(other)


def among(name: str, names: Iterable[str]) -> bool:
    return any(same_name(name, other) for other in names)

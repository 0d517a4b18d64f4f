"""What the draws of a study have taken of the items that an import's rows belong to, and what judges said of
the rest."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from annotation.importing.stored import Place, StoredResponse
from annotation.itemvotes import Voice, voices
from annotation.models import DrawnItem, Item, Label, Rater, Study


class ItemKind(NamedTuple):
    """What the strata of draws ask of judges' labels, and which draws will have to take the item."""

    judges: int
    split: bool
    draws: frozenset[int]


@dataclass(frozen=True, slots=True)
class ItemThere:
    """An item that the study has: what judges said of it, by rater, and the draws without it."""

    said: dict[int, str]
    missing_in: frozenset[int]


class DrawnItems:
    """The draws of a study, and the items it has."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.draws = list(study.draws.all()) if study.pk > 0 else []
        self.keys = frozenset(draw.pk for draw in self.draws)
        self.labels = dict(Label.objects.filter(scheme=study.scheme.pk).values_list("pk", "key"))

    def items(self, stored: Mapping[Place, StoredResponse]) -> dict[Place, ItemThere]:
        """Return the items of these responses, by place; none where the study has no draws."""
        if not (self.draws and stored):
            return {}
        responses = [response.pk for response in stored.values()]
        found = Item.objects.filter(study=self.study, response__in=responses)
        by_response = dict(found.values_list("response_id", "pk"))
        keys = list(by_response.values())
        taken = defaultdict(set)
        for item, draw in DrawnItem.objects.filter(item__in=keys).values_list("item_id", "draw_id"):
            taken[item].add(draw)
        said = voices([item for item in keys if taken[item] < self.keys])
        return {
            place: self._there(said.get(key, []), taken[key])
            for place, response in stored.items()
            if (key := by_response.get(response.pk))
        }

    def _there(self, said: list[Voice], taken: set[int]) -> ItemThere:
        judges = {voice.rater: self.labels[voice.label] for voice in said if voice.kind == Rater.Kind.JUDGE}
        return ItemThere(judges, self.keys - taken)

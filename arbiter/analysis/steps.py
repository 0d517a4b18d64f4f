"""A step to do next in a study: a sentence, and the name of the place where it is done. Whoever shows it
knows the address."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class StepPlace(StrEnum):
    ADJUDICATION = "adjudication"
    COSTS = "costs"
    EDITING = "editing"
    GOLD = "gold"
    JUDGES = "judges"  # against gold
    JUDGING = "judging"  # asking them, and how far they are
    LABELLING = "labelling"
    PEOPLE = "people"
    PLAN = "plan"
    REPORT = "report"
    SETTLEMENT = "settlement"


@dataclass(frozen=True)
class Step:
    text: str
    place: StepPlace | None = None
    query: Mapping[str, str] = field(default_factory=dict)  # what the place is asked for

"""Steps as a page shows them: each with a link to the place where it is done."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from annotation.models import Membership, Study
from arbiter.analysis.steps import Step, StepPlace

# The page's name, the part of it, and the words of the link.
PAGES = {
    StepPlace.ADJUDICATION: ("adjudicate", "", "Adjudicate"),
    StepPlace.COSTS: ("study-costs", "", "Costs"),
    StepPlace.EDITING: ("study-edit", "", "Edit"),
    StepPlace.GOLD: ("study-gold", "", "Gold"),
    StepPlace.JUDGES: ("study-judges", "", "Judges"),
    StepPlace.JUDGING: ("study", "#judges", "Judges"),
    StepPlace.LABELLING: ("study-labelling", "", "Labelling"),
    StepPlace.PEOPLE: ("study-people", "", "People"),
    StepPlace.PLAN: ("study-plan", "", "Plan"),
    StepPlace.REPORT: ("study-report", "", "Report"),
    StepPlace.SETTLEMENT: ("study-settlement", "", "Settlement"),
}


@dataclass(frozen=True)
class LinkedStep:
    text: str
    address: str = ""
    where: str = ""  # the words of the link


def linked(steps: Iterable[Step], study: Study, role: str) -> list[LinkedStep]:
    """Return the steps with their links, without those to a room that the reader may not enter."""
    return [_linked(step, study, role) for step in steps]


def _linked(step: Step, study: Study, role: str) -> LinkedStep:
    if step.place is None or (step.place == StepPlace.ADJUDICATION and role == Membership.Role.VIEWER):
        return LinkedStep(step.text)
    name, part, words = PAGES[step.place]
    query = f"?{urlencode(step.query)}" if step.query else ""
    return LinkedStep(step.text, reverse(name, args=[study.slug]) + query + part, words)

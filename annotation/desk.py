"""A rater at work in a study: who they are there, what their study's plan says, what they are shown."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User

from annotation.humanplan import ChecksSpec, HumansSpec, humans_of
from annotation.models import Enrolment, Guideline, Membership, Purpose, Rater, Study
from annotation.raters import rater_of
from benchmark.text import digest


@dataclass
class Desk:
    """A rater at work in a study: what decides what they are given next."""

    study: Study
    rater: Rater
    enrolment: Enrolment
    purpose: str = Purpose.SLOT

    @cached_property
    def plan(self) -> HumansSpec:
        return humans_of(self.study)

    @cached_property
    def shown(self) -> dict[str, Any]:
        return shown_in(self.study)

    @property
    def checks(self) -> ChecksSpec:
        return self.plan.checks

    def may_take_more(self, holding: int) -> bool:
        cap = self.enrolment.cap or self.plan.per_rater
        return not self.enrolment.paused and (cap is None or self.enrolment.done + holding < cap)


def enrolment_of(study: Study, rater: Rater) -> Enrolment:
    return Enrolment.objects.get_or_create(study=study, rater=rater)[0]


def enrolment_for(study: Study, user: User) -> Enrolment:
    """A signed-in person's, with their rater; made at first need."""
    found = Enrolment.objects.select_related("rater").filter(study=study, rater__user=user).first()
    return found or enrolment_of(study, rater_of(user))


def purpose_of(role: str) -> str:
    """Experts write gold; everybody else fills slots."""
    return Purpose.GOLD if role == Membership.Role.EXPERT else Purpose.SLOT


def chance(*parts: object) -> float:
    """In [0, 1), the same for the same parts on any machine."""
    return int(digest(*map(str, parts))[:13], 16) / 16**13


def shown_in(study: Study) -> dict[str, Any]:
    """What a rater of the study is shown of an item, in order, and under which versions."""
    plan = humans_of(study)
    guideline = (
        Guideline.objects.filter(study=study).order_by("-version").values_list("version", flat=True).first()
    )
    return {
        "blind": "condition" not in plan.show,
        "fields": ["category", "category question", "task", "response", *plan.show],
        "scheme": str(study.scheme),
        "label_order": [label.key for label in study.scheme.labels.all()],
        "guidelines": guideline,
    }

"""A rater at work in a study: who they are there, what their study's plan says, what they are shown."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F

from annotation.access import WORKING
from annotation.humanplan import ChecksSpec, HumansSpec, humans_of
from annotation.models import Enrolment, Guideline, Membership, Purpose, Rater, Study
from annotation.raters import rater_of
from annotation.schemes import label_ids
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
    def guidelines(self) -> int | None:
        """The version there is now."""
        newest = Guideline.objects.filter(study=self.study).order_by("-version")
        return newest.values_list("version", flat=True).first()

    @cached_property
    def shown(self) -> dict[str, Any]:
        """What a rater of the study is shown of an item, in order, and under which versions."""
        return {
            "blind": "condition" not in self.plan.show,
            "fields": ["category", "category question", "task", "response", *self.plan.show],
            "scheme": str(self.study.scheme),
            "label_order": list(label_ids(self.study.scheme)),
            "guidelines": self.guidelines,
        }

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


def enrolled_with_study(slug: str, user: User) -> Enrolment | None:
    """Of a rater or expert who has been at work there before: all that makes their desk, and their role, by one query."""
    of_user = Enrolment.objects.select_related("rater", "study__scheme").defer("study__config")
    found = of_user.filter(
        study__slug=slug, rater__user=user.pk,
        study__memberships__user=user.pk, study__memberships__role__in=WORKING,
    )  # fmt: skip
    return found.annotate(role=F("study__memberships__role")).first()


def purpose_of(role: str) -> str:
    """Experts write gold; everybody else fills slots."""
    return Purpose.GOLD if role == Membership.Role.EXPERT else Purpose.SLOT


def chance(*parts: object) -> float:
    """In [0, 1), the same for the same parts on any machine."""
    return int(digest(*map(str, parts))[:13], 16) / 16**13

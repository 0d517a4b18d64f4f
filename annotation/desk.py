"""A rater at work in a study: who they are there, what their study's plan says, what they are shown."""

import hashlib
import hmac
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from django.conf import settings

from annotation.access import Role
from annotation.humanplan import ChecksSpec, HumansSpec, humans_of
from annotation.models import Enrolment, Guideline, PlacePurpose, Rater, Study
from annotation.schemes import label_ids
from arbiter.core.text import digest


@dataclass
class Desk:
    """A rater at work in a study: what decides what they are given next."""

    study: Study
    rater: Rater
    enrolment: Enrolment
    purpose: str = PlacePurpose.SLOT
    role: str = Role.RATER

    @cached_property
    def plan(self) -> HumansSpec:
        return humans_of(self.study)

    @cached_property
    def guidelines(self) -> int | None:
        """Return the guidelines' newest version; None where there are none."""
        newest = Guideline.objects.filter(study=self.study).order_by("-version")
        return newest.values_list("version", flat=True).first()

    @cached_property
    def shown(self) -> dict[str, Any]:
        """Return what a rater of the study is shown of an item, in order, and under which versions."""
        return {
            "blind": "condition" not in self.plan.show,
            "fields": ["category", "category question", "task", "response", *self.plan.show],
            "scheme": str(self.study.scheme),
            "label_order": list(label_ids(self.study.scheme)),
            "guidelines": self.guidelines,
            **self.by,
        }

    @property
    def by(self) -> dict[str, str]:
        """Return what is kept with a label beside what was shown: that an owner gave it, who can see other
        labels as nobody else can."""
        return {"by": "owner"} if self.role == Role.OWNER else {}

    @property
    def checks(self) -> ChecksSpec:
        return self.plan.checks

    def may_take_more(self, holding: int) -> bool:
        cap = self.enrolment.cap or self.plan.per_rater
        return not self.enrolment.paused and (cap is None or self.enrolment.done + holding < cap)


def purpose_of(role: str) -> str:
    """Return what places are for that are given to this role: experts write gold, everybody else fills
    slots."""
    return PlacePurpose.GOLD if role == Role.EXPERT else PlacePurpose.SLOT


def chance(study: Study, *parts: object) -> float:
    """Return a number in [0, 1), the same for the same parts, that can't be told without the server's key: a
    rater who knows this code can't work out which of their items are checks. Studies from before keep what
    was drawn without it."""
    drawn = digest(*map(str, parts))
    if study.keyed_chance:
        drawn = hmac.digest(_key(settings.SECRET_KEY), drawn.encode(), "sha256").hex()
    return int(drawn[:13], 16) / 16**13


@cache
def _key(secret: str) -> bytes:
    return hashlib.sha256(f"arbiter.chance:{secret}".encode()).digest()

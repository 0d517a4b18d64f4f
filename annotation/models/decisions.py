"""Adjudicators' decisions on disputed items, and items sent back for more raters."""

from typing import ClassVar

from django.db import models

from annotation.models.items import Item
from annotation.models.raters import Rater
from annotation.models.schemes import Label
from arbiter.core.revisions import Revised


class Adjudication(Revised):
    """A person's decision on a disputed item. Deciding again is a new revision; the newest holds."""

    ERASABLE: ClassVar[tuple[str, ...]] = ("reason",)

    item = models.ForeignKey(Item, models.PROTECT, related_name="adjudications")
    label = models.ForeignKey(Label, models.PROTECT, related_name="adjudications")
    adjudicator = models.ForeignKey(Rater, models.PROTECT, related_name="adjudications")
    reason = models.TextField()
    guideline_unclear = models.BooleanField(default=False, help_text="The guidelines should say more.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["item", "revision"]
        constraints = [
            models.UniqueConstraint(fields=["item", "revision"], name="adjudication_revision_once")
        ]

    def __str__(self) -> str:
        return f"{self.item}: {self.label}"


class Referral(models.Model):
    """An adjudicator sent an item back for more raters, and why. It leaves the queue until they have labelled
    it."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="referrals")
    by = models.ForeignKey(Rater, models.PROTECT, related_name="referrals")
    reason = models.TextField()
    extra = models.PositiveIntegerField(default=1, help_text="Slots added.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.item}: {self.extra} more"

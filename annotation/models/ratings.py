"""The ledger: all ratings."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.items import Item
from annotation.models.raters import Rater
from annotation.models.schemes import Label
from annotation.votes import PlacePurpose, RatingQuerySet
from arbiter.core.revisions import Revised


class Rating(Revised):
    """One rater's label for one item. Append-only: a change is a new revision, written by `ledger.record`."""

    PLACE: ClassVar[tuple[str, ...]] = ("item", "rater", "question", "purpose", "ordinal")
    ERASABLE: ClassVar[tuple[str, ...]] = ("rationale", "evidence")

    item = models.ForeignKey(Item, models.PROTECT, related_name="ratings", db_index=False)
    rater = models.ForeignKey(Rater, models.PROTECT, related_name="ratings")
    label = models.ForeignKey(Label, models.PROTECT, related_name="ratings")
    question = models.CharField(max_length=80, blank=True, help_text="Empty: the study's primary scheme.")
    purpose = models.CharField(max_length=10, choices=PlacePurpose.choices, default=PlacePurpose.SLOT)
    ordinal = models.PositiveIntegerField(default=0, help_text="Which repeat, from 0.")
    surplus = models.BooleanField(
        default=False, help_text="Came after its slot was taken: kept, not counted."
    )
    confidence = models.FloatField(null=True, blank=True)
    confidence_scale = models.CharField(
        max_length=20, blank=True, help_text="probability, steps3, or empty for none."
    )
    rationale = models.TextField(blank=True)
    evidence = models.JSONField(default=list, blank=True)
    active_seconds = models.FloatField(null=True, blank=True)
    shown = models.JSONField(default=dict, blank=True, help_text="What the rater was shown.")
    flagged = models.BooleanField(default=False, help_text="The rater wants the owner to look at it.")
    simulated = models.BooleanField(default=False)
    submission = models.CharField(
        max_length=64, null=True, blank=True, unique=True, help_text="Idempotency key."
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = RatingQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "rater", "question", "purpose", "ordinal", "revision"],
                name="rating_revision_once",
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | (Q(confidence__gte=0) & ~Q(confidence_scale="")),
                name="rating_confidence_has_scale",
            ),
        ]
        indexes = [  # of the few ratings that a page lists or counts by themselves
            models.Index(fields=["id"], condition=Q(flagged=True), name="rating_flagged"),
            models.Index(fields=["item"], condition=Q(surplus=True), name="rating_surplus"),
        ]

    def __str__(self) -> str:
        return f"{self.rater}: {self.label}"

"""Places of people on items, what was put before them there, and what they passed by."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.items import Item, opaque_key
from annotation.models.raters import Rater
from annotation.models.studies import Study
from annotation.votes import PlacePurpose
from arbiter.core.leases import Leased, LeasedQuerySet


class AssignmentQuerySet(LeasedQuerySet["Assignment"]):
    def slots(self, purpose: str) -> Self:
        """Return the places that anybody may fill who has this purpose; a check's is its own rater's."""
        return self.filter(purpose=purpose, slot__isnull=False)


class Assignment(Leased):
    """One human's place on an item. A slot is made empty with its item's draw and claimed under a lease."""

    class State(models.TextChoices):
        OPEN = "open"
        LEASED = "leased"
        DONE = "done"

    OPEN: ClassVar[str] = "open"
    HOLDER: ClassVar[str] = "rater"
    NOBODY: ClassVar[None] = None

    # Its item's study again: a rater's next place is found in one index, however many studies there are.
    study = models.ForeignKey(Study, models.CASCADE, related_name="assignments", db_index=False)
    item = models.ForeignKey(Item, models.CASCADE, related_name="assignments", db_index=False)
    rater = models.ForeignKey(
        Rater, models.PROTECT, null=True, blank=True, related_name="assignments", db_index=False
    )
    purpose = models.CharField(max_length=10, choices=PlacePurpose.choices, default=PlacePurpose.SLOT)
    slot = models.PositiveIntegerField(null=True, blank=True)
    ordinal = models.PositiveIntegerField(default=0)
    number = models.FloatField(help_text="The drawn item's random number: the order of serving.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)

    objects = AssignmentQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "purpose", "slot"], name="slot_once"),
            models.UniqueConstraint(
                fields=["item", "rater", "purpose", "ordinal"], name="rater_once_per_purpose"
            ),
            models.CheckConstraint(
                condition=Q(state="open", rater__isnull=True)
                | Q(state__in=["leased", "done"], rater__isnull=False),
                name="assignment_held_or_open",
            ),
        ]
        indexes = [
            models.Index(fields=["study", "purpose", "state", "number", "id"], name="assignment_to_serve"),
            models.Index(fields=["rater", "study", "state"], name="assignment_of_rater"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.slot} on {self.item}"


class Serving(models.Model):
    """An item put before a rater: under which key, what was shown, and the draft so far.

    Its key is all that a rater's page knows an item by. A place that is served to the same rater again keeps
    its serving, and so its draft; a repeat of an item is another place, and so another key.
    """

    PLACE: ClassVar[tuple[str, ...]] = ("item", "rater", "purpose", "ordinal")

    key = models.CharField(max_length=12, unique=True, default=opaque_key)
    study = models.ForeignKey(Study, models.CASCADE, related_name="servings", db_index=False)
    item = models.ForeignKey(Item, models.CASCADE, related_name="servings", db_index=False)
    rater = models.ForeignKey(Rater, models.PROTECT, related_name="servings", db_index=False)
    purpose = models.CharField(max_length=10, choices=PlacePurpose.choices, default=PlacePurpose.SLOT)
    ordinal = models.PositiveIntegerField(default=0)
    shown = models.JSONField(default=dict, blank=True, help_text="Fields, order and versions, and when.")
    draft = models.JSONField(null=True, blank=True)
    revision = models.PositiveIntegerField(
        default=0, help_text="Of the rater's label in this place; 0: none yet."
    )
    served_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "rater", "purpose", "ordinal"], name="serving_once_per_place"
            )
        ]
        indexes = [
            models.Index(fields=["rater", "study", "answered_at"], name="serving_of_rater"),
            models.Index(fields=["study", "answered_at"], name="serving_of_study"),
        ]

    def __str__(self) -> str:
        return f"{self.item} before {self.rater}"


class Skip(models.Model):
    """A rater passed an item by, and why. It is reported as non-response and not offered to that rater
    again."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="skips", db_index=False)
    rater = models.ForeignKey(Rater, models.PROTECT, related_name="skips")
    purpose = models.CharField(max_length=10, choices=PlacePurpose.choices, default=PlacePurpose.SLOT)
    ordinal = models.PositiveIntegerField(default=0)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "rater", "purpose", "ordinal"], name="skip_once")
        ]

    def __str__(self) -> str:
        return f"{self.rater} skipped {self.item}"

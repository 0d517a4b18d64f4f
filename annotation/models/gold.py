"""Gold: human labels taken as truth."""

from typing import ClassVar, Self

from django.db import models

from annotation.models.draws import Draw
from annotation.models.items import Item
from annotation.models.raters import Rater
from annotation.models.schemes import Label
from annotation.models.studies import Study
from arbiter.core.revisions import Revised, RevisedQuerySet


class GoldQuerySet(RevisedQuerySet["Gold"]):
    def current(self) -> Self:
        """Return each item's gold: its newest revision, unless that withdraws it."""
        return self.newest().exclude(origin=Gold.Origin.WITHDRAWN)

    def current_in(self, study: Study | int) -> Self:
        return self.current().filter(item__study=study)


class Gold(Revised):
    """A human label taken as truth, and how it came to be. A correction is a new revision."""

    class Origin(models.TextChoices):
        SINGLE = "single"
        CONSENSUS = "consensus"
        ADJUDICATED = "adjudicated"
        IMPORTED = "imported"
        WITHDRAWN = (
            "withdrawn"  # ends the gold of an item until a later revision: those it rested on came to differ
        )

    ERASABLE: ClassVar[tuple[str, ...]] = ("rationale", "evidence")

    item = models.ForeignKey(Item, models.PROTECT, related_name="golds")
    label = models.ForeignKey(Label, models.PROTECT, related_name="golds")
    origin = models.CharField(max_length=12, choices=Origin.choices)
    draw = models.ForeignKey(Draw, models.PROTECT, null=True, blank=True, related_name="golds")
    author = models.ForeignKey(Rater, models.PROTECT, null=True, blank=True, related_name="golds")
    rationale = models.TextField(blank=True)
    evidence = models.JSONField(default=list, blank=True)
    from_file = models.BooleanField(
        default=False,
        help_text="Brought by a file, whatever origin it names; what people decide here stays before it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = GoldQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering = ["item", "revision"]
        constraints = [models.UniqueConstraint(fields=["item", "revision"], name="gold_revision_once")]

    def __str__(self) -> str:
        return f"{self.item}: {self.label}"

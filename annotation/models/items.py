"""Items: responses in a study."""

import base64
import secrets

from django.db import models

from annotation.models.schemes import Label
from annotation.models.studies import Study
from annotation.votes import ItemQuerySet
from benchmark.models import Response


def opaque_key() -> str:
    """Make an id that tells nothing: not the model, not the condition, not the order of import."""
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()[:12]


class Item(models.Model):
    """One response in a study, under an opaque key.

    From `votes` on, the fields only repeat what ratings and settlements say, so that pages can filter and
    group a hundred thousand items without reading their ratings. `annotation.itemvotes` writes them and can
    write them all anew.
    """

    # The constraint's index begins with it; so it does for a rating's item and a response's run.
    study = models.ForeignKey(Study, models.CASCADE, related_name="items", db_index=False)
    response = models.ForeignKey(Response, models.PROTECT, related_name="items")
    key = models.CharField(max_length=12, unique=True, default=opaque_key)
    votes = models.TextField(
        blank=True, default="", help_text="Its current votes: `rater:label` by keys, in the order of raters."
    )
    human_votes = models.PositiveSmallIntegerField(default=0)
    judge_votes = models.PositiveSmallIntegerField(
        default=0, help_text="Of each judge's name the latest version."
    )
    humans_split = models.BooleanField(default=False, help_text="Its human votes differ.")
    judges_split = models.BooleanField(default=False, help_text="Its judges' votes differ.")
    final = models.ForeignKey(
        Label,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text="The newest settlement's label.",
    )
    final_rule = models.CharField(max_length=12, blank=True, default="", help_text="Empty: never settled.")
    final_chance = models.FloatField(
        null=True, blank=True, help_text="The newest settlement's share or posterior of its leading label."
    )

    objects = ItemQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["study", "response"], name="item_once")]
        indexes = [
            models.Index(fields=["study", "id"], name="item_study_order"),
            models.Index(fields=["study", "humans_split", "id"], name="item_disputes"),
            models.Index(fields=["study", "final_rule", "id"], name="item_by_rule"),
        ]

    def __str__(self) -> str:
        return self.key

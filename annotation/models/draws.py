"""Draws: samples of a study's items for people, their strata and the items of their frames."""

from django.db import models
from django.db.models import F, Q

from annotation.models.items import Item
from annotation.models.studies import Study


class Draw(models.Model):
    """A sample of a study's items for people. Growing it raises thresholds; nobody drawn is ever undrawn."""

    class Purpose(models.TextChoices):
        SLOT = "slot", "for raters"
        GOLD = "gold", "for experts, who write gold"

    study = models.ForeignKey(Study, models.CASCADE, related_name="draws")
    name = models.SlugField(max_length=80, default="main")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.SLOT)
    frame = models.TextField(help_text="Which items could be drawn, in words.")
    plan = models.JSONField(default=dict, blank=True, help_text="The plan as last applied.")
    seed = models.BigIntegerField(default=0)
    raters_per_item = models.PositiveIntegerField(default=2)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "name"], name="draw_once")]

    def __str__(self) -> str:
        return f"{self.study.slug}/{self.name}"


class Stratum(models.Model):
    """A part of a draw's frame, with one inclusion probability. An item belongs to the first whose rule it
    meets."""

    draw = models.ForeignKey(Draw, models.CASCADE, related_name="strata")
    name = models.CharField(max_length=120)
    position = models.PositiveIntegerField()
    rule = models.JSONField(default=dict, blank=True, help_text="Empty: every item.")
    probability = models.FloatField(help_text="Of each of its items to be drawn, above 0.")

    class Meta:
        ordering = ["draw", "position"]
        verbose_name_plural = "strata"
        constraints = [
            models.UniqueConstraint(fields=["draw", "name"], name="stratum_once"),
            models.CheckConstraint(
                condition=Q(probability__gt=0, probability__lte=1), name="stratum_has_a_probability"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.draw}: {self.name}"


class DrawnItemQuerySet(models.QuerySet["DrawnItem"]):
    def drawn(self) -> "DrawnItemQuerySet":
        """Return those the draw took: their number is below their probability."""
        return self.filter(number__lt=F("probability"))


class DrawnItem(models.Model):
    """An item of a draw's frame, with its stratum, inclusion probability and permanent random number, which
    stay when votes change later. It is drawn where the number is below the probability, and served in the
    order of the number."""

    draw = models.ForeignKey(Draw, models.CASCADE, related_name="framed")
    item = models.ForeignKey(Item, models.CASCADE, related_name="drawn")
    stratum = models.CharField(max_length=120, default="all")
    probability = models.FloatField()
    number = models.FloatField(help_text="Permanent random number in [0, 1).")

    objects = DrawnItemQuerySet.as_manager()

    class Meta:
        ordering = ["draw", "number"]
        constraints = [
            models.UniqueConstraint(fields=["draw", "item"], name="drawn_once"),
            models.CheckConstraint(
                condition=Q(probability__gt=0, probability__lte=1), name="drawn_with_probability"
            ),
            models.CheckConstraint(condition=Q(number__gte=0, number__lt=1), name="drawn_number_in_unit"),
        ]

    def __str__(self) -> str:
        return f"{self.item} in {self.draw}"

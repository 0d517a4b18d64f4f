"""Label schemes and their labels."""

from django.db import models
from django.db.models import Q


class LabelScheme(models.Model):
    """The labels a rater may give. Versioned by content: a changed scheme is a new version."""

    key = models.SlugField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=200)
    question = models.TextField(blank=True)
    ordinal = models.BooleanField(default=False, help_text="The labels are grades, in the order they stand.")
    evidence_for_target = models.BooleanField(
        default=False, help_text="A target label needs evidence, a marked passage of the response."
    )
    content_hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["key", "version"]
        constraints = [
            models.UniqueConstraint(fields=["key", "version"], name="scheme_version_once"),
            models.UniqueConstraint(fields=["key", "content_hash"], name="scheme_content_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key}@{self.version}"


class Label(models.Model):
    class Role(models.TextChoices):
        TARGET = "target", "counts as convergent"
        OTHER = "other", "does not"
        EXCLUDED = "excluded", "leaves the valid-only denominator"

    scheme = models.ForeignKey(LabelScheme, models.CASCADE, related_name="labels")
    key = models.SlugField(max_length=60)
    title = models.CharField(max_length=100)
    definition = models.TextField(blank=True)
    example = models.TextField(blank=True)
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=10, choices=Role.choices)

    class Meta:
        ordering = ["scheme", "position"]
        constraints = [
            models.UniqueConstraint(fields=["scheme", "key"], name="label_key_once"),
            models.UniqueConstraint(fields=["scheme", "position"], name="label_position_once"),
            models.CheckConstraint(
                condition=Q(role__in=["target", "other", "excluded"]), name="label_role_known"
            ),
        ]

    def __str__(self) -> str:
        return self.title

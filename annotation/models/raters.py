"""Raters, their work in a study, and their answers in its training."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.models.studies import Study
from arbiter.core.text import folded


class Rater(models.Model):
    """Whoever labels. A judge's versions are raters of their own, side by side.

    Judges, scorers and people who sign in are known everywhere. A person whom a file names is known in its
    study alone: the same name in another study is somebody else.
    """

    class Kind(models.TextChoices):
        HUMAN = "human"
        JUDGE = "judge"
        SCORER = "scorer"

    name = models.CharField(max_length=120)
    folded = models.TextField(editable=False, help_text="What its name is compared by.")
    version = models.PositiveIntegerField(default=1)
    study = models.ForeignKey(
        Study,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="named_people",
        help_text="Where a file named them.",
    )
    kind = models.CharField(max_length=8, choices=Kind.choices)
    family = models.CharField(max_length=100, blank=True, help_text="A judge's model family.")
    definition = models.CharField(
        max_length=64,
        blank=True,
        help_text="Hash of what makes a judge this exact version; empty for others.",
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="rater"
    )

    known_as = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        help_text="The key that its pseudonyms are made from, where that isn't its own.",
    )

    class Meta:
        ordering = ["name", "version"]
        constraints = [
            models.UniqueConstraint(
                fields=["folded", "version"],
                condition=Q(study__isnull=True),
                name="rater_version_once_everywhere",
            ),
            models.UniqueConstraint(
                fields=["study", "folded", "version"],
                condition=Q(study__isnull=False),
                name="rater_version_once_in_a_study",
            ),
            models.CheckConstraint(
                condition=Q(study__isnull=True) | Q(kind="human", user__isnull=True),
                name="rater_of_a_study_is_a_person",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["human", "judge", "scorer"]), name="rater_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version > 1 else self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.folded = self.folded or folded(self.name)
        super().save(*args, **kwargs)


class Enrolment(models.Model):
    """One person's work in one study: what they may do, how far they are, how they like their keys."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="enrolments")
    rater = models.ForeignKey(Rater, models.CASCADE, related_name="enrolments")
    paused = models.BooleanField(default=False, help_text="Is given nothing new.")
    cap = models.PositiveIntegerField(null=True, blank=True, help_text="Items, at most. Empty: the study's.")
    languages = models.JSONField(default=list, blank=True, help_text="Empty: every language.")
    categories = models.JSONField(default=list, blank=True, help_text="Keys. Empty: every category.")
    consented_at = models.DateTimeField(null=True, blank=True)
    consent_hash = models.CharField(max_length=64, blank=True, help_text="Of the text consented to.")
    trained_at = models.DateTimeField(null=True, blank=True, help_text="Passed the training round.")
    training_round = models.PositiveIntegerField(default=1)
    position = models.FloatField(default=0, help_text="No slot with a smaller number was free when looked.")
    served = models.PositiveIntegerField(default=0, help_text="Items given; decides which are checks.")
    done = models.PositiveIntegerField(default=0, help_text="Items labelled, whatever for.")
    skipped = models.PositiveIntegerField(default=0)
    left_base = models.IntegerField(
        default=-1, help_text="What was left when `left_at` items were answered; -1: not known."
    )
    left_at = models.PositiveIntegerField(default=0)
    preferences = models.JSONField(default=dict, blank=True)
    as_owner = models.BooleanField(default=False, help_text="Has labelled as the study's owner.")
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["study", "id"]
        constraints = [models.UniqueConstraint(fields=["study", "rater"], name="enrolment_once")]

    def __str__(self) -> str:
        return f"{self.rater} in {self.study.slug}"


class TrainingAnswer(models.Model):
    """What somebody answered to a reserved example. No rating: training samples are in no study."""

    enrolment = models.ForeignKey(Enrolment, models.CASCADE, related_name="training")
    round = models.PositiveIntegerField()
    task_key = models.CharField(max_length=120)
    label_key = models.CharField(max_length=60)
    correct = models.BooleanField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["enrolment", "round", "task_key"], name="training_answer_once_a_round"
            )
        ]

    def __str__(self) -> str:
        return f"{self.enrolment}, round {self.round}: {self.task_key}"

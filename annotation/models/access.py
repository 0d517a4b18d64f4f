"""Members of studies, links that sign in or invite, counts of tried secrets, and who may use a suite."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.models.studies import Study


class Membership(models.Model):
    class Role(models.TextChoices):
        OWNER = "owner"
        ADJUDICATOR = "adjudicator"
        RATER = "rater"
        EXPERT = "expert"
        VIEWER = "viewer"

    study = models.ForeignKey(Study, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices)

    class Meta:
        ordering = ["study", "role", "user"]
        constraints = [
            models.UniqueConstraint(fields=["study", "user"], name="membership_once"),
            models.CheckConstraint(
                condition=Q(role__in=["owner", "adjudicator", "rater", "expert", "viewer"]),
                name="membership_role_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role}"


class AccessLink(models.Model):
    """A link that signs somebody in once, or invites somebody to a study. Only its token's hash is kept."""

    token_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)
    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="invitations")
    role = models.CharField(max_length=12, choices=Membership.Role.choices, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, study__isnull=True)
                | Q(user__isnull=True, study__isnull=False),
                name="link_signs_in_or_invites",
            )
        ]

    def __str__(self) -> str:
        return f"sign-in of {self.user}" if self.user else f"invitation to {self.study} as {self.role}"


class Tries(models.Model):
    """How often a secret was tried within a time, by a key that tells neither whose nor where from; or that
    it was right there."""

    key = models.CharField(max_length=64, unique=True)
    count = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "tries"

    def __str__(self) -> str:
        return f"{self.count} until {self.ends_at}"


class SuiteAccess(models.Model):
    """Who may make studies of a suite's responses, in any of its versions: a person, who may own the suite,
    or one study."""

    suite = models.SlugField(max_length=80, help_text="The suite's short name.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="suites"
    )
    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="suites")
    owner = models.BooleanField(default=False, help_text="Says who else may.")
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: by command.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["suite", "id"]
        verbose_name_plural = "suite accesses"
        constraints = [
            models.UniqueConstraint(fields=["suite", "user"], name="suite_access_of_user_once"),
            models.UniqueConstraint(fields=["suite", "study"], name="suite_access_of_study_once"),
            models.CheckConstraint(
                condition=Q(user__isnull=False, study__isnull=True)
                | Q(user__isnull=True, study__isnull=False, owner=False),
                name="suite_access_of_user_or_study",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.suite} for {self.user or self.study}"

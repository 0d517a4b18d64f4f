"""Work that outlasts a request, and what was taken away for good."""

from pathlib import PurePosixPath
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from arbiter.core.appendonly import AppendOnly
from arbiter.core.clock import Moment
from arbiter.core.leases import Leased, LeasedQuerySet


class JobQuerySet(LeasedQuerySet["Job"]):
    def at(self, place: str) -> "JobQuerySet":
        """Return those that a process may run whose data folder that is."""
        return self.filter(place__in=["", place])

    def of_study(self, study: int) -> "JobQuerySet":
        return self.filter(study=study).order_by("-pk")

    def asked_by(self, user: int) -> "JobQuerySet":
        """Return those that somebody asked for who needs to be no owner."""
        return self.filter(by=user, owners_only=False)

    def over_for(self, seconds: float) -> "JobQuerySet":
        """Return those that were done, failed or cancelled so long ago."""
        return self.filter(finished_at__lt=Moment(-seconds))


class Job(Leased):
    """Something asked for that a worker does: its kind says what (arbiter.core.jobkinds).

    Ids are never used again.
    """

    class State(models.TextChoices):
        OPEN = "open"
        LEASED = "leased"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN: ClassVar[str] = "open"

    kind = models.CharField(max_length=40)
    arguments = models.JSONField(default=dict, blank=True)
    study = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="A study's id, as core knows no studies. "
        "Of one that is gone, nobody may see the job any more.",
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="jobs"
    )
    owners_only = models.BooleanField(
        default=False, help_text="For owners of the study, though another asked."
    )
    place = models.CharField(
        max_length=32, blank=True, help_text="The data folder its file goes to. Empty: it makes no file."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    lease = models.CharField(max_length=32, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0, help_text="0: not known yet.")
    message = models.CharField(max_length=200, blank=True, help_text="What is being done.")
    error = models.TextField(blank=True, help_text="Why it failed, in one sentence.")
    result = models.JSONField(default=dict, blank=True)
    checkpoint = models.JSONField(
        default=dict, blank=True, help_text="Where to go on from, written with the rows it speaks of."
    )
    file = models.CharField(max_length=300, blank=True, help_text="In the folder of jobs' files.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["open", "leased", "done", "failed", "cancelled"]),
                name="job_state_known",
            )
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=["open", "leased"]), name="job_unfinished"),
            models.Index(fields=["study", "id"], name="job_of_study"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}: {self.state}"

    @property
    def unfinished(self) -> bool:
        return self.state in (self.State.OPEN, self.State.LEASED)

    @property
    def filename(self) -> str:
        return PurePosixPath(self.file).name

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else 0


class Purge(AppendOnly):
    """That append-only rows were taken away: by whom, what and why (arbiter.core.purging).

    It holds nothing of what went but how much of it there was.
    """

    MUTABLE: ClassVar[tuple[str, ...]] = ("open", "removed")
    PERMANENT: ClassVar[bool] = True

    who = models.CharField(max_length=150)
    what = models.TextField()
    why = models.TextField()
    open = models.BooleanField(default=True, help_text="Its transaction is still deleting.")
    transaction = models.BigIntegerField(
        null=True, blank=True, help_text="PostgreSQL's, which it is open for."
    )
    removed = models.JSONField(default=dict, blank=True, help_text="How many rows, by what they were.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["open"], condition=Q(open=True), name="purge_open_once"),
            models.CheckConstraint(
                condition=~Q(who="") & ~Q(what="") & ~Q(why=""), name="purge_says_who_what_and_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.what} by {self.who}"

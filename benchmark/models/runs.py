"""Where responses come from: runs, and the responses in them."""

from django.db import models
from django.db.models import Q

from arbiter.core.leases import Leased
from arbiter.core.text import digest
from benchmark.models.endpoints import Endpoint
from benchmark.models.suites import Condition, SubjectModel, Suite, Task


class Run(models.Model):
    """One pass of a subject model, under one condition, through a suite, at one endpoint."""

    suite = models.ForeignKey(Suite, models.PROTECT, related_name="runs")
    subject = models.ForeignKey(SubjectModel, models.PROTECT, related_name="runs")
    condition = models.ForeignKey(Condition, models.PROTECT, related_name="runs")
    name = models.CharField(max_length=200, blank=True, help_text="Tells apart two passes of the same kind.")
    config = models.JSONField(default=dict, blank=True)
    endpoint = models.ForeignKey(
        Endpoint,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="runs",
        help_text="Where it was collected. Empty: imported.",
    )
    base_url = models.CharField(
        max_length=500, blank=True, help_text="The endpoint's, when it was collected: an endpoint may move."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["suite", "subject", "condition", "name"], name="run_once"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} · {self.condition}" + (f" · {self.name}" if self.name else "")


class Response(Leased):
    """One answer in a run, by epoch. When it is collected here, the row is also the job:
    todo, leased, done or failed."""

    class State(models.TextChoices):
        TODO = "todo"
        LEASED = "leased"
        DONE = "done"
        FAILED = "failed"

    class Ending(models.TextChoices):
        """By what a service says of the end, in whatever words. `finish_reason` keeps the word."""

        WHOLE = "", "whole"
        CUT_OFF = "cut_off", "cut off"
        REFUSED = "refused", "refused"
        EMPTY = "empty", "empty"

    run = models.ForeignKey(Run, models.CASCADE, related_name="responses", db_index=False)
    task = models.ForeignKey(Task, models.PROTECT, related_name="responses")
    epoch = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DONE)
    text = models.TextField(blank=True)
    reasoning = models.TextField(blank=True)
    transcript = models.JSONField(null=True, blank=True)
    escaped = models.BooleanField(default=False, help_text="NULs or lone surrogates are written as \\uXXXX.")
    content_hash = models.CharField(max_length=64, blank=True)
    finish_reason = models.CharField(max_length=40, blank=True, help_text="In the service's own word.")
    ending = models.CharField(
        max_length=10, choices=Ending.choices, default=Ending.WHOLE, blank=True, help_text="How it ended."
    )
    returned_model = models.CharField(max_length=200, blank=True, help_text="As the service named it.")
    fingerprint = models.CharField(
        max_length=200, blank=True, help_text="The service's `system_fingerprint`."
    )
    completion_id = models.CharField(max_length=200, blank=True, help_text="The service's own of the answer.")
    usage = models.JSONField(null=True, blank=True)
    simulated = models.BooleanField(default=False)
    meta = models.JSONField(default=dict, blank=True, help_text="What else its file said of it, by name.")
    imported_in = models.BigIntegerField(
        null=True, blank=True, help_text="The number of the import that brought it; older ones had none."
    )
    error = models.TextField(blank=True)
    raw = models.TextField(blank=True, help_text="The body of the last call that failed, as it came.")
    attempts = models.PositiveIntegerField(default=0)
    latency = models.FloatField(null=True, blank=True, help_text="Seconds.")
    lease = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "task", "epoch"], name="response_once"),
            models.CheckConstraint(condition=Q(epoch__gte=1), name="response_epoch_from_one"),
            models.CheckConstraint(
                condition=Q(state__in=["todo", "leased", "done", "failed"]), name="response_state_known"
            ),
            models.CheckConstraint(
                condition=Q(ending__in=["", "cut_off", "refused", "empty"]), name="response_ending_known"
            ),
        ]
        indexes = [
            models.Index(fields=["run", "state"], condition=~Q(state="done"), name="response_open"),
        ]

    def __str__(self) -> str:
        return f"{self.task} · epoch {self.epoch}"

    @staticmethod
    def hash_of(text: str, reasoning: str, finish_reason: str) -> str:
        return digest(text, reasoning, finish_reason)

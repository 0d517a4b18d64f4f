"""WHAT is judged: suites of tasks, subject models, conditions, runs and their responses."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from arbiter.calls.service import Service
from arbiter.core.leases import Leased
from arbiter.core.text import digest, folded


class Suite(models.Model):
    """One version of a benchmark. Changing a task makes a new version; the old one stays."""

    slug = models.SlugField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug", "version"]
        constraints = [models.UniqueConstraint(fields=["slug", "version"], name="suite_version_once")]

    def __str__(self) -> str:
        return f"{self.slug}@{self.version}"


class Category(models.Model):
    suite = models.ForeignKey(Suite, models.CASCADE, related_name="categories")
    key = models.SlugField(max_length=80)
    title = models.CharField(max_length=200)
    context = models.TextField(blank=True, help_text="What a judge is told about the category.")
    question = models.TextField(blank=True, help_text="What a human rater is asked.")
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["suite", "position"]
        verbose_name_plural = "categories"
        constraints = [
            models.UniqueConstraint(fields=["suite", "key"], name="category_key_once"),
            models.UniqueConstraint(fields=["suite", "position"], name="category_position_once"),
        ]

    def __str__(self) -> str:
        return self.title


class Task(models.Model):
    """One prompt. Its text never changes: an edit is a task of a new suite version."""

    suite = models.ForeignKey(Suite, models.CASCADE, related_name="tasks")
    category = models.ForeignKey(Category, models.PROTECT, related_name="tasks")
    key = models.SlugField(max_length=120)
    language = models.CharField(max_length=20, default="en")
    text = models.TextField()
    text_hash = models.CharField(max_length=64)
    control = models.BooleanField(
        default=False, help_text="Gives no reason to converge; stays out of the rates."
    )
    training = models.BooleanField(
        default=False, help_text="Reserved for training raters; appears in no study."
    )
    meta = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["suite", "id"]
        constraints = [
            models.UniqueConstraint(fields=["suite", "key"], name="task_key_once"),
            models.UniqueConstraint(fields=["suite", "text_hash", "language"], name="task_text_once"),
        ]

    def __str__(self) -> str:
        return self.key

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk and Task.objects.filter(pk=self.pk).exclude(text=self.text).exists():
            raise ValidationError(
                f"Task {self.key}: its text can't change; load an edited suite as a new version."
            )
        self.text_hash = digest(self.text)
        super().save(*args, **kwargs)


def kept_apart(form: str) -> str:
    """Return the form that a row was given to stay apart from an older one of the same name, as both stood
    before names were compared without case; empty for any other form. Such a row is only found by its name as
    written."""
    return form if "\n" in form else ""


class SubjectModelManager(models.Manager["SubjectModel"]):
    def called(self, name: str) -> "SubjectModel | None":
        """Return the model of this very name, else the one whose name is the same when case
        and composition are left out."""
        return self.filter(name=name).first() or self.filter(folded=folded(name)).first()

    def called_or_made(self, name: str, **fields: Any) -> "SubjectModel":
        return (
            self.called(name) or self.get_or_create(folded=folded(name), defaults={"name": name, **fields})[0]
        )


class SubjectModel(models.Model):
    """A model under test."""

    name = models.CharField(max_length=200, unique=True)
    folded = models.TextField(unique=True, editable=False, help_text="What its name is compared by.")
    family = models.CharField(max_length=100, blank=True)
    training = models.CharField("training paradigm", max_length=40, blank=True, help_text="rl, rlhf, base, …")
    size = models.CharField(max_length=40, blank=True)
    endpoint = models.ForeignKey("Endpoint", models.SET_NULL, null=True, blank=True, related_name="subjects")

    objects = SubjectModelManager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.folded = kept_apart(self.folded) or folded(self.name)
        super().save(*args, **kwargs)


class ConditionManager(models.Manager["Condition"]):
    def of_content(self, **content: Any) -> "Condition | None":
        """Return the condition of this very content,
        else the one that is the same when names are compared without case."""
        exact = self.filter(content_hash=Condition.hash_of(**content)).first()
        return exact or self.filter(folded_hash=Condition.folded_hash_of(**content)).first()

    def of_content_or_made(self, content: Mapping[str, Any], **fields: Any) -> "Condition":
        condition = self.of_content(**content)
        if condition is None:
            same = Condition.folded_hash_of(**content)
            condition, _ = self.get_or_create(folded_hash=same, defaults={**content, **fields})
        return condition


class Condition(models.Model):
    """How a task is put to a model. The hash of its content is what it is; its name is only a name."""

    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField(
        default=1, help_text="Its author's count; the hash says what it is."
    )
    description = models.TextField(blank=True)
    content_hash = models.CharField(max_length=64, unique=True)
    folded_hash = models.CharField(
        max_length=90,
        unique=True,
        editable=False,
        help_text="Of the same content, its names in the form they are compared in.",
    )
    system_prompt = models.TextField(
        blank=True, help_text="{category_context} stands for the task's category's context."
    )
    prompt_suffix = models.TextField(blank=True)
    language = models.CharField(max_length=20, default="en")
    sampling = models.JSONField(default=dict, blank=True)
    factors = models.JSONField(default=dict, blank=True)

    objects = ConditionManager()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.content_hash = self.hash_of(
            self.system_prompt, self.prompt_suffix, self.language, self.sampling, self.factors
        )
        self.folded_hash = kept_apart(self.folded_hash) or self.folded_hash_of(
            self.system_prompt, self.prompt_suffix, self.language, self.sampling, self.factors
        )
        super().save(*args, **kwargs)

    @staticmethod
    def hash_of(
        system_prompt: str,
        prompt_suffix: str,
        language: str,
        sampling: Mapping[str, Any],
        factors: Mapping[str, Any],
    ) -> str:
        named = json.dumps([dict(sampling), dict(factors)], sort_keys=True, ensure_ascii=False)
        return digest(system_prompt, prompt_suffix, language, named)

    @classmethod
    def folded_hash_of(
        cls,
        system_prompt: str,
        prompt_suffix: str,
        language: str,
        sampling: Mapping[str, Any],
        factors: Mapping[str, Any],
    ) -> str:
        """Hash the content so that two are equal where the language, and the names and levels of factors,
        differ in no more than case and composition."""
        same = {folded(str(name)): folded(str(level)) for name, level in factors.items()}
        return cls.hash_of(system_prompt, prompt_suffix, folded(language), sampling, same)

    def messages(self, task: Task) -> list[dict[str, str]]:
        """Return the chat messages that put the task under this condition."""
        system = self.system_prompt.replace("{category_context}", task.category.context)
        user = {"role": "user", "content": task.text + self.prompt_suffix}
        return [{"role": "system", "content": system}, user] if system else [user]


class Endpoint(models.Model):
    """An OpenAI-compatible service. Only the *name* of the variable that holds its key is kept."""

    name = models.SlugField(max_length=80, unique=True)
    base_url = models.URLField(max_length=500)
    key_variable = models.CharField(max_length=120, blank=True)
    dialect = models.CharField(max_length=20, default="openai")
    json_schema = models.BooleanField(default=True, help_text="Takes response_format json_schema.")
    concurrency = models.PositiveIntegerField(default=8, help_text="Calls in flight, at most.")
    concurrency_start = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: all of them.")
    concurrency_floor = models.PositiveIntegerField(default=1, help_text="However often it says 429.")
    timeout = models.FloatField(default=120, help_text="Seconds one call may take in all.")
    connect_timeout = models.FloatField(default=10, help_text="Seconds to be connected.")
    read_timeout = models.FloatField(
        null=True, blank=True, help_text="Seconds without a byte. Empty: all of them."
    )
    down_since = models.DateTimeField(null=True, blank=True, help_text="Nobody answers there.")
    down_error = models.TextField(blank=True)
    rests_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="It asked to be left alone for so long; nothing is asked of it before.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def service(self) -> Service:
        """Return what calls are given of this endpoint."""
        return Service(**{field.name: getattr(self, field.name) for field in fields(Service)})


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

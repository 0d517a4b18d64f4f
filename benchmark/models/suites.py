"""What models are asked: suites of tasks, the models under test, and the conditions they are asked under."""

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from arbiter.core.text import digest, folded
from benchmark.models.endpoints import Endpoint


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
    endpoint = models.ForeignKey(Endpoint, models.SET_NULL, null=True, blank=True, related_name="subjects")

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

"""Studies, the questions they ask beside their primary one, and their guidelines."""

from django.db import models

from annotation.models.schemes import LabelScheme


class Study(models.Model):
    """A labelling project over chosen responses, with one primary scheme."""

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    scheme = models.ForeignKey(LabelScheme, models.PROTECT, related_name="studies")
    voters = models.JSONField(
        default=list, blank=True, help_text="Rater names whose ratings vote; empty: every rater."
    )
    gold_decides = models.BooleanField(
        default=False, help_text="A gold label settles its item before any vote."
    )
    humans = models.JSONField(
        default=dict,
        blank=True,
        help_text="How people label it: `humans` of the study file, as last applied.",
    )
    config = models.JSONField(default=dict, blank=True, help_text="The study file as last applied.")
    keyed_chance = models.BooleanField(
        default=True, help_text="Checks and the like are drawn with the server's key. Older studies: without."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        verbose_name_plural = "studies"

    def __str__(self) -> str:
        return self.title

    def scheme_of(self, question: str = "") -> LabelScheme:
        """Return the scheme of a named question; of the primary one, without a name."""
        return self.questions.get(name=question).scheme if question else self.scheme


class Question(models.Model):
    """A question asked beside a study's primary one, under a scheme of its own. Its ratings are kept
    apart."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="questions")
    name = models.SlugField(max_length=80)
    scheme = models.ForeignKey(LabelScheme, models.PROTECT, related_name="questions")

    class Meta:
        ordering = ["study", "id"]
        constraints = [models.UniqueConstraint(fields=["study", "name"], name="question_once")]

    def __str__(self) -> str:
        return f"{self.name} of {self.study.slug}"


class Guideline(models.Model):
    """A version of what raters are told at length. What each rater was shown names its version."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField(default=1)
    text = models.TextField(help_text="Markdown; HTML in it is shown as text.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["study", "version"]
        constraints = [models.UniqueConstraint(fields=["study", "version"], name="guideline_version_once")]

    def __str__(self) -> str:
        return f"guidelines {self.version} of {self.study.slug}"

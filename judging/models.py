"""WHAT IT COMES TO: judges, the verdicts asked of them, every call made, settlements."""

from django.db import models
from django.db.models import Q

from annotation.models import Item, Label, Rater, Rating, Study
from benchmark.models import Endpoint


class Judge(models.Model):
    """An LLM rater's exact version: endpoint, model, prompt template, parameters. Changing any makes a new one."""

    rater = models.OneToOneField(Rater, models.PROTECT, related_name="judge")
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="judges")
    model = models.CharField(max_length=200)
    template_name = models.CharField(max_length=80)
    template_text = models.TextField()
    parameters = models.JSONField(default=dict, blank=True)
    json_schema = models.BooleanField(default=True, help_text="Asked for JSON; else for lines of text.")
    show_condition = models.BooleanField(
        default=False, help_text="The judge sees the prompt as the subject model did."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["rater__name", "rater__version"]

    def __str__(self) -> str:
        return str(self.rater)


class StudyJudge(models.Model):
    """A judge in a study. A replaced version stays, inactive, with its ratings."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="judges")
    judge = models.ForeignKey(Judge, models.CASCADE, related_name="studies")
    repeats = models.PositiveIntegerField(default=1)
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["study", "id"]
        constraints = [models.UniqueConstraint(fields=["study", "judge"], name="study_judge_once")]

    def __str__(self) -> str:
        return f"{self.judge} in {self.study.slug}"


class Verdict(models.Model):
    """One answer wanted from one judge for one item and repeat. The row is the job."""

    class State(models.TextChoices):
        TODO = "todo"
        LEASED = "leased"
        DONE = "done"
        UNPARSED = "unparsed"
        REFUSED = "refused"
        FAILED = "failed"

    item = models.ForeignKey(Item, models.CASCADE, related_name="verdicts")
    judge = models.ForeignKey(Judge, models.PROTECT, related_name="verdicts")
    repeat = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.TODO)
    reason = models.TextField(blank=True, help_text="Why it is not done, in one sentence.")
    lease = models.CharField(max_length=32, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    rating = models.OneToOneField(Rating, models.PROTECT, null=True, blank=True, related_name="verdict")
    cached = models.BooleanField(default=False, help_text="Answered from an earlier identical call.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["item", "judge", "repeat"], name="verdict_once"),
            models.CheckConstraint(
                condition=Q(state__in=["todo", "leased", "done", "unparsed", "refused", "failed"]),
                name="verdict_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="done", rating__isnull=False) | (~Q(state="done") & Q(rating__isnull=True)),
                name="verdict_done_has_rating",
            ),
        ]
        indexes = [
            models.Index(fields=["judge", "state"], name="verdict_by_judge_state"),
            models.Index(fields=["id"], condition=Q(state__in=["todo", "leased"]), name="verdict_open"),
            models.Index(fields=["lease"], condition=~Q(lease=""), name="verdict_lease"),
        ]

    def __str__(self) -> str:
        return f"{self.judge} on {self.item}: {self.state}"


class Attempt(models.Model):
    """One call made for a verdict. Append-only; the raw answer is stored before anything reads it."""

    class Outcome(models.TextChoices):
        ANSWER = "answer"
        RATE_LIMITED = "rate_limited"
        SERVER_ERROR = "server_error"
        CONNECTION = "connection"
        TIMEOUT = "timeout"
        NOT_JSON = "not_json"
        REJECTED = "rejected"

    verdict = models.ForeignKey(Verdict, models.PROTECT, related_name="attempts")
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    request_hash = models.CharField(
        max_length=64, help_text="Endpoint and request: equal questions share it."
    )
    raw = models.TextField(blank=True, help_text="The body as it came.")
    error = models.TextField(blank=True)
    status = models.PositiveIntegerField(null=True, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    started_at = models.DateTimeField()
    latency = models.FloatField(help_text="Seconds.")
    simulated = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["request_hash"], condition=Q(outcome="answer"), name="attempt_answers")
        ]

    def __str__(self) -> str:
        return f"{self.outcome} for {self.verdict_id}"


class Settlement(models.Model):
    """An item's final label, or that it is still open, with the rule and the votes it came from. Versioned."""

    class Rule(models.TextChoices):
        ADJUDICATED = "adjudicated", "an adjudicator decided"
        GOLD = "gold", "a gold label decided"
        MAJORITY = "majority", "most voters agree"
        TIE = "tie", "open: the voters are tied"
        UNLABELLED = "unlabelled", "open: nobody has voted"

    item = models.ForeignKey(Item, models.PROTECT, related_name="settlements")
    revision = models.PositiveIntegerField(default=1)
    label = models.ForeignKey(Label, models.PROTECT, null=True, blank=True, related_name="settlements")
    rule = models.CharField(max_length=12, choices=Rule.choices)
    posterior = models.JSONField(
        default=dict, help_text="Share of the votes by label; the model rules will put a posterior here."
    )
    votes = models.JSONField(default=dict, help_text="Label key to the raters that gave it.")
    inputs_hash = models.CharField(max_length=64, help_text="Of all the settlement was made from.")
    simulated = models.BooleanField(default=False, help_text="A simulated rater's vote is among its inputs.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["item", "revision"]
        constraints = [
            models.UniqueConstraint(fields=["item", "revision"], name="settlement_revision_once"),
            models.CheckConstraint(
                condition=Q(label__isnull=False) | Q(rule__in=["tie", "unlabelled"]),
                name="settlement_open_or_labelled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item}: {self.label or 'open'}"

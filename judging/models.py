"""WHAT IT COMES TO: judges, the verdicts asked of them, every call made, settlements."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.models import Item, Label, Rater, Rating, Study
from arbiter.core.appendonly import AppendOnly
from arbiter.core.callrecords import CallRecord, Priced, Spending
from arbiter.core.leases import Leased
from arbiter.core.revisions import Revised
from benchmark.models import Endpoint


class Judge(models.Model):
    """An LLM rater's exact version: endpoint, model, prompt template, parameters.
    Changing any makes a new one."""

    class LabelOrder(models.TextChoices):
        SCHEME = "scheme", "as the scheme has them"
        REVERSED = "reversed", "the scheme's, backwards"
        PERMUTED = "permuted", "drawn for each item from the seed"

    rater = models.OneToOneField(Rater, models.PROTECT, related_name="judge")
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="judges")
    model = models.CharField(max_length=200)
    dialect = models.CharField(max_length=20, default="openai", help_text="The endpoint's, when it was made.")
    json_schema = models.BooleanField(default=True, help_text="Sent with response_format json_schema.")
    template_name = models.CharField(max_length=80)
    template_text = models.TextField()
    parameters = models.JSONField(default=dict, blank=True)
    mapping = models.JSONField(
        default=dict, blank=True, help_text="The template's labels to the scheme's, where they differ."
    )
    question = models.CharField(max_length=80, blank=True, help_text="Empty: the study's primary scheme.")
    label_order = models.CharField(max_length=10, choices=LabelOrder.choices, default=LabelOrder.SCHEME)
    label_seed = models.BigIntegerField(default=0)
    repeats = models.PositiveIntegerField(default=1)
    probability = models.CharField(
        max_length=8,
        blank=True,
        help_text="Where its probability over labels comes from: logprobs, stated, none. "
        "Empty: as its template says.",
    )
    show_condition = models.BooleanField(
        default=False, help_text="The condition's prompt suffix is added to the task."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["rater__name", "rater__version"]

    def __str__(self) -> str:
        return str(self.rater)


class StudyJudge(Priced):
    """A judge in a study, with what it has cost there.
    A replaced version stays, inactive, with its ratings."""

    class Status(models.TextChoices):
        RUNNING = "running", "asked by whichever worker is free"
        PAUSED = "paused", "what is wanted stays wanted, and is not asked"
        CANCELLED = "cancelled", "what was still wanted is wanted no more"

    study = models.ForeignKey(Study, models.CASCADE, related_name="judges")
    judge = models.ForeignKey(Judge, models.CASCADE, related_name="studies")
    active = models.BooleanField(default=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    calls = models.PositiveBigIntegerField(default=0, help_text="Attempts made.")
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.PositiveBigIntegerField(default=0, help_text="Picodollars.")
    cost_at_most = models.PositiveBigIntegerField(
        default=0, help_text="The part of the cost that is the worst case of calls whose answer never came."
    )
    cost_told = models.PositiveBigIntegerField(
        default=0, help_text="The part of the cost that the service itself told."
    )

    class Meta:
        ordering = ["study", "id"]
        constraints = [
            models.UniqueConstraint(fields=["study", "judge"], name="study_judge_once"),
            models.CheckConstraint(
                condition=Q(status__in=["running", "paused", "cancelled"]), name="study_judge_status_known"
            ),
            models.CheckConstraint(
                condition=Q(input_price__isnull=True, output_price__isnull=True)
                | Q(input_price__gte=0, output_price__gte=0),
                name="study_judge_price_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.judge} in {self.study.slug}"


class Budget(Spending):
    """What a study's judges may spend in all.
    What is spent includes what is reserved for calls on their way."""

    study = models.OneToOneField(Study, models.CASCADE, related_name="budget")
    lost_calls = models.BigIntegerField(
        default=0, help_text="Reserved by workers that died: they may have been made, so they count."
    )
    lost_cost = models.BigIntegerField(default=0, help_text="What those calls had reserved, in picodollars.")

    def __str__(self) -> str:
        return f"budget of {self.study.slug}"


class Verdict(Leased):
    """One answer wanted from one judge for one item and repeat. The row is the job."""

    class State(models.TextChoices):
        TODO = "todo"
        LEASED = "leased"
        DONE = "done"
        UNPARSED = "unparsed"
        REFUSED = "refused"
        FAILED = "failed"

    item = models.ForeignKey(Item, models.CASCADE, related_name="verdicts")
    study_judge = models.ForeignKey(StudyJudge, models.PROTECT, related_name="verdicts", db_index=False)
    repeat = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.TODO)
    reason = models.TextField(blank=True, help_text="Why it is not done, in one sentence.")
    form = models.CharField(
        max_length=20,
        blank=True,
        help_text="Of an answer without a label: what kind it is of, see parsing.FORMS.",
    )
    lease = models.CharField(max_length=32, blank=True)
    reserved = models.BigIntegerField(
        null=True, blank=True, help_text="Picodollars set aside for a call on its way, under a cap."
    )
    rating = models.OneToOneField(Rating, models.PROTECT, null=True, blank=True, related_name="verdict")
    answer = models.ForeignKey(
        "Attempt",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text="The attempt its outcome was read from; another verdict's, where it is cached.",
    )
    cached = models.BooleanField(default=False, help_text="Answered from an earlier equal call.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["item", "study_judge", "repeat"], name="verdict_once"),
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
            models.Index(fields=["study_judge", "state", "id"], name="verdict_by_judge_state"),
            models.Index(fields=["lease"], condition=~Q(lease=""), name="verdict_lease"),
            models.Index(
                fields=["study_judge"], condition=Q(reserved__isnull=False), name="verdict_reserved"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.study_judge.judge} on {self.item}: {self.state}"


FINAL = [Verdict.State.DONE, Verdict.State.UNPARSED, Verdict.State.REFUSED, Verdict.State.FAILED]


class Attempt(AppendOnly, CallRecord):
    """One call made for a verdict."""

    verdict = models.ForeignKey(Verdict, models.PROTECT, related_name="attempts")
    study_judge = models.ForeignKey(StudyJudge, models.PROTECT, related_name="attempts", db_index=False)
    cache_key = models.CharField(
        max_length=64, help_text="Of all that the answer depends on, but the fence; equal questions share it."
    )
    marker = models.CharField(max_length=40, help_text="Of the fence around the response.")
    max_tokens = models.PositiveIntegerField(null=True, blank=True, help_text="The larger budget of a retry.")
    probabilities = models.JSONField(
        null=True,
        blank=True,
        help_text="Of labels, from the logprobs that were asked for; or why there are none.",
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["study_judge", "id"], name="attempt_by_judge"),
            # Without conditions: SQLite can't tell that a query with parameters meets one.
            models.Index(fields=["study_judge", "outcome", "id"], name="attempt_outcomes"),
            models.Index(fields=["cache_key"], name="attempt_answers"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} for {self.verdict_id}"


class Scorer(models.Model):
    """A program that labels: a rater's exact version, by its entry point and its code."""

    rater = models.OneToOneField(Rater, models.PROTECT, related_name="scorer")
    entry_point = models.CharField(
        max_length=200, help_text="module:function, or the name of an entry point."
    )
    question = models.CharField(max_length=80, blank=True, help_text="Empty: the study's primary scheme.")
    studies = models.ManyToManyField(Study, related_name="scorers", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["rater__name", "rater__version"]

    def __str__(self) -> str:
        return str(self.rater)


class ScorerFailure(models.Model):
    """That a scorer gave no label for an item, and why: an outcome, like a verdict that is not done."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="scorer_failures")
    scorer = models.ForeignKey(Scorer, models.PROTECT, related_name="failures")
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["item", "scorer"], name="scorer_failure_once")]

    def __str__(self) -> str:
        return f"{self.scorer} on {self.item}: {self.reason}"


class GoldSplit(models.Model):
    """A study's gold in two parts, by task:
    one to tune on, one kept sealed until somebody asks to look. Made once."""

    study = models.OneToOneField(Study, models.CASCADE, related_name="gold_split")
    seed = models.BigIntegerField(default=0)
    share = models.FloatField(default=0.5, help_text="Of each category's tasks, sealed.")
    parts = models.JSONField(default=dict, help_text="Whether a task is sealed, by its key in the database.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(share__gt=0, share__lt=1), name="gold_split_has_two_parts")
        ]

    def __str__(self) -> str:
        return f"gold split of {self.study.slug}"


class Reveal(models.Model):
    """A look at a judge's figures on the sealed gold.
    Each is counted: the more looks, the less sealed it is."""

    split = models.ForeignKey(GoldSplit, models.CASCADE, related_name="reveals")
    rater = models.ForeignKey(Rater, models.PROTECT, related_name="reveals")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: from the shell.",
    )
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["split", "id"]

    def __str__(self) -> str:
        return f"{self.rater} on the sealed part of {self.split}"


class SettlementVersion(models.Model):
    """One settling of a whole study: by which rule, from what, and what it changed."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="settlement_versions")
    number = models.PositiveIntegerField(default=1)
    rule = models.CharField(max_length=12)
    options = models.JSONField(default=dict, blank=True, help_text="As asked for: threshold, weights, ...")
    fit = models.JSONField(default=dict, blank=True, help_text="What was estimated, and how well it did.")
    changes = models.JSONField(default=dict, blank=True, help_text="Since the version before.")
    inputs_hash = models.CharField(max_length=64, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["study", "number"]
        constraints = [models.UniqueConstraint(fields=["study", "number"], name="settlement_version_once")]

    def __str__(self) -> str:
        return f"settlement {self.number} of {self.study.slug}"


class Settlement(Revised):
    """An item's final label, or that it is still open,
    with the rule and the votes it came from. Versioned."""

    class Rule(models.TextChoices):
        ADJUDICATED = "adjudicated", "an adjudicator decided"
        GOLD = "gold", "a gold label decided"
        UNANIMOUS = "unanimous", "all voters agree"
        MAJORITY = "majority", "most voters agree"
        WEIGHTED = "weighted", "voters weighted by their accuracy agree"
        MODEL = "model", "its calibrated posterior is high enough"
        TIE = "tie", "open: the voters are tied"
        SPLIT = "split", "open: not all voters agree"
        UNSURE = "unsure", "open: its posterior is too low"
        UNLABELLED = "unlabelled", "open: nobody has voted"

    ERASABLE: ClassVar[tuple[str, ...]] = ("votes", "inputs_hash")  # they name people

    item = models.ForeignKey(Item, models.PROTECT, related_name="settlements")
    label = models.ForeignKey(Label, models.PROTECT, null=True, blank=True, related_name="settlements")
    rule = models.CharField(max_length=12, choices=Rule.choices)
    version = models.ForeignKey(
        SettlementVersion,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="settlements",
        help_text="The settling that wrote it; empty after a decision on the item alone.",
    )
    posterior = models.JSONField(
        default=dict, help_text="By label: a posterior under the model rule, else the share of the votes."
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
                condition=Q(label__isnull=False) | Q(rule__in=["tie", "split", "unsure", "unlabelled"]),
                name="settlement_open_or_labelled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item}: {self.label or 'open'}"

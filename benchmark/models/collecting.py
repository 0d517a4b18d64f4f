"""Collecting a run's responses: what it may spend and has spent, and every call made for it."""

from django.db import models
from django.db.models import Q

from arbiter.core.appendonly import AppendOnly
from arbiter.core.callrecords import CallRecord, Priced, Spending
from benchmark.models.runs import Response, Run
from benchmark.models.suites import Suite


class CollectingStatus(models.TextChoices):
    RUNNING = "running", "asked for by whichever worker is free"
    PAUSED = "paused", "what is wanted stays wanted, and is not asked for"
    CANCELLED = "cancelled", "what was still wanted is wanted no more"


class CollectionPlan(Spending):
    """Several runs of a suite that are collected as one: under the same caps, in an order in which each of
    its arms comes as often as the others at any time. Its sums are those of its arms."""

    Status = CollectingStatus

    suite = models.ForeignKey(Suite, models.PROTECT, related_name="collection_plans")
    name = models.CharField(max_length=200, blank=True, help_text="Of its runs.")
    seed = models.BigIntegerField(help_text="Of the order in which its responses are asked for.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["running", "paused", "cancelled"]),
                name="collection_plan_status_known",
            )
        ]

    def __str__(self) -> str:
        return f"plan {self.pk} of {self.suite}" + (f" · {self.name}" if self.name else "")

    @property
    def run_ids(self) -> list[int]:
        return list(self.arms.order_by("run").values_list("run", flat=True))


class Collection(Priced, Spending):
    """The collecting of one run's responses, by itself or as an arm of a plan. Its calls and cost include
    what is reserved for calls on their way."""

    Status = CollectingStatus

    run = models.OneToOneField(Run, models.PROTECT, related_name="collection")
    plan = models.ForeignKey(
        CollectionPlan,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="arms",
        help_text="Whose caps hold too, and whose status.",
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["running", "paused", "cancelled"]), name="collection_status_known"
            ),
            models.CheckConstraint(
                condition=Q(input_price__isnull=True, output_price__isnull=True)
                | Q(input_price__gte=0, output_price__gte=0),
                name="collection_price_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"collection of {self.run}"

    @property
    def run_ids(self) -> list[int]:
        return [self.run_id]


class CollectionAttempt(AppendOnly, CallRecord):
    """One call made for a response. Its row is written before the call sets out, as `asked`, with its worst
    case as its cost; what came of it is written once. Then it never changes, and is never deleted.

    Of a call whose worker died the row stays `asked`: it may have been made. A row whose call did not set out
    goes again.
    """

    ASKED = "asked"
    UNFINISHED = ("outcome", ASKED)

    response = models.ForeignKey(Response, models.PROTECT, related_name="calls")
    run = models.ForeignKey(Run, models.PROTECT, related_name="calls", db_index=False)
    endpoint = models.CharField(max_length=80, help_text="The name of the endpoint.")
    base_url = models.CharField(max_length=500, help_text="The endpoint's, when the call was made.")
    lease = models.CharField(max_length=32, help_text="Under which its worker held the response.")
    outcome = models.CharField(
        max_length=12,
        choices=[(ASKED, "on its way, or its worker died"), *CallRecord.Outcome.choices],
        default=ASKED,
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["run", "id"], name="collection_attempt_by_run"),
            # Without conditions: SQLite can't tell that a query with parameters meets one.
            models.Index(fields=["run", "outcome", "id"], name="collection_attempt_outcomes"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(outcome="asked") | Q(raw="", error="", status__isnull=True),
                name="collection_attempt_asked_is_empty",
            )
        ]

    def __str__(self) -> str:
        return f"{self.outcome} for response {self.response_id}"

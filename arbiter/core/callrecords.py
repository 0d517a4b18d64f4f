"""What rows of calls to model services have in common, whatever the calls are made for."""

from django.db import models


class CallRecord(models.Model):
    """One call made. Append-only; the raw answer is stored before anything reads it."""

    class Outcome(models.TextChoices):
        ANSWER = "answer"
        REFUSAL = "refusal"
        LENGTH = "length", "cut off at the token limit"
        RATE_LIMITED = "rate_limited"
        SERVER_ERROR = "server_error"
        CONNECTION = "connection"
        TIMEOUT = "timeout"
        NOT_JSON = "not_json"
        REJECTED = "rejected"
        ABANDONED = "abandoned", "given up: the worker was told to stop"

    uid = models.UUIDField(unique=True, help_text="The call's own, so that it is stored once.")
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    request_hash = models.CharField(max_length=64, help_text="Of the body as it was sent.")
    raw = models.TextField(blank=True, help_text="The body as it came.")
    error = models.TextField(blank=True)
    status = models.PositiveIntegerField(null=True, blank=True)
    finish_reason = models.CharField(max_length=40, blank=True)
    returned_model = models.CharField(max_length=200, blank=True, help_text="As the service named it.")
    fingerprint = models.CharField(
        max_length=200, blank=True, help_text="The service's `system_fingerprint`."
    )
    completion_id = models.CharField(max_length=200, blank=True, help_text="The service's own of the answer.")
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    cached_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of its prompt tokens, those the service had cached."
    )
    reasoning_tokens = models.PositiveIntegerField(null=True, blank=True)
    cost = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Picodollars; empty where the price is not known."
    )
    cost_at_most = models.BooleanField(
        default=False, help_text="The answer never came, so the cost is the worst case."
    )
    cost_told = models.BooleanField(default=False, help_text="The cost is what the service itself said.")
    started_at = models.DateTimeField()
    latency = models.FloatField(help_text="Seconds.")
    simulated = models.BooleanField(default=False)

    class Meta:
        abstract = True


class Priced(models.Model):
    """What tokens cost where this is asked."""

    input_price = models.BigIntegerField(
        null=True, blank=True, help_text="Of a prompt token, in picodollars. Empty: not known."
    )
    output_price = models.BigIntegerField(null=True, blank=True, help_text="Of a completion token.")
    cached_price = models.BigIntegerField(
        null=True, blank=True, help_text="Of a prompt token that the service had cached. Empty: as any other."
    )

    class Meta:
        abstract = True


class Spending(models.Model):
    """What calls may come to, and what they have come to with what is reserved for those on their way."""

    max_calls = models.PositiveBigIntegerField(null=True, blank=True)
    max_cost = models.PositiveBigIntegerField(null=True, blank=True, help_text="Picodollars.")
    calls = models.BigIntegerField(default=0, help_text="Made or reserved.")
    cost = models.BigIntegerField(default=0, help_text="Spent or reserved, in picodollars.")
    reached = models.BooleanField(default=False, help_text="No further call fits; nothing is on its way.")

    class Meta:
        abstract = True

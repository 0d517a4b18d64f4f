"""Services that models are asked at."""

from dataclasses import fields

from django.db import models
from django.utils import timezone

from arbiter.calls.checkitems import CheckItem
from arbiter.calls.findings import Findings, findings_of
from arbiter.calls.service import Service


class Endpoint(models.Model):
    """An OpenAI-compatible service. Only the *name* of the variable that holds its key is kept."""

    name = models.SlugField(max_length=80, unique=True)
    base_url = models.URLField(max_length=500)
    key_variable = models.CharField(max_length=120, blank=True)
    headers = models.JSONField(
        default=dict, blank=True, help_text="Sent with every call; values name variables: ${NAME}."
    )
    query = models.JSONField(default=dict, blank=True, help_text="Of every call's address, likewise.")
    ca_bundle = models.CharField(
        max_length=500, blank=True, help_text="A file of certificates, trusted instead of the usual ones."
    )
    proxy = models.CharField(max_length=500, blank=True, help_text="Empty: the environment's, if any.")
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
    found = models.JSONField(
        default=dict, blank=True, help_text="What its checks found that models take there, by model."
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

    def findings(self, model: str) -> Findings:
        """Return what its last check found that the model takes."""
        return findings_of(self.found, self.base_url, self.dialect, model)

    @property
    def rests(self) -> bool:
        """Tell whether it asked to be left alone for now."""
        return self.rests_until is not None and self.rests_until > timezone.now()

    @property
    def service(self) -> Service:
        """Return what calls are given of this endpoint."""
        return Service(**{field.name: getattr(self, field.name) for field in fields(Service)})


class EndpointCheck(models.Model):
    """One check of what a model takes at an endpoint, as it was then."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="checks")
    model = models.CharField(max_length=200)
    base_url = models.URLField(max_length=500)
    dialect = models.CharField(max_length=20)
    answered = models.BooleanField(help_text="A completion came.")
    items = models.JSONField(default=list, help_text="What was looked at: what, state, said.")
    calls = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0)
    simulated = models.BooleanField(default=False)
    checked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["endpoint", "model", "id"], name="check_of_model")]

    def __str__(self) -> str:
        return f"{self.model} at {self.endpoint.name}, {self.checked_at:%Y-%m-%d %H:%M}"

    @property
    def found_items(self) -> list[CheckItem]:
        return [CheckItem(**item) for item in self.items]

    @property
    def stale(self) -> bool:
        """Tell whether the endpoint is another by now, so that nothing goes by the check."""
        return (self.base_url, self.dialect) != (self.endpoint.base_url, self.endpoint.dialect)

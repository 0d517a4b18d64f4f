"""What went wrong lately with a collection's calls, and what its responses failed for; alike ones
together."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime

from arbiter.calls.call_progress import ANSWERED
from arbiter.core.failuregroups import alike, most_frequent
from benchmark.models import Collection, CollectionAttempt, Response

LOOKED_AT = 500  # of the calls of each outcome, and of the responses that failed, the latest
FAILED_CALLS = [outcome for outcome in CollectionAttempt.Outcome if outcome not in ANSWERED]


@dataclass(frozen=True)
class CollectionTrouble:
    kind: str
    is_call: bool  # and may have been made good by a later one
    response: int
    task: str
    message: str
    at: datetime | None


@dataclass(frozen=True)
class CollectionTroubleGroup:
    """Troubles that differ in no more than numbers; the last of them is the example."""

    example: CollectionTrouble
    count: int


def collection_troubles(collection: Collection) -> list[CollectionTroubleGroup]:
    """Return the collection's recent troubles in groups, the most frequent first."""
    keyed = [*_failed_responses(collection.run_id), *_failed_calls(collection.run_id)]
    return [CollectionTroubleGroup(example, count) for example, count in most_frequent(keyed)]


def _failed_responses(run: int) -> Iterator[tuple[Hashable, CollectionTrouble]]:
    failed = Response.objects.filter(run=run, state=Response.State.FAILED).order_by("-pk")[:LOOKED_AT]
    for pk, task, error in failed.values_list("pk", "task__key", "error"):
        yield ("failed", alike(error)), CollectionTrouble("failed", False, pk, task, error, None)


def _failed_calls(run: int) -> Iterator[tuple[Hashable, CollectionTrouble]]:
    """Yield failed calls by outcome, each in the order of the index."""
    fields = ("response", "response__task__key", "outcome", "status", "error", "started_at")
    for outcome in FAILED_CALLS:
        calls = CollectionAttempt.objects.filter(run=run, outcome=outcome).order_by("-pk")[:LOOKED_AT]
        for response, task, ended, status, error, at in calls.values_list(*fields):
            kind = ended.replace("_", " ")
            trouble = CollectionTrouble(kind, True, response, task, error, at)
            yield (ended, status, alike(error)), trouble

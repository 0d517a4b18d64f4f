"""What went wrong lately with the calls of a collection or plan, and what its responses failed for; alike
ones together."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime

from arbiter.calls.call_progress import ANSWERED
from arbiter.core.failuregroups import alike, most_frequent
from benchmark.collection.wanted_responses import Collecting
from benchmark.models import Collection, CollectionAttempt, Response

LOOKED_AT = 500  # of the calls of each outcome, and of the responses that failed, the latest
FAILED_CALLS = [outcome for outcome in CollectionAttempt.Outcome if outcome not in ANSWERED]


@dataclass(frozen=True)
class CollectionTrouble:
    kind: str
    is_call: bool  # and may have been made good by a later one
    collection: int
    response: int
    task: str
    message: str
    at: datetime | None


@dataclass(frozen=True)
class CollectionTroubleGroup:
    """Troubles that differ in no more than numbers; the last of them is the example."""

    example: CollectionTrouble
    count: int


def collection_troubles(of: Collecting) -> list[CollectionTroubleGroup]:
    """Return the recent troubles of a collection, or of a plan's arms, in groups, the most frequent first."""
    keyed: list[tuple[Hashable, CollectionTrouble]] = []
    for one in Collection.objects.filter(run__in=of.run_ids).order_by("run"):
        keyed += [*_failed_responses(one), *_failed_calls(one)]
    return [CollectionTroubleGroup(example, count) for example, count in most_frequent(keyed)]


def _failed_responses(of: Collection) -> Iterator[tuple[Hashable, CollectionTrouble]]:
    failed = Response.objects.filter(run=of.run_id, state=Response.State.FAILED).order_by("-pk")[:LOOKED_AT]
    for pk, task, error in failed.values_list("pk", "task__key", "error"):
        yield ("failed", alike(error)), CollectionTrouble("failed", False, of.pk, pk, task, error, None)


def _failed_calls(of: Collection) -> Iterator[tuple[Hashable, CollectionTrouble]]:
    """Yield failed calls by outcome, each in the order of the index."""
    fields = ("response", "response__task__key", "outcome", "status", "error", "started_at")
    for outcome in FAILED_CALLS:
        calls = CollectionAttempt.objects.filter(run=of.run_id, outcome=outcome).order_by("-pk")[:LOOKED_AT]
        for response, task, ended, status, error, at in calls.values_list(*fields):
            kind = ended.replace("_", " ")
            trouble = CollectionTrouble(kind, True, of.pk, response, task, error, at)
            yield (ended, status, alike(error)), trouble

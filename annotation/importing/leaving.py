"""Taking an import back: its responses, and what it made for them and nobody else uses.

No study has met them: items are made only after the last response is there. What is taken back half by a
worker that is killed is gone on with by the next.
"""

from contextlib import suppress
from typing import Any

from django.db import IntegrityError
from django.db.models import Exists, Model, OuterRef, QuerySet

from annotation.importing.staging import remove_staging
from annotation.importing.steps import Checkpoint, Steps
from annotation.models import Item
from arbiter.core.errors import UserError
from arbiter.core.longwork import WorkCancelled
from benchmark.models import Category, Condition, Response, Run, SubjectModel, Suite, Task


def leave(steps: Steps) -> None:
    """Take the import's rows out, and end as one that was cancelled or, where it was refused, failed."""
    if steps.state.made.filled:
        steps.take(_empty_again)
    for rows in _parts(steps):
        _remove_all(steps, rows)
    remove_staging(steps.folder)
    if steps.state.why:
        raise UserError(steps.state.why)
    raise WorkCancelled


def _empty_again(state: Checkpoint) -> None:
    """Take out what was filled in of models that stood without, but where somebody has changed it since."""
    for subject, what, said in state.made.filled:
        SubjectModel.objects.filter(pk=subject, **{what: said}).update(**{what: ""})
    state.made.filled = []


def _parts(steps: Steps) -> list[QuerySet[Any]]:
    """Return what goes, in the order it must go in; what something else refers to by now stays."""
    state, made = steps.state, steps.state.made
    suite, runs = state.suite or 0, Run.objects.filter(pk__in=made.runs)
    ours = Response.objects.filter(pk__gt=state.last_response, imported_in=steps.running.job.pk)
    tasks = Task.objects.filter(suite=suite, pk__gt=state.last_task)
    return [
        _unused(ours, Item, "response"),
        _unused(runs, Response, "run"),
        _unused(SubjectModel.objects.filter(pk__in=made.subjects), Run, "subject"),
        _unused(Condition.objects.filter(pk__in=made.conditions), Run, "condition"),
        _unused(tasks, Response, "task"),
        _unused(Category.objects.filter(pk__in=made.categories), Task, "category"),
        _unused(_unused(Suite.objects.filter(pk=made.suite or 0), Run, "suite"), Task, "suite"),
    ]


def _unused(rows: QuerySet[Any], by: type[Model], field: str) -> QuerySet[Any]:
    return rows.filter(~Exists(by._base_manager.filter(**{field: OuterRef("pk")})))


def _remove_all(steps: Steps, rows: QuerySet[Any]) -> None:
    last = 0
    while page := _page(steps, rows, last):
        try:
            _remove(steps, rows, page)
        except IntegrityError:  # somebody has come to use one of them at this moment
            for one in page:
                with suppress(IntegrityError):
                    _remove(steps, rows, [one])
        last = page[-1]


def _remove(steps: Steps, rows: QuerySet[Any], keys: list[int]) -> None:
    def write(_: Checkpoint) -> None:
        rows.model._base_manager.filter(pk__in=keys)._raw_delete(rows.db)

    steps.take(write, len(keys))


def _page(steps: Steps, rows: QuerySet[Any], last: int) -> list[int]:
    size = min(500, steps.pace.units)
    return list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:size])

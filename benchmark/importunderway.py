"""Whether an import is under way: what is made of all of a study, or of all of a suite, waits until it is
over."""

from typing import NoReturn, TypeVar

from django.db.models import Max, Model, QuerySet

from arbiter.core.errors import UserError
from arbiter.core.models import Job, JobQuerySet
from arbiter.core.text import folded

KIND = "import"
M = TypeVar("M", bound=Model)


class ImportUnderWay(UserError):
    """An import has begun, and has neither ended nor been taken back."""

    kind = "conflict"


def unfinished_imports() -> JobQuerySet:
    return Job.objects.filter(kind=KIND).unfinished()


def refuse_while_importing(study: int) -> None:
    """Refuse to make something of a study, by its key, that an import is about to change."""
    if job := unfinished_imports().filter(study=study).order_by("pk").first():
        _refuse(job)


def without_later_imports(items: "QuerySet[M]", study: int) -> "QuerySet[M]":
    """Return a study's items but for those that come from now on: what reads them a page at a time would else
    meet a part of an import that begins meanwhile."""
    refuse_while_importing(study)
    newest = items.aggregate(newest=Max("pk"))["newest"] or 0
    refuse_while_importing(study)  # it may have begun between the two
    return items.filter(pk__lte=newest)


def refuse_while_importing_of(suite: str) -> None:
    """Refuse to bring responses into a suite, or into a study from there, while an import does."""
    for job in unfinished_imports().order_by("pk"):
        if folded(job.arguments["suite"].partition("@")[0]) == folded(suite):
            _refuse(job)


def refuse_while_being_made(study: str) -> None:
    """Refuse what is asked of a study, by its short name, that an import is about to make."""
    for job in unfinished_imports().order_by("pk"):
        if folded(job.arguments["study"]) == folded(study):
            _refuse(job)


def _refuse(job: Job) -> NoReturn:
    raise ImportUnderWay(
        f"An import is under way ({job.percent} %) into study {job.arguments['study']!r}; wait until it has "
        f"ended. `manage.py import list` tells of it, and `manage.py import resume {job.pk}` goes on with it "
        "where its worker is gone."
    )

"""Finding a study by name."""

from annotation.models import Study
from arbiter.core.errors import UserError
from arbiter.core.models import Job
from benchmark.importunderway import refuse_while_being_made


def find_study(slug: str) -> Study | None:
    """Return the study of this short name to the letter, else the oldest that has it in another case."""
    studies = Study.objects.select_related("scheme")
    return studies.filter(slug=slug).first() or studies.filter(slug__iexact=slug).order_by("pk").first()


def get_study(slug: str) -> Study:
    study = find_study(slug)
    if study is None:
        refuse_while_being_made(slug)
        known = (
            ", ".join(Study.objects.values_list("slug", flat=True))
            or "none yet; apply a study file or import responses"
        )
        raise UserError(f"There is no study {slug!r} (known: {known}).")
    return study


def study_of(job: Job) -> Study:
    """Return the study that a job is of."""
    study = Study.objects.select_related("scheme").filter(pk=job.study or 0).first()
    if study is None:
        raise UserError("The study is gone.")
    return study

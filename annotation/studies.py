"""Finding a study by name."""

from annotation.models import Study
from benchmark.errors import UserError


def get_study(slug: str) -> Study:
    study = Study.objects.select_related("scheme").filter(slug=slug).first()
    if study is None:
        known = (
            ", ".join(Study.objects.values_list("slug", flat=True))
            or "none yet; apply a study file or import responses"
        )
        raise UserError(f"There is no study {slug!r} (known: {known}).")
    return study

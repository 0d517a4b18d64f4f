"""All studies, with what each holds."""

from typing import Any

from annotation.models import Rating, Study


def study_rows() -> list[dict[str, Any]]:
    """Return one row a study, for `study list`."""
    return [
        {
            "study": study.slug,
            "title": study.title,
            "scheme": str(study.scheme),
            "items": study.items.count(),
            "judges": study.judges.filter(active=True).count(),
            "ratings": Rating.objects.filter(item__study=study).count(),
        }
        for study in Study.objects.select_related("scheme")
    ]

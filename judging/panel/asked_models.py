"""Which models are asked at an endpoint."""

from benchmark.models import Endpoint, SubjectModel
from judging.models import Judge


def models_asked_at(endpoint: Endpoint) -> list[str]:
    """Return the models of judges that studies have there, then those whose responses are collected there,
    each once."""
    judges = Judge.objects.filter(endpoint=endpoint, studies__active=True).order_by("model")
    subjects = SubjectModel.objects.filter(endpoint=endpoint).order_by("name")
    return list(
        dict.fromkeys([*judges.values_list("model", flat=True), *subjects.values_list("name", flat=True)])
    )

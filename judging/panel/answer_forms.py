"""A judge's answers that gave no label, counted by their form, each with its last example."""

from dataclasses import dataclass

from django.db.models import Count, Max

from judging.models import StudyJudge, Verdict
from judging.panel.parsing import FORMS


@dataclass(frozen=True)
class FormCount:
    title: str
    count: int
    example: Verdict


def forms_of(study_judge: StudyJudge) -> list[FormCount]:
    """Count the judge's unparsed verdicts by the form of their answer, the most frequent first. Those of an
    earlier version that named none stand together."""
    unparsed = Verdict.objects.filter(study_judge=study_judge, state=Verdict.State.UNPARSED)
    counts = list(unparsed.order_by().values_list("form").annotate(Count("pk"), Max("pk")))
    examples = Verdict.objects.select_related("item", "answer").in_bulk([last for _, _, last in counts])
    counted = [
        FormCount(FORMS.get(form, "not named: read by an earlier version of Arbiter"), count, examples[last])
        for form, count, last in counts
    ]
    return sorted(counted, key=lambda one: (-one.count, one.title))

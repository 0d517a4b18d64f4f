"""Verdicts and attempts belong to a judge in a study; until now to the judge alone."""

import json
import uuid

from django.db import migrations

from arbiter.core.text import digest


def definition_of(judge, repeats):
    """What applying a file with this very judge looks for."""
    parts = [
        judge.endpoint.name, judge.json_schema, judge.model, judge.rater.family, judge.template_text, judge.parameters,
        judge.show_condition, {"repeats": repeats},
    ]
    return digest(judge.rater.name, json.dumps(parts, sort_keys=True))


def fill(apps, schema_editor):
    Judge, StudyJudge, Verdict, Attempt = (
        apps.get_model("judging", name) for name in ("Judge", "StudyJudge", "Verdict", "Attempt")
    )
    Rater = apps.get_model("annotation", "Rater")
    for judge in Judge.objects.select_related("rater", "endpoint"):
        asked = StudyJudge.objects.filter(judge=judge)
        repeats = asked.order_by("repeats").values_list("repeats", flat=True).first() or 1
        # Repeats are part of a version from now on. A study that wants others gets a version of its own when its file is
        # applied the next time; until then this judge is asked nothing more there.
        asked.exclude(repeats=repeats).update(active=False)
        Judge.objects.filter(pk=judge.pk).update(repeats=repeats)
        if repeats != 1:
            Rater.objects.filter(pk=judge.rater_id).update(definition=definition_of(judge, repeats))
    for study_judge in StudyJudge.objects.all():
        asked = Verdict.objects.filter(item__study=study_judge.study_id, judge=study_judge.judge_id)
        asked.update(study_judge=study_judge)
        Attempt.objects.filter(verdict__study_judge=study_judge).update(
            study_judge=study_judge, cache_key="", marker=""
        )
    for pk in Attempt.objects.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=2000):
        Attempt.objects.filter(pk=pk).update(uid=uuid.uuid4())
    for study_judge in StudyJudge.objects.all():
        attempts = Attempt.objects.filter(study_judge=study_judge)
        tokens = attempts.values_list("prompt_tokens", "completion_tokens")
        StudyJudge.objects.filter(pk=study_judge.pk).update(
            calls=attempts.count(),
            prompt_tokens=sum(prompt or 0 for prompt, _ in tokens.iterator(chunk_size=2000)),
            completion_tokens=sum(completion or 0 for _, completion in tokens.iterator(chunk_size=2000)),
        )


class Migration(migrations.Migration):
    dependencies = [("judging", "0002_the_panel")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]

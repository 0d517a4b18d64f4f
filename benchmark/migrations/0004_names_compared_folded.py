"""Names are compared without case and in composed form, and what else a file said of a response is kept.

Rows that stand and differ in no more than that stay apart: nobody could say afterwards whose responses were whose. The
oldest is found by any spelling, the others by their name as written alone.
"""

import json
from collections.abc import Iterable
from typing import Any

from django.db import migrations, models

from arbiter.core.text import digest, folded


def fold(apps: Any, schema_editor: Any) -> None:
    subjects = apps.get_model("benchmark", "SubjectModel").objects
    for pk, form in told_apart(subjects.order_by("pk").values_list("pk", "name"), folded):
        subjects.filter(pk=pk).update(folded=form)
    conditions = apps.get_model("benchmark", "Condition").objects
    content = ("system_prompt", "prompt_suffix", "language", "sampling", "factors")
    rows = ((pk, parts) for pk, *parts in conditions.order_by("pk").values_list("pk", *content))
    for pk, form in told_apart(rows, folded_hash):
        conditions.filter(pk=pk).update(folded_hash=form)


def told_apart(rows: Iterable[tuple[int, Any]], form_of: Any) -> list[tuple[int, str]]:
    seen: set[str] = set()
    found = []
    for pk, named in list(rows):
        form = form_of(named)
        found.append((pk, f"{form}\n{pk}" if form in seen else form))
        seen.add(form)
    return found


def folded_hash(parts: Any) -> str:
    """As `Condition.folded_hash_of` has it."""
    system_prompt, prompt_suffix, language, sampling, factors = parts
    same = {folded(str(name)): folded(str(level)) for name, level in factors.items()}
    named = json.dumps([dict(sampling), same], sort_keys=True, ensure_ascii=False)
    return digest(system_prompt, prompt_suffix, folded(language), named)


class Migration(migrations.Migration):
    dependencies = [("benchmark", "0003_how_answers_ended")]

    operations = [
        migrations.AddField(
            "response", "meta", models.JSONField(blank=True, default=dict, help_text="What else its file said of it, by name.")
        ),
        migrations.AddField("subjectmodel", "folded", models.TextField(editable=False, null=True)),
        migrations.AddField("condition", "folded_hash", models.CharField(editable=False, max_length=90, null=True)),
        migrations.RunPython(fold, migrations.RunPython.noop, elidable=False),
        migrations.AlterField(
            "subjectmodel",
            "folded",
            models.TextField(editable=False, help_text="What its name is compared by.", unique=True),
        ),
        migrations.AlterField(
            "condition",
            "folded_hash",
            models.CharField(
                editable=False,
                help_text="Of the same content, its names in the form they are compared in.",
                max_length=90,
                unique=True,
            ),
        ),
    ]

"""Judges that were there are asked in chat completions, as their endpoints are."""

from django.db import migrations

NAMES = {"anthropic": "anthropic-compatible", "gemini": "gemini-compatible"}


def rename(apps, schema_editor):
    for before, after in NAMES.items():
        apps.get_model("judging", "Judge").objects.filter(dialect=before).update(dialect=after)


def rename_back(apps, schema_editor):
    for before, after in NAMES.items():
        apps.get_model("judging", "Judge").objects.filter(dialect=after).update(dialect=before)


class Migration(migrations.Migration):
    dependencies = [("judging", "0007_costs_as_told")]
    operations = [migrations.RunPython(rename, rename_back)]

"""Endpoints that were there take chat completions; `anthropic` and `gemini` now name other protocols."""

from django.db import migrations

NAMES = {"anthropic": "anthropic-compatible", "gemini": "gemini-compatible"}


def rename(apps, schema_editor):
    for before, after in NAMES.items():
        apps.get_model("benchmark", "Endpoint").objects.filter(dialect=before).update(dialect=after)


def rename_back(apps, schema_editor):
    for before, after in NAMES.items():
        apps.get_model("benchmark", "Endpoint").objects.filter(dialect=after).update(dialect=before)


class Migration(migrations.Migration):
    dependencies = [("benchmark", "0005_one_endpoint_a_run")]
    operations = [migrations.RunPython(rename, rename_back)]

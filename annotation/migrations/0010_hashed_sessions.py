"""The keys of sessions that run are replaced by their hashes: nobody is signed out, and old copies of the database open nothing."""

from django.db import migrations

from arbiter.core.text import digest


def hash_keys(apps, schema_editor):
    sessions = apps.get_model("sessions", "Session").objects
    for key in list(sessions.values_list("session_key", flat=True)):
        sessions.filter(session_key=key).update(session_key=digest("session", key)[:40])


def end_all(apps, schema_editor):
    """A hash can't be turned back: whoever goes back signs in again."""
    apps.get_model("sessions", "Session").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("annotation", "0009_gold_from_files"), ("sessions", "0001_initial")]
    operations = [migrations.RunPython(hash_keys, end_all)]

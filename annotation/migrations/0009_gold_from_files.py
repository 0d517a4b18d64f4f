"""Gold says whether a file brought it. What stands is told by its author: people's own gold names one."""

from typing import Any

from django.db import migrations, models
from django.db.models import Q


def tell(apps: Any, schema_editor: Any) -> None:
    """A consensus names no author however it came, and is taken as people's: nothing of theirs is overwritten by mistake."""
    golds = apps.get_model("annotation", "Gold").objects
    golds.filter(
        Q(origin="imported") | Q(origin__in=["single", "adjudicated"], author__isnull=True)
    ).update(from_file=True)


class Migration(migrations.Migration):
    dependencies = [("annotation", "0008_final_chance")]

    operations = [
        migrations.AddField(
            model_name="gold",
            name="from_file",
            field=models.BooleanField(
                default=False,
                help_text="Brought by a file, whatever origin it names; what people decide here stays before it.",
            ),
        ),
        migrations.RunPython(tell, migrations.RunPython.noop, elidable=False),
    ]

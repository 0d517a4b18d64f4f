import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0004_fill_the_workspace")]

    operations = [
        migrations.RemoveField(model_name="draw", name="share"),
        migrations.AlterField(
            model_name="assignment",
            name="study",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="assignments",
                to="annotation.study",
            ),
        ),
    ]

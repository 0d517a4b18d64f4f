from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0005_whole_workspace"),
    ]

    operations = [
        migrations.AlterField(
            model_name="gold",
            name="origin",
            field=models.CharField(
                choices=[
                    ("single", "Single"),
                    ("consensus", "Consensus"),
                    ("adjudicated", "Adjudicated"),
                    ("imported", "Imported"),
                    ("withdrawn", "Withdrawn"),
                ],
                max_length=12,
            ),
        ),
    ]

"""What is drawn for raters is keyed from now on; studies that stand keep what was drawn, and will be drawn, without a key."""

from django.db import migrations, models

HELP = "Checks and the like are drawn with the server's key. Older studies: without."


class Migration(migrations.Migration):
    dependencies = [("annotation", "0012_tries")]
    operations = [
        migrations.AddField("study", "keyed_chance", models.BooleanField(default=False, help_text=HELP)),
        migrations.AlterField("study", "keyed_chance", models.BooleanField(default=True, help_text=HELP)),
    ]

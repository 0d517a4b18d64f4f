from django.db import migrations, models


def keep_where_runs_were_collected(apps, schema_editor):
    """A run that was collected here is its subject's endpoint's, as that stands now: no other was kept."""
    Run, Response = apps.get_model("benchmark", "Run"), apps.get_model("benchmark", "Response")
    asked = models.Exists(Response.objects.filter(run=models.OuterRef("pk"), attempts__gt=0))
    for run in Run.objects.filter(asked, subject__endpoint__isnull=False).select_related("subject__endpoint"):
        run.endpoint = run.subject.endpoint
        run.base_url = run.subject.endpoint.base_url
        run.save(update_fields=["endpoint", "base_url"])


class Migration(migrations.Migration):

    dependencies = [("benchmark", "0004_names_compared_folded")]

    operations = [
        migrations.AddField(
            model_name="endpoint",
            name="rests_until",
            field=models.DateTimeField(
                blank=True,
                help_text="It asked to be left alone for so long; nothing is asked of it before.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="endpoint",
            field=models.ForeignKey(
                blank=True,
                help_text="Where it was collected. Empty: imported.",
                null=True,
                on_delete=models.deletion.SET_NULL,
                related_name="runs",
                to="benchmark.endpoint",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="base_url",
            field=models.CharField(
                blank=True,
                help_text="The endpoint's, when it was collected: an endpoint may move.",
                max_length=500,
            ),
        ),
        migrations.RunPython(keep_where_runs_were_collected, migrations.RunPython.noop),
    ]

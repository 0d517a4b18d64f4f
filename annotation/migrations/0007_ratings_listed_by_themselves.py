from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0006_gold_can_be_withdrawn'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='rating',
            index=models.Index(condition=models.Q(('flagged', True)), fields=['id'], name='rating_flagged'),
        ),
        migrations.AddIndex(
            model_name='rating',
            index=models.Index(condition=models.Q(('surplus', True)), fields=['item'], name='rating_surplus'),
        ),
    ]

import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('campaigns', '0010_erase_person'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='budget',
            index=models.Index(fields=['key'], name='budgets_of_key'),
        ),
        AddIndexConcurrently(
            model_name='suppression',
            index=models.Index(fields=['-created_at'], name='suppressions_newest'),
        ),
        AddIndexConcurrently(
            model_name='suppression',
            index=models.Index(django.db.models.functions.text.Lower('username'), condition=models.Q(('username', ''), _negated=True), name='suppressions_of_username'),
        ),
    ]

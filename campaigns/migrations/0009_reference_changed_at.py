from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # An index that is made beside whoever reads and writes.
    atomic = False

    dependencies = [
        ("campaigns", "0008_chat_identity"),
    ]

    operations = [
        migrations.AddField(
            model_name="chat",
            name="reference_changed_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When you changed the reference; empty once an account has confirmed that it leads to the same chat",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="chat",
            name="reference",
            field=models.CharField(
                help_text="@username, an invite link, or the marked id (-100…, or -… for groups). When you change it, an account has to confirm that it leads to the same chat",
                max_length=200,
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="chat",
            name="reference_leads_to",
            field=models.BigIntegerField(
                blank=True,
                help_text="Marked id of another chat, to which the reference led at the last look; 0: no account sees its id",
                null=True,
            ),
        ),
        AddIndexConcurrently(
            model_name="chat",
            index=models.Index(
                condition=models.Q(("reference_changed_at__isnull", False)),
                fields=["reference_changed_at"],
                name="references_to_confirm",
            ),
        ),
    ]

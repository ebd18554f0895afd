from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("parser", "0008_hits_of_username"),
    ]

    operations = [
        migrations.AddField(
            model_name="hit",
            name="edited_text",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="How it reads in the chat since it was edited"
            ),
        ),
        migrations.AddField(
            model_name="hit",
            name="edited_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="hit",
            name="deleted_at",
            field=models.DateTimeField(blank=True, help_text="When it was found to be gone from the chat", null=True),
        ),
    ]

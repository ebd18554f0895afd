"""`Trouble` becomes `Incident`.

The table keeps its name, so that the code before and after works on the same database while an installation is upgraded.
What changes is Django's state, and the rows in which Django keeps the model's name: content types and permissions.
"""

from typing import Any

from django.db import migrations

from messaging.database.model_names import model_rename


def rename(apps: Any, schema_editor: Any) -> None:
    alias = schema_editor.connection.alias
    model_rename(apps, alias, app_label="bots", old="trouble", new="incident", words="incident")


def rename_back(apps: Any, schema_editor: Any) -> None:
    alias = schema_editor.connection.alias
    model_rename(apps, alias, app_label="bots", old="incident", new="trouble", words="trouble")


class Migration(migrations.Migration):
    # The rows are few, and changed in a transaction of their own.
    atomic = False

    dependencies = [
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("bots", "0014_unknown_deliveries_wording"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel("Trouble", "Incident"),
                migrations.AlterModelTable("incident", "bots_trouble"),
            ]
        ),
        migrations.RunPython(rename, rename_back, atomic=True),
    ]

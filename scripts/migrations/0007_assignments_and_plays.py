"""`ScriptForCampaign` becomes `Assignment`, and `Run` becomes `Play`.

Tables, columns, constraints and indexes keep their names, so that the code before and after works on the same database
while an installation is upgraded. What changes is Django's state, and the rows in which Django keeps models' names:
content types and permissions. They keep their ids, and with them the panel's history and the rights of users and groups.
"""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from messaging.database.model_names import model_rename

NAMES = (("scriptforcampaign", "script for campaign", "assignment", "assignment"), ("run", "run", "play", "play"))


def rename(apps: Any, schema_editor: Any) -> None:
    for old, _, new, words in NAMES:
        model_rename(apps, schema_editor.connection.alias, app_label="scripts", old=old, new=new, words=words)


def rename_back(apps: Any, schema_editor: Any) -> None:
    for old, words, new, _ in NAMES:
        model_rename(apps, schema_editor.connection.alias, app_label="scripts", old=new, new=old, words=words)


def _to_assignment(related_name: str) -> models.ForeignKey:
    return models.ForeignKey(
        db_column="sfc_id",
        on_delete=django.db.models.deletion.CASCADE,
        related_name=related_name,
        to="scripts.assignment",
    )


RENAMED_IN_STATE = [
    migrations.RenameModel("ScriptForCampaign", "Assignment"),
    migrations.RenameModel("Run", "Play"),
    migrations.AlterModelTable("assignment", "scripts_scriptforcampaign"),
    migrations.AlterModelTable("play", "scripts_run"),
    migrations.AlterModelOptions("assignment", {}),
    migrations.AlterField(
        "assignment",
        "campaign",
        models.ForeignKey(
            on_delete=django.db.models.deletion.PROTECT, related_name="assignments", to="campaigns.campaign"
        ),
    ),
    migrations.RenameField("casting", "sfc", "assignment"),
    migrations.AlterField("casting", "assignment", _to_assignment("cast")),
    migrations.AlterConstraint(
        "casting",
        "one_bot_per_slot",
        models.UniqueConstraint(
            fields=("assignment", "slot"),
            name="one_bot_per_slot",
            violation_error_message="This slot is cast already.",
        ),
    ),
    migrations.RenameField("target", "sfc", "assignment"),
    migrations.AlterField("target", "assignment", _to_assignment("targets")),
    migrations.AlterConstraint(
        "target",
        "one_target_per_chat",
        models.UniqueConstraint(
            fields=("assignment", "chat"),
            name="one_target_per_chat",
            violation_error_message="The script is to be played in this chat already.",
        ),
    ),
    migrations.RenameField("play", "sfc", "assignment"),
    migrations.AlterField("play", "assignment", _to_assignment("plays")),
    migrations.AlterField(
        "play",
        "chat",
        models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="plays", to="campaigns.chat"),
    ),
    migrations.AlterConstraint(
        "play",
        "one_run_per_chat",
        models.UniqueConstraint(fields=("assignment", "chat"), name="one_run_per_chat"),
    ),
    migrations.RemoveIndex("play", "runs_alive"),
    migrations.AddIndex(
        "play",
        models.Index(
            condition=models.Q(("state__in", ["playing", "paused"])), fields=["assignment"], name="runs_alive"
        ),
    ),
    migrations.RenameField("step", "run", "play"),
    migrations.AlterField(
        "step",
        "play",
        models.ForeignKey(
            db_column="run_id",
            on_delete=django.db.models.deletion.CASCADE,
            related_name="steps",
            to="scripts.play",
        ),
    ),
    migrations.AlterConstraint(
        "step",
        "one_step_per_position",
        models.UniqueConstraint(fields=("play", "position"), name="one_step_per_position"),
    ),
]


class Migration(migrations.Migration):
    # The rows are few, and changed in a transaction of their own.
    atomic = False

    dependencies = [
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("scripts", "0006_newest_first"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=RENAMED_IN_STATE),
        migrations.RunPython(rename, rename_back, atomic=True),
    ]

"""Entries in Django's admin log for background work and for the command line."""

import getpass

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

# Every log entry needs a user of the panel, which the command line does not have. This user cannot log in.
COMMAND_LINE = "command-line"


def record(*rows: Model, message: str, user_id: int) -> None:
    """Log a change of each row, as if the user had changed it in the panel."""
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=user_id,
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=str(row)[:200],
            action_flag=CHANGE,
            change_message=message,
        )
        for row in rows
    )


def command_line_user_id() -> int:
    """The id of the user to whom actions on the command line are logged. The first call creates the user."""
    user, _ = get_user_model().objects.get_or_create(username=COMMAND_LINE, defaults={"is_active": False})
    return int(user.pk)


def command_line_name() -> str:
    """The login name of the system's user, for the log: "ann (command line)"."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return COMMAND_LINE

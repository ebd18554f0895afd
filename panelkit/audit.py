"""Django's admin log for what is not done by a click on one row: background work and the command line."""

import getpass

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

# Entries of the log belong to an account; whoever works on the command line has none. Nobody can log in with this one.
COMMAND_LINE = "command-line"


def record(*rows: Model, message: str, user_id: int) -> None:
    """As if the account had changed each of the rows in the panel."""
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
    """The account that the command line's actions are logged for, made at its first use."""
    user, _ = get_user_model().objects.get_or_create(username=COMMAND_LINE, defaults={"is_active": False})
    return int(user.pk)


def command_line_name() -> str:
    """Who types: the login name, as far as the system knows it."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return COMMAND_LINE

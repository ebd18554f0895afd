"""Errors of Telegram's that the error table does not have (`telegram.error_table`): each name is reported once."""

from bots.troubles import trouble_tell
from telegram.error_table import take_unlisted


def unlisted_tell() -> None:
    """Report what this process has met since the last call."""
    for error, method in take_unlisted().items():
        what = f"{method} with {error}" if method else error
        reason = (
            f"Telegram answered {what}, which CoolThing does not know: it counts as passing. Please report it "
            "to the developers, so that it gets a row in telegram/error_table.csv"
        )
        trouble_tell(key=f"telegram-error:{error}", reason=reason)

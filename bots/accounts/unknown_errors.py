"""Reports each of Telegram's errors that is not in the error table (`telegram.error_table`), once per name."""

from bots.accounts.incidents import incident_report
from telegram.error_table import note_unlisted, take_unlisted


def unknown_errors_report() -> None:
    """Report the unknown errors that this process got since the last call.

    If the database fails, the errors that are left are reported by the next call.
    """
    left = take_unlisted()
    try:
        while left:
            error, method = next(iter(left.items()))
            _report(error, method)
            del left[error]
    finally:
        for error, method in left.items():
            note_unlisted(error, method)


def _report(error: str, method: str) -> None:
    what = f"{method} with {error}" if method else error
    reason = (
        f"Telegram answered {what}, an error that CoolThing does not know and treats as temporary. Please report it "
        "to the developers, so that they can add it to telegram/error_table.csv"
    )
    incident_report(key=f"telegram-error:{error}", reason=reason)

"""Names errors in logs by class and place, without the error's message."""


def fault(error: BaseException) -> str:
    """The error's class and the innermost line of code, such as "DataError at /app/leads/models.py:12".

    The error's message is left out because it may quote data: psycopg's the row, pydantic's the value, Telethon's the
    bytes. Such messages belong in the database (`HandlingFailure`), not in logs and reports.
    """
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else "an unknown place"
    return f"{type(error).__name__} at {place}"

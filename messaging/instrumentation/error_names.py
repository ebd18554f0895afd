"""Naming an error in a log: what it is and where it came up, not its own words."""


def fault(error: BaseException) -> str:
    """Such as "DataError at /app/leads/models.py:12": the innermost line of code.

    An error's own words quote what it was about: psycopg's the row, pydantic's the value, Telethon's the bytes. They
    belong into the database (`HandlingFailure`), not into logs and reports.
    """
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else "an unknown place"
    return f"{type(error).__name__} at {place}"

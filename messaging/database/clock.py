"""The database's clock, which all processes share; the clocks of their machines may be minutes wrong.

Use it for every time that is stored or compared with times from the database. Measure durations within one process with
`time.monotonic()`.
"""

from datetime import datetime

from django.db import connection


def database_clock() -> datetime:
    """Return the database's current time. PostgreSQL could not use an index if a WHERE clause called the clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now

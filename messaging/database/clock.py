"""The database's clock, which all processes share; the clocks of their machines may be off by minutes.

Use it for every time that is stored or compared with times from the database. Measure durations within one process with
`time.monotonic()`.
"""

from datetime import datetime

from django.db import connection


def database_clock() -> datetime:
    """The database's current time.

    Pass it to queries as a parameter: PostgreSQL uses no index for a condition that calls the clock itself.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now

"""The one clock that all processes share. Their own may be wrong; what they measure themselves they measure on
`time.monotonic()`.
"""

from datetime import datetime

from django.db import connection


def database_clock() -> datetime:
    """The database's time now. (Inside a WHERE it would keep PostgreSQL from using an index.)"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now

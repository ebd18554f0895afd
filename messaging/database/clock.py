"""The one clock that all processes share: their own may be minutes wrong. What is stored beside the database's times,
or compared with them, goes by it; spans within a process by `time.monotonic()`.
"""

from datetime import datetime

from django.db import connection


def database_clock() -> datetime:
    """The database's time now. (Inside a WHERE it would keep PostgreSQL from using an index.)"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now

"""Errors of the database itself, not of a statement: a lost connection, a deadlock. A repetition usually helps."""

from django.db import InterfaceError, OperationalError

DATABASE_ERRORS = (OperationalError, InterfaceError)

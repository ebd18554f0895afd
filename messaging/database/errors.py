"""Errors of the database itself, not of a statement: a lost connection, a deadlock. The work can be repeated."""

from django.db import InterfaceError, OperationalError

DATABASE_ERRORS = (OperationalError, InterfaceError)

"""Errors of the database itself, rather than of what it was asked for."""

from django.db import InterfaceError, OperationalError

DATABASE_ERRORS = (OperationalError, InterfaceError)

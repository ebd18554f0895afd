"""The base of commands that read or write secrets."""

from typing import Any

from django.core.management.base import BaseCommand

from vault.startup import exit_unless_readable


class SecretsCommand(BaseCommand):
    """Ends with an error line before it does anything if a key is missing for the secrets in the database."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        exit_unless_readable()
        return super().execute(*args, **options)

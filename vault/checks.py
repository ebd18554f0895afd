"""The system check that reports a missing key, in `manage.py check --database default` and `manage.py migrate`."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register

from vault.startup import problem


@register(Tags.database)
def secrets_are_readable(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if not databases:
        return []
    line = problem()
    return [Error(line, id="vault.E001")] if line else []

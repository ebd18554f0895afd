"""Limits what error pages and error reports show. In debug mode Django would show every address with its password."""

import re

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class SecretiveFilter(SafeExceptionReporterFilter):
    """Hides settings that hold passwords in an address too, and `@sensitive_variables` in debug mode too."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL|DATABASE", flags=re.I)

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

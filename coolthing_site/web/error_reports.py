"""Limits what error pages and error reports show. In debug mode Django would show addresses with passwords."""

import re

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class SecretiveFilter(SafeExceptionReporterFilter):
    """Also hides settings with passwords in addresses, and hides `@sensitive_variables` in debug mode too."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL|DATABASE", flags=re.I)

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

"""What `manage.py check --deploy` says about this site's own settings."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def metrics_have_a_token(**_: Any) -> list[CheckMessage]:
    if settings.METRICS_TOKEN:
        return []
    return [Warning("METRICS_TOKEN is not set: /metrics answers 404.", id="coolthing_site.W001")]

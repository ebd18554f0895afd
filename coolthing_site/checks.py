"""Checks of CoolThing's own settings for `manage.py check --deploy`."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def metrics_have_a_token(**_: Any) -> list[CheckMessage]:
    if settings.METRICS_TOKEN:
        return []
    return [Warning("METRICS_TOKEN is not set: /metrics answers 404.", id="coolthing_site.W001")]


@register(Tags.security, deploy=True)
def proxies_are_named(**_: Any) -> list[CheckMessage]:
    """The panel does not terminate TLS, so with HTTPS there is a proxy."""
    if settings.TRUSTED_PROXIES or not settings.HTTPS:
        return []
    line = (
        "TRUSTED_PROXIES is empty: all logins seem to come from the proxy's address, so one attacker can lock out all "
        "users."
    )
    return [Warning(line, id="coolthing_site.W002")]

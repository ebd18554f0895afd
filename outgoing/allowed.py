"""What this installation's administrator allows."""

from functools import lru_cache

from django.conf import settings

from outgoing.addresses import Allowed


def allowed_hosts() -> Allowed:
    return _allowed(tuple(settings.OUTGOING_ALLOWED_HOSTS))


@lru_cache(maxsize=8)
def _allowed(entries: tuple[str, ...]) -> Allowed:
    return Allowed.of(entries)

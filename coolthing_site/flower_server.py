"""Flower behind its login: `python -m coolthing_site.flower_server -A coolthing_site flower --port=5555`.

Flower itself serves /metrics without a login, and without FLOWER_BASIC_AUTH all pages. Here only /healthcheck ("OK"),
the style sheets and "not found" need no login.
"""

import os
import sys

from coolthing_site.environment import fail


def main(arguments: list[str]) -> None:
    """Run Celery's command line; `flower` is among the arguments."""
    require_login(os.environ.get("FLOWER_BASIC_AUTH", ""))
    _close_metrics()
    from django.conf import settings

    from coolthing_site.celery import app

    if settings.RABBITMQ_MANAGEMENT_URL and not os.environ.get("FLOWER_BROKER_API"):
        os.environ["FLOWER_BROKER_API"] = f"{settings.RABBITMQ_MANAGEMENT_URL.rstrip('/')}/api/"
    app.start(arguments)


def require_login(logins: str) -> None:
    """End the process unless each login is a user and a password. Flower accepts several, separated by commas."""
    if not logins:
        fail("FLOWER_BASIC_AUTH", "is not set: Flower has no other login")
    for login in logins.split(","):
        user, _, password = login.partition(":")
        if not (user and password):
            fail("FLOWER_BASIC_AUTH", "must be user:password, and the password must have no comma")


def _close_metrics() -> None:
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    Metrics.get = authenticated(Metrics.get)


if __name__ == "__main__":
    main(sys.argv[1:])

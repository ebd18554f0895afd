"""Sends a notification to a service that Apprise supports: a Telegram bot, e-mail, Slack, Matrix and others."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from notifier.channels.transports.errors import TransportError, is_permanent
from outgoing.fitting import shortened
from outgoing.resolving import WHY
from outgoing.retry_after import seconds_to_wait

# Seconds for everything, including the start of the process. Less than the duration of a claim (CLAIM in
# `notifier.notifications.lifecycle`).
TIMEOUT_SECONDS = 45.0
# The most characters of a title: services cut longer ones, or refuse them. The text contains the full title.
LONGEST_TITLE = 120
# The environment variables for the process. No proxies, which would resolve names themselves, and no home directory
# with credentials for hosts (.netrc).
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH")


def notify(address: str, content: Mapping[str, object]) -> None:
    """Deliver the notification through the service, in a separate process that is killed at the deadline.

    Raises TransportError.
    """
    request = {
        "address": address,
        "title": shortened(str(content["title"]), LONGEST_TITLE),
        "body": str(content.get("text") or content["title"]),
        "link": str(content.get("url") or ""),
        "allowed_hosts": list(settings.OUTGOING_ALLOWED_HOSTS),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "outgoing.through_apprise"],
            input=json.dumps(request).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            env={name: os.environ[name] for name in _KEPT if name in os.environ} | {"NETRC": os.devnull, "HOME": "/"},
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
        outcome = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise TransportError(f"apprise: no answer within {TIMEOUT_SECONDS:.0f} s") from None
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise TransportError(f"apprise: its process ended with {type(error).__name__}") from None
    if not outcome["sent"]:
        _failed(outcome)


def _failed(outcome: Mapping[str, Any]) -> None:
    if outcome["problem"]:
        raise TransportError(f"apprise: {outcome['problem']}", permanent=True)
    if outcome["refused"]:
        raise TransportError(f"apprise: {WHY}", permanent=True)
    status = int(outcome["status"])
    if status >= 300:
        raise TransportError(
            f"apprise: the service answered HTTP {status}",
            permanent=is_permanent(status),
            retry_after=seconds_to_wait(outcome["waits"], now=datetime.now(UTC)),
        )
    raise TransportError("apprise: the service could not be reached, or did not accept the notification")

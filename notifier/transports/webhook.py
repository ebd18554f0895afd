"""An HTTP POST with a JSON body."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

from notifier.transports.errors import TransportError

# Seconds for connecting and for each read of the answer.
TIMEOUT_SECONDS = 10.0
# Statuses that a later attempt may change, though they blame the request.
_TEMPORARY = frozenset([408, 409, 423, 425, 429])


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body, perhaps at a stranger's."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def post(url: str, content: Mapping[str, object]) -> None:
    """Delivered when the answer is 2xx. A receiver can tell a repeat by the header `Idempotency-Key`."""
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host:
        raise TransportError("webhook: the address is no http(s) URL", permanent=True)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "CoolThing",
        "Idempotency-Key": str(content["id"]),
    }
    try:
        request = urllib.request.Request(
            url, json.dumps(dict(content), ensure_ascii=False).encode(), headers, method="POST"
        )
        with _opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        _refused(error.code)
    except (OSError, http.client.HTTPException, ValueError) as error:
        # Names of errors only: their texts may contain the address.
        cause = getattr(error, "reason", None)
        name = type(cause).__name__ if isinstance(cause, BaseException) else type(error).__name__
        raise TransportError(f"webhook: {name}") from None


def _refused(status: int) -> NoReturn:
    permanent = 300 <= status < 500 and status not in _TEMPORARY
    raise TransportError(f"webhook: HTTP {status}", permanent=permanent) from None

"""Sends an HTTP POST with a JSON body."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import NoReturn

import httpx2

from notifier.channels.transports.errors import TransportError, is_permanent
from outgoing.allowed import allowed_hosts
from outgoing.http import CheckedTransport
from outgoing.resolving import OutgoingRefused
from outgoing.retry_after import seconds_to_wait

# Seconds for one POST, from the connection to the last header of the response, however slowly it arrives.
TIMEOUT_SECONDS = 20.0


def post(url: str, content: Mapping[str, object]) -> None:
    """Deliver the notification; a 2xx status means success. The header `Idempotency-Key` identifies repeats.

    Raises TransportError, also for a redirect: the POST would arrive as a GET without its body, perhaps at another
    host. The body of the response is not read. Proxies of the environment are not used, because they would resolve the
    name again.
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "CoolThing",
        "Idempotency-Key": str(content["id"]),
    }
    body = json.dumps(dict(content), ensure_ascii=False).encode()
    try:
        response = asyncio.run(_post(url, body, headers))
    except OutgoingRefused as refused:
        raise TransportError(f"webhook: {refused}", permanent=True) from None
    except (TimeoutError, OSError, ValueError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        # Only the error's class, because its text may contain the address.
        raise TransportError(f"webhook: {type(error).__name__}") from None
    if not response.is_success:
        _refused(response)


async def _post(url: str, body: bytes, headers: Mapping[str, str]) -> httpx2.Response:
    """The response without its body. Raises TimeoutError at the deadline, with the connection closed."""
    transport = CheckedTransport(allowed=allowed_hosts(), inner=httpx2.AsyncHTTPTransport(verify=_ssl_context()))
    client = httpx2.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)
    request = client.build_request("POST", url, content=body, headers=headers)
    async with asyncio.timeout(TIMEOUT_SECONDS), client:
        return await client.send(request, stream=True)


@cache
def _ssl_context() -> ssl.SSLContext:
    """Cached, because it reads all certificates of the system."""
    return httpx2.create_ssl_context()


def _refused(response: httpx2.Response) -> NoReturn:
    wait = seconds_to_wait(response.headers, now=datetime.now(UTC))
    raise TransportError(
        f"webhook: HTTP {response.status_code}", permanent=is_permanent(response.status_code), retry_after=wait
    )

"""HTTP to addresses that an operator has entered."""

import httpx2

from outgoing.addresses import Allowed, plain_host
from outgoing.resolving import resolve

_PORTS = {"http": 80, "https": 443}


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Resolves each request's host once, checks every address, and connects to one of those that were checked.

    TLS and the Host header keep the name. A redirect is a request like any other; the environment's proxies are not
    asked, since they would look up the name again. Raises OutgoingRefused. The request's body must be bytes: another
    address is tried when the first cannot be connected to.
    """

    def __init__(self, *, allowed: Allowed, inner: httpx2.AsyncBaseTransport) -> None:
        self._allowed, self._inner = allowed, inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.raw_host.decode()
        addresses = await resolve(host, request.url.port or _PORTS[request.url.scheme], self._allowed)
        failure: httpx2.TransportError | None = None
        for address in addresses:
            try:
                return await self._inner.handle_async_request(_to(request, address, host))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                # Nothing has been sent.
                failure = error
        assert failure is not None
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()


def _to(request: httpx2.Request, address: str, host: str) -> httpx2.Request:
    """The same request, of which only the connection goes by the address."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": plain_host(host)},
    )

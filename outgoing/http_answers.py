"""Answers over HTTP are read up to a bound: another server decides how long its answer is, and how far it inflates."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import httpx2


class TooLong(httpx2.HTTPError):
    """The answer has more bytes than anybody wants to read."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer has more than {most} bytes")


def body_of(answer: httpx2.Response, *, most: int) -> bytes:
    """The body of a streamed answer, decompressed. Raises TooLong once more than `most` bytes of it have arrived."""
    body = bytearray()
    for part in answer.iter_bytes():
        body += part
        if len(body) > most:
            raise TooLong(most)
    return bytes(body)


def cut_off_at(most: int) -> Callable[[httpx2.Response], Awaitable[None]]:
    """A response hook of an AsyncClient: a reader of the answer gets its first `most` bytes, decompressed, and then its
    end. For clients that read some answers (errors, redirects) before their caller sees them."""

    async def cut_off(answer: httpx2.Response) -> None:
        whole = httpx2.Response(answer.status_code, headers=answer.headers, stream=answer.stream)
        answer.stream = _FirstBytes(whole, most)
        # Of what arrives, not of what is passed on.
        for name in ("Content-Encoding", "Content-Length"):
            answer.headers.pop(name, None)

    return cut_off


class _FirstBytes(httpx2.AsyncByteStream):
    def __init__(self, whole: httpx2.Response, most: int) -> None:
        self._whole, self._most = whole, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async with aclosing(self._whole.aiter_bytes()) as parts:
            async for part in parts:
                yield part[:left]
                left -= len(part)
                if left <= 0:
                    return

    async def aclose(self) -> None:
        await self._whole.aclose()

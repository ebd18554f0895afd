"""How much of another server's answer is read."""

import gzip
import socket
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from leads.llm.answers import ask
from messaging.broker.management_api import ManagementApi, ManagementUnavailable
from outgoing.chat_completions import MOST_BYTES, LlmRejected, LlmUnavailable
from outgoing.http_answers import cut_off_at
from tests.llm_server import hostile_server, http

BYTES = 50_000_000
# What the two sockets may hold of a body that nobody reads.
IN_BETWEEN = 20_000_000


class Flood:
    """An answer of BYTES; `taken` is how much of it the other side let in."""

    def __init__(self, status: str) -> None:
        self.status, self.taken = status, 0

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 {self.status}\r\nContent-Length: {BYTES}\r\n\r\n".encode())
        part = b"x" * 100_000
        while self.taken < BYTES:
            connection.sendall(part)
            self.taken += len(part)


def refused_by(settings, answer: Callable[[socket.socket], None]) -> str:
    with hostile_server(answer) as server:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, "sk-test"
        with pytest.raises((LlmUnavailable, LlmRejected)) as caught:
            ask(model="m", messages=[{"role": "user", "content": "How much?"}])
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("500 Internal Server Error", "LlmUnavailable: InternalServerError 500"),
        ("400 Bad Request", "LlmRejected: BadRequestError 400"),
    ],
)
def test_an_llms_error_is_read_up_to_a_bound_and_keeps_its_status(settings, status, reason):
    flood = Flood(status)
    assert refused_by(settings, flood) == reason
    assert flood.taken < MOST_BYTES + IN_BETWEEN


def test_an_llms_compressed_error_is_still_understood(settings):
    body = gzip.compress(b'{"error": {"code": "insufficient_quota", "message": "No."}}')
    answer = http(body, "429 Too Many Requests", Content_Encoding="gzip")
    assert refused_by(settings, answer) == "LlmUnavailable: RateLimitError 429 insufficient_quota"


@pytest.mark.parametrize("encodings", [[], ["gzip"], ["gzip", "gzip"]], ids=len)
async def test_the_bound_is_one_of_decompressed_bytes(encodings):
    body = b"x" * 3_000_000
    for _ in encodings:
        body = gzip.compress(body)
    headers = {"Content-Encoding": ", ".join(encodings)} if encodings else {}

    async def arriving() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    answers = httpx2.MockTransport(lambda request: httpx2.Response(500, content=arriving(), headers=headers))
    async with httpx2.AsyncClient(transport=answers, event_hooks={"response": [cut_off_at(1000)]}) as client:
        assert (await client.get("http://llm/")).content == b"x" * 1000
    async with httpx2.AsyncClient(transport=answers, event_hooks={"response": [cut_off_at(5_000_000)]}) as client:
        assert len((await client.get("http://llm/")).content) == 3_000_000


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_the_brokers_answer_is_read_up_to_a_bound(monkeypatch, status):
    monkeypatch.setattr("messaging.broker.management_api._MOST_BYTES", 1_000_000)
    flood = Flood(status)
    with hostile_server(flood) as server, pytest.raises(ManagementUnavailable, match=r"more than 1000000 bytes|500"):
        ManagementApi(server.url, "a vhost").in_vhost("queues")
    assert flood.taken < 1_000_000 + IN_BETWEEN

"""The proxy that other tests pull cables with."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.tcp_proxy import TcpProxy


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """In front of a server that says back whatever it hears."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        with TcpProxy("127.0.0.1", server.getsockname()[1]) as proxy:
            yield proxy
        server.shutdown(socket.SHUT_RDWR)


def _echo(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo_one, args=(connection,), daemon=True).start()


def _echo_one(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(1000):
                connection.sendall(data)
        except OSError:
            pass


def _dial(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def _answers(connection: socket.socket) -> bool:
    connection.sendall(b"hello")
    return connection.recv(5) == b"hello"


def test_everything_passes(proxy: TcpProxy):
    with _dial(proxy) as connection:
        assert _answers(connection)


def test_its_port_is_nobody_elses_while_it_refuses_connections(proxy: TcpProxy):
    proxy.cut()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", proxy.port))
    proxy.restore()
    with _dial(proxy) as connection:
        assert _answers(connection)


def test_a_reset_ends_what_is_open_and_new_connections_work(proxy: TcpProxy):
    with _dial(proxy) as connection:
        assert _answers(connection)
        assert proxy.reset() == 1
        assert _has_ended(connection)
    with _dial(proxy) as connection:
        assert _answers(connection)


def test_cut_off_nobody_comes_through_until_it_is_restored(proxy: TcpProxy):
    with _dial(proxy) as connection:
        assert _answers(connection)
        assert proxy.cut() == 1
        assert _has_ended(connection)
    with pytest.raises(ConnectionRefusedError):
        _dial(proxy)
    proxy.restore()
    with _dial(proxy) as connection:
        assert _answers(connection)


def test_frozen_nothing_passes_until_it_is_restored(proxy: TcpProxy):
    with _dial(proxy) as connection:
        assert _answers(connection)
        proxy.freeze()
        connection.sendall(b"late")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(4)
        proxy.restore()
        connection.settimeout(60)
        assert connection.recv(4) == b"late"


def test_a_server_that_is_away_is_away_through_the_proxy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with TcpProxy("127.0.0.1", port) as proxy, _dial(proxy) as connection:
        assert _has_ended(connection)


def _has_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True

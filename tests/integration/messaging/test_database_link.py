"""Connections to a database that is there, and to one that does not answer."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections

from messaging.database.listen import connect_direct
from tests.private import database_url
from tests.tcp_proxy import TcpProxy


@pytest.fixture
def silent() -> Iterator[TcpProxy]:
    with TcpProxy.before(database_url()) as proxy:
        proxy.freeze()
        yield proxy


@pytest.mark.django_db
def test_all_connections_notice_a_database_that_vanished():
    expected = {name: str(value) for name, value in settings.DATABASE_LINK.items()}
    with connect_direct("tests") as direct:
        for link in (direct, connection.connection):
            parameters = link.info.get_parameters()
            assert {name: parameters.get(name) for name in expected} == expected


@pytest.mark.django_db
def test_connecting_to_a_silent_database_fails(silent: TcpProxy, monkeypatch: pytest.MonkeyPatch):
    another = connections.create_connection(DEFAULT_DB_ALIAS)
    at = {"HOST": "127.0.0.1", "PORT": silent.port}
    another.settings_dict = {**another.settings_dict, **at}
    with pytest.raises(OperationalError, match="timeout"):
        another.ensure_connection()
    monkeypatch.setattr(settings, "DATABASE_DIRECT_URL", silent.url(database_url()))
    with pytest.raises(Exception, match="timeout"):
        connect_direct("tests")

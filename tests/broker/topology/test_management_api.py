"""The broker's management API when it refuses, keeps silent or is away: a reason in one line, and soon."""

import socket
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from messaging.broker.management_api import ManagementApi, ManagementUnavailable
from tests.private import Broker

_SECONDS = 0.3


def _refusal(url: str, seconds: float = 60.0) -> ManagementUnavailable:
    with pytest.raises(ManagementUnavailable) as refused:
        ManagementApi(url, "a vhost", seconds).in_vhost("queues")
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)
    return refused.value


def test_a_wrong_password_is_named_and_not_repeated(broker: Broker):
    at = urlsplit(settings.RABBITMQ_MANAGEMENT_URL)
    refused = _refusal(at._replace(netloc=f"{at.username}:hunter2@{at.hostname}:{at.port}").geturl())
    assert refused.status == 401
    assert "401" in str(refused)


def test_an_api_that_does_not_answer_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        refused = _refusal(f"http://ann:hunter2@127.0.0.1:{silent.getsockname()[1]}", _SECONDS)
    assert "timed out" in str(refused)


def test_an_api_that_is_away_is_named():
    refused = _refusal("http://ann:hunter2@127.0.0.1:1")
    assert str(refused).startswith("http://127.0.0.1:1/api/")


def test_what_is_no_json_is_no_answer(broker: Broker):
    # The same server's pages for people.
    at = urlsplit(settings.RABBITMQ_MANAGEMENT_URL)
    with pytest.raises(ManagementUnavailable):
        ManagementApi(at.geturl(), broker.api.vhost).call("GET", "index.html")

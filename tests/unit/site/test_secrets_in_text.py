"""Secrets in what programs print by themselves: error pages, representations."""

import sys
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.views.debug import ExceptionReporter

from bots.accounts.services import BotFacts
from bots.models import Bot
from telegram.types import Credentials
from vault.fields import UnreadableSecret

# Made here: a page shows the source and the variables of the test's own frame as well.
PASSWORD = "".join(("hunt", "er2"))
TOKEN = Fernet(Fernet.generate_key()).encrypt(b"+1555123").decode()
CONNECTION: Any = None


@pytest.fixture(params=[True, False], ids=["debug", "production"])
def page(request: pytest.FixtureRequest, settings) -> str:
    """The page that Django makes of a secret that cannot be decrypted."""
    settings.DEBUG = request.param
    settings.RABBITMQ_URL = f"pyamqp://me:{PASSWORD}@host/"
    field = Bot._meta.get_field("phone")
    try:
        field.from_db_value(TOKEN, None, CONNECTION)
    except UnreadableSecret:
        return str(ExceptionReporter(None, *sys.exc_info()).get_traceback_html())
    raise AssertionError("it was decrypted")


def test_an_error_page_shows_neither_addresses_with_passwords_nor_stored_values(page: str):
    assert "was written with another key" in page
    assert "RABBITMQ_URL" in page and PASSWORD not in page
    assert settings.DATABASES["default"]["PASSWORD"] not in page
    assert settings.FIELD_ENCRYPTION_KEYS[0] not in page
    assert "gAAAA" not in page


def test_what_connects_an_account_prints_no_secret():
    facts = BotFacts("actor", Credentials(1, "the-hash", "socks5://me:hunter2@host:1"), "the-session")
    assert not any(secret in repr(facts) for secret in ("the-hash", "hunter2", "the-session"))

"""Errors of Telegram's that the error table does not have, and waits that are longer than a day, are reported."""

from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import OperationalError
from django.utils import timezone

from bots.accounts import unknown_errors
from bots.accounts.flood_waits import LONG_WAIT
from bots.accounts.services import bot_must_wait
from bots.models import Bot, Incident
from messaging.models import OutboxEvent
from telegram.error_table import note_unlisted, take_unlisted
from telegram.errors import RetryAfter
from tests.integration import ledger

pytestmark = pytest.mark.django_db


def reported(part: str) -> int:
    return OutboxEvent.objects.filter(routing_key="bots.error", body__contains=part).count()


def test_each_name_outside_the_table_is_reported_once():
    take_unlisted()
    for _ in range(2):
        note_unlisted("SOMETHING_NEW", "SendMessage")
        note_unlisted("SOMETHING_ELSE", "JoinChannel")
        unknown_errors.unknown_errors_report()
    assert (reported("SendMessage with SOMETHING_NEW"), reported("JoinChannel with SOMETHING_ELSE")) == (1, 1)
    assert Incident.objects.get(key="telegram-error:SOMETHING_NEW").count == 2


def test_a_name_that_could_not_be_written_down_is_reported_the_next_time(monkeypatch):
    take_unlisted()
    note_unlisted("SOMETHING_LOST", "SendMessage")
    note_unlisted("SOMETHING_BEHIND", "")
    with monkeypatch.context() as broken, pytest.raises(OperationalError):
        broken.setattr(unknown_errors, "incident_report", Mock(side_effect=OperationalError))
        unknown_errors.unknown_errors_report()
    unknown_errors.unknown_errors_report()
    assert (reported("SOMETHING_LOST"), reported("SOMETHING_BEHIND")) == (1, 1)


@pytest.mark.parametrize(("longer", "reports"), [(0, 0), (1, 1)])
def test_a_wait_of_the_whole_account_is_kept_and_reported_when_it_is_longer_than_a_day(longer, reports):
    bot = ledger.make_bot()
    seconds = int(LONG_WAIT.total_seconds()) + longer
    error = RetryAfter(seconds, f"FLOOD_WAIT_{seconds}", "GetDialogs")
    bot_must_wait(bot_id=bot.id, epoch=bot.lease_epoch, error=error)
    bot = Bot.objects.get(id=bot.id)
    assert bot.blocked_until is not None
    assert abs(bot.blocked_until - timezone.now() - timedelta(seconds=seconds)) < timedelta(minutes=5)
    assert (bot.state, reported(error.reason)) == (Bot.State.WAITING, reports)

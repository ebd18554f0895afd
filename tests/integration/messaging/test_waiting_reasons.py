"""The page of background work shows why the work does not continue."""

import html

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from bots.deliveries.cancelling import cancellation_start
from bots.models import Delivery
from messaging.broker import topology
from messaging.database.clock import database_clock
from messaging.dead_letters.replays import replay_start, replay_stop
from messaging.models import DeadLetter
from messaging.services import queue_pause, queue_resume
from tests.integration import ledger
from tests.integration.letters import letter_of

WHY = "maintenance_queue</a> was paused now by ann (a migration). The work continues when the queue is resumed."


@pytest.fixture
def shown(db: None, client: Client):
    client.force_login(User.objects.create_superuser("olga"))

    def read(row) -> str:
        page = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        return html.unescape(client.get(page).content.decode())

    return read


def pause() -> None:
    queue_pause(queue=topology.MAINTENANCE_QUEUE, reason="a migration", by="ann")


def test_a_replay_that_waits_names_the_pause_until_it_is_over(shown):
    letter_of()
    batch = replay_start(letters=DeadLetter.objects.all(), by="olga", what="all letters")
    assert "This work is waiting" not in shown(batch)
    pause()
    assert WHY in shown(batch)
    queue_resume(queue=topology.MAINTENANCE_QUEUE, by="ann")
    assert "This work is waiting" not in shown(batch)


def test_a_replay_that_was_stopped_waits_for_nothing(shown):
    letter_of()
    batch = replay_start(letters=DeadLetter.objects.all(), by="olga", what="all letters")
    pause()
    assert "This work is waiting" not in shown(replay_stop(batch_id=batch.pk))


def test_a_cancellation_that_waits_names_the_pause(shown):
    ledger.noting_origin()
    ledger.queue_line(ledger.make_bot(), ledger.make_campaign(), ledger.make_chat(), "Is it late?")
    order = cancellation_start(deliveries=Delivery.objects.all(), until=database_clock(), by="olga", what="all")
    pause()
    assert WHY in shown(order)

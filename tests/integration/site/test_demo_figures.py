"""What the demo measures from a hit to its lead, and what it waits for."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from coolthing_site.demo.observe import counts, events_open, hit_to_lead_ms
from coolthing_site.demo.report import notifications
from leads.models import Lead
from messaging.broker import topology
from messaging.events import ServiceErrorEvent
from messaging.models import OutboxEvent, ProcessedEvent
from messaging.publishing.outbox import publish_on_commit
from notifier.models import Channel, Notification
from parser.models import Hit
from tests.integration import ledger
from tests.integration.leads_world import make_world

pytestmark = pytest.mark.django_db


def test_a_leads_latency_counts_from_the_record_of_its_hit_not_from_telegrams_whole_seconds():
    world = make_world()
    for milliseconds in (40, 20):
        hit = Hit.objects.create(
            campaign=world.campaign, bot=world.parser, chat=world.chat, message_id=next(world.ids), keyword="tea",
            telegram_user_id=milliseconds, text="tea?", said_at=ledger.START - timedelta(seconds=1),
        )  # fmt: skip
        lead = world.receive(id=str(hit.id), telegram_user_id=milliseconds, username="")
        Hit.objects.filter(id=hit.id).update(created_at=ledger.START)
        Lead.objects.filter(id=lead.id).update(created_at=ledger.START + timedelta(milliseconds=milliseconds))
    # A lead from another program's event has no hit.
    world.receive(telegram_user_id=777, username="")
    assert hit_to_lead_ms() == [20, 40]


def test_an_event_is_open_from_its_publication_until_each_queue_has_handled_it():
    event = ServiceErrorEvent(service="parser", reason="the reason")
    with transaction.atomic():
        publish_on_commit(event)
    assert events_open() == 0
    OutboxEvent.objects.update(published_at=timezone.now())
    assert events_open() == 1
    ProcessedEvent.objects.create(event_id=event.id, subscription=topology.NOTIFIER_QUEUE)
    assert events_open() == 0


def test_a_notification_that_waits_for_more_of_its_kind_is_no_open_work():
    channel = Channel.objects.create(name="team", kind="file", address="notes.jsonl")
    later = timezone.now() + timedelta(minutes=10)
    made = [
        Notification.objects.create(channel=channel, event_id=uuid4(), routing_key="a.approval", title="t", **facts)
        for facts in (
            {"bundle": "b", "bundle_at": later, "due_at": later},
            {"bundle": "c", "bundle_at": ledger.START},
            {},
        )
    ]
    assert counts()["notifications_open"] == 2 and notifications() == {"queued": 2, "collecting": 1}
    Notification.objects.exclude(pk=made[0].pk).update(state="sent")
    assert counts()["notifications_open"] == 0 and notifications() == {"sent": 2, "collecting": 1}

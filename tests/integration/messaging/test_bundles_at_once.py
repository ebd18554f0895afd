"""Events that belong together and come at the same time, on several connections."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from messaging.broker import topology
from messaging.events import decode
from notifier.models import Channel, Notification, Rule
from notifier.notifications.bundles import BUNDLED
from notifier.notifications.lifecycle import notification_claim
from notifier.notifications.recording import event_record

pytestmark = pytest.mark.django_db(transaction=True)
TEA, WINE = UUID(int=1), UUID(int=2)


@pytest.fixture(autouse=True)
def channel(transactional_db) -> Channel:
    made = Channel.objects.create(name="team", kind="file", address="notes.jsonl")
    Rule.objects.create(channel=made, pattern="#")
    return made


def approval(campaign: UUID) -> None:
    body = {"id": str(uuid4()), "lead_id": str(uuid4()), "campaign_id": str(campaign), "reason": "Late."}
    event_record(event=decode(topology.EVENTS_EXCHANGE, "manager.approval", json.dumps(body).encode()))


def at_once(*works: Callable[[], None]) -> list[Exception]:
    """What went wrong."""
    wrong: list[Exception] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            wrong.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return wrong


def test_two_commits_with_the_same_bundles_in_other_orders_do_not_wait_for_each_other():
    for campaign in (TEA, TEA, WINE, WINE):
        approval(campaign)
    both = threading.Barrier(2)

    def commit(first: UUID, second: UUID) -> None:
        with transaction.atomic():
            approval(first)
            both.wait(60)
            approval(second)

    assert at_once(lambda: commit(TEA, WINE), lambda: commit(WINE, TEA)) == []
    assert Notification.objects.count() == 8


def test_first_events_at_once_are_one_notification_and_the_others_wait_for_the_next():
    # None of them sees another when it is recorded.
    four, claimed = threading.Barrier(4), []

    def record() -> None:
        with transaction.atomic():
            approval(TEA)
            four.wait(60)

    assert at_once(*[record] * 4) == []
    rows = list(Notification.objects.all())
    assert all(row.due_at == row.bundle_at and row.dispatched_at for row in rows)
    now = max(row.due_at for row in rows)

    def claim(row: Notification) -> None:
        four.wait(60)
        if sending := notification_claim(notification_id=row.pk, now=now):
            claimed.append(sending.content["count"])

    assert at_once(*[lambda row=row: claim(row) for row in rows]) == []
    assert claimed == [4] and Notification.objects.get().count == 4
    # Seen too late by that claim.
    late = Notification.objects.create(
        channel=rows[0].channel, event_id=uuid4(), routing_key="manager.approval", bundle=rows[0].bundle,
        bundle_at=now, due_at=now, dispatched_at=now,
    )  # fmt: skip
    assert notification_claim(notification_id=late.pk, now=now + timedelta(seconds=1)) is None
    late.refresh_from_db()
    sent = Notification.objects.get(attempts=1)
    assert late.due_at == late.bundle_at == sent.due_at + BUNDLED and late.dispatched_at is None

"""A test notification, for an operator to check a channel. A worker sends it like any other notification."""

from uuid import UUID, uuid4

from django.db import transaction

from messaging.database.clock import database_clock
from messaging.database.locks import rows_change
from messaging.event_objects import name_of
from messaging.publishing.celery_tasks import send_on_commit
from notifier.models import Channel, Notification
from notifier.notifications.lifecycle import SEND_TASK
from notifier.notifications.titles import title_of
from notifier.selectors import REPLACED

# The routing key of test notifications. No event has it.
TEST_KEY = "notifier.test"


@transaction.atomic
def channel_test(*, channel_id: UUID) -> Notification:
    """Queue a test for the channel, enabled or not. It replaces a test that still waits."""
    now = database_clock()
    waiting = Notification.objects.filter(
        channel_id=channel_id, routing_key=TEST_KEY, state=Notification.State.QUEUED, claimed_until=None
    )
    rows_change(waiting, state=Notification.State.FAILED, error=REPLACED)
    test = Notification.objects.create(
        channel_id=channel_id,
        event_id=uuid4(),
        routing_key=TEST_KEY,
        title=title_of(TEST_KEY, {}, name_of),
        due_at=now,
        dispatched_at=now,
    )
    send_on_commit(SEND_TASK, str(test.pk))
    return test


def last_test(channel: Channel) -> Notification | None:
    return Notification.objects.filter(channel=channel, routing_key=TEST_KEY).order_by("-created_at").first()

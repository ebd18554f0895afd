"""The team is notified of a permission's end once for each stage, however many processes check and however often."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from campaigns.models import ChatPermission
from campaigns.permissions.expiry import permissions_notify_expiring
from messaging.models import OutboxEvent
from tests.integration import ledger

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
END = ledger.START + 30 * DAY


@pytest.fixture
def permission() -> ChatPermission:
    permission = ledger.make_chat().permissions.get()
    ChatPermission.objects.update(valid_until=END)
    return permission


def reasons() -> list[str]:
    return list(OutboxEvent.objects.filter(routing_key="admin.error").order_by("id").values_list("body", flat=True))


def test_each_stage_is_notified_once(permission):
    looks = [(15, 0), (14, 1), (13, 0), (3, 1), (2.9, 0), (0, 1), (-1, 0)]
    for days, expected in looks:
        assert permissions_notify_expiring(now=END - days * DAY) == expected, days
    assert ["in 14 days" in reasons()[0], "in 3 days" in reasons()[1], "expired at 2024-12-04" in reasons()[2]] == [
        True
    ] * 3
    assert all(permission.chat.key in text for text in reasons())


def test_of_missed_stages_the_latest_is_notified(permission):
    assert permissions_notify_expiring(now=END - DAY) == 1
    assert len(reasons()) == 1 and "in 3 days" in reasons()[0]


def test_a_revoked_or_endless_permission_is_not_notified(permission):
    ledger.make_chat()
    ChatPermission.objects.filter(pk=permission.pk).update(revoked_at=timezone.now())
    assert permissions_notify_expiring(now=END) == 0


@pytest.mark.django_db(transaction=True)
def test_two_rounds_at_the_same_moment_notify_once(permission):
    def look(_: int) -> int:
        try:
            return permissions_notify_expiring(now=END)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(look, range(3))) == 1
    assert len(reasons()) == 1

"""Events are committed with the change they report, or not at all."""

from datetime import timedelta
from itertools import takewhile

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import retention
from messaging.dead_letters.services import dead_letter_replay
from messaging.events import ServiceErrorEvent
from messaging.models import DeadLetter, HandledCopy, HandlingFailure, OutboxEvent, ProcessedEvent
from messaging.publishing.outbox import NOTIFY_CHANNEL, publish_on_commit
from messaging.retention import prune_all
from messaging.services import outbox_give_up, outbox_release
from panelkit.errors import NotPossible
from tests.integration.letters import letter_of
from tests.private import database_url


def _event() -> ServiceErrorEvent:
    return ServiceErrorEvent(service="parser", reason="the reason")


@pytest.fixture
def notes(transactional_db: None):
    """The notifications that the relay would get."""
    url = database_url()
    with psycopg.connect(url, autocommit=True) as listener, psycopg.connect(url, autocommit=True) as other:
        listener.execute(f"LISTEN {NOTIFY_CHANNEL}")

        def heard() -> list[psycopg.Notify]:
            # They come in the order of their commits: when the last one is here, so are all before it.
            other.execute(f"NOTIFY {NOTIFY_CHANNEL}, 'the last one'")
            return list(takewhile(lambda note: note.payload != "the last one", listener.notifies()))

        yield heard


def test_a_row_contains_all_that_the_relay_needs(db: None):
    event = _event()
    with transaction.atomic():
        publish_on_commit(event)
    row = OutboxEvent.objects.get()
    assert (row.event_id, row.exchange, row.routing_key, row.service) == (
        event.id,
        "events_exchange",
        "parser.error",
        "parser",
    )
    assert row.body == event.to_json()
    assert row.published_at is None


def test_publishing_outside_a_transaction_is_refused(transactional_db: None):
    with pytest.raises(transaction.TransactionManagementError):
        publish_on_commit(_event())
    assert not OutboxEvent.objects.exists()


def test_a_rolled_back_change_publishes_nothing(notes):
    with pytest.raises(RuntimeError), transaction.atomic():
        publish_on_commit(_event())
        raise RuntimeError
    assert not OutboxEvent.objects.exists()
    assert notes() == []


def test_one_transaction_notifies_the_relay_once(notes, django_assert_num_queries):
    with django_assert_num_queries(6), transaction.atomic():
        # Begin, three inserts, one NOTIFY, commit.
        publish_on_commit(_event())
        publish_on_commit(_event())
        publish_on_commit(_event())
    assert len(notes()) == 1


def test_a_rolled_back_savepoint_does_not_swallow_the_notification(notes):
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            publish_on_commit(_event())
            raise RuntimeError
        publish_on_commit(_event())
    assert len(notes()) == 1
    assert OutboxEvent.objects.count() == 1


def test_an_unpublishable_event_can_be_released_once(db: None):
    with transaction.atomic():
        publish_on_commit(_event())
    OutboxEvent.objects.update(parked_at=timezone.now(), parked_reason="too large")
    row = OutboxEvent.objects.get()
    assert outbox_release(outbox_id=row.pk, by="operator").parked_at is None
    with pytest.raises(NotPossible):
        outbox_release(outbox_id=row.pk, by="operator")


def _park_all() -> OutboxEvent:
    OutboxEvent.objects.update(parked_at=timezone.now(), parked_reason="too large")
    return OutboxEvent.objects.get()


def test_an_unpublishable_event_that_is_given_up_becomes_a_dead_letter_with_its_reason(db: None):
    event = _event()
    with transaction.atomic():
        publish_on_commit(event)
    with pytest.raises(NotPossible):
        outbox_give_up(outbox_id=OutboxEvent.objects.get().pk, by="operator")
    letter = outbox_give_up(outbox_id=_park_all().pk, by="operator")
    assert not OutboxEvent.objects.exists()
    letter.refresh_from_db()
    assert (letter.event_id, letter.state, letter.reason, letter.error) == (
        event.id,
        "open",
        "unpublished",
        "too large",
    )
    dead_letter_replay(letter_id=letter.pk, by="operator")
    assert OutboxEvent.objects.get().exchange == letter.exchange


def test_an_unpublishable_replay_that_is_given_up_reopens_its_dead_letter(db: None):
    letter = letter_of()
    dead_letter_replay(letter_id=letter.pk, by="operator")
    assert outbox_give_up(outbox_id=_park_all().pk, by="operator") == letter
    letter.refresh_from_db()
    assert letter.state == "open" and DeadLetter.objects.count() == 1 and not OutboxEvent.objects.exists()


def test_pruning_deletes_old_rows_and_nothing_unpublished(db: None):
    now = timezone.now()
    for age in (timedelta(hours=1), timedelta(days=2), None):
        with transaction.atomic():
            publish_on_commit(_event())
        newest = OutboxEvent.objects.latest("id")
        created = now - timedelta(days=30)
        OutboxEvent.objects.filter(pk=newest.pk).update(published_at=age and now - age, created_at=created)
    for days in (6, 8):
        ProcessedEvent.objects.create(event_id=_event().id, subscription="q", processed_at=now - timedelta(days=days))
        HandlingFailure.objects.create(queue="q", body_digest="d", error="e", created_at=now - timedelta(days=days))
        HandledCopy.objects.create(
            subscription="q", content=_event().id, found=0, handled_at=now - timedelta(days=days - 5.5)
        )
    # The panel's tables have tests of their own.
    assert {table: count for table, count in prune_all().items() if table.startswith("messaging_")} == {
        "messaging_outboxevent": 1,
        "messaging_processedevent": 1,
        "messaging_handledcopy": 1,
        "messaging_handlingfailure": 1,
    }
    assert OutboxEvent.objects.filter(published_at__isnull=True).count() == 1


def test_pruning_goes_on_in_batches_until_nothing_is_left(db: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    old = timezone.now() - timedelta(days=30)
    for _ in range(5):
        ProcessedEvent.objects.create(event_id=_event().id, subscription="q", processed_at=old)
    # Whatever plan is chosen: this one reads what stands after IN again for each row.
    with connection.cursor() as cursor:
        for plan in (
            "hashjoin",
            "mergejoin",
            "hashagg",
            "material",
            "sort",
            "indexscan",
            "indexonlyscan",
            "bitmapscan",
        ):
            cursor.execute(f"SET LOCAL enable_{plan} = off")
    with CaptureQueriesContext(connection) as asked:
        assert prune_all()["messaging_processedevent"] == 5
    assert sum("messaging_processedevent" in query["sql"] for query in asked) == 3

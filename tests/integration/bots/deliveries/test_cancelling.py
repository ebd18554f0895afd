"""Cancelling many deliveries on one order: what matched, each settled once, whatever dies in between."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import OperationalError, connection

from bots.deliveries import cancelling
from bots.deliveries.cancelling import (
    CancellationRefused,
    cancellation_start,
    cancellation_stop,
    cancellations_advance,
    matching,
)
from bots.deliveries.claiming import claim
from bots.models import Bot, Delivery, MassCancellation
from campaigns.models import Campaign, Chat
from messaging.database.clock import database_clock
from tests.integration import ledger

State = Delivery.State
pytestmark = pytest.mark.django_db


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "SLICE", 4)


@pytest.fixture
def place(origin: ledger.NotingOrigin) -> tuple[Bot, Campaign, Chat]:
    return ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()


def lines(place: tuple[Bot, Campaign, Chat], number: int) -> list[Delivery]:
    return [ledger.queue_line(*place, f"line {position}") for position in range(number)]


def order(**facts: Any) -> MassCancellation:
    wish: dict[str, Any] = {
        "deliveries": Delivery.objects.all(),
        "until": database_clock(),
        "by": "olga",
        "what": "all",
        **facts,
    }
    return cancellation_start(**wish)


def states() -> list[str]:
    return sorted(Delivery.objects.values_list("state", flat=True))


def test_all_that_match_are_cancelled_and_settled_once(place, origin, small_slices):
    chosen, other = lines(place, 10), ledger.queue_line(ledger.make_bot(), place[1], place[2])
    given = order(deliveries=Delivery.objects.filter(bot=place[0]))
    assert cancellations_advance() == 10
    assert cancellations_advance() == 0
    given.refresh_from_db()
    assert (given.state, given.total, given.position, given.cancelled) == ("done", 10, 10, 10)
    assert sorted(origin.settled) == sorted((delivery.pk, State.CANCELLED) for delivery in chosen)
    other.refresh_from_db()
    assert other.state == State.QUEUED
    first = chosen[0]
    first.refresh_from_db()
    assert first.error == given.reason
    assert "cancelled by olga, with others" in first.error


def test_what_leaves_or_has_ended_is_left_alone_and_counted_as_too_late(place, origin, small_slices):
    rows = lines(place, 6)
    assert matching(deliveries=Delivery.objects.all(), until=database_clock()) == {"queued": 6}
    given = order()
    assert claim(ledger.owners(place[0], chats=[place[2]]), clock=ledger.Clock()).outgoing
    cancellations_advance()
    given.refresh_from_db()
    assert (given.total, given.position, given.cancelled) == (6, 6, 5)
    assert states() == ["cancelled"] * 5 + ["sending"]
    rows[0].refresh_from_db()
    assert rows[0].state == State.SENDING


def test_what_is_queued_after_the_confirmation_is_not_cancelled_with_it(place):
    lines(place, 2)
    asked = database_clock()
    Delivery.objects.update(created_at=asked - timedelta(seconds=1))
    later = ledger.queue_line(place[0], place[1], place[2], "later")
    Delivery.objects.filter(pk=later.pk).update(created_at=asked + timedelta(seconds=1))
    assert order(until=asked).total == 2
    cancellations_advance()
    later.refresh_from_db()
    assert later.state == State.QUEUED


def test_an_order_that_died_in_a_slice_goes_on_and_counts_right(place, origin, small_slices, monkeypatch):
    lines(place, 10)
    given = order()
    cancel, turns = cancelling.delivery_cancel, []

    def dying(**wish: Any) -> bool:
        turns.append(wish)
        if len(turns) == 7:
            raise OperationalError("the database is away")
        return cancel(**wish)

    monkeypatch.setattr(cancelling, "delivery_cancel", dying)
    with pytest.raises(OperationalError):
        cancellations_advance()
    given.refresh_from_db()
    assert (given.position, given.cancelled) == (4, 4)
    cancellations_advance()
    given.refresh_from_db()
    assert (given.state, given.position, given.cancelled) == ("done", 10, 10)
    assert len(origin.settled) == 10


def test_what_a_worker_of_another_release_cancelled_before_it_died_is_counted_too(place, origin, small_slices):
    """The stored reason is the same in all releases, so that a worker finds what another one has cancelled."""
    others = lines(place, 4)
    given = order()
    reason = f"cancelled by olga, with others ({given})"
    for delivery in others:
        Delivery.objects.filter(pk=delivery.pk).update(state=State.CANCELLED, error=reason)
    Delivery.objects.filter(pk=others[0].pk).update(error="cancelled by olga, with others (cancellation 00000000)")
    cancellations_advance()
    given.refresh_from_db()
    assert (given.state, given.position, given.cancelled) == ("done", 4, 3)


def test_a_delivery_that_its_origin_cannot_settle_does_not_delay_the_others(place, origin, small_slices, monkeypatch):
    rows = lines(place, 6)
    settle = origin.settle

    def picky(delivery: Delivery, *, now: datetime) -> None:
        if delivery.pk == rows[2].pk:
            raise RuntimeError("the origin fails")
        settle(delivery, now=now)

    monkeypatch.setattr(origin, "settle", picky)
    given = order()
    cancellations_advance()
    given.refresh_from_db()
    assert (given.state, given.position, given.cancelled) == ("done", 6, 5)
    rows[2].refresh_from_db()
    assert rows[2].state == State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_two_workers_of_one_cancellation_cancel_and_count_each_delivery_once(origin, small_slices):
    place = (ledger.make_bot(), ledger.make_campaign(), ledger.make_chat())
    lines(place, 40)
    user = User.objects.create_superuser("olga")
    given = order(user_id=user.pk)
    together = threading.Barrier(2)

    def work() -> None:
        try:
            together.wait(60)
            while MassCancellation.objects.get(pk=given.pk).state == "running":
                cancellations_advance()
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    given.refresh_from_db()
    assert (given.state, given.position, given.cancelled) == ("done", 40, 40)
    assert len(origin.settled) == 40
    assert LogEntry.objects.filter(change_message__contains=str(given)).count() == 40


def test_a_stopped_order_leaves_the_rest_queued(place, small_slices, monkeypatch):
    lines(place, 10)
    monkeypatch.setattr(cancelling, "PER_RUN", 4)
    given = order()
    assert cancellations_advance() == 4
    cancellation_stop(cancellation_id=given.pk)
    assert cancellations_advance() == 0
    assert states() == ["cancelled"] * 4 + ["queued"] * 6
    with pytest.raises(CancellationRefused):
        cancellation_stop(cancellation_id=given.pk)


def test_a_cancellation_of_nothing_or_of_too_many_is_refused(place, monkeypatch):
    with pytest.raises(CancellationRefused, match="none of these deliveries is queued"):
        order()
    lines(place, 3)
    monkeypatch.setattr(cancelling, "MOST", 2)
    with pytest.raises(CancellationRefused, match="can have 2 deliveries at most"):
        order()
    assert not MassCancellation.objects.exists()


def test_every_cancelled_delivery_has_a_line_in_the_log_with_the_operator(place):
    lines(place, 3)
    user = User.objects.create_superuser("olga")
    given = order(user_id=user.pk)
    cancellations_advance()
    logged = LogEntry.objects.filter(user=user, change_message=f"Cancelled together with other deliveries ({given}).")
    assert {entry.object_id for entry in logged} == {str(pk) for pk in Delivery.objects.values_list("pk", flat=True)}

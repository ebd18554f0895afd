"""What people decide about single deliveries: cancelling one, and saying whether an unknown one was said."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from bots.deliveries.claiming import claim
from bots.deliveries.queueing import delivery_cancel, delivery_finish, delivery_resolve
from bots.models import Delivery
from scripts.models import Assignment, Step
from tests.integration import ledger
from tests.integration.locks import somebody_waits_for_a_lock
from tests.integration.script_world import make_assignment, play_on, queued
from tests.support import wait_until

State = Delivery.State
LOST: dict[str, Any] = {"was": State.SENDING, "state": State.UNKNOWN, "reason": "Look.", "error_kind": "unknown"}


def queue() -> tuple[Delivery, dict[Any, Any]]:
    bot, chat = ledger.make_bot(), ledger.make_chat()
    return ledger.queue_line(bot, ledger.make_campaign(), chat), ledger.owners(bot, chats=[chat])


def unknown() -> Delivery:
    delivery, owners = queue()
    assert claim(owners, clock=ledger.Clock()).outgoing
    assert delivery_finish(delivery_id=delivery.pk, **LOST)
    return delivery


@pytest.mark.django_db
def test_one_queued_delivery_is_cancelled_and_settled_once(origin):
    delivery, owners = queue()
    assert delivery_cancel(delivery_id=delivery.pk, reason="cancelled by olga")
    assert not delivery_cancel(delivery_id=delivery.pk, reason="again")
    assert not claim(owners, clock=ledger.Clock()).outgoing
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == (State.CANCELLED, "cancelled by olga")
    assert origin.settled == [(delivery.pk, State.CANCELLED)]


@pytest.mark.django_db(transaction=True)
def test_cancelling_a_delivery_that_the_gate_checks_waits_for_the_verdict(origin):
    delivery, owners = queue()
    answers: list[bool] = []

    def cancel() -> None:
        try:
            answers.append(delivery_cancel(delivery_id=delivery.pk, reason="too late"))
        finally:
            connection.close()

    cancelling = threading.Thread(target=cancel)
    with transaction.atomic():
        assert claim(owners, clock=ledger.Clock()).outgoing
        cancelling.start()
        wait_until(somebody_waits_for_a_lock, what="the cancelling to wait for the claim")
    cancelling.join(60)
    assert answers == [False]
    assert Delivery.objects.get(pk=delivery.pk).state == State.SENDING
    assert origin.settled == []


@pytest.mark.django_db
@pytest.mark.parametrize("message_id", [None, 42])
def test_a_delivery_that_an_operator_marked_as_sent_counts_as_sent(origin, message_id):
    delivery = unknown()
    assert delivery_resolve(delivery_id=delivery.pk, sent=True, by="olga", telegram_message_id=message_id)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.telegram_message_id) == (State.SENT, message_id)
    assert delivery.sent_at == delivery.first_attempt_at
    assert delivery.counted_at is not None
    assert "olga" in delivery.error
    assert [state for _, state in origin.settled] == [State.UNKNOWN, State.SENT]


@pytest.mark.django_db
def test_a_delivery_that_an_operator_marked_as_not_sent_frees_its_budget_and_is_not_sent_again(origin):
    delivery = unknown()
    assert delivery_resolve(delivery_id=delivery.pk, sent=False, by="olga")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.counted_at, delivery.sent_at) == (State.FAILED, None, None)
    assert [state for _, state in origin.settled] == [State.UNKNOWN, State.FAILED]


@pytest.mark.django_db
def test_only_an_unknown_delivery_is_decided_and_only_once(origin):
    delivery, _ = queue()
    assert not delivery_resolve(delivery_id=delivery.pk, sent=True, by="olga")
    other = unknown()
    assert delivery_resolve(delivery_id=other.pk, sent=False, by="olga")
    assert not delivery_resolve(delivery_id=other.pk, sent=True, by="boris")


@pytest.mark.django_db
def test_a_line_that_was_sent_after_all_is_sent_in_its_play():
    from scripts import services

    assignment = make_assignment()
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    first = queued(assignment)[0]
    Delivery.objects.filter(pk=first.pk).update(state=State.SENDING, first_attempt_at=ledger.START)
    assert delivery_finish(delivery_id=first.pk, **LOST)
    step = Step.objects.get(pk=first.origin_id)
    assert (step.state, step.reason) == (Step.State.NOT_SENT, "it is not known whether the line was sent")
    assert delivery_resolve(delivery_id=first.pk, sent=True, by="olga")
    step.refresh_from_db()
    assert step.state == Step.State.SENT
    play_on(assignment)
    assert Assignment.objects.get(pk=assignment.pk).state == Assignment.State.FINISHED

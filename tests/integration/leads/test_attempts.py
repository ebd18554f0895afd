"""Leads and messages that a round tries again: however an attempt ends it is counted, and an
operator gets what has failed often."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from bots.models import Bot
from leads.models import Conversation, Lead, UnclaimedMessage
from leads.services import contact, unclaimed_messages
from leads.services.contact import lead_approve, leads_contact_due
from leads.services.unclaimed_messages import unclaimed_judge_due
from messaging.models import HandlingFailure, OutboxEvent
from tests.integration.leads_world import World

pytestmark = pytest.mark.django_db
State = Lead.State
Round = Callable[..., int]


@pytest.fixture
def waiting(world: World) -> Lead:
    """A lead that found no manager, but would now."""
    Bot.objects.update(enabled=False)
    lead = world.receive()
    Bot.objects.update(enabled=True)
    return lead


@pytest.fixture
def left_over(conversation: Conversation) -> UnclaimedMessage:
    return UnclaimedMessage.objects.create(
        conversation=conversation, telegram_message_id=7, text="From the phone", said_at=timezone.now()
    )


class Failing:
    """Stands in for a function, and fails in a way that nobody foresaw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, error: type[Exception]) -> None:
        self.calls, self.error = 0, error
        monkeypatch.setattr(module, name, self)

    def __call__(self, *_: object, **__: object) -> Any:
        self.calls += 1
        raise self.error("private words")


def every_two_seconds(round_: Round, *, minutes: int, errors: tuple[type[Exception], ...] = ()) -> None:
    """As beat does it; a round that the database's own errors end is repeated by the next one."""
    start = timezone.now()
    for tick in range(minutes * 30):
        try:
            round_(now=start + timedelta(seconds=2 * tick))
        except errors:
            continue


def error_events() -> list[str]:
    return list(OutboxEvent.objects.filter(routing_key="manager.error").values_list("body", flat=True))


def test_after_repeated_unexpected_errors_a_lead_awaits_an_operators_decision(waiting, monkeypatch):
    failing = Failing(monkeypatch, contact, "first_contact_text", ValueError)
    every_two_seconds(leads_contact_due, minutes=10)
    waiting.refresh_from_db()
    assert failing.calls == contact.MOST_ATTEMPTS
    assert (waiting.state, waiting.attempts, waiting.approved_at) == (State.AWAITING_APPROVAL, 0, None)
    assert (
        "8 attempts to contact the lead failed (unexpected ValueError): approve it to try again" in waiting.state_reason
    )
    [event] = error_events()
    assert f"8 attempts to contact a lead of campaign “{waiting.campaign.name}” failed" in event
    assert str(waiting.id) not in event and "private words" not in event
    assert not HandlingFailure.objects.exists()


def test_an_operator_may_try_again_what_was_given_up_even_if_it_was_approved_before(waiting, monkeypatch):
    Lead.objects.update(approved_at=timezone.now(), approved_by="olga")
    with monkeypatch.context() as patch:
        Failing(patch, contact, "first_contact_text", ValueError)
        every_two_seconds(leads_contact_due, minutes=10)
    assert lead_approve(lead_id=waiting.id, by="olga").state == State.CONTACTING


def test_attempts_that_leave_no_trace_are_counted_too(waiting, monkeypatch):
    failing = Failing(monkeypatch, contact, "first_contact_text", OperationalError)
    every_two_seconds(leads_contact_due, minutes=2, errors=(OperationalError,))
    waiting.refresh_from_db()
    assert failing.calls == contact.MOST_ATTEMPTS and waiting.state == State.AWAITING_APPROVAL
    assert len(error_events()) == 1


def test_each_wait_after_a_failure_is_longer_and_no_attempt_in_between(waiting, monkeypatch):
    failing, start, tried = Failing(monkeypatch, contact, "first_contact_text", ValueError), timezone.now(), []
    for second in range(0, 70, 2):
        before = failing.calls
        leads_contact_due(now=start + timedelta(seconds=second))
        if failing.calls > before:
            tried.append(second)
    assert tried == [0, 2, 6, 14, 30, 62]


def test_a_lead_for_whom_no_manager_is_usable_waits_as_long_as_it_takes(waiting, monkeypatch):
    Bot.objects.update(enabled=False)
    every_two_seconds(leads_contact_due, minutes=5)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.attempts) == (State.NEW, 0) and not error_events()


def test_a_message_whose_sender_stays_unknown_gives_the_conversation_to_an_operator(
    conversation, left_over, monkeypatch
):
    failing = Failing(monkeypatch, unclaimed_messages, "_is_ours", ValueError)
    every_two_seconds(unclaimed_judge_due, minutes=10)
    conversation.refresh_from_db()
    left_over.refresh_from_db()
    assert failing.calls == unclaimed_messages.MOST_ATTEMPTS
    assert conversation.owner == "human" and "Look at the chat in Telegram" in conversation.owner_reason
    assert left_over.given_up_at is not None and left_over.error == "unexpected ValueError"
    [event] = error_events()
    assert f"a conversation of {conversation.bot} in campaign “{conversation.lead.campaign.name}”" in event
    assert str(conversation.id) not in event and "private words" not in event


def test_judging_without_a_trace_is_counted_too(conversation, left_over, monkeypatch):
    failing = Failing(monkeypatch, unclaimed_messages, "_is_ours", OperationalError)
    every_two_seconds(unclaimed_judge_due, minutes=2, errors=(OperationalError,))
    conversation.refresh_from_db()
    assert failing.calls == unclaimed_messages.MOST_ATTEMPTS and conversation.owner == "human"
    assert len(error_events()) == 1


def test_what_was_given_up_is_judged_with_the_next_message_of_ours(world, conversation, left_over, monkeypatch):
    with monkeypatch.context() as patch:
        Failing(patch, unclaimed_messages, "_is_ours", ValueError)
        every_two_seconds(unclaimed_judge_due, minutes=10)
    unclaimed_messages.outgoing_judge(conversation=conversation)
    assert not UnclaimedMessage.objects.exists()


def test_a_message_that_waits_for_a_delivery_under_way_waits_as_long_as_it_takes(world, conversation, left_over):
    world.ai_sends(conversation)
    world.claimed()
    every_two_seconds(unclaimed_judge_due, minutes=5)
    left_over.refresh_from_db()
    assert (left_over.attempts, left_over.given_up_at) == (0, None) and not error_events()

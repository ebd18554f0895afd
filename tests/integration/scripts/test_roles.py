"""When actors are wanted, and in which chats."""

from datetime import timedelta

import pytest
from django.utils import timezone

from bots.deliveries.claiming import claim
from bots.models import Bot, Delivery
from bots.roles import handler_of
from campaigns.chats.references import reference_change
from campaigns.models import Chat
from scripts import services
from scripts.models import Assignment
from tests.integration.ledger import owners
from tests.integration.script_world import make_assignment, play_on, queued, settle

pytestmark = pytest.mark.django_db


def wanted(after: timedelta = timedelta()) -> set[str]:
    handler = handler_of("actor")
    assert handler is not None
    return set(Bot.objects.filter(pk__in=handler.wanted(timezone.now() + after)).values_list("key", flat=True))


def playing(**options) -> Assignment:
    assignment = make_assignment(**options)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    return assignment


def test_a_draft_wants_nobody_and_an_activated_script_its_whole_cast():
    assignment = make_assignment()
    assert wanted() == set()
    services.assignment_activate(assignment_id=assignment.pk)
    assert wanted() == {"talk-host", "talk-guest"}


def test_a_script_is_played_in_a_chat_whose_reference_waits_and_its_cast_is_to_be_there():
    """They look where it leads; at the gate the lines wait."""
    Chat.objects.filter(targeted_by__assignment=(assignment := make_assignment(chats=1))).update(
        telegram_id=-1_002_100_000_777
    )
    [target] = assignment.targets.all()
    reference_change(chat_id=target.chat_id, reference="@another_name")
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    host, handler = Bot.objects.get(key="talk-host"), handler_of("actor")
    assert handler is not None and handler.chats(host.pk) == [target.chat]
    Bot.objects.update(lease_epoch=1, lease_expires_at=timezone.now() + timedelta(hours=1))
    host.refresh_from_db()
    assert claim(owners(host, chats=[target.chat])).outgoing == []
    assert "no account has confirmed yet that the reference" in Delivery.objects.get().waiting_reason


def test_actors_come_when_their_line_is_near():
    playing(delay=600)
    assert wanted() == set()
    assert wanted(timedelta(minutes=6)) == {"talk-host"}
    assert wanted(timedelta(minutes=16)) == {"talk-host", "talk-guest"}


def test_a_line_that_must_wait_is_not_near():
    playing()
    Delivery.objects.update(waiting_until=timezone.now() + timedelta(hours=8))
    assert wanted() == set()
    assert wanted(timedelta(hours=7, minutes=56)) == {"talk-host", "talk-guest"}


def test_an_actor_leaves_after_its_last_line_and_all_leave_after_the_play():
    assignment = playing(lines=(("host", "one", None), ("guest", "two", None)))
    for delivery in queued(assignment):
        settle(delivery)
    assert wanted() == {"talk-guest"}
    play_on(assignment)
    assert wanted() == set()


def test_a_paused_play_wants_only_the_actor_whose_message_is_being_sent():
    assignment = playing(chats=1)
    services.assignment_pause(assignment_id=assignment.pk)
    assert wanted() == set()
    Delivery.objects.update(state="sending")
    assert wanted() == {"talk-host"}


def test_an_actor_must_be_in_the_chats_where_it_has_lines_to_come():
    handler = handler_of("actor")
    assert handler is not None
    assignment = make_assignment(chats=2)
    host = assignment.cast.get(slot__name="host").bot_id
    assert handler.chats(host) == []
    services.assignment_activate(assignment_id=assignment.pk)
    assert [chat.key for chat in handler.chats(host)] == ["talk-0", "talk-1"]
    services.assignment_prepare(assignment_id=str(assignment.pk))
    assert [chat.key for chat in handler.chats(host)] == ["talk-0", "talk-1"]
    play_on(assignment)
    assert handler.chats(host) == []

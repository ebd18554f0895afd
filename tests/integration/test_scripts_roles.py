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
from scripts.models import ScriptForCampaign
from tests.integration.ledger import owners
from tests.integration.script_world import make_sfc, play_on, queued, settle

pytestmark = pytest.mark.django_db


def wanted(after: timedelta = timedelta()) -> set[str]:
    handler = handler_of("actor")
    assert handler is not None
    return set(Bot.objects.filter(pk__in=handler.wanted(timezone.now() + after)).values_list("key", flat=True))


def playing(**options) -> ScriptForCampaign:
    sfc = make_sfc(**options)
    services.sfc_activate(sfc_id=sfc.pk)
    services.sfc_prepare(sfc_id=str(sfc.pk))
    return sfc


def test_a_draft_wants_nobody_and_an_activated_script_its_whole_cast():
    sfc = make_sfc()
    assert wanted() == set()
    services.sfc_activate(sfc_id=sfc.pk)
    assert wanted() == {"talk-host", "talk-guest"}


def test_a_script_is_played_in_a_chat_whose_reference_waits_and_its_cast_is_to_be_there():
    """They look where it leads; at the gate the lines wait."""
    Chat.objects.filter(targeted_by__sfc=(sfc := make_sfc(chats=1))).update(telegram_id=-1_002_100_000_777)
    [target] = sfc.targets.all()
    reference_change(chat_id=target.chat_id, reference="@another_name")
    services.sfc_activate(sfc_id=sfc.pk)
    services.sfc_prepare(sfc_id=str(sfc.pk))
    host, handler = Bot.objects.get(key="talk-host"), handler_of("actor")
    assert handler is not None and handler.chats(host.pk) == [target.chat]
    Bot.objects.update(lease_epoch=1, lease_expires_at=timezone.now() + timedelta(hours=1))
    host.refresh_from_db()
    assert claim(owners(host, chats=[target.chat])).outgoing == []
    assert "the reference has waited for an account" in Delivery.objects.get().waiting_reason


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
    sfc = playing(lines=(("host", "one", None), ("guest", "two", None)))
    for delivery in queued(sfc):
        settle(delivery)
    assert wanted() == {"talk-guest"}
    play_on(sfc)
    assert wanted() == set()


def test_a_paused_play_wants_only_whoever_is_speaking():
    sfc = playing(chats=1)
    services.sfc_pause(sfc_id=sfc.pk)
    assert wanted() == set()
    Delivery.objects.update(state="sending")
    assert wanted() == {"talk-host"}


def test_an_actor_must_be_in_the_chats_where_it_has_lines_to_come():
    handler = handler_of("actor")
    assert handler is not None
    sfc = make_sfc(chats=2)
    host = sfc.cast.get(slot__name="host").bot_id
    assert handler.chats(host) == []
    services.sfc_activate(sfc_id=sfc.pk)
    assert [chat.key for chat in handler.chats(host)] == ["talk-0", "talk-1"]
    services.sfc_prepare(sfc_id=str(sfc.pk))
    assert [chat.key for chat in handler.chats(host)] == ["talk-0", "talk-1"]
    play_on(sfc)
    assert handler.chats(host) == []

"""Rounds over rows: the first poisoned row keeps no other waiting, and the failure is reported."""

from datetime import timedelta
from unittest.mock import Mock
from uuid import uuid4

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from bots.deliveries import claiming
from bots.deliveries.cancelling import cancellation_start, cancellations_advance
from bots.deliveries.claiming import claim
from bots.deliveries.recovery import repair
from bots.gate.verdicts import Refuse
from bots.models import Bot, Delivery, Incident, MassCancellation, PendingLogin
from bots.tasks import supervise_bots
from bots.worker.supervision import supervise
from campaigns.models import ChatPermission
from campaigns.permissions.expiry import permissions_notify_expiring
from leads.models import Lead, LlmJob, UnclaimedMessage
from leads.tasks import dispatch_due
from messaging import rounds
from messaging.dead_letters.replays import replay_start, replays_advance
from messaging.models import DeadLetter, OutboxEvent, ReplayBatch, ReplayItem
from messaging.rounds import RoundFailed, for_each
from scripts.models import Assignment
from scripts.services import plays_supervise
from tests.integration import ledger
from tests.integration.leads_world import make_world
from tests.integration.letters import letter_of
from tests.integration.script_world import make_assignment

pytestmark = pytest.mark.django_db


def poison(table: str, row_id: object, *, when: str = "UPDATE", key: str = "id") -> None:
    """From now on nothing can be done with this row; `when` is what cannot be done: UPDATE, or UPDATE OF a column."""
    name = f"poison_{uuid4().hex}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF NEW.{key}::text = '{row_id}' THEN RAISE 'poison' USING ERRCODE = 'XX000'; END IF;"
            " RETURN NEW; END $$"
        )
        cursor.execute(f"CREATE TRIGGER {name} BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")


def test_each_item_has_its_turn_and_the_failure_is_reported(caplog):
    done = []

    def work(item: int) -> int:
        if item in (1, 3):
            raise ValueError("private words")
        done.append(item)
        return item

    with pytest.raises(RoundFailed, match=r"^thing: 2 of 4 failed, the first is 1: ValueError$") as caught:
        for_each([1, 2, 3, 4], work, what="thing")
    assert done == [2, 4]
    assert isinstance(caught.value.__cause__, ValueError)
    assert "thing 3 failed" in caplog.text


def test_what_the_database_itself_refuses_is_raised_as_it_is_after_all_others():
    done = []

    def work(item: int) -> None:
        if item == 1:
            raise OperationalError("deadlock detected")
        done.append(item)

    with pytest.raises(OperationalError, match="deadlock"):
        for_each([1, 2], work, what="thing")
    assert done == [2]


def test_leads_jobs_and_words_from_the_phone_do_not_wait_for_a_poisoned_lead():
    world = make_world()
    Bot.objects.update(enabled=False)
    stuck, other = world.receive(), world.receive(telegram_user_id=502, username="other")
    assert {stuck.state, other.state} == {Lead.State.NEW}
    Bot.objects.update(enabled=True)
    poison("leads_lead", stuck.id, when="UPDATE OF state")
    dispatch_due()
    other.refresh_from_db()
    stuck.refresh_from_db()
    assert other.state == Lead.State.CONTACTING
    assert (stuck.state, stuck.state_reason) == (
        Lead.State.NEW, "The lead could not be contacted (unexpected InternalError). CoolThing tries again.",
    )  # fmt: skip


def test_what_comes_after_a_broken_piece_of_a_tick_is_done():
    world = make_world()
    conversation = world.conversation()
    world.incoming(conversation, "How much?")
    LlmJob.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    poison("leads_llmjob", LlmJob.objects.get().id, when="UPDATE OF dispatched_at")
    UnclaimedMessage.objects.create(
        conversation=conversation, telegram_message_id=7, text="From the phone", said_at=timezone.now()
    )
    with pytest.raises(RoundFailed, match="jobs_dispatch_due: InternalError"):
        dispatch_due()
    conversation.refresh_from_db()
    assert conversation.owner == "human"


def test_expiring_permissions_are_reported_beside_a_poisoned_one():
    chat = ledger.make_chat(permitted=False)
    ends = timezone.now() + timedelta(days=1)
    first, second = (
        ChatPermission.objects.create(
            chat=chat, purpose=purpose, granted_by="o", granted_at=timezone.now(), evidence="e", valid_until=ends
        )
        for purpose in ("parse", "first_contact")
    )
    poison("campaigns_chatpermission", first.pk)
    with pytest.raises(RoundFailed):
        permissions_notify_expiring(now=timezone.now())
    second.refresh_from_db()
    assert second.expiry_told is not None


def test_a_poisoned_replay_stops_no_other():
    batches = [replay_start(letters=DeadLetter.objects.filter(pk=letter_of().pk), by="ann", what=what) for what in "ab"]
    poison("messaging_replaybatch", batches[0].pk)
    with pytest.raises(RoundFailed):
        replays_advance()
    assert ReplayItem.objects.get(batch=batches[1]).state == "sent"
    assert ReplayBatch.objects.get(pk=batches[0].pk).state == "running"


def test_a_poisoned_cancellation_stops_no_other():
    bot, campaign, orders = ledger.make_bot(), ledger.make_campaign(), []
    for _ in range(2):
        delivery = ledger.queue_line(bot, campaign, ledger.make_chat())
        orders.append(
            cancellation_start(
                deliveries=Delivery.objects.filter(pk=delivery.pk), until=timezone.now() + timedelta(hours=1),
                by="ann", what="one",
            )
        )  # fmt: skip
    poison("bots_masscancellation", orders[0].pk)
    with pytest.raises(RoundFailed):
        cancellations_advance()
    assert MassCancellation.objects.get(pk=orders[1].pk).state == "done"


def test_a_poisoned_bot_keeps_no_other_from_its_end(caplog):
    bots = [ledger.make_bot() for _ in range(2)]
    for bot in bots:
        Bot.objects.filter(pk=bot.pk).update(
            lease_owner="gone:1", lease_epoch=1, lease_expires_at=timezone.now() - timedelta(minutes=5)
        )
    poison("bots_bot", bots[0].pk)
    with pytest.raises(RoundFailed, match="mark_abandoned"):
        supervise(timezone.now())
    assert Bot.objects.get(pk=bots[1].pk).state == Bot.State.OFFLINE


def test_a_poisoned_login_keeps_no_bot_and_no_other_login_from_its_end():
    bots = [ledger.make_bot() for _ in range(3)]
    long_ago = timezone.now() - timedelta(minutes=5)
    Bot.objects.filter(pk=bots[0].pk).update(lease_owner="gone:1", lease_epoch=1, lease_expires_at=long_ago)
    for bot in bots[1:]:
        ends = timezone.now() + timedelta(minutes=5)
        PendingLogin.objects.create(bot=bot, expires_at=ends, asked="code", asked_at=long_ago)
    poison("bots_pendinglogin", bots[1].pk, key="bot_id")
    with pytest.raises(RoundFailed, match="logins_lapse"):
        supervise_bots()
    assert Bot.objects.get(pk=bots[0].pk).state == Bot.State.OFFLINE
    assert PendingLogin.objects.get(pk=bots[2].pk).problem


def test_a_poisoned_bot_keeps_no_login_from_being_forgotten():
    bot, other = ledger.make_bot(), ledger.make_bot()
    long_ago = timezone.now() - timedelta(minutes=5)
    Bot.objects.filter(pk=bot.pk).update(lease_owner="gone:1", lease_epoch=1, lease_expires_at=long_ago)
    PendingLogin.objects.create(bot=other, expires_at=long_ago)
    poison("bots_bot", bot.pk)
    with pytest.raises(RoundFailed, match="mark_abandoned"):
        supervise_bots()
    assert not PendingLogin.objects.exists()


def test_a_poisoned_delivery_without_an_owner_keeps_no_other_waiting():
    ledger.noting_origin()
    long_ago = timezone.now() - timedelta(hours=1)
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    lost = [ledger.queue_line(bot, campaign, ledger.make_chat()) for _ in range(2)]
    Bot.objects.update(lease_owner="", lease_expires_at=None)
    Delivery.objects.update(state="sending", first_attempt_at=long_ago)
    poison("bots_delivery", lost[0].pk)
    with pytest.raises(RoundFailed):
        repair()
    assert Delivery.objects.get(pk=lost[1].pk).state == "unknown"


def test_what_goes_on_failing_in_the_same_way_is_reported_again_after_a_while(monkeypatch):
    def work(item: int) -> None:
        raise errors[item]("private words")

    def failing() -> str:
        try:
            for_each(errors, work, what="thing")
        except RoundFailed as failed:
            return str(failed)
        return ""

    errors: dict[int, type[Exception]] = {1: ValueError, 2: ValueError}
    assert failing() == "thing: 2 of 2 failed, the first is 1: ValueError"
    assert failing() == ""
    errors[2] = KeyError
    assert failing() == "thing: 1 of 2 failed, the first is 2: KeyError"
    monkeypatch.setattr(rounds, "REPORT_AGAIN_SECONDS", -1.0)
    assert failing().startswith("thing: 2 of 2")


@pytest.fixture
def queue_of_three():
    """The sending of the first and the second belongs to one account, that of the third to another."""
    origin = ledger.noting_origin()
    bots, campaign = [ledger.make_bot() for _ in range(2)], ledger.make_campaign()
    chats = [ledger.make_chat() for _ in range(3)]
    places = zip((0, 0, 1), chats, strict=True)
    rows = [ledger.queue_line(bots[place], campaign, chat) for place, chat in places]
    return origin, ledger.owners(*bots, chats=chats), rows


def assert_set_aside(stuck: Delivery, what: str, error: str) -> None:
    stuck.refresh_from_db()
    assert (stuck.state, stuck.waiting_reason) == (
        "queued",
        f"CoolThing could not {what} this message ({error}) and will try again.",
    )
    assert stuck.waiting_until is not None and stuck.waiting_until > timezone.now()
    incident = Incident.objects.get(key=f"delivery:{stuck.pk}")
    assert error in incident.reason
    [body] = OutboxEvent.objects.filter(routing_key="bots.error").values_list("body", flat=True)
    report = f"CoolThing cannot {what} a message of account {stuck.bot} to “{stuck.chat}” ({error})"
    assert report in body and str(stuck.pk) not in body


def test_a_poisoned_delivery_keeps_no_other_from_being_claimed(queue_of_three):
    _, owners, (stuck, behind, other) = queue_of_three
    poison("bots_delivery", stuck.pk, when="UPDATE OF state")
    batch = claim(owners)
    assert {out.id for out in batch.outgoing} == {behind.id, other.id}
    assert_set_aside(stuck, "check", "InternalError")


def test_a_poisoned_delivery_that_is_judged_by_itself_does_not_block_the_next(queue_of_three):
    _, owners, (stuck, behind, other) = queue_of_three
    poison("bots_delivery", stuck.pk, when="UPDATE OF state")
    first, second = claim(owners, first_only=owners), claim(owners, first_only=owners)
    assert ([out.id for out in first.outgoing], first.waiting) == ([other.id], {stuck.bot_id: [stuck.id]})
    assert [out.id for out in second.outgoing] == [behind.id]
    assert_set_aside(stuck, "check", "InternalError")


def test_a_delivery_that_cannot_be_refused_does_not_block_the_next(queue_of_three):
    origin, owners, (stuck, behind, other) = queue_of_three
    origin.answers[stuck.origin_id] = Refuse("no")
    origin.failing = True
    first, second = claim(owners, first_only=owners), claim(owners, first_only=owners)
    assert ([out.id for out in first.outgoing], first.refused) == ([other.id], 0)
    assert [out.id for out in second.outgoing] == [behind.id]
    assert_set_aside(stuck, "refuse", "RuntimeError")


def test_a_connection_that_breaks_while_one_is_refused_loses_nothing_that_was_claimed(queue_of_three, monkeypatch):
    origin, owners, (stuck, _, other) = queue_of_three
    origin.answers[stuck.origin_id] = Refuse("no")
    origin.failing = True
    monkeypatch.setattr(claiming, "incident_report", Mock(side_effect=InterfaceError("the connection is closed")))
    batch = claim(owners, first_only=owners)
    assert ([out.id for out in batch.outgoing], batch.waiting) == ([other.id], {stuck.bot_id: [stuck.id]})


def test_a_poisoned_play_keeps_the_watchdog_from_no_other():
    assignments = [make_assignment(slug=slug) for slug in ("one", "two")]
    Assignment.objects.update(
        state="active",
        snapshot={"lines": []},
        supervised_at=timezone.now(),
        activated_at=timezone.now() - timedelta(hours=1),
    )
    poison("scripts_scriptforcampaign", assignments[0].pk)
    with pytest.raises(RoundFailed, match="_report_unprepared"):
        plays_supervise()
    assert Assignment.objects.get(pk=assignments[1].pk).incident

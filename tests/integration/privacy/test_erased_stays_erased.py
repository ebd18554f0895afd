"""Nothing that is under way, or comes late, brings an erased person's data back."""

import json
import threading
from uuid import uuid4

import pytest
from django.db import transaction

from bots.deliveries.claiming import claim
from bots.deliveries.outcomes import record_sent
from bots.models import Cursor, Delivery
from bots.roles import handler_of
from bots.worker.change_records import changes_record, recent_messages
from bots.worker.cursors import Reader, cursors_start_direct, messages_record
from campaigns.erasing import StillLeaving, person_erase
from campaigns.models import Suppression
from campaigns.policy.locks import erasures_lock_shared
from campaigns.suppressions.lookup import is_suppressed
from campaigns.suppressions.recording import suppression_add, suppression_resolve
from leads.llm_runner import job_run
from leads.models import Conversation, Lead, LlmJob, Message
from leads.services.llm_jobs import job_claim
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.dead_letters.archive import archive_all
from messaging.messages import ReceivedMessage as BusMessage
from messaging.messages import body_digest
from messaging.models import DeadLetter, HandlingFailure, OutboxEvent
from notifier.models import Channel, Notification, Rule
from panelkit.rights import Shell
from parser.models import Hit
from privacy.person import Person
from telegram.types import Dialog, MessageNow, SentMessage
from tests.integration import ledger
from tests.integration.leads_world import handle_lead, make_world, private_message, role_handler
from tests.integration.locks import in_thread, somebody_waits_for_a_lock
from tests.integration.person_world import (
    ANSWER,
    ID,
    NAME,
    WORDS,
    Place,
    erase,
    fill,
    search,
)
from tests.support import wait_until

pytestmark = pytest.mark.django_db


def test_a_letter_that_dies_again_after_the_erasure_stays_empty_and_discarded(world):
    fill(world)
    letter = DeadLetter.objects.filter(body__contains=WORDS).earliest("pk")
    body = letter.body
    erase()
    death = [{"queue": letter.queue, "reason": "rejected", "time": "now", "exchange": "leads_exchange"}]
    HandlingFailure.objects.create(queue=letter.queue, body_digest=body_digest(body.encode()), error=WORDS)
    with transaction.atomic():
        message = BusMessage(
            "dead_letter_archive_queue", "leads_dlx", "leads.failed", body.encode(), {"x-death": death}, None
        )
        archive_all([message], unroutable=False)
    assert not DeadLetter.objects.filter(state="open", event_id=letter.event_id).exists()
    assert search(WORDS) == [Place("messaging_handlingfailure", WORDS)]


# The second is as some other programs write: the id as text, no username, a byte order mark before all.
@pytest.mark.parametrize(("mark", "who"), [("", {}), ("\ufeff", {"telegram_user_id": str(ID), "username": None})])
def test_what_was_still_on_the_bus_is_not_recorded_any_more(world, mark, who):
    conversation = fill(world)
    erase()
    event = world.event(**{"telegram_user_id": ID, "username": NAME, "message": WORDS, **who})
    handle_lead(event)
    body = (mark + json.dumps({**event, "id": str(uuid4())})).encode()
    death = [{"queue": "leads_queue", "reason": "rejected", "exchange": "leads_exchange", "routing-keys": ["lead.x"]}]
    handle(topology.DEAD_LETTER_ARCHIVE_QUEUE, topology.LEADS_DLX, "leads.failed", body, headers={"x-death": death})
    channel = Channel.objects.create(name="All", kind="file", address="/dev/null")
    Rule.objects.create(channel=channel, pattern="#")
    handle(topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, "billing.paid", body)
    assert not Notification.objects.filter(channel=channel).exists()
    assert DeadLetter.objects.filter(reason="rejected", body="", error="").exists()
    manager = role_handler("manager")
    manager.on_messages(messages={conversation.bot_id: [private_message(message_id=8, peer_id=ID, text=WORDS)]})
    assert search(NAME, WORDS, ANSWER) == []


def test_the_direct_chat_of_an_erased_person_is_not_read_any_more(world):
    conversation = fill(world)
    erase()
    handler = handler_of("manager")
    assert handler is not None
    reader = Reader(conversation.bot_id, 1, handler)
    positions = cursors_start_direct(reader=reader, dialogs=[Dialog(ID, 9, "Maria", "private")])
    assert ID not in positions
    message = private_message(message_id=9, peer_id=ID, from_user_id=ID, text=WORDS)
    assert messages_record(reader=reader, peer_id=ID, messages=[message]).position == 9
    assert not Cursor.objects.filter(peer_id=ID).exists()


def test_a_message_that_is_leaving_is_waited_for(world):
    conversation = fill(world)
    late = ledger.queue_message(conversation.bot, world.campaign, ID, origin="leads.message", origin_id=uuid4())
    Delivery.objects.filter(id=late.id).update(state="sending", lease_epoch=1)
    with pytest.raises(StillLeaving, match="1 message to this person is being sent at this moment"):
        erase()
    assert is_suppressed(telegram_user_id=ID) and Lead.objects.filter(telegram_user_id=ID).exists()
    Delivery.objects.filter(id=late.id).update(state="unknown")
    erase()
    assert (Delivery.objects.get(id=late.id).peer_id or 0) < 0


def test_a_late_outcome_does_not_restore_the_persons_id(world):
    world.receive(telegram_user_id=ID, username=NAME)
    [out] = claim(ledger.owners(*world.managers)).outgoing
    Delivery.objects.filter(id=out.id).update(state="unknown")
    erase()
    Delivery.objects.filter(id=out.id).update(state="sending")
    assert record_sent(out, SentMessage(5, ledger.START, ID))
    assert (Delivery.objects.get(id=out.id).peer_id or 0) < 0 and search(str(ID)) == []


def test_what_becomes_of_a_message_to_an_erased_person_is_not_kept(world):
    conversation = fill(world)
    sent = Delivery.objects.filter(peer_id=ID, state="sent").latest("created_at")
    erase()
    seen = MessageNow(None, sent.telegram_message_id or 0, text=WORDS, edited_at=ledger.START, reactions="👍 2")
    assert changes_record(bot_id=conversation.bot_id, changes=[seen]) == [seen]
    assert recent_messages(reader=Reader(conversation.bot_id, 0, role_handler("manager"))) == {}
    assert search(WORDS) == []


@pytest.mark.parametrize("moment", ["before it is asked", "while it answers"])
def test_an_answer_of_the_llm_after_the_erasure_is_dropped(world, monkeypatch, moment):
    conversation = world.conversation(telegram_user_id=ID, username=NAME)
    world.incoming(conversation, WORDS, peer_id=ID, from_user_id=ID)
    job = LlmJob.objects.get()
    LlmJob.objects.update(due_at=ledger.START)
    if moment == "while it answers":
        monkeypatch.setattr("leads.llm_runner._ask", lambda question: erase())
        job_run(job_id=job.id)
    else:
        erase()
        job_run(job_id=job.id)
    assert not LlmJob.objects.exists() and not Message.objects.exists()
    assert search(NAME, WORDS) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("writer", ["a hit", "an event"])
def test_an_erasure_waits_for_what_is_being_recorded_and_takes_it_along(writer):
    world = make_world()
    suppression_add(telegram_user_id=ID, source=Suppression.Source.OPERATOR)
    with transaction.atomic():
        erasures_lock_shared()
        eraser = in_thread(erase)
        wait_until(somebody_waits_for_a_lock, what="the erasure waiting for the writer")
        if writer == "an event":
            handle_lead(world.event(telegram_user_id=ID, username=NAME, message=WORDS))
        else:
            Hit.objects.create(
                campaign=world.campaign, bot=world.parser, chat=world.chat, message_id=1, telegram_user_id=ID,
                username=NAME, text=WORDS, keyword="tea", said_at=ledger.START,
            )  # fmt: skip
    eraser.join(60)
    assert not Lead.objects.exists() and not Hit.objects.exists() and search(NAME, WORDS) == []


@pytest.mark.django_db(transaction=True)
def test_an_erasure_beside_a_claim_and_a_running_conversation_leaves_nothing():
    world = make_world()
    conversation = world.conversation(telegram_user_id=ID, username=NAME)
    world.incoming(conversation, WORDS, peer_id=ID, from_user_id=ID)
    stop = threading.Event()
    errors: list[BaseException] = []

    def keep_on() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                handle_lead(world.event(telegram_user_id=ID, username=NAME, message=WORDS))
                message = private_message(message_id=10_000 + number, peer_id=ID, from_user_id=ID, text=WORDS)
                role_handler("manager").on_messages(messages={conversation.bot_id: [message]})
                for job_id in LlmJob.objects.values_list("id", flat=True):
                    job_claim(job_id=job_id, now=ledger.START)
                claim(ledger.owners(*world.managers))
            except Exception as error:
                errors.append(error)
                return

    writers = [in_thread(keep_on) for _ in range(2)]
    wait_until(lambda: Message.objects.count() > 5)

    def erased() -> bool:
        try:
            erase()
        except StillLeaving:
            Delivery.objects.filter(state="sending").update(state="unknown")
            return False
        return True

    wait_until(erased)
    before = OutboxEvent.objects.count()
    wait_until(lambda: not Conversation.objects.exists())
    stop.set()
    for writer in writers:
        writer.join(60)
    assert errors == []
    assert search(str(ID), NAME, WORDS) == [] and OutboxEvent.objects.count() == before


def test_a_username_that_resolves_to_an_erased_person_is_removed(world):
    person_erase(Person(ID), by=Shell())
    suppression_add(telegram_user_id=None, username="wanderer", source=Suppression.Source.OPERATOR)
    assert suppression_resolve(telegram_user_id=ID, username="wanderer", by="a test")
    assert search("wanderer", str(ID)) == []

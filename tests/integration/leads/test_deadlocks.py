"""Two transactions that want the conversations of one person never wait for each other in a circle.

In each test the first one is stopped at a row that it wants after the conversation it begins with; the second one
begins; then both go on. PostgreSQL would end one of them with "deadlock detected".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bots.models import Delivery
from campaigns.models import Suppression
from leads.models import Conversation, Lead, LlmJob, UnclaimedMessage
from leads.services.incoming import messages_changed
from leads.services.operators import conversation_hand_back, conversation_take_over
from leads.services.opt_out import opt_out
from leads.services.unclaimed_messages import unclaimed_judge_due
from telegram.types import MessageNow
from tests.integration.leads_world import World, handle_lead, make_world
from tests.integration.locks import row_locked, working

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Two:
    """A person's conversations in two campaigns. `late` is the one with the higher id; the AI has an answer queued
    there."""

    early: Conversation
    late: Conversation
    world_of_late: World

    def beside_a_stop(self, work: Callable[[], object], *, stopped_at: Model) -> None:
        """`work` begins, stops before that row, and goes on when the person's "stop" waits as well."""
        stop = partial(opt_out, lead_id=self.early.lead_id, source=Suppression.Source.OPERATOR)
        with working() as begin, row_locked(stopped_at):
            begin(work)
            begin(stop)
        assert {lead.state for lead in Lead.objects.filter(telegram_user_id=501)} == {Lead.State.OPTED_OUT}
        assert not Delivery.objects.filter(peer_id=501, state=Delivery.State.QUEUED).exists()


@pytest.fixture
def two() -> Two:
    worlds = {
        conversation.pk: (conversation, world)
        for world in (make_world(), make_world())
        for conversation in [world.conversation()]
    }
    (early, _), (late, world) = (worlds[pk] for pk in sorted(worlds))
    world.incoming(late, "How much?")
    world.ai_sends(late)
    return Two(early, late, world)


def job_of(conversation: Conversation) -> LlmJob:
    return LlmJob.objects.get(conversation=conversation, state=LlmJob.State.DUE)


def test_an_operator_takes_a_conversation_over_while_its_person_sends_stop_elsewhere(two):
    take_over = partial(conversation_take_over, conversation_id=two.late.id, by="olga")
    two.beside_a_stop(take_over, stopped_at=job_of(two.late))


def test_an_operator_hands_a_conversation_back_while_its_person_sends_stop_elsewhere(two):
    conversation_take_over(conversation_id=two.late.id, by="olga")
    job = LlmJob.objects.create(conversation=two.late, epoch=1000, due_at=timezone.now())
    two.world_of_late.ai_sends(two.late, parting=True)
    two.beside_a_stop(partial(conversation_hand_back, conversation_id=two.late.id, by="olga"), stopped_at=job)


def test_a_message_from_the_phone_is_judged_while_its_person_sends_stop_elsewhere(two):
    wrote = UnclaimedMessage.objects.create(
        conversation=two.late, telegram_message_id=9_000, text="It's me, Olga", said_at=timezone.now()
    )
    two.beside_a_stop(partial(unclaimed_judge_due, now=timezone.now()), stopped_at=job_of(two.late))
    assert not UnclaimedMessage.objects.filter(pk=wrote.pk).exists()


def test_two_leads_turn_out_to_be_the_same_person_who_sends_stop_elsewhere(two):
    world = two.world_of_late
    by_name = world.receive(telegram_user_id=None, username="other_name")
    assert by_name is not None and by_name.pk != two.late.lead_id
    # The lead that has progressed further continues: make it the new lead.
    Lead.objects.filter(pk=by_name.pk).update(state=Lead.State.OPTED_OUT)
    hit = partial(handle_lead, world.event(username="other_name"))
    two.beside_a_stop(hit, stopped_at=job_of(two.late))


def test_an_edit_locks_all_rows_of_its_person_in_one_step(two):
    """The campaign has two leads that are one person: the conversation's, known by username, and one with the id."""
    world, conversation = two.world_of_late, two.late
    Lead.objects.filter(pk=conversation.lead_id).update(telegram_user_id=None, username="other_name")
    sent = world.incoming(conversation, "ok")
    change = MessageNow(None, sent.message_id, "ok, and when?", edited_at=timezone.now())
    with CaptureQueriesContext(connection) as caught:
        assert messages_changed(bot_id=conversation.bot_id, changes=[change]) == []
    locks = [query["sql"] for query in caught if "FOR NO KEY UPDATE" in query["sql"]]
    tables = [found[1] for sql in locks if (found := re.search(r'FROM "(\w+)"', sql))]
    assert tables[0] == "leads_conversation" and "leads_lead" in tables
    assert "leads_conversation" not in tables[tables.index("leads_lead") :]

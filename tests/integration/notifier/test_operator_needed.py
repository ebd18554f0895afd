"""Each thing that waits for an operator causes one event, and all of them a bounded number of notifications."""

import json
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from bots.accounts.states import bot_restrict
from bots.models import Bot
from leads.llm.answers import LlmAnswer
from leads.models import Conversation, Lead, LlmJob
from leads.services.llm_jobs import job_apply, job_claim
from leads.services.operators import conversation_take_over
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.dead_letters.services import dead_letter_discard, dead_letter_replay
from messaging.models import DeadLetter, OutboxEvent
from notifier.channels.rules import DEFAULT_PATTERNS
from notifier.models import Channel, Notification, Rule
from notifier.notifications.bundles import BUNDLED
from notifier.notifications.lifecycle import notification_claim, notifications_dispatch_due
from notifier.notifications.links import _PAGES, path_of
from outgoing.chat_completions import LlmResponse
from scripts import services
from scripts.models import Play
from tests.integration import ledger
from tests.integration.leads_world import World, make_world
from tests.integration.letters import death
from tests.integration.script_world import make_assignment, queued, settle

pytestmark = pytest.mark.django_db
WORDS = "my private words about tea"


def published(ending: str = "") -> list[dict[str, Any]]:
    rows = OutboxEvent.objects.filter(exchange=topology.EVENTS_EXCHANGE, routing_key__endswith=ending).order_by("id")
    return [json.loads(row.body) for row in rows]


def answered(world: World, conversation: Conversation, **facts: Any) -> None:
    """The lead writes, and the LLM answers with these facts."""
    world.incoming(conversation, WORDS)
    question = job_claim(job_id=LlmJob.objects.latest("id").id, now=timezone.now() + timedelta(minutes=5))
    assert question is not None
    answer = LlmAnswer(messages=[], reason=WORDS, **facts)
    job_apply(question=question, answered=LlmResponse(answer, 1, 1), now=timezone.now())


def test_an_ai_that_needs_an_operator_causes_one_event_without_what_was_written(
    world: World, conversation: Conversation
):
    answered(world, conversation, action="handover")
    [event] = published("manager.handover")
    assert (event["conversation_id"], event["campaign_id"]) == (str(conversation.id), str(world.campaign.id))
    assert event["reason"] == "The AI asks for an operator." and WORDS not in json.dumps(published())


def test_an_operator_who_takes_over_is_not_needed(world: World, conversation: Conversation):
    conversation_take_over(conversation_id=conversation.id, by="olga")
    assert published("manager.handover") == []


def test_a_first_contact_that_waits_for_approval_is_one_event_however_often_its_hit_comes():
    world = make_world(direct=False)
    event = world.event()
    world.receive(**event)
    world.receive(**event)
    [approval] = published("manager.approval")
    assert Lead.objects.get().state == "awaiting_approval"
    assert approval["lead_id"] == str(Lead.objects.get().id) and "tea_lover" not in json.dumps(approval).lower()
    assert "Where do you buy" not in json.dumps(approval)


def dies(body: Any = None, queue: str = topology.LEADS_QUEUE, **changes: Any) -> DeadLetter:
    body = body or json.dumps({"id": str(uuid4()), "message": WORDS}).encode()
    handle(topology.DEAD_LETTER_ARCHIVE_QUEUE, topology.LEADS_DLX, "leads.failed", body, death(queue, **changes))
    return DeadLetter.objects.latest("last_seen_at")


def test_a_dead_letter_is_one_event_while_it_waits_and_another_when_it_comes_back():
    body = json.dumps({"id": str(uuid4()), "message": WORDS}).encode()
    letter = dies(body)
    dies(body, count=2)
    [event] = published("manager.dead_letter")
    assert (event["letter_id"], event["queue"]) == (letter.pk, topology.LEADS_QUEUE)
    assert event["reason"] == "leads_exchange/lead.*, rejected" and WORDS not in json.dumps(event)
    dead_letter_discard(letter_id=letter.pk, by="olga", reason="")
    dies(body, count=3)
    assert len(published("manager.dead_letter")) == 2
    dead_letter_replay(letter_id=letter.pk, by="olga")
    assert len(published("manager.dead_letter")) == 2


@pytest.mark.parametrize(
    ("queue", "exchange", "key"),
    [
        (topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, "manager.dead_letter"),
        (topology.NOTIFICATIONS_QUEUE, topology.TASKS_EXCHANGE, "notifications_queue"),
    ],
    ids=["the event about a dead letter", "what sends notifications"],
)
def test_what_would_notify_of_itself_is_kept_and_notifies_of_nothing(queue, exchange, key):
    dies(queue=queue, exchange=exchange, **{"routing-keys": [key]})
    assert DeadLetter.objects.count() == 1 and published() == []


def test_a_message_of_the_default_exchange_is_named_by_its_queue_in_words():
    dies(queue=topology.LEADS_QUEUE, exchange="", **{"routing-keys": [topology.LEADS_QUEUE]})
    assert published("manager.dead_letter")[0]["reason"] == "sent directly to leads_queue, rejected"


def test_another_event_that_the_notifier_cannot_handle_is_notified_of():
    dies(queue=topology.NOTIFIER_QUEUE, exchange=topology.EVENTS_EXCHANGE, **{"routing-keys": ["parser.error"]})
    assert len(published("notifier.dead_letter")) == 1


def test_a_restricted_account_is_one_event():
    bot = ledger.make_bot()
    bot_restrict(bot_id=bot.pk, reason="PEER_FLOOD")
    bot_restrict(bot_id=bot.pk, reason="PEER_FLOOD")
    [event] = published()
    assert "ask @SpamBot in Telegram why, then release the account" in event["reason"]


def test_a_play_that_fails_is_one_event_and_one_that_the_watchdog_ends_is_its_crash():
    assignment = make_assignment(chats=2)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_arm(assignment_id=str(assignment.pk))
    services.assignment_prepare(assignment_id=str(assignment.pk))
    lost = Play.objects.order_by("pk").first()
    assert lost is not None
    while left := [each for each in queued(assignment) if each.chat_id == lost.chat_id]:
        settle(left[0], state="failed", reason="CHAT_WRITE_FORBIDDEN")
    [event] = published("scripts.play_failed")
    assert (event["play_id"], event["sfc_id"]) == (str(lost.pk), str(assignment.pk))
    assert "no line was" in event["reason"] and "CHAT_WRITE_FORBIDDEN" in event["reason"]
    Bot.objects.update(state=Bot.State.BANNED)
    services.plays_supervise(now=timezone.now())
    assert len(published("scripts.play_failed")) == 1 and len(published("scripts.crash")) == 1


# From here on: notifications.


@pytest.fixture
def channel(settings) -> Channel:
    settings.PANEL_URL = "https://panel.example/"
    made = Channel.objects.create(name="team", kind="file", address="notes.jsonl")
    for pattern in DEFAULT_PATTERNS:
        Rule.objects.create(channel=made, pattern=pattern)
    return made


def test_channels_that_heard_of_errors_hear_of_what_waits_and_others_do_not():
    old, ai, other = [Channel.objects.create(name=name, kind="file", address="a") for name in ("old", "ai", "other")]
    Rule.objects.create(channel=ai, pattern="manager.error")
    Rule.objects.create(channel=old, pattern="*.error")
    Rule.objects.create(channel=other, pattern="scripts.finished")
    migration = import_module("notifier.migrations.0007_rules_when_an_operator_is_needed")
    for _ in range(2):
        migration.add_rules(apps, None)
    assert {rule.pattern for rule in old.rules.all()} == {"*.error", *migration.PATTERNS}
    assert set(migration.PATTERNS) < set(DEFAULT_PATTERNS) and other.rules.count() == 1
    # The error of an AI that cannot go on has another key since.
    assert {rule.pattern for rule in ai.rules.all()} == {"manager.error", "manager.handover"}


def approvals(count: int, campaign: Any, **facts: Any) -> None:
    for _ in range(count):
        body = {"id": str(uuid4()), "lead_id": str(uuid4()), "campaign_id": str(campaign), "reason": "Late."} | facts
        handle(topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, "manager.approval", json.dumps(body).encode())


def test_many_at_once_are_one_notification_now_and_one_with_a_count_later(channel):
    campaign = ledger.make_campaign(name="Tea")
    approvals(1, campaign.pk)
    first = Notification.objects.get()
    assert first.title == "1 first contact in Tea waits for your approval. Reason: Late."
    # Its task is lost.
    assert notifications_dispatch_due(now=first.due_at + timedelta(minutes=1)) == 1
    assert notification_claim(notification_id=first.pk, now=first.due_at + timedelta(minutes=1)) is not None
    Notification.objects.filter(pk=first.pk).update(state="sent")
    approvals(40, campaign.pk, reason="The last.")
    waiting, due_at = list(Notification.objects.filter(attempts=0)), first.due_at + BUNDLED
    assert len(waiting) == 40 and {row.due_at for row in waiting} == {due_at}
    assert notifications_dispatch_due(now=due_at - timedelta(seconds=1)) == 0
    assert notifications_dispatch_due(now=due_at + timedelta(seconds=1)) == 1
    sending = notification_claim(notification_id=waiting[7].pk, now=due_at)
    assert sending is not None and sending.content["count"] == 40
    assert sending.content["title"] == "40 first contacts in Tea wait for your approval. Last reason: The last."
    assert sending.content["url"] == "https://panel.example/admin/leads/lead/?state__exact=awaiting_approval"
    assert all(notification_claim(notification_id=row.pk, now=due_at) is None for row in waiting)
    # What comes after its claim waits for the next time; another campaign's does not.
    approvals(1, campaign.pk)
    approvals(1, uuid4())
    late = Notification.objects.get(bundle=first.bundle, attempts=0)
    assert notification_claim(notification_id=late.pk, now=due_at) is None
    late.refresh_from_db()
    assert late.due_at == due_at + BUNDLED
    assert Notification.objects.exclude(bundle=first.bundle).get().due_at < due_at


def test_the_count_is_of_those_that_are_still_there_when_it_goes_out(channel):
    approvals(3, campaign := uuid4())
    first, _, last = Notification.objects.order_by("created_at")
    # Somebody's data is erased, before the task of the first one runs.
    last.delete()
    sending = notification_claim(notification_id=first.pk, now=first.due_at)
    assert sending is not None and sending.content["title"] == (
        f"2 first contacts in {campaign} wait for your approval. Last reason: Late."
    )


def test_a_bundle_of_many_rows_costs_as_many_statements_as_one_of_few_and_none_grows(channel):
    costs = []
    for size in (3, 600):
        approvals(1, uuid4())
        first = Notification.objects.get()
        facts = {name: getattr(first, name) for name in ("routing_key", "title", "bundle", "bundle_at", "due_at")}
        Notification.objects.bulk_create(
            Notification(channel=channel, event_id=uuid4(), body=first.body, **facts) for _ in range(size - 1)
        )
        with CaptureQueriesContext(connection) as statements:
            sending = notification_claim(notification_id=first.pk, now=first.due_at)
        assert sending is not None and sending.content["count"] == size == Notification.objects.get().count
        costs.append([len(statement["sql"]) for statement in statements.captured_queries])
        Notification.objects.all().delete()
    # Only the number in the title may be longer.
    assert all(abs(few - many) < 100 for few, many in zip(*costs, strict=True))


def test_several_channels_and_events_in_one_transaction_change_no_row_of_another(channel):
    """The watch over locks fails it otherwise."""
    other = Channel.objects.create(name="other", kind="file", address="other.jsonl")
    Rule.objects.create(channel=other, pattern="#")
    with transaction.atomic():
        approvals(3, uuid4())
    assert Notification.objects.count() == 6
    for row in list(Notification.objects.all()):
        notification_claim(notification_id=row.pk, now=row.due_at)
    assert [row.count for row in Notification.objects.all()] == [3, 3]


def test_after_a_quiet_time_the_next_event_is_notified_at_once(channel):
    approvals(1, campaign := uuid4())
    Notification.objects.update(bundle_at=timezone.now() - BUNDLED)
    approvals(1, campaign)
    assert [row.count for row in Notification.objects.all()] == [1, 1]
    assert all(row.due_at <= timezone.now() for row in Notification.objects.all())


def test_the_same_event_twice_is_counted_once(channel):
    same = str(uuid4())
    approvals(2, uuid4(), id=same)
    assert Notification.objects.get().count == 1


def test_a_notification_links_to_the_page_of_its_row(channel):
    lead = uuid4()
    approvals(1, uuid4(), lead_id=str(lead))
    sending = notification_claim(notification_id=Notification.objects.get().pk, now=timezone.now())
    assert sending is not None
    assert sending.content["url"] == f"https://panel.example{reverse('admin:leads_lead_change', args=[lead])}"
    assert str(sending.content["text"]).startswith("1 first contact in ")


@pytest.mark.parametrize(
    ("field", "page"),
    [
        ("conversation_id", "leads_conversation"), ("lead_id", "leads_lead"), ("letter_id", "messaging_deadletter"),
        ("play_id", "scripts_play"), ("sfc_id", "scripts_assignment"), ("worker_id", "bots_bot"),
    ],
)  # fmt: skip
def test_the_paths_are_those_of_the_panel(field, page, client, django_user_model):
    row = 7 if field == "letter_id" else uuid4()
    assert path_of({field: str(row) if field != "letter_id" else row}) == reverse(f"admin:{page}_change", args=[row])
    several = path_of({field: row}, count=2)
    assert several.partition("?")[0] == reverse(f"admin:{page}_changelist")
    client.force_login(django_user_model.objects.create_superuser("olga"))
    answer = client.get(several)
    assert answer.status_code == 200 and "e=1" not in answer.request["QUERY_STRING"]


def test_every_field_has_its_page_and_anything_else_the_overview():
    assert len(_PAGES) == 6
    assert path_of({"lead_id": "../../../x", "service": "parser"}) == reverse("admin:index") == path_of({})

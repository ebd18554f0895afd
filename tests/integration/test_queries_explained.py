"""Every query of the hot paths, explained on a database with years of history: none reads a large table as a whole."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bots.deliveries import cancelling, recovery
from bots.deliveries.claiming import claim, judge_unowned
from bots.gate.preview import delivery_preview, draft_for, draft_preview
from bots.models import Delivery, Role
from bots.selectors import is_own_account
from bots.tasks import supervise_bots
from campaigns.models import Campaign, Purpose, Suppression
from campaigns.permissions.expiry import permissions_notify_expiring
from campaigns.suppressions.lookup import is_suppressed, suppressed_id_of
from coolthing_site.processes.beat_schedule import PERIODS
from leads.models import Conversation, Lead, Message
from leads.selectors import PersonRef, manager_least_loaded
from leads.services.contact import leads_contact_due
from leads.services.llm_jobs import Question, jobs_dispatch_due, question_messages
from leads.services.opt_out import opt_out
from leads.services.unclaimed_messages import unclaimed_judge_due
from messaging import retention
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.database.clock import database_clock
from messaging.dead_letters import replays
from messaging.models import DeadLetter
from notifier.notifications.lifecycle import notifications_dispatch_due
from parser.models import Hit, HitLook, SecondLook
from parser.second_look.llm_jobs import look_claim, looks_dispatch_due
from scripts import services as scripts_services
from scripts.models import Assignment, Play
from telegram.types import MessageNow
from tests.integration import ledger, letters, scale
from tests.integration.leads_world import World, private_message, role_handler
from tests.integration.script_world import make_assignment, queued, settle

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", autouse=True)
def _years(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), scale.years_of_history():
        yield


@pytest.fixture
def plans() -> Iterator[scale.Plans]:
    """Nothing that is asked while this is there reads more than it needs."""
    plans = scale.Plans()
    with connection.execute_wrapper(plans):
        yield plans
    assert len(plans.explained) > 5
    assert not plans.found, "\n\n".join(plans.found.values())


@pytest.fixture
def panel() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


def test_what_arrives(world: World, conversation: Conversation, plans: scale.Plans) -> None:
    manager, parser = role_handler(Role.MANAGER), role_handler(Role.PARSER)
    seen: dict[str, Any] = {"bot_id": conversation.bot_id, "since": timezone.now() - timedelta(days=7), "most": 500}
    plans.where = "a direct message"
    world.incoming(conversation, "Tell me more")
    stranger = private_message(message_id=7, peer_id=9_999_999, from_user_id=9_999_999, text="Hello")
    manager.on_messages(messages={conversation.bot_id: [stranger]})
    plans.where = "a message of the account"
    world.outgoing(conversation, "I am here")
    plans.where = "an edit"
    manager.on_changes(
        bot_id=conversation.bot_id, changes=[MessageNow(None, 1001, text="Tell me"), MessageNow(None, 5, deleted=True)]
    )
    plans.where = "a session that begins"
    manager.received_since(**seen)
    manager.people_unrecorded(**seen)
    manager.wanted(timezone.now())
    manager.chats(conversation.bot_id)
    plans.where = "a message of a chat"
    parser.chats(world.parser.id)
    parser.wanted(timezone.now())
    parser.chats_looked_after(bot_id=world.parser.id, at_end=())
    heard = private_message(
        message_id=8, peer_id=world.chat.telegram_id, private=False, from_username="Name77", text="tea"
    )
    SecondLook.objects.create(campaign=world.campaign, enabled=True, use_llm=True, instructions="x", least_words=0)
    for number, text in enumerate(
        ("tea", "where is tea?", "where in this large city can I buy some really good green tea today?")
    ):
        parser.on_messages(messages={world.parser.id: [replace(heard, message_id=8 + number, text=text)]})
    look_claim(hit_id=HitLook.objects.filter(hit__bot=world.parser).latest("created_at").pk, now=database_clock())
    assert Hit.objects.filter(bot=world.parser).exists()
    parser.on_changes(bot_id=world.parser.id, changes=[MessageNow(world.chat.telegram_id, 8, text="coffee")])
    plans.where = "a hit"
    world.receive(username="Name77", telegram_user_id=77)
    world.receive(username="Name78", telegram_user_id=...)
    for person in (PersonRef(77, "Name77"), PersonRef(77)):
        manager_least_loaded(campaign_id=world.campaign.id, person=person, chat_id=world.chat.telegram_id or 0)
    plans.where = "a prompt"
    question_messages(question=Question(uuid4(), 1, conversation.id, "model"))
    plans.where = "a stop"
    opt_out(lead_id=conversation.lead_id, source=Suppression.Source.WORDS, reason="stop")


def test_what_is_sent(world: World, conversation: Conversation, plans: scale.Plans) -> None:
    assignment = make_assignment()
    scripts_services.assignment_activate(assignment_id=assignment.pk)
    scripts_services.assignment_prepare(assignment_id=str(assignment.pk))
    plans.where = "a claim"
    by_name = ledger.queue_message(
        world.managers[0], world.campaign, None, peer_username="Name9", purpose=Purpose.REPLY
    )
    world.ai_sends(conversation)
    plans.where = "the gate's preview"
    delivery_preview(delivery_id=by_name.id)
    draft_preview(
        draft=draft_for(
            text="",
            bot=world.managers[0],
            campaign=world.campaign,
            peer_username="Name5",
            purpose=Purpose.FIRST_CONTACT,
        )
    )
    plans.where = "a claim"
    claim(ledger.owners(*world.managers))
    judge_unowned([bot.id for bot in world.managers])
    plans.where = "recovery"
    owners = ledger.owners(*world.managers)
    for key in recovery.stranded(owners, leaving=[]):
        found = recovery.take_over(key, owners)
        assert found is not None
        recovery.known_ids(found.out)
    plans.where = "a line that was said"
    settle(queued(assignment)[0])
    plans.where = "names"
    for name in ("Name77", "Gone77", "nobody"):
        is_own_account(telegram_user_id=None, username=name)
        is_suppressed(username=name)
        suppressed_id_of(name)


def dispatch_leads() -> None:
    for step in (jobs_dispatch_due, unclaimed_judge_due, leads_contact_due):
        step(now=database_clock())


# By the names of beat's tasks: what each does.
ROUNDS: dict[str, Callable[[], object]] = {
    "bots.tasks.supervise_bots": supervise_bots,
    "bots.tasks.repair_deliveries": recovery.repair,
    "bots.tasks.advance_cancellations": cancelling.cancellations_advance,
    "scripts.tasks.supervise_runs": scripts_services.plays_supervise,
    "leads.tasks.dispatch_due": dispatch_leads,
    "parser.tasks.dispatch_looks": lambda: looks_dispatch_due(now=database_clock()),
    "notifier.tasks.dispatch_due": lambda: notifications_dispatch_due(now=database_clock()),
    "messaging.tasks.prune": retention.prune_all,
    "campaigns.tasks.tell_expiring": lambda: permissions_notify_expiring(now=database_clock()),
    "messaging.tasks_replay.advance_replays": replays.replays_advance,
}
NOT_EXPLAINED = {"messaging.tasks_stats.sample_queues": "asks the broker, and its table is deleted after an hour"}


def test_what_beat_does(world: World, plans: scale.Plans) -> None:
    assert ROUNDS.keys() | NOT_EXPLAINED.keys() == PERIODS.keys()
    for plans.where, work in ROUNDS.items():
        work()


def test_what_dies(world: World, plans: scale.Plans) -> None:
    plans.where = "the archive"
    body, headers = b'{"text": "x"}', letters.death()
    handle(topology.DEAD_LETTER_ARCHIVE_QUEUE, topology.LEADS_DLX, "leads.failed", body, headers)
    letter = DeadLetter.objects.latest("id")
    plans.where = "a replay"
    batch = replays.replay_start(letters=DeadLetter.objects.filter(pk=letter.pk), by="olga", what="one", per_second=10)
    replays.replays_advance()
    replays.progress(batch)


def test_the_lists(panel: Client, plans: scale.Plans) -> None:
    """Without their templates, which take seconds."""
    plans.where = "the first page"
    request = panel.get(reverse("admin:index")).wsgi_request
    for model, page in admin.site._registry.items():
        plans.where = f"the list of {model._meta.verbose_name_plural}"
        answer: Any = page.changelist_view(request)
        assert len(answer.context_data["cl"].result_list) <= page.list_per_page
    # Nor is what a list does not show.
    for large in ('"snapshot"', '"delivery_ids"'):
        assert [sql for sql in plans.explained if large in sql] == []


# Of these lists only: an id in the others is searched for in tables that stay small, or are kept for a day.
FOUND_BY = ((Lead, "77"), (Lead, "@Name77"), (Hit, "77"), (Hit, "@Name77"), (Delivery, "77"), (Delivery, "@Name77"),
    (Conversation, "77"), (Message, "@name77"), (Suppression, "9000077"), (Suppression, "@gone77"))  # fmt: skip


def test_what_an_id_or_a_name_finds(panel: Client, plans: scale.Plans) -> None:
    """A search for other words reads all texts: no index of ours has parts of words."""
    letter = DeadLetter.objects.all()[0]
    for model, term in (*FOUND_BY, (DeadLetter, str(letter.event_id))):
        plans.where = f"a search for {term} in {model._meta.verbose_name_plural}"
        page = admin.site._registry[model]
        request = panel.get(reverse("admin:index"), {"q": term}).wsgi_request
        answer: Any = page.changelist_view(request)
        assert 0 < len(answer.context_data["cl"].result_list) < 5


def test_the_pages_of_rows(panel: Client, plans: scale.Plans, settings: Any) -> None:
    settings.METRICS_TOKEN = "x" * 32
    pages = [f"/api/sfc/{Assignment.objects.all()[0].pk}/progress/", "/health/", "/metrics", "/admin/queues/"]
    for model in (Lead, Conversation, Delivery, Hit, HitLook, DeadLetter, Play, Assignment):
        row = model._default_manager.all()[0]
        pages.append(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]))
    pages.append(reverse("trace", args=[DeadLetter.objects.all()[0].event_id]))
    budgets = reverse("admin:campaigns_campaign_change", args=[Campaign.objects.all()[0].pk])
    pages += [f"{budgets}?section=budgets", f"{budgets}?section=second_look"]
    for plans.where in pages:
        assert panel.get(plans.where, headers={"authorization": f"Bearer {settings.METRICS_TOKEN}"}).status_code == 200

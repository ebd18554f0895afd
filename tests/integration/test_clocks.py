"""A process whose own clock is wrong does everything on time: what happens when goes by the database's clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from bots.deliveries.claiming import claim
from bots.logins import steps
from bots.logins.pending_logins import resend_at
from bots.models import Bot, Delivery, PendingLogin
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.services import permission_revoke
from leads import tasks
from leads.llm_runner import job_run
from leads.models import Lead, LlmJob
from leads.services.contact import lead_approve
from leads.services.llm_jobs import job_claim
from leads.services.operators import conversation_hand_back, conversation_take_over, operator_send
from messaging.database.clock import database_clock
from messaging.events import ServiceErrorEvent
from notifier.models import Channel, Notification, Rule
from notifier.notifications import lifecycle as notifier
from notifier.notifications.recording import event_record
from scripts import services
from scripts.models import Assignment, Play, Step
from telegram.errors import RetryAfter
from telegram.logins import client
from telegram.logins.types import CodeSent, LoginError, login_error
from tests.integration import ledger, script_world
from tests.integration.leads_world import World, make_world

pytestmark = pytest.mark.django_db
# Less than the wrong clock is off, more than a busy machine takes.
SLACK = timedelta(minutes=5)


@pytest.fixture(params=[10, -10], ids=["ten minutes ahead", "ten minutes behind"], autouse=True)
def _wrong_clock(request: pytest.FixtureRequest) -> Iterator[None]:
    """This process's clock; the database's is right."""
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=request.param)):
        yield


def is_now(moment: datetime | None) -> bool:
    assert moment is not None
    return abs(moment - database_clock()) < SLACK


def test_every_line_of_a_play_is_due_when_it_should_be():
    assignment = script_world.make_assignment(chats=1, delay=30)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    services.assignment_arm(assignment_id=str(assignment.pk))
    lines = 0
    while deliveries := script_world.queued(assignment):
        for delivery in deliveries:
            assert is_now(delivery.due_at - timedelta(seconds=30))
            script_world.settle(delivery)
            lines += 1
    assert lines == 3
    assignment.refresh_from_db()
    play = Play.objects.get()
    assert assignment.supervised_at is not None
    moments = [
        assignment.activated_at,
        assignment.started_at,
        assignment.supervised_at,
        assignment.finished_at,
        play.progressed_at,
        play.finished_at,
    ]
    assert all(map(is_now, [*moments, *Step.objects.values_list("settled_at", flat=True)]))


def test_a_line_is_claimed_when_it_is_due_and_not_before():
    assignment = script_world.make_assignment(chats=1, delay=300)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    [first] = script_world.queued(assignment)
    bot = lease(first.bot)
    assert not claim(ledger.owners(bot, chats=to(first))).judged
    script_world.settle(first)
    [second] = script_world.queued(assignment)
    bot = lease(second.bot)
    assert not claim(ledger.owners(bot, chats=to(second))).judged
    Delivery.objects.filter(pk=second.pk).update(due_at=database_clock())
    [out] = claim(ledger.owners(bot, chats=to(second))).outgoing
    assert out.id == second.pk


def to(line: Delivery) -> list[Chat]:
    assert line.chat is not None
    return [line.chat]


def lease(bot: Bot, *, seconds: float = 300) -> Bot:
    bot.lease_owner, bot.lease_epoch, bot.state = "tests", 1, Bot.State.ONLINE
    bot.lease_expires_at = database_clock() + timedelta(seconds=seconds)
    bot.save()
    return bot


@pytest.mark.parametrize(("seconds", "told"), [(300, "no progress"), (-300, "no worker runs it")])
def test_the_watchdog_takes_a_lease_for_what_it_is(seconds, told):
    assignment = script_world.make_assignment(chats=1)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    services.assignment_arm(assignment_id=str(assignment.pk))
    [line] = script_world.queued(assignment)
    lease(line.bot, seconds=seconds)
    services.plays_supervise()
    assert not Play.objects.get().incident
    Delivery.objects.filter(pk=line.pk).update(due_at=database_clock() - timedelta(minutes=5))
    services.plays_supervise()
    assert told in Play.objects.get().incident


def test_a_stopped_play_ends_now():
    assignment = script_world.make_assignment(chats=1)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    assert is_now(services.assignment_stop(assignment_id=assignment.pk).finished_at)
    assert all(map(is_now, [Play.objects.get().finished_at, *Step.objects.values_list("settled_at", flat=True)]))
    assert Assignment.objects.get().state == "stopped"


def test_a_lead_is_contacted_after_the_campaigns_interval():
    world = make_world(first_contact_interval_seconds=120)
    hit(world)
    assert is_now(Delivery.objects.get().due_at - timedelta(seconds=120))


def test_an_approved_lead_and_one_that_waited_for_a_manager_are_contacted_at_once():
    world = make_world(direct=False)
    lead = hit(world)
    approved = lead_approve(lead_id=lead.pk, by="olga")
    assert is_now(approved.approved_at) and is_now(Delivery.objects.get().due_at)
    world = make_world()
    Bot.objects.update(enabled=False)
    waiting = hit(world)
    Bot.objects.update(enabled=True)
    tasks.dispatch_due()
    assert is_now(Delivery.objects.get(campaign=world.campaign).due_at)
    waiting.refresh_from_db()
    assert is_now(waiting.tried_at)


def hit(world: World) -> Lead:
    """One of this moment, as Telegram tells the time."""
    lead: Lead = world.receive(said_at=database_clock().isoformat())
    return lead


def due_job() -> LlmJob:
    """The first message was sent, and the lead has written a question. The campaign waits for 60 s of quiet."""
    world = make_world()
    world.incoming(world.conversation(said_at=database_clock().isoformat()), "How much?")
    return LlmJob.objects.get()


def test_the_llm_is_asked_after_the_quiet_period():
    job = due_job()
    assert is_now(job.due_at - timedelta(seconds=60))
    job_run(job_id=job.pk)
    job.refresh_from_db()
    assert (job.attempts, job.state) == (0, "due")


def test_a_job_that_another_task_works_on_is_left_to_it():
    job = due_job()
    LlmJob.objects.update(due_at=database_clock())
    assert job_claim(job_id=job.pk, now=database_clock())
    job_run(job_id=job.pk)
    job.refresh_from_db()
    assert job.attempts == 1


def test_a_conversation_that_changes_hands_goes_on_at_once():
    conversation = due_job().conversation
    conversation_take_over(conversation_id=conversation.pk, by="olga")
    said = operator_send(conversation_id=conversation.pk, text="Hello, I am Olga.")
    assert is_now(Delivery.objects.get(message=said).due_at)
    conversation_hand_back(conversation_id=conversation.pk, by="olga")
    assert is_now(LlmJob.objects.filter(state="due").get().due_at)


def test_a_login_waits_as_long_as_telegram_asks(monkeypatch):
    bot = Bot.objects.create(key="manager", role="manager", phone="+99966", api_id=1, api_hash="0" * 32)

    async def refuses(*_: object) -> CodeSent:
        raise login_error(RetryAfter(60, "FLOOD_WAIT_60", "SendCode"))

    monkeypatch.setattr(client, "request_code", refuses)
    with pytest.raises(LoginError, match=r"before .* UTC"):
        steps.login_send_code(bot_id=bot.pk)
    waiting = PendingLogin.objects.get()
    assert waiting.wait_until is not None and is_now(waiting.wait_until - timedelta(seconds=60))


def test_a_code_is_sent_again_when_telegram_allows_it(monkeypatch):
    bot = Bot.objects.create(key="manager", role="manager", phone="+99966", api_id=1, api_hash="0" * 32)

    async def sends(*_: object) -> CodeSent:
        return CodeSent("99966", "a session", "a hash", "sms", "call", 60)

    monkeypatch.setattr(client, "request_code", sends)
    pending = steps.login_send_code(bot_id=bot.pk)
    allowed = resend_at(pending)
    assert allowed is not None and is_now(allowed - timedelta(seconds=60))


def test_a_permission_is_revoked_now():
    chat = ledger.make_chat()
    permission_revoke(chat_id=chat.pk, purpose=ChatPermission.Grant.SCRIPT)
    assert is_now(ChatPermission.objects.get().revoked_at)


def test_a_notification_is_sent_now_and_found_again_in_time():
    channel = Channel.objects.create(name="team", kind="file", address="/nowhere")
    Rule.objects.create(channel=channel, pattern="#")
    [made] = event_record(event=ServiceErrorEvent(service="admin", reason="a test"))
    assert is_now(made.due_at)
    assert notifier.notification_claim(notification_id=made.pk, now=database_clock())
    assert is_now(Notification.objects.get().claimed_until)

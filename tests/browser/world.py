"""A small world with at least one row of every model that the panel shows."""

import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from axes.models import AccessAttempt
from django.contrib.auth.models import Group, User
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from bots.deliveries.queueing import delivery_queue
from bots.models import (
    Bot,
    BotBlock,
    BotSession,
    BotStateChange,
    Cursor,
    Delivery,
    DeliveryEvent,
    ForumTopic,
    Host,
    Incident,
    JoinRequest,
    MassCancellation,
    PendingLogin,
    Presence,
)
from campaigns.models import Budget, Campaign, Chat, ChatPermission, HashKey, Purpose, Suppression
from campaigns.permissions.evidence import evidence_add
from coolthing_site.api.tokens import token_issue
from coolthing_site.models import Process, RequestCount
from leads.models import CampaignManager, Conversation, Lead, LlmJob, Message, UnclaimedMessage
from messaging.models import (
    DeadLetter,
    DeadLetterEntry,
    HandledCopy,
    HandlingBucket,
    HandlingFailure,
    OutboxEvent,
    ProcessedEvent,
    QueueControl,
    QueueSample,
    ReplayBatch,
    ReplayItem,
)
from notifier.models import Channel, Notification, Rule
from parser.models import (
    Backtest,
    BacktestMatch,
    DiscussionPost,
    GoldenText,
    Hit,
    HitLook,
    HitRepeat,
    Keyword,
    KeywordVersion,
    MatchingSettings,
    ReadTally,
    SecondLook,
    Verdict,
    WatchedChat,
)
from scripts import services
from scripts.models import Assignment, Casting, Line, Script, Slot, Target

LINES = (
    ("host", "{Hi|Hello} all! The new bakery opens on Friday.", None),
    ("guest", "Finally! Do they have rye bread?", 0),
    ("host", "They do, and it is still warm at eight.", 1),
    ("guest", "Then I know where I am on Friday.", 2),
)
WAITING_REASON = "Quiet hours of the campaign."


def build_world() -> SimpleNamespace:
    world = SimpleNamespace(now=timezone.now())
    _accounts(world)
    _campaign(world)
    _bots(world)
    _script(world)
    _parser(world)
    _leads(world)
    _bus(world)
    _site(world)
    _notifier(world)
    _schedule()
    return world


def _accounts(world: SimpleNamespace) -> None:
    world.operator = User.objects.create_superuser("operator", password="correct horse battery")
    Group.objects.create(name="Readers")
    token_issue(user=world.operator, name="Monitoring")


def _campaign(world: SimpleNamespace) -> None:
    world.campaign = Campaign.objects.create(
        slug="bakery", name="Bakery on the corner", state="running", time_zone="Europe/Berlin"
    )
    world.chats = []
    for key, title in (("neighbours", "Neighbours"), ("market", "Market square"), ("parents", "Parents of class 3")):
        chat = Chat.objects.create(key=key, reference=f"@{key}", title=title, label="Partly scripted, says the pin.")
        given = ChatPermission.objects.create(
            chat=chat,
            purpose="script",
            granted_by="@owner",
            granted_at=datetime(2026, 11, 1, tzinfo=UTC),
            evidence="Letter of 1 November",
            evidence_link="https://example.org/letter",
        )
        evidence_add(permission_id=given.pk, name="letter.txt", content=b"Yes, you may.", by="operator")
        world.chats.append(chat)
    Suppression.objects.create(telegram_user_id=777, username="gone", source="words", reason="stop")
    HashKey.objects.create(pk=1, key="the-key-of-hashes")
    Budget.objects.create(scope="bot", limit=20, window_seconds=3600)


def _bot(key: str, role: str, **values: object) -> Bot:
    name = f"{key} the {role}"
    return Bot.objects.create(key=key, display_name=name.title(), role=role, phone="+4915550009999", **values)


def _bots(world: SimpleNamespace) -> None:
    world.actors = [_bot("anna", "actor", state="online"), _bot("ben", "actor", state="online")]
    world.parser_bot = _bot("petra", "parser", state="online")
    world.manager = _bot("max", "manager", state="restricted", state_reason="PEER_FLOOD")
    for bot in (world.manager, *world.actors):
        BotSession.objects.create(bot=bot, data="the-session-text")
    PendingLogin.objects.create(
        bot=world.parser_bot,
        step="code",
        state="the-login-state",
        asked="code",
        given="the-typed-code",
        asked_at=world.now,
        claim=uuid.uuid4(),
        worker="actors@laptop",
        busy_until=world.now + timedelta(minutes=30),
        expires_at=world.now + timedelta(minutes=30),
    )
    BotStateChange.objects.create(bot=world.manager, state="restricted", reason="PEER_FLOOD")
    BotBlock.objects.create(
        bot=world.actors[0], method="SendMessage", until=world.now + timedelta(minutes=5), reason="FLOOD_WAIT_300"
    )
    Host.objects.create(name="actors@laptop", role="actor", capacity=50)
    Cursor.objects.create(bot=world.parser_bot, peer_id=-100123, last_message_id=42)
    Presence.objects.create(bot=world.parser_bot, chat=world.chats[0], peer_id=-100123)
    JoinRequest.objects.create(bot=world.parser_bot, chat=world.chats[0])
    Incident.objects.create(key="no-worker:manager", reason="No worker carries the manager bots.")


def _script(world: SimpleNamespace) -> None:
    script = Script.objects.create(slug="opening", name="The opening")
    slots = {name: Slot.objects.create(script=script, name=name) for name in ("host", "guest")}
    made: list[Line] = []
    for position, (slot, text, answers) in enumerate(LINES, start=1):
        made.append(
            Line.objects.create(
                script=script,
                key=f"l{position}",
                position=position,
                slot=slots[slot],
                text=text,
                reply_to=None if answers is None else made[answers],
                delay_seconds=5,
            )
        )
    world.script = script
    world.assignment = Assignment.objects.create(campaign=world.campaign, script=script)
    for part, bot in zip(slots.values(), world.actors, strict=True):
        Casting.objects.create(assignment=world.assignment, slot=part, bot=bot)
    for chat in world.chats:
        Target.objects.create(assignment=world.assignment, chat=chat)
    services.assignment_activate(assignment_id=world.assignment.pk)
    services.assignment_prepare(assignment_id=str(world.assignment.pk))
    world.assignment.refresh_from_db()
    Delivery.objects.filter(chat=world.chats[0]).update(
        waiting_reason=WAITING_REASON, waiting_until=world.now + timedelta(hours=8)
    )
    waiting = Delivery.objects.get(chat=world.chats[0])
    DeliveryEvent.objects.create(
        delivery=waiting, kind="waited", detail=WAITING_REASON, at=world.now, last_at=world.now, times=3
    )
    MassCancellation.objects.create(
        by="operator", what="1 selected by hand", delivery_ids=[uuid.uuid4()], total=1, position=1, state="done"
    )


def _parser(world: SimpleNamespace) -> None:
    Keyword.objects.create(campaign=world.campaign, text="rye bread")
    Keyword.objects.create(campaign=world.campaign, text="recipe", kind="minus")
    MatchingSettings.objects.create(campaign=world.campaign, languages=["en"])
    WatchedChat.objects.create(campaign=world.campaign, chat=world.chats[1], bot=world.parser_bot)
    SecondLook.objects.create(campaign=world.campaign, use_llm=True, instructions="They want to buy bread.")
    counted = {"bot": world.parser_bot, "peer_id": world.chats[1].telegram_id or -100123, "day": world.now.date()}
    DiscussionPost.objects.create(peer_id=-100125, message_id=8)
    ForumTopic.objects.create(chat=world.chats[1], topic_id=4, title="Bread")
    ReadTally.objects.create(**counted, outcome="compared", number=40)
    ReadTally.objects.create(**counted, outcome="forwarded", number=12)
    world.hit = Hit.objects.create(
        campaign=world.campaign,
        bot=world.parser_bot,
        chat=world.chats[1],
        message_id=5,
        telegram_user_id=900,
        username="carla",
        text="Where can I buy rye bread?",
        keyword="rye bread",
        said_at=world.now,
    )
    Verdict.objects.create(hit=world.hit, value="good", by="operator")
    GoldenText.objects.create(campaign=world.campaign, text="Is there any rye bread left?", by="operator")
    backtest = Backtest.objects.create(campaign=world.campaign, days=3, state="done", by="operator")
    BacktestMatch.objects.create(
        backtest=backtest,
        chat=world.chats[1],
        message_id=4,
        telegram_user_id=905,
        text="A rye loaf, please",
        gained=True,
        said_at=world.now,
    )
    listed = [{"kind": "plus", "text": "rye bread"}, {"kind": "minus", "text": "recipe"}]
    KeywordVersion.objects.create(campaign=world.campaign, number=1, keywords=listed, by="operator")
    HitRepeat.objects.create(hit=world.hit, chat=world.chats[0], peer_id=-100124, message_id=6, said_at=world.now)
    reason = "The 200000 tokens for today are used up: the LLM was not asked."
    HitLook.objects.create(hit=world.hit, campaign=world.campaign, state="waiting", reason=reason)


def _lead(world: SimpleNamespace, user_id: int, username: str, state: str) -> Lead:
    return Lead.objects.create(
        campaign=world.campaign,
        telegram_user_id=user_id,
        username=username,
        state=state,
        message="Where can I buy rye bread?",
        chat_id=-100123,
        worker_id=str(world.parser_bot.pk),
        event_id=uuid.uuid4(),
        hit_at=world.now,
    )


def _leads(world: SimpleNamespace) -> None:
    CampaignManager.objects.create(campaign=world.campaign, bot=world.manager)
    world.new_lead = _lead(world, 901, "dora", "awaiting_approval")
    lead = _lead(world, 900, "carla", "talking")
    world.conversation = Conversation.objects.create(
        lead=lead, bot=world.manager, peer_id=900, last_incoming_at=world.now, owner_reason=""
    )
    led = Conversation.objects.create(
        lead=_lead(world, 902, "emil", "talking"),
        bot=world.manager,
        owner="human",
        owner_reason="Taken over by operator.",
        last_incoming_at=world.now - timedelta(minutes=4),
    )
    Message.objects.create(conversation=led, author="lead", text="Can you keep a loaf for me?")
    Message.objects.create(
        conversation=world.conversation, author="lead", text="What does a loaf cost?", telegram_message_id=8
    )
    answer = Message.objects.create(conversation=world.conversation, author="ai", text="Four euros and fifty cents.")
    answer.delivery = delivery_queue(
        bot_id=world.manager.pk,
        campaign_id=world.campaign.pk,
        purpose=Purpose.REPLY,
        origin="leads.message",
        origin_id=answer.pk,
        text=answer.text,
        due_at=world.now,
        peer_id=900,
    )
    answer.save()
    UnclaimedMessage.objects.create(
        conversation=world.conversation, telegram_message_id=9, text="Hm", said_at=world.now
    )
    LlmJob.objects.create(conversation=world.conversation, epoch=3, due_at=world.now + timedelta(seconds=5))


def _bus(world: SimpleNamespace) -> None:
    event = uuid.uuid4()
    world.parked = OutboxEvent.objects.create(
        event_id=event,
        service="parser",
        exchange="leads_exchange",
        routing_key=f"lead.{world.campaign.pk}",
        body='{"message": "rye bread"}',
        parked_at=world.now,
        parked_reason="the broker refused it",
    )
    ProcessedEvent.objects.create(event_id=event, subscription="leads_queue")
    HandledCopy.objects.create(subscription="leads_queue", content=event, found=0)
    HandlingFailure.objects.create(
        queue="leads_queue", body_digest="0" * 64, error="ValueError: no campaign", traceback="Traceback …"
    )
    world.letter = DeadLetter.objects.create(
        event_id=event,
        queue="leads_queue",
        exchange="leads_exchange",
        routing_key="lead.x",
        body="{}",
        body_digest="44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        reason="rejected",
        error="ValueError: no campaign",
    )
    DeadLetterEntry.objects.create(letter=world.letter, what="reopened", by="operator")
    batch = ReplayBatch.objects.create(by="operator", what="all letters", per_second=50, state="stopped")
    ReplayItem.objects.create(batch=batch, letter=world.letter)
    QueueControl.objects.create(queue="llm_queue", paused=True, reason="the model answers badly", changed_by="operator")
    QueueSample.objects.create(
        queue="leads_queue", ready=3, unacked=1, consumers=2, published=40, publish_rate=0.5, ack_rate=0.4
    )
    HandlingBucket.objects.create(metric="handler_seconds", subscription="leads_queue", bound=0.1, count=36, total=2.5)


def _site(world: SimpleNamespace) -> None:
    RequestCount.objects.create(key="requests of user 1", count=3, ends_at=world.now)
    AccessAttempt.objects.create(username="olga", ip_address="192.0.2.7", failures_since_start=3)
    Process.objects.create(name="scripts laptop:71:1", kind="scripts", host="laptop", pid=71)
    Process.objects.create(
        name="beat laptop:72:1",
        kind="beat",
        host="laptop",
        pid=72,
        ended_at=world.now,
        ended_by_itself=True,
        how="killed by SIGKILL",
    )


def _notifier(world: SimpleNamespace) -> None:
    channel = Channel.objects.create(name="Team", kind="webhook", address="https://hooks.example/secret-token")
    Rule.objects.create(channel=channel, pattern="*.crash")
    Notification.objects.create(
        channel=channel,
        event_id=world.letter.event_id,
        routing_key="bots.banned",
        title="Ben was banned",
        body={"a": 1},
    )


def _schedule() -> None:
    interval = IntervalSchedule.objects.create(every=10, period="seconds")
    PeriodicTask.objects.create(name="test task", task="messaging.tasks.prune", interval=interval)
    CrontabSchedule.objects.create(minute="5")
    ClockedSchedule.objects.create(clocked_time=datetime(2027, 1, 1, tzinfo=UTC))
    SolarSchedule.objects.create(event="sunset", latitude=52, longitude=13)

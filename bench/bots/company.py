"""The campaigns, chats, accounts and people of the benchmark, in our tables and in the sandbox."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.utils import timezone

from bench.bots.telegram import Telegram
from bots.models import Bot, BotSession, Role
from campaigns.models import Budget, Campaign, Chat, ChatPermission, Purpose
from parser.models import Keyword, WatchedChat
from scripts.models import Assignment, Casting, Line, Script, Slot, Target
from scripts.services import assignment_activate, assignment_prepare

# Each watched chat is read by two parsers, for two campaigns. So many people send messages to it.
READERS = 2
SENDERS = 10
# The number of actors of a script, and also of the chats in which it is played at once.
CAST = 10
KEYWORD = "plumber"
PLUS_WORDS = 30
MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800
# Budgets that a team may have: of every scope, with windows from a second to a week. The limits are high, so that the
# gate is measured and not the waiting; each budget still counts all messages in its window.
BUDGETS = (
    (Budget.Scope.TEAM, "", 2_000, 1),
    (Budget.Scope.TEAM, "", 500_000, DAY),
    (Budget.Scope.TEAM, Purpose.FIRST_CONTACT, 20_000, DAY),
    (Budget.Scope.CAMPAIGN, "", 50_000, DAY),
    (Budget.Scope.CAMPAIGN, Purpose.SCRIPT, 20_000, HOUR),
    (Budget.Scope.BOT, "", 3_000, MINUTE),
    (Budget.Scope.BOT, "", 20_000, DAY),
    (Budget.Scope.BOT, Purpose.FIRST_CONTACT, 50, DAY),
    (Budget.Scope.CHAT, "", 3_000, MINUTE),
    (Budget.Scope.CHAT, "", 20_000, DAY),
    (Budget.Scope.PEER, "", 50, WEEK),
)


@dataclass
class Company:
    """All accounts are logged in and members of their chats. `senders` are the Telegram ids of people."""

    parsers: list[Bot] = field(default_factory=list)
    actors: list[Bot] = field(default_factory=list)
    read_chats: list[Chat] = field(default_factory=list)
    stage_chats: list[Chat] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    senders: list[int] = field(default_factory=list)

    @property
    def campaign_ids(self) -> list[UUID]:
        return [campaign.pk for campaign in self.campaigns]


def gather(telegram: Telegram, *, sessions: int, lines: int) -> Company:
    """Create `sessions` parsers and as many actors, and start a play of `lines` lines in each chat of the actors."""
    company = Company(senders=[telegram.person(f"person_{number}") for number in range(SENDERS)])
    company.parsers = _bots(telegram, Role.PARSER, sessions)
    company.actors = _bots(telegram, Role.ACTOR, sessions)
    troupes = [company.actors[begin : begin + CAST] for begin in range(0, sessions, CAST)]
    company.campaigns = [_campaign(f"campaign-{number}") for number in range(max(READERS, len(troupes)))]
    company.read_chats = _read_chats(telegram, company)
    for campaign, troupe in zip(company.campaigns, troupes, strict=False):
        company.stage_chats += _play(telegram, campaign, troupe, lines)
    for scope, purpose, limit, window in BUDGETS:
        Budget.objects.create(scope=scope, purpose=purpose, limit=limit, window_seconds=window)
    campaign_key = {"scope": Budget.Scope.CAMPAIGN, "key": str(company.campaigns[0].pk)}
    Budget.objects.create(**campaign_key, limit=100_000, window_seconds=WEEK)
    return company


def _bots(telegram: Telegram, role: Role, count: int) -> list[Bot]:
    bots: list[Bot] = []
    sessions: list[BotSession] = []
    for number in range(count):
        name = f"{role.value}_{number}"
        phone = f"99966{len(bots) + (0 if role == Role.PARSER else 5_000):05d}"
        user_id, text = telegram.account(name, phone)
        bots.append(
            Bot(key=name.replace("_", "-"), role=role, phone=f"+{phone}", telegram_user_id=user_id, username=name)
        )
        sessions.append(BotSession(bot=bots[-1], data=text))
    Bot.objects.bulk_create(bots)
    BotSession.objects.bulk_create(sessions)
    return bots


def _campaign(slug: str) -> Campaign:
    campaign = Campaign.objects.create(slug=slug, name=slug.title(), state=Campaign.State.RUNNING)
    words = [KEYWORD, *(f"word{number}" for number in range(PLUS_WORDS))]
    Keyword.objects.bulk_create([Keyword(campaign=campaign, text=word) for word in words])
    return campaign


def _read_chats(telegram: Telegram, company: Company) -> list[Chat]:
    """Create as many chats as parsers. Each parser also reads its neighbours' chats."""
    count = len(company.parsers)
    readers = [[company.parsers[(number + step) % count] for step in range(READERS)] for number in range(count)]
    chats = [
        _chat(telegram, f"square_{number}", [*company.senders, *(bot.telegram_user_id for bot in bots)])
        for number, bots in enumerate(readers)
    ]
    _permit(chats, ChatPermission.Grant.PARSE)
    WatchedChat.objects.bulk_create(
        WatchedChat(campaign=company.campaigns[(number + step) % len(company.campaigns)], chat=chat, bot=bot)
        for number, (chat, bots) in enumerate(zip(chats, readers, strict=True))
        for step, bot in enumerate(bots)
    )
    return chats


def _play(telegram: Telegram, campaign: Campaign, troupe: Sequence[Bot], lines: int) -> list[Chat]:
    """Prepare a script with these actors, as the scripts service does. Its first lines are queued."""
    script = Script.objects.create(slug=f"dialogue-{campaign.slug}", name="Dialogue")
    slots = [Slot.objects.create(script=script, name=bot.key) for bot in troupe]
    _lines(script, slots, lines)
    assignment = Assignment.objects.create(campaign=campaign, script=script)
    Casting.objects.bulk_create(
        Casting(assignment=assignment, slot=slot, bot=bot) for slot, bot in zip(slots, troupe, strict=True)
    )
    members = [bot.telegram_user_id for bot in troupe]
    chats = [_chat(telegram, f"stage_{bot.username}", members) for bot in troupe]
    _permit(chats, ChatPermission.Grant.SCRIPT)
    Target.objects.bulk_create(Target(assignment=assignment, chat=chat) for chat in chats)
    assignment_activate(assignment_id=assignment.pk)
    assignment_prepare(assignment_id=str(assignment.pk))
    return chats


def _lines(script: Script, slots: Sequence[Slot], count: int) -> None:
    """Create lines without delays. Every third line replies to the line before it."""
    lines: list[Line] = []
    for place in range(count):
        lines.append(
            Line(
                script=script,
                key=f"line-{place}",
                position=place + 1,
                slot=slots[place % len(slots)],
                text=f"{{Well|So}}, has anybody tried the bakery at number {place} {{yet|already}}?",
                reply_to=lines[-1] if place % 3 == 2 else None,
                delay_seconds=0.0,
            )
        )
    Line.objects.bulk_create(lines)


def _chat(telegram: Telegram, name: str, members: Sequence[int | None]) -> Chat:
    number = telegram.chat(name, [member for member in members if member is not None])
    return Chat.objects.create(
        key=name.replace("_", "-"),
        reference=f"@{name}",
        telegram_id=number,
        kind=Chat.Kind.SUPERGROUP,
        title=name.title(),
        label="Scripts play here",
    )


def _permit(chats: Sequence[Chat], purpose: ChatPermission.Grant) -> None:
    at = timezone.now()
    ChatPermission.objects.bulk_create(
        ChatPermission(chat=chat, purpose=purpose, granted_by="the owner", granted_at=at, evidence="a letter")
        for chat in chats
    )

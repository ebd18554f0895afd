"""A campaign with a script cast and aimed, and a sender that settles deliveries as the bots room does."""

from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from bots.deliveries.queueing import delivery_finish
from bots.models import Bot, BotSession, Delivery, Role
from campaigns.models import Campaign, Chat, ChatPermission
from scripts.models import Assignment, Casting, Line, Script, Slot, Step, Target

GRANTED = datetime(2026, 11, 1, 12, tzinfo=UTC)
# (slot, text, the place of the line it answers)
LINES = (("host", "{Hello|Hi} all", None), ("guest", "Good {morning|day}", 1), ("host", "How are you?", 2))
PHONES = iter(range(10_000_000, 99_999_999))


def make_bot(key: str, role: str = Role.ACTOR, **values: object) -> Bot:
    return Bot.objects.create(key=key, role=role, phone=f"+{next(PHONES)}", **values)


def logged_in(bot: Bot) -> Bot:
    BotSession.objects.create(bot=bot, data="session")
    return bot


def make_chat(key: str, *, permitted: bool = True, label: str = "Scripts play here") -> Chat:
    chat = Chat.objects.create(key=key, reference=f"@chat_{key}", title=key.title(), label=label)
    if permitted:
        ChatPermission.objects.create(
            chat=chat, purpose="script", granted_by="the owner", granted_at=GRANTED, evidence="a letter"
        )
    return chat


def make_assignment(*, chats: int = 2, lines=LINES, delay: float = 0.0, slug: str = "talk") -> Assignment:
    campaign = Campaign.objects.create(slug=f"camp-{slug}", name="Campaign", state=Campaign.State.RUNNING)
    script = Script.objects.create(slug=slug, name="Talk")
    slots = {name: Slot.objects.create(script=script, name=name) for name in dict.fromkeys(line[0] for line in lines)}
    made: list[Line] = []
    for place, (slot, text, reply_to) in enumerate(lines, start=1):
        made.append(
            Line.objects.create(
                script=script,
                key=f"l{place}",
                position=place,
                slot=slots[slot],
                text=text,
                reply_to=made[reply_to - 1] if reply_to else None,
                delay_seconds=delay,
            )
        )
    assignment = Assignment.objects.create(campaign=campaign, script=script)
    for name, slot in slots.items():
        Casting.objects.create(assignment=assignment, slot=slot, bot=logged_in(make_bot(f"{slug}-{name}")))
    for number in range(chats):
        Target.objects.create(assignment=assignment, chat=make_chat(f"{slug}-{number}"))
    return assignment


def settle(delivery: Delivery, state: str = Delivery.State.SENT, reason: str = "") -> None:
    """As the sender does: claimed, sent, settled in one transaction."""
    facts: dict[str, Any] = (
        {"telegram_message_id": 1, "sent_at": timezone.now()} if state == Delivery.State.SENT else {}
    )
    was = Delivery.State(delivery.state)
    assert delivery_finish(delivery_id=delivery.pk, was=was, state=Delivery.State(state), reason=reason, **facts)


def queued(assignment: Assignment) -> list[Delivery]:
    """The deliveries on their way, in the order of the chats."""
    steps = (
        Step.objects.filter(play__assignment=assignment, state="queued")
        .select_related("delivery")
        .order_by("play__chat__key")
    )
    return [step.delivery for step in steps if step.delivery]


def play_on(assignment: Assignment, *, refused: tuple[int, ...] = ()) -> None:
    """Says everything, except the lines at these positions, which are refused."""
    while deliveries := queued(assignment):
        for delivery in deliveries:
            if delivery.step.position in refused:
                settle(delivery, Delivery.State.REFUSED, "not here")
            else:
                settle(delivery)

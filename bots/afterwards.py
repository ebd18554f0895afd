"""What becomes of what was said: edits, deletions and reactions in the chat are kept with the delivery.

Updates tell of them at once, those of the last days are looked at again after each connect: what happened meanwhile
is found, too. A supergroup's messages have one number for everybody, so any bot there may hear of them; those of
private chats and basic groups only the bot that said them.
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseTrouble
from django.db import transaction
from django.db.models import Q, QuerySet

from bots.blocks import LOOKING
from bots.clock import database_clock
from bots.executor import in_db
from bots.leases import is_driven
from bots.membership import method_block
from bots.models import BotBlock, Delivery, DeliveryEvent
from bots.policy import destination_id
from bots.timeline import note
from campaigns.models import Chat
from telegram.client import TelegramAccount
from telegram.errors import BotDead, RetryAfter, TelegramError, TransientError
from telegram.types import MessageNow

State, Kind = Delivery.State, DeliveryEvent.Kind

# What was said longer ago is not looked at again; nor are more than so many messages of a bot, the newest.
LOOK_BACK = timedelta(days=7)
LOOK_BACK_MOST = 500
# Messages in one request, Telegram's limit.
PAGE = 100
# Changes that are recorded in one go.
BATCH = 200
# Seconds before a change of a message that no delivery has is tried once more: a moderator's program may delete a
# message sooner than we have written down that it was said.
ONCE_MORE = 5.0
REACTIONS_LENGTH = 200

log = logging.getLogger(__name__)


def changes_record(*, bot_id: UUID, changes: Collection[MessageNow]) -> list[MessageNow]:
    """Keep what this bot has seen of deliveries; what is known already changes nothing. Returns the other messages'.

    Not fenced: what a former owner has seen is true as well.
    """
    ours = _said_by_us(bot_id, changes)
    deleted = []
    for change in changes:
        delivery = ours.get((change.peer_id, change.message_id))
        if delivery is not None and change.deleted:
            deleted.append(delivery.id)
        elif delivery is not None:
            _record(delivery, change, bot_id)
    _record_deletions(deleted)
    return [change for change in changes if (change.peer_id, change.message_id) not in ours]


Place = tuple[int | None, int | None]


def _said_by_us(bot_id: UUID, changes: Collection[MessageNow]) -> dict[Place, Delivery]:
    """The deliveries behind these messages, by supergroup (None: the bot's own numbers) and number."""
    sent = _kept().order_by("sent_at")
    peers = {change.peer_id for change in changes} - {None}
    found: dict[Place, Delivery] = {}
    if peers:
        numbers = {change.message_id for change in changes if change.peer_id is not None}
        there = sent.filter(telegram_message_id__in=numbers, chat__telegram_id__in=peers).select_related("chat")
        found |= {(destination_id(one), one.telegram_message_id): one for one in there}
    if numbers := {change.message_id for change in changes if change.peer_id is None}:
        own = sent.filter(telegram_message_id__in=numbers, bot_id=bot_id).exclude(chat__kind=Chat.Kind.SUPERGROUP)
        found |= {(None, one.telegram_message_id): one for one in own}
    return found


def _kept() -> QuerySet[Delivery]:
    """Said, and not to somebody who was erased (their id is a pseudonym below 0): nothing of them comes back."""
    return Delivery.objects.filter(state=State.SENT).exclude(peer_id__lt=0)


@transaction.atomic
def _record_deletions(delivery_ids: Collection[UUID]) -> None:
    """Many at once: somebody may have cleared the chat."""
    if not delivery_ids:
        return
    rows = _kept().filter(id__in=delivery_ids, deleted_at=None)
    # Another bot may have seen it at the same moment.
    news = list(rows.select_for_update(of=("self",)).order_by("id").values_list("id", flat=True))
    Delivery.objects.filter(id__in=news).update(deleted_at=database_clock())
    note(Kind.DELETED, dict.fromkeys(news, ""))


@transaction.atomic
def _record(delivery: Delivery, change: MessageNow, bot_id: UUID) -> None:
    # Asked once more: their data may have been erased since it was read.
    row = _kept().filter(id=delivery.id)
    # Of two accounts that see a message change, the slower one would bring back what was, unless a time tells which is
    # older: while the account that said it is connected, its view alone counts there.
    counts = bot_id == delivery.bot_id or not is_driven(delivery.bot_id)
    if change.text is not None and change.edited_at is not None:
        _record_edit(delivery, change, row, same_second=counts)
    if change.reactions is not None and counts:
        # They have no time at all.
        reactions = change.reactions[:REACTIONS_LENGTH]
        if row.exclude(reactions=reactions).update(reactions=reactions):
            note(Kind.REACTED, {delivery.id: reactions or "none any more"})


def _record_edit(delivery: Delivery, change: MessageNow, row: QuerySet[Delivery], *, same_second: bool) -> None:
    # Telegram calls a message edited when its reactions change, too; and it strips texts.
    if not delivery.edited_text and _same(change.text, delivery.text):
        return
    # Telegram tells whole seconds.
    before = Q(edited_at__lte=change.edited_at) if same_second else Q(edited_at__lt=change.edited_at)
    older = row.filter(Q(edited_at=None) | before).exclude(edited_text=change.text)
    if older.update(edited_text=change.text, edited_at=change.edited_at):
        note(Kind.EDITED, {delivery.id: change.text or ""}, at=change.edited_at)


def _same(one: str | None, other: str) -> bool:
    return (one or "").strip() == other.strip()


def said_lately(*, bot_id: UUID) -> dict[int | None, list[int]]:
    """What the bot said in the last days and nobody has deleted: message ids by supergroup, None for the rest.

    Nothing while Telegram lets it look at no messages.
    """
    now = database_clock()
    if BotBlock.objects.filter(bot_id=bot_id, method=LOOKING, until__gt=now).exists():
        return {}
    since = now - LOOK_BACK
    rows = _kept().filter(bot_id=bot_id, counted_at__gt=since, deleted_at=None)
    rows = rows.filter(telegram_message_id__isnull=False).order_by("-counted_at")
    found: dict[int | None, list[int]] = {}
    columns: Any = rows.values_list("telegram_message_id", "chat__telegram_id", "chat__kind")
    for message_id, peer_id, kind in columns[:LOOK_BACK_MOST]:
        found.setdefault(peer_id if kind == Chat.Kind.SUPERGROUP else None, []).append(message_id)
    return found


class Afterwards:
    """What one bot hears of messages that were said before. Used from the loop."""

    def __init__(self, bot_id: UUID) -> None:
        self._bot_id = bot_id
        self._heard: deque[MessageNow] = deque()
        # Those that no delivery had, with the moment (monotonic) to try once more.
        self._again: deque[tuple[float, MessageNow]] = deque()

    def heard(self, change: MessageNow) -> None:
        self._heard.append(change)

    @property
    def due(self) -> float:
        """When (monotonic) there is something to do."""
        if self._heard:
            return 0.0
        return self._again[0][0] if self._again else float("inf")

    async def take_in(self) -> None:
        """Record what was heard."""
        now = time.monotonic()
        again = [self._again.popleft()[1] for _ in range(len(self._again)) if self._again[0][0] <= now]
        await self._record(again)
        fresh = [self._heard.popleft() for _ in range(min(len(self._heard), BATCH))]
        self._again.extend((now + ONCE_MORE, change) for change in await self._record(fresh))

    async def _record(self, changes: Sequence[MessageNow]) -> list[MessageNow]:
        if not changes:
            return []
        try:
            return await in_db(changes_record, bot_id=self._bot_id, changes=changes)
        except DatabaseTrouble as error:
            # The look back after the next connect finds it again.
            log.warning("bot %s: changes of messages were not recorded: %s", self._bot_id, type(error).__name__)
            return []

    async def look_back(self, account: TelegramAccount) -> None:
        """See what became of the last days' messages. Raises BotDead and TransientError."""
        for peer_id, message_ids in (await in_db(said_lately, bot_id=self._bot_id)).items():
            for start in range(0, len(message_ids), PAGE):
                try:
                    found = await account.look_at(peer_id, message_ids[start : start + PAGE])
                except (BotDead, TransientError):
                    raise
                except RetryAfter as error:
                    await in_db(method_block, bot_id=self._bot_id, error=error)
                    return
                except TelegramError as error:
                    log.info("bot %s cannot look at what it said: %s", self._bot_id, error.reason)
                    break
                await self._record(found)

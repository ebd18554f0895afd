"""Edits, deletions and reactions: note what becomes of messages that were recorded or sent before.

Changes of our own messages are kept with their deliveries; those of other people's messages go to the room above.
Updates report changes at once, and the messages of the last days are looked at again after each connect. The messages
of a supergroup have the same number for every account, so any bot in it may notice a change; those of private chats and
basic groups have a number of their own in each account.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseTrouble
from django.db import transaction
from django.db.models import Case, Q, QuerySet, Value, When

from bots.accounts.flood_waits import LOOKING, method_block
from bots.accounts.incidents import trouble_tell
from bots.chats.identity import in_former_group
from bots.deliveries.timeline import note
from bots.gate.facts import destination_id
from bots.models import BotBlock, Delivery, DeliveryEvent
from bots.worker.cursors import Reader
from bots.worker.executor import in_db
from bots.worker.leases import is_driven
from campaigns.models import Chat
from messaging.database.clock import database_clock
from telegram.client import TelegramAccount
from telegram.errors import BotDead, PassingError, RetryAfter, TelegramError, TransientError
from telegram.types import MessageNow
from texts.telegram_form import same_text

State, Kind = Delivery.State, DeliveryEvent.Kind

# What was said longer ago is not looked at again; nor are more than so many messages of a bot, the newest.
LOOK_BACK = timedelta(days=7)
LOOK_BACK_MOST = 500
# Nor are more than so many direct chats of which no message is on record.
LOOK_BACK_CHATS = 50
# Messages in one request, Telegram's limit.
PAGE = 100
# Changes that are recorded in one go.
BATCH = 200
# Seconds before a change of an unknown message is tried once more: a moderator's program may delete a message sooner
# than we have written down that it was said.
ONCE_MORE = 5.0
# Seconds before changes are recorded again that the database did not take.
RETRY_SECONDS = 1.0
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
        there = sent.filter(telegram_message_id__in=numbers, chat__telegram_id__in=peers).exclude(in_former_group())
        found |= {
            (destination_id(delivery), delivery.telegram_message_id): delivery
            for delivery in there.select_related("chat")
        }
    if numbers := {change.message_id for change in changes if change.peer_id is None}:
        own = sent.filter(telegram_message_id__in=numbers, bot_id=bot_id).filter(_own_numbers())
        found |= {(None, delivery.telegram_message_id): delivery for delivery in own}
    return found


def _own_numbers() -> Q:
    """Of chats in which the sending account numbers the messages."""
    return Q(chat=None) | ~Q(chat__kind=Chat.Kind.SUPERGROUP) | in_former_group()


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
    # Telegram calls a message edited when its reactions change, too.
    if not delivery.edited_text and same_text(change.text or "", delivery.text):
        return
    # Telegram tells whole seconds.
    before = Q(edited_at__lte=change.edited_at) if same_second else Q(edited_at__lt=change.edited_at)
    older = row.filter(Q(edited_at=None) | before).exclude(edited_text=change.text)
    if older.update(edited_text=change.text, edited_at=change.edited_at):
        note(Kind.EDITED, {delivery.id: change.text or ""}, at=change.edited_at)


def lately(*, reader: Reader) -> dict[int | None, list[int]]:
    """What the bot sent and heard in the last days and nobody has deleted: message ids by supergroup, None for the
    rest. Nothing while Telegram lets it look at no messages.
    """
    now = database_clock()
    if _may_not_look(reader, now):
        return {}
    found = _sent_since(reader.bot_id, now - LOOK_BACK)
    if reader.handler.reads_private:
        # First: a person may have edited a message to say "stop".
        heard = reader.handler.heard_since(bot_id=reader.bot_id, since=now - LOOK_BACK, most=LOOK_BACK_MOST)
        found = {None: heard + found.pop(None, []), **found}
    return {peer_id: numbers for peer_id, numbers in found.items() if numbers}


def unrecorded(*, reader: Reader) -> list[int]:
    """People whose direct chats with the bot are looked at though their messages there are not on record."""
    now = database_clock()
    if not reader.handler.reads_private or _may_not_look(reader, now):
        return []
    return reader.handler.people_unrecorded(bot_id=reader.bot_id, since=now - LOOK_BACK, most=LOOK_BACK_CHATS)


def _may_not_look(reader: Reader, now: datetime) -> bool:
    return BotBlock.objects.filter(bot_id=reader.bot_id, method=LOOKING, until__gt=now).exists()


def _sent_since(bot_id: UUID, since: datetime) -> dict[int | None, list[int]]:
    rows = _kept().filter(bot_id=bot_id, counted_at__gt=since, deleted_at=None)
    rows = rows.filter(telegram_message_id__isnull=False).order_by("-counted_at")
    found: dict[int | None, list[int]] = {}
    own = Case(When(_own_numbers(), then=Value(True)), default=Value(False))
    columns: Any = rows.annotate(own=own).values_list("telegram_message_id", "chat__telegram_id", "own")
    for message_id, peer_id, is_own in columns[:LOOK_BACK_MOST]:
        found.setdefault(None if is_own else peer_id, []).append(message_id)
    return found


class Afterwards:
    """What one bot hears of messages that were there before. Used from the loop; one task takes in."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._bot_id = reader.bot_id
        self._heard: deque[MessageNow] = deque()
        # Set when there is something to take in.
        self.news = asyncio.Event()
        # Those of messages that were not known, with the moment (monotonic) to try once more.
        self._again: deque[tuple[float, MessageNow]] = deque()
        self._not_before = 0.0
        # What updates have told of while a look back is under way: they are newer than what it finds.
        self._told: set[Place] | None = None

    def heard(self, change: MessageNow) -> None:
        self._heard.append(change)
        self.news.set()
        if self._told is not None:
            self._told.add((change.peer_id, change.message_id))

    @property
    def due(self) -> float:
        """When (monotonic) there is something to do."""
        if self._heard:
            return self._not_before
        return max(self._again[0][0], self._not_before) if self._again else float("inf")

    async def take_in(self, *, catching_up: bool) -> None:
        """Record what was heard. `catching_up`: there are messages that have still to be read from the history, so
        that a change of an unknown one may be tried more than once."""
        now = time.monotonic()
        if now < self._not_before:
            return
        again = [self._again.popleft()[1] for _ in range(len(self._again)) if self._again[0][0] <= now]
        unknown = await self._record(again)
        if catching_up:
            self._again.extend((now + ONCE_MORE, change) for change in unknown)
        fresh = [self._heard.popleft() for _ in range(min(len(self._heard), BATCH))]
        self._again.extend((now + ONCE_MORE, change) for change in await self._record(fresh))

    async def _record(self, changes: Sequence[MessageNow]) -> list[MessageNow]:
        """Those of messages that are not known."""
        if not changes:
            return []
        try:
            others = await in_db(changes_record, bot_id=self._bot_id, changes=changes)
            return await in_db(self._hand_over, others)
        except DatabaseTrouble as error:
            log.warning("bot %s: changes of messages are recorded later: %s", self._bot_id, type(error).__name__)
            self._heard.extendleft(reversed(changes))
            self._not_before = time.monotonic() + RETRY_SECONDS
            return []
        except Exception as error:
            if len(changes) > 1:
                return [unknown for change in changes for unknown in await self._record([change])]
            # The look back after the next connect finds it again.
            number = changes[0].message_id
            log.exception("bot %s: a change of message %s could not be recorded", self._bot_id, number)
            reason = (
                f"bot {self._bot_id}: an edit, a deletion or a reaction was not recorded ({type(error).__name__}): "
                "report this to the developers"
            )
            await in_db(trouble_tell, key=f"change:{self._bot_id}:{number}", reason=reason)
            return []

    def _hand_over(self, changes: list[MessageNow]) -> list[MessageNow]:
        handler = self._reader.handler
        if handler.reads_chats:
            theirs, others = changes, []
        elif handler.reads_private:
            theirs = [change for change in changes if change.peer_id is None]
            others = [change for change in changes if change.peer_id is not None]
        else:
            theirs, others = [], changes
        return others + handler.on_changes(bot_id=self._bot_id, changes=theirs) if theirs else others

    async def look_back(self, account: TelegramAccount) -> None:
        """See what became of the last days' messages; `take_in` records it. Raises BotDead and TransientError."""
        self._told = set()
        try:
            for peer_id, message_ids in (await in_db(lately, reader=self._reader)).items():
                await self._look_at(account, peer_id, message_ids)
            for peer_id in await in_db(unrecorded, reader=self._reader):
                await self._look_through(account, peer_id)
        except RetryAfter as error:
            await in_db(method_block, bot_id=self._bot_id, error=error)
        finally:
            self._told = None

    async def _look_at(self, account: TelegramAccount, peer_id: int | None, message_ids: list[int]) -> None:
        for start in range(0, len(message_ids), PAGE):
            try:
                found = await account.look_at(peer_id, message_ids[start : start + PAGE])
            except TelegramError as error:
                if isinstance(error, BotDead | TransientError | RetryAfter) and not isinstance(error, PassingError):
                    raise
                log.info("bot %s cannot look at older messages: %s", self._bot_id, error.reason)
                return
            self._found(found)

    async def _look_through(self, account: TelegramAccount, peer_id: int) -> None:
        """Nothing else knows which messages are in this direct chat: what was edited among the newest."""
        try:
            found = await account.newest(peer_id, limit=PAGE)
        except RetryAfter as error:
            # A wait with looking again: the account does everything else.
            raise RetryAfter(error.seconds, error.reason, LOOKING) from error
        except TelegramError as error:
            if isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
                raise
            log.info("bot %s cannot look at the chat with %s: %s", self._bot_id, peer_id, error.reason)
            return
        self._found([change for change in found if change.edited_at is not None])

    def _found(self, changes: Sequence[MessageNow]) -> None:
        told = self._told or set()
        self._heard.extend(change for change in changes if (change.peer_id, change.message_id) not in told)
        self.news.set()

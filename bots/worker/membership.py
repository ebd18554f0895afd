"""Keep one bot a member of the chats that its role needs."""

import logging
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from bots.accounts.flood_waits import ENTERING, connected_show, method_block, seconds_blocked
from bots.accounts.incidents import trouble_over, trouble_tell
from bots.accounts.states import bot_restrict, is_restricted
from bots.chats.entry_refusals import WAITS_FOR_PEOPLE, entry_incident, entry_refusal, full_incident, full_report
from bots.chats.identity import chat_elsewhere, chat_resolved, name_lost, nameless_tell
from bots.chats.permission_suspension import presence_ended, presence_note, was_present
from bots.worker.cursors import chats_forget
from bots.worker.dialog_listing import list_refused
from bots.worker.executor import in_db
from bots.worker.reading import Reading
from bots.worker.reference_confirming import References
from campaigns.chats.identity import AnotherChat, SameChat
from campaigns.models import Chat
from messaging.rounds import backoff
from telegram.client import TelegramAccount
from telegram.errors import (
    BotDead,
    BotFull,
    BotRestricted,
    ChatElsewhere,
    ChatRefuses,
    PassingError,
    PeerRefuses,
    RetryAfter,
    TelegramError,
    TransientError,
)
from telegram.types import Dialog, ResolvedChat, is_group

# Seconds before a chat that could not be entered is tried again: twice as long each time, up to the second.
REFUSED_SECONDS, REFUSED_MOST_SECONDS = 120.0, 900.0
# Seconds between looks at the account's own list of chats: who was removed from a supergroup is not told.
DIALOGS_SECONDS = 600.0
# A list older than this (seconds) says nothing about a chat that is wanted anew: meanwhile it may have been removed.
FRESH_SECONDS = 30.0
# The same for one whose admins have been asked to let the bot in. Telegram tells when they have, and every request
# to join counts against the account.
APPROVAL_SECONDS = 600.0
# Seconds before an account that is in as many chats as Telegram allows tries to join one again.
FULL_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Membership:
    """The chats of one bot during one lease. `chats`: campaigns.Chat id → marked id, of those it is known to be in."""

    def __init__(self, reading: Reading) -> None:
        self._reader = reading.reader
        self._reading = reading
        self.chats: dict[UUID, int] = {}
        # As of the last look.
        self._wanted: set[UUID] | None = None
        self._dialogs: dict[int, Dialog] = {}
        self._listed = 0.0
        # Until when Telegram does not list them, on time.monotonic().
        self._not_listed_before = 0.0
        self._asked_for: set[UUID] = set()
        self._not_before: dict[UUID, float] = {}
        # Chats, each with the reference that was refused, and how often in a row.
        self._refusals: dict[tuple[UUID, str], int] = {}
        # Those that a person has to let it into.
        self._asked: set[UUID] = set()
        # Those that it was in and that its own list lacked: that proves nothing, so Telegram is asked about them.
        self._doubted: set[UUID] = set()
        # Basic groups (marked ids) that the account was told are supergroups now.
        self.upgraded: set[int] = set()
        # Chats whose reference led elsewhere, as long as they are wanted nevertheless.
        self._strayed: set[UUID] = set()
        # Chats, each with the reference that was followed since the account's chats were listed.
        self._checked: set[tuple[UUID, str]] = set()
        # Until when Telegram lets it enter nothing, on time.monotonic().
        self._flooded = 0.0
        self._references = References(self._reader.bot_id)

    async def begin(self, dialogs: Iterable[Dialog]) -> None:
        """A new connection: what the account is in is known from its own list of chats."""
        self._list(dialogs)
        # While it was away somebody may have let it in.
        self.perhaps_let_in()
        left = await in_db(seconds_blocked, bot_id=self._reader.bot_id, methods=ENTERING)
        self._flooded = time.monotonic() + left

    def _list(self, dialogs: Iterable[Dialog]) -> None:
        self._listed = time.monotonic()
        # A group that was upgraded stays in the list beside its supergroup.
        self._dialogs = {dialog.peer_id: dialog for dialog in dialogs if not dialog.upgraded}
        self._checked.clear()
        self._doubted = {chat for chat, peer in self.chats.items() if peer not in self._dialogs}

    async def _list_again(self, account: TelegramAccount, wanted: list[Chat]) -> None:
        ids = {chat.pk for chat in wanted}
        bearable = FRESH_SECONDS if ids - self._asked_for else DIALOGS_SECONDS
        self._asked_for = ids
        if time.monotonic() < max(self._listed + bearable, self._not_listed_before):
            return
        try:
            self._list(await account.dialogs())
        except TelegramError as error:
            self._not_listed_before = time.monotonic() + await list_refused(self._reader, error)

    def perhaps_let_in(self) -> bool:
        """Telegram says that something about the account's chats has changed. True: look after them at once."""
        for chat_id in self._asked:
            self._not_before.pop(chat_id, None)
        return bool(self._asked)

    async def look_after(self, account: TelegramAccount) -> None:
        """Enter what is to be entered, as far as Telegram allows it now. Raises BotDead and TransientError."""
        wanted = await in_db(self._reader.handler.chats, self._reader.bot_id)
        await self._forget_all_but(wanted)
        if await self._check_references(account, wanted):
            wanted = await in_db(self._reader.handler.chats, self._reader.bot_id)
            await self._forget_all_but(wanted)
        await self._list_again(account, wanted)
        for chat in wanted:
            if _waits(chat) or self._settled(chat) or self._not_before.get(chat.pk, 0.0) > time.monotonic():
                continue
            await self._enter(account, chat)
        await self._show()

    async def _check_references(self, account: TelegramAccount, wanted: list[Chat]) -> bool:
        """Whether what is wanted may have changed."""
        if self._flooded > time.monotonic():
            return False
        try:
            return await self._references.check(account, [chat.pk for chat in wanted])
        except RetryAfter as error:
            await self._wait(error)
        except BotRestricted as error:
            await in_db(bot_restrict, bot_id=self._reader.bot_id, reason=error.reason)
        return False

    async def _wait(self, error: RetryAfter) -> None:
        await in_db(method_block, bot_id=self._reader.bot_id, error=error)
        self._flooded = time.monotonic() + error.seconds

    def _settled(self, chat: Chat) -> bool:
        peer_id = self.chats.get(chat.pk)
        if peer_id is None or peer_id != chat.telegram_id or peer_id in self.upgraded or chat.pk in self._doubted:
            return False
        return self._reading.reads(peer_id) and not self._to_be_checked(chat)

    def _to_be_checked(self, chat: Chat) -> bool:
        """Whether the account's own list, as of the last look, raises doubts about where the reference leads."""
        dialog = self._dialogs.get(chat.telegram_id or 0)
        return dialog is not None and name_lost(chat, dialog) and (chat.pk, chat.reference) not in self._checked

    async def _forget_all_but(self, wanted: list[Chat]) -> None:
        ids, waiting = {chat.pk for chat in wanted}, {chat.pk for chat in wanted if _waits(chat)}
        self.chats = {chat: peer for chat, peer in self.chats.items() if chat in ids - waiting}
        self._reading.keep_only(set(self.chats.values()))
        for chat_id in (self._not_before.keys() | self._asked) - ids - self._strayed:
            self._not_before.pop(chat_id, None)
            self._asked.discard(chat_id)
            await in_db(trouble_over, key=entry_incident(bot_id=self._reader.bot_id, chat_id=chat_id))
        # When they are wanted again an operator has looked.
        for chat_id in self._strayed - ids:
            self._strayed.discard(chat_id)
            self._not_before.pop(chat_id, None)
        if self._reader.handler.reads_chats and ids != self._wanted:
            but = {telegram_id for chat in wanted for telegram_id in chat.telegram_ids}
            await in_db(chats_forget, bot_id=self._reader.bot_id, but=but)
            self._wanted = ids

    async def _enter(self, account: TelegramAccount, chat: Chat) -> None:
        found = None
        try:
            found = await self._member_of(account, chat)
            if found is None:
                return
            await in_db(chat_resolved, chat_id=chat.pk, found=found, reference=chat.reference)
            former = found.upgraded_from or chat.upgraded_from_id
            await self._reading.watch(found.telegram_id, former=former)
            await in_db(presence_note, bot_id=self._reader.bot_id, chat_id=chat.pk, peer_id=found.telegram_id)
        except (SameChat, AnotherChat) as error:
            if isinstance(error, AnotherChat) and found is not None and found.joined:
                await account.leave(found.telegram_id)
            await self._refused(chat, str(error))
        except TelegramError as error:
            await self._not_entered(chat, error)
        else:
            await self._entered(chat, found)

    async def _entered(self, chat: Chat, found: ResolvedChat) -> None:
        self.chats[chat.pk] = found.telegram_id
        self._checked.add((chat.pk, chat.reference))
        self._refusals.pop((chat.pk, chat.reference), None)
        self._doubted.discard(chat.pk)
        # The account's list is older than this.
        self._dialogs.setdefault(found.telegram_id, Dialog(found.telegram_id, 0, found.title, found.kind))
        refused = self._not_before.pop(chat.pk, None) is not None or chat.pk in self._asked
        self._asked.discard(chat.pk)
        if refused:
            await in_db(trouble_over, key=self._trouble(chat))

    async def _not_entered(self, chat: Chat, error: TelegramError) -> None:
        """What ends the connection is raised again: BotDead, and TransientError that is no PassingError."""
        bot_id = self._reader.bot_id
        if isinstance(error, RetryAfter):
            await self._wait(error)
        elif isinstance(error, BotRestricted):
            await in_db(bot_restrict, bot_id=bot_id, reason=error.reason)
        elif isinstance(error, BotFull):
            self._flooded = time.monotonic() + FULL_SECONDS
            await in_db(trouble_tell, key=full_incident(bot_id), reason=full_report(bot_id, error))
        elif isinstance(error, ChatElsewhere):
            await in_db(chat_elsewhere, bot_id=bot_id, chat_id=chat.pk, error=error, reference=chat.reference)
            self.chats.pop(chat.pk, None)
            self._not_before[chat.pk] = time.monotonic() + REFUSED_SECONDS
            self._strayed.add(chat.pk)
        elif isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
            raise error
        else:
            # Of this chat, as far as is known: the account goes on with the others.
            await self._refused(chat, str(error))

    async def _member_of(self, account: TelegramAccount, chat: Chat) -> ResolvedChat | None:
        """The chat, once the account is in it. None: it was removed from it, or Telegram lets it join nothing now."""
        known = chat.telegram_id
        dialog = self._dialogs.get(known) if known is not None and known not in self.upgraded else None
        if dialog is not None and (dialog.kind == "group" or dialog.kind == "supergroup"):
            await self._check_name(account, chat, dialog)
            return ResolvedChat(dialog.peer_id, dialog.kind, dialog.title)
        upgraded = await self._upgraded(account, chat)
        if upgraded is not None and not upgraded.left:
            return upgraded
        place: dict[str, Any] = {"bot_id": self._reader.bot_id, "chat_id": chat.pk, "peer_ids": chat.telegram_ids}
        if known is not None and await in_db(was_present, **place):
            there = await account.membership(chat.reference, known) if upgraded is None else None
            if there is not None:
                return there
            self.chats.pop(chat.pk, None)
            await in_db(presence_ended, **place)
            return None
        if self._flooded > time.monotonic() or await in_db(is_restricted, bot_id=self._reader.bot_id):
            return None
        found = await account.join(chat.reference, chat.telegram_id)
        await in_db(trouble_over, key=full_incident(self._reader.bot_id))
        return found

    async def _upgraded(self, account: TelegramAccount, chat: Chat) -> ResolvedChat | None:
        """The supergroup that the basic group has become. That the group is gone is no removal then."""
        group = next((telegram_id for telegram_id in chat.telegram_ids if is_group(telegram_id)), None)
        found = await account.supergroup_of(group) if group is not None else None
        if found is not None and chat.telegram_id != found.telegram_id:
            await in_db(chat_resolved, chat_id=chat.pk, found=found)
        if group is not None:
            self.upgraded.discard(group)
        return found

    async def _check_name(self, account: TelegramAccount, chat: Chat, dialog: Dialog) -> None:
        """The account is in the chat, which has lost the name that it is referred to by. Raises ChatElsewhere when
        somebody else has taken the name; a name that is nobody's is only reported."""
        if not self._to_be_checked(chat) or self._flooded > time.monotonic():
            return
        try:
            await account.find_chat(chat.reference, chat.telegram_id)
        except (PeerRefuses, ChatRefuses) as error:
            await in_db(nameless_tell, chat=chat, error=error.reason)

    async def _refused(self, chat: Chat, reason: str) -> None:
        asked = reason in WAITS_FOR_PEOPLE
        tries = self._refusals[chat.pk, chat.reference] = self._refusals.get((chat.pk, chat.reference), 0) + 1
        again = backoff(tries, first=REFUSED_SECONDS, most=REFUSED_MOST_SECONDS).total_seconds()
        self._not_before[chat.pk] = time.monotonic() + (APPROVAL_SECONDS if asked else again)
        if asked:
            self._asked.add(chat.pk)
        told = entry_refusal(bot_id=self._reader.bot_id, chat=chat, reason=reason)
        if await in_db(trouble_tell, key=self._trouble(chat), reason=told):
            log.warning("bot %s cannot enter chat %s: %s", self._reader.bot_id, chat.pk, reason)

    def _trouble(self, chat: Chat) -> str:
        return entry_incident(bot_id=self._reader.bot_id, chat_id=chat.pk)

    async def _show(self) -> None:
        await in_db(connected_show, bot_id=self._reader.bot_id, epoch=self._reader.epoch)


def _waits(chat: Chat) -> bool:
    """Its reference was changed: nothing is entered or read there until an account has confirmed it."""
    return chat.reference_changed_at is not None

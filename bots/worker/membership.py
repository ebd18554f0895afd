"""Keeps one bot a member of the chats that its role needs."""

import logging
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from bots.accounts.flood_waits import JOIN_METHODS, connected_state_set, flood_wait_seconds, method_wait_record
from bots.accounts.incidents import incident_close, incident_report
from bots.accounts.states import bot_restrict, is_restricted
from bots.chats.entry_refusals import WAITS_FOR_PEOPLE, entry_incident, entry_refusal, full_incident, full_report
from bots.chats.identity import chat_elsewhere, chat_resolved, lost_username_report, username_lost
from bots.chats.joins import join_claim
from bots.chats.permission_suspension import presence_ended, presence_record, was_present
from bots.worker.cursors import chats_forget
from bots.worker.dialog_listing import list_refused
from bots.worker.discussions import Discussions
from bots.worker.executor import in_db
from bots.worker.reading import Reading
from bots.worker.reference_confirming import ReferenceChecks
from campaigns.chats.identity import AnotherChat, SameChat
from campaigns.models import Chat
from messaging.rounds import backoff
from telegram.client import TelegramAccount
from telegram.errors import (
    BotDead,
    BotFull,
    BotRestricted,
    ChatRefuses,
    PassingError,
    PeerRefuses,
    ReferenceLeadsElsewhere,
    RetryAfter,
    TelegramError,
    TransientError,
)
from telegram.types import Dialog, ResolvedChat, is_group

# Seconds before a bot tries again to enter a chat that it could not enter. The wait doubles each time, up to the second
# value.
REFUSED_SECONDS, REFUSED_MOST_SECONDS = 120.0, 900.0
# Seconds between requests for the account's list of chats. Telegram does not report removals from a supergroup.
DIALOGS_SECONDS = 600.0
# Seconds. When a chat becomes wanted, an older list does not count: the account may have been removed since.
FRESH_SECONDS = 30.0
# Seconds before a bot that waits for an admin's approval tries again. Telegram reports an approval, and every request
# to join counts against the account.
APPROVAL_SECONDS = 600.0
# Seconds before an account that has reached Telegram's limit of chats tries to join one again.
FULL_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Membership:
    """The chats of one bot during one lease.

    `chats` maps the ids of campaigns.Chat rows to marked ids, for the chats that the bot is known to be in.
    """

    def __init__(self, reading: Reading) -> None:
        self._reader = reading.reader
        self._reading = reading
        self.chats: dict[UUID, int] = {}
        # The chats that were wanted at the last round.
        self._wanted: set[UUID] | None = None
        self._dialogs: dict[int, Dialog] = {}
        self._listed = 0.0
        # On time.monotonic(): Telegram does not list the chats before this moment.
        self._not_listed_before = 0.0
        self._listed_for: set[UUID] = set()
        self._not_before: dict[UUID, float] = {}
        # Chats that wait until the account's limits allow another request to join; on time.monotonic().
        self._paced: dict[UUID, float] = {}
        # How often in a row each chat refused the bot, by chat and reference.
        self._refusals: dict[tuple[UUID, str], int] = {}
        # Chats whose admins have to approve the bot's request to join.
        self._waiting_for_approval: set[UUID] = set()
        # Chats that the bot was in and that its list lacks. The list proves nothing, so Telegram has to confirm it.
        self._to_confirm: set[UUID] = set()
        # Basic groups (marked ids) that Telegram has reported as upgraded to supergroups.
        self.upgraded: set[int] = set()
        # Chats whose reference led to another chat, while they are wanted.
        self._led_elsewhere: set[UUID] = set()
        # Chats with the reference that was checked since the account's chats were last listed.
        self._checked: set[tuple[UUID, str]] = set()
        # On time.monotonic(): Telegram does not let the account enter chats before this moment.
        self._no_entry_before = 0.0
        # Channels among `chats`; their discussion groups are read too.
        self._channels: dict[UUID, int] = {}
        self._discussions = Discussions(reading)
        self._references = ReferenceChecks(self._reader.bot_id)

    async def begin(self, dialogs: Iterable[Dialog]) -> None:
        """Start a new connection with the account's list of chats."""
        self._list(dialogs)
        self._discussions.begin()
        # An admin may have approved the bot while it was disconnected.
        self.retry_approvals()
        left = await in_db(flood_wait_seconds, bot_id=self._reader.bot_id, methods=JOIN_METHODS)
        self._no_entry_before = time.monotonic() + left

    def _list(self, dialogs: Iterable[Dialog]) -> None:
        self._listed = time.monotonic()
        # After an upgrade the list contains both the group and its supergroup.
        self._dialogs = {dialog.peer_id: dialog for dialog in dialogs if not dialog.upgraded}
        self._checked.clear()
        self._to_confirm = {chat for chat, peer in self.chats.items() if peer not in self._dialogs}

    async def _list_again(self, account: TelegramAccount, wanted: list[Chat]) -> None:
        ids = {chat.pk for chat in wanted}
        bearable = FRESH_SECONDS if ids - self._listed_for else DIALOGS_SECONDS
        self._listed_for = ids
        if time.monotonic() < max(self._listed + bearable, self._not_listed_before):
            return
        try:
            self._list(await account.dialogs())
        except TelegramError as error:
            self._not_listed_before = time.monotonic() + await list_refused(self._reader, error)

    def retry_approvals(self) -> bool:
        """Retry the chats that wait for an approval, because Telegram reports that the account's chats have changed.

        Returns whether there are any; then call `look_after` at once.
        """
        for chat_id in self._waiting_for_approval:
            self._not_before.pop(chat_id, None)
        return bool(self._waiting_for_approval)

    async def look_after(self, account: TelegramAccount) -> None:
        """Enter the wanted chats, as far as Telegram allows it now. Raises BotDead and TransientError."""
        wanted = await in_db(self._reader.handler.chats, self._reader.bot_id)
        await self._forget_all_but(wanted)
        if await self._check_references(account, wanted):
            wanted = await in_db(self._reader.handler.chats, self._reader.bot_id)
            await self._forget_all_but(wanted)
        await self._list_again(account, wanted)
        for chat in wanted:
            if not (_waits(chat) or self._settled(chat) or self._later(chat)):
                await self._enter(account, chat)
        await self._show()
        await self._read_comments(account)
        ends = await in_db(
            self._reader.handler.chats_looked_after, bot_id=self._reader.bot_id, at_end=frozenset(self._reading.at_end)
        )
        self._reading.read_to_ends(ends)

    async def _read_comments(self, account: TelegramAccount) -> None:
        if not self._reader.handler.reads_chats:
            return
        may_join = self._no_entry_before <= time.monotonic()
        may_join = may_join and not await in_db(is_restricted, bot_id=self._reader.bot_id) if self._channels else False
        try:
            await self._discussions.look_after(account, self._channels, may_join=may_join)
        except (RetryAfter, BotRestricted, BotFull) as error:
            await self._joins_nothing(error)

    async def _check_references(self, account: TelegramAccount, wanted: list[Chat]) -> bool:
        """Check changed references. Returns whether the set of wanted chats may have changed."""
        if self._no_entry_before > time.monotonic():
            return False
        try:
            return await self._references.check(account, [chat.pk for chat in wanted])
        except RetryAfter as error:
            await self._wait(error)
        except BotRestricted as error:
            await in_db(bot_restrict, bot_id=self._reader.bot_id, reason=error.reason)
        return False

    async def _wait(self, error: RetryAfter) -> None:
        await in_db(method_wait_record, bot_id=self._reader.bot_id, error=error)
        self._no_entry_before = time.monotonic() + error.seconds

    def _later(self, chat: Chat) -> bool:
        now = time.monotonic()
        paced = self._paced.get(chat.pk, 0.0) > now and chat.telegram_id not in self._dialogs
        return paced or self._not_before.get(chat.pk, 0.0) > now

    def _settled(self, chat: Chat) -> bool:
        peer_id = self.chats.get(chat.pk)
        if peer_id is None or peer_id != chat.telegram_id or peer_id in self.upgraded or chat.pk in self._to_confirm:
            return False
        return self._reading.reads(peer_id) and not self._to_be_checked(chat)

    def _to_be_checked(self, chat: Chat) -> bool:
        """Whether the account's list of chats gives reason to check where the reference leads."""
        dialog = self._dialogs.get(chat.telegram_id or 0)
        return dialog is not None and username_lost(chat, dialog) and (chat.pk, chat.reference) not in self._checked

    async def _forget_all_but(self, wanted: list[Chat]) -> None:
        ids, waiting = {chat.pk for chat in wanted}, {chat.pk for chat in wanted if _waits(chat)}
        self.chats = {chat: peer for chat, peer in self.chats.items() if chat in ids - waiting}
        self._paced = {chat: until for chat, until in self._paced.items() if chat in ids}
        self._channels = {chat: peer for chat, peer in self._channels.items() if chat in self.chats}
        self._reading.keep_only(set(self.chats.values()) | self._discussions.keep_only(self.chats))
        for chat_id in (self._not_before.keys() | self._waiting_for_approval) - ids - self._led_elsewhere:
            self._not_before.pop(chat_id, None)
            self._waiting_for_approval.discard(chat_id)
            await in_db(incident_close, key=entry_incident(bot_id=self._reader.bot_id, chat_id=chat_id))
        # If the chats are wanted again, an operator has checked them.
        for chat_id in self._led_elsewhere - ids:
            self._led_elsewhere.discard(chat_id)
            self._not_before.pop(chat_id, None)
        if self._reader.handler.reads_chats and ids != self._wanted:
            but = {telegram_id for chat in wanted for telegram_id in chat.ids_read}
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
            await in_db(presence_record, bot_id=self._reader.bot_id, chat_id=chat.pk, peer_id=found.telegram_id)
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
        if found.channel:
            self._channels[chat.pk] = found.telegram_id
        self._checked.add((chat.pk, chat.reference))
        self._refusals.pop((chat.pk, chat.reference), None)
        self._to_confirm.discard(chat.pk)
        # The bot joined the chat after the list was made.
        self._dialogs.setdefault(found.telegram_id, Dialog(found.telegram_id, 0, found.title, found.kind))
        refused = self._not_before.pop(chat.pk, None) is not None or chat.pk in self._waiting_for_approval
        self._waiting_for_approval.discard(chat.pk)
        if refused:
            await in_db(incident_close, key=self._incident(chat))

    async def _not_entered(self, chat: Chat, error: TelegramError) -> None:
        """Handle an error of entering a chat.

        Raises errors that end the connection again: BotDead, and TransientError unless it is a PassingError.
        """
        if isinstance(error, RetryAfter | BotRestricted | BotFull):
            await self._joins_nothing(error)
        elif isinstance(error, ReferenceLeadsElsewhere):
            await in_db(
                chat_elsewhere, bot_id=self._reader.bot_id, chat_id=chat.pk, error=error, reference=chat.reference
            )
            self.chats.pop(chat.pk, None)
            self._not_before[chat.pk] = time.monotonic() + REFUSED_SECONDS
            self._led_elsewhere.add(chat.pk)
        elif isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
            raise error
        else:
            # The error concerns only this chat, as far as is known, so the account continues with the others.
            await self._refused(chat, str(error))

    async def _joins_nothing(self, error: RetryAfter | BotRestricted | BotFull) -> None:
        """Handle an error with which Telegram keeps the account from joining anything."""
        bot_id = self._reader.bot_id
        if isinstance(error, RetryAfter):
            await self._wait(error)
        elif isinstance(error, BotRestricted):
            await in_db(bot_restrict, bot_id=bot_id, reason=error.reason)
        else:
            self._no_entry_before = time.monotonic() + FULL_SECONDS
            await in_db(incident_report, key=full_incident(bot_id), reason=full_report(bot_id, error))

    async def _member_of(self, account: TelegramAccount, chat: Chat) -> ResolvedChat | None:
        """Join the chat if necessary and return it.

        Returns None if the account was removed from the chat, or if the account joins nothing now: because of
        Telegram or of the account's limit of joins.
        """
        known = chat.telegram_id
        dialog = self._dialogs.get(known) if known is not None and known not in self.upgraded else None
        if dialog is not None and (dialog.kind == "group" or dialog.kind == "supergroup"):
            await self._check_name(account, chat, dialog)
            return ResolvedChat(dialog.peer_id, dialog.kind, dialog.title, channel=dialog.channel)
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
        if self._no_entry_before > time.monotonic() or await in_db(is_restricted, bot_id=self._reader.bot_id):
            return None
        if paced := await in_db(join_claim, bot_id=self._reader.bot_id, chat_id=chat.pk):
            self._paced[chat.pk] = time.monotonic() + paced
            return None
        found = await account.join(chat.reference, chat.telegram_id)
        await in_db(incident_close, key=full_incident(self._reader.bot_id))
        return found

    async def _upgraded(self, account: TelegramAccount, chat: Chat) -> ResolvedChat | None:
        """The supergroup that the chat's basic group was upgraded to, or None.

        After an upgrade the group's absence does not mean that the account was removed.
        """
        group = next((telegram_id for telegram_id in chat.telegram_ids if is_group(telegram_id)), None)
        found = await account.supergroup_of(group) if group is not None else None
        if found is not None and chat.telegram_id != found.telegram_id:
            await in_db(chat_resolved, chat_id=chat.pk, found=found)
        if group is not None:
            self.upgraded.discard(group)
        return found

    async def _check_name(self, account: TelegramAccount, chat: Chat, dialog: Dialog) -> None:
        """Check the reference of a chat that has lost the username in it, where the account is a member.

        Raises ReferenceLeadsElsewhere if another chat has taken the username. If the username is free, this only
        notifies the operators.
        """
        if not self._to_be_checked(chat) or self._no_entry_before > time.monotonic():
            return
        try:
            await account.find_chat(chat.reference, chat.telegram_id)
        except (PeerRefuses, ChatRefuses) as error:
            await in_db(lost_username_report, chat=chat, error=error.reason)

    async def _refused(self, chat: Chat, reason: str) -> None:
        waits = reason in WAITS_FOR_PEOPLE
        tries = self._refusals[chat.pk, chat.reference] = self._refusals.get((chat.pk, chat.reference), 0) + 1
        again = backoff(tries, first=REFUSED_SECONDS, most=REFUSED_MOST_SECONDS).total_seconds()
        self._not_before[chat.pk] = time.monotonic() + (APPROVAL_SECONDS if waits else again)
        if waits:
            self._waiting_for_approval.add(chat.pk)
        report = entry_refusal(bot_id=self._reader.bot_id, chat=chat, reason=reason)
        if await in_db(incident_report, key=self._incident(chat), reason=report):
            log.warning("bot %s cannot enter chat %s: %s", self._reader.bot_id, chat.pk, reason)

    def _incident(self, chat: Chat) -> str:
        return entry_incident(bot_id=self._reader.bot_id, chat_id=chat.pk)

    async def _show(self) -> None:
        await in_db(connected_state_set, bot_id=self._reader.bot_id, epoch=self._reader.epoch)


def _waits(chat: Chat) -> bool:
    """Whether the chat's reference was changed.

    No account enters or reads the chat until one has confirmed the reference.
    """
    return chat.reference_changed_at is not None

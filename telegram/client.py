"""One Telegram account, for as long as one connection lasts."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from telethon import events, utils
from telethon.tl import functions, types

from telegram import peers
from telegram.calls import REQUEST_TIMEOUT, call, close, guarded, within
from telegram.connection.config import new_client
from telegram.connection.session_store import StoredSession, UnreadableSession
from telegram.convert import incoming, message_now, new_message, now, sent
from telegram.dialogs import list_dialogs
from telegram.error_mapping import map_error
from telegram.errors import AlreadySent, BotDead, HistoryTooLong, PermanentError, TelegramError, TransientError
from telegram.membership import membership
from telegram.references import check_reference
from telegram.types import (
    ChatTarget,
    Credentials,
    Dialog,
    IncomingMessage,
    Me,
    MessageNow,
    PersonTarget,
    ResolvedChat,
    SentMessage,
    Target,
)
from telegram.upgrades import explained, supergroup_of, upgraded_by
from telegram.usernames import username_in
from texts.telegram_form import same_text

# Seconds for TCP, the transport and the first answer.
CONNECT_LIMIT = 25
# Seconds for what takes several requests: joining, reading page after page.
JOIN_LIMIT, PAGES_LIMIT = 60, 120
# Messages a request, the most that Telegram gives; and how many of the newest are searched for one that was said.
SEARCH_PAGE = 100
SEARCH_DEPTH = 2000
# Telegram's times are whole seconds of its own clock.
CLOCK_MARGIN = timedelta(seconds=5)

Save = Callable[[str], Awaitable[None]]
OnMessage = Callable[[IncomingMessage], None]
OnChange = Callable[[MessageNow], None]

log = logging.getLogger(__name__)


class TelegramAccount:
    """Connects once; after `closed` a new object takes its place.

    Every method has one deadline for all that it asks, and raises nothing but TelegramErrors (and what `save` raises).

    `save` is awaited with the session's text whenever `flush` finds that it has changed.
    Nothing is repeated, waited out or reconnected behind the caller's back.
    """

    def __init__(self, credentials: Credentials, session: str, save: Save, *, receive_updates: bool = True) -> None:
        try:
            self._session = StoredSession(session)
        except UnreadableSession as error:
            raise BotDead("SESSION_UNREADABLE", needs_login=True) from error
        try:
            self._client = new_client(self._session, credentials, receive_updates=receive_updates, logged_in=True)
        except ValueError as error:
            raise PermanentError(str(error)) from error
        # Short updates bring no author: whose name is whose must be known without.
        self._client.add_event_handler(self._renamed, events.Raw(types=[types.UpdateUserName]))
        self._save = save
        self._self_id = 0
        self._watch: asyncio.Task[None] | None = None
        # Done when the connection is gone, with the reason: None when disconnect() was called.
        self.closed: asyncio.Future[TelegramError | None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> None:
        """Connect and make sure that the account is signed in; raises BotDead(needs_login) when it is not."""
        try:
            await guarded(self._client.connect(), CONNECT_LIMIT)
            self._watch = asyncio.get_running_loop().create_task(self._until_closed())
            self._self_id = (await self.me()).user_id
        except BaseException:
            await self.disconnect()
            raise

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now: not before `connect` has come so far, nor once the connection is gone."""
        return self._client.is_connected()

    async def disconnect(self) -> None:
        """Close the connection, whatever state it is in. What has changed in the session is not saved: `flush`."""
        await close(self._client)
        if self._watch is not None:
            await asyncio.wait([self._watch], timeout=1)
        if not self.closed.done():
            self.closed.set_result(None)

    async def _until_closed(self) -> None:
        error: BaseException | None = None
        try:
            await self._client.disconnected
        except Exception as raised:
            error = raised
        error = getattr(self._client, "_updates_error", None) or error
        if not self.closed.done():
            self.closed.set_result(map_error(error) if error is not None else TransientError("CONNECTION_LOST"))

    async def flush(self) -> None:
        """Hand the session's text to `save` if it has changed."""
        if self._session.dirty:
            self._session.dirty = False
            try:
                await self._save(self._session.dumps())
            except BaseException:
                self._session.dirty = True
                raise

    @within(REQUEST_TIMEOUT)
    async def me(self) -> Me:
        users = await call(self._client, functions.users.GetUsersRequest([types.InputUserSelf()]))
        if not users or not isinstance(users[0], types.User):
            raise BotDead("AUTH_KEY_UNREGISTERED", needs_login=True)
        return Me(users[0].id, username_in(users[0]), users[0].phone or "")

    async def keep_alive(self, seconds: int) -> None:
        """Tell the server to drop this connection unless it hears this again within `seconds`."""
        ping = functions.PingDelayDisconnectRequest(random.getrandbits(63), disconnect_delay=seconds)

        async def send() -> None:
            # Past client(…): it would wrap the ping in invokeWithoutUpdates, which is not for service messages.
            await self._client._sender.send(ping)

        await guarded(send(), min(seconds, 15))

    def on_message(self, callback: OnMessage) -> None:
        """Call `callback` for each new message, in the order in which Telegram's updates put them.

        Messages that this very connection has sent are not among them. Call it before `connect`.
        """

        async def handle(update: Any) -> None:
            raw = new_message(update, self._self_id)
            message = self._incoming(raw, getattr(update, "_entities", None) or {})
            if message is not None:
                callback(message)

        kinds = [
            types.UpdateNewMessage,
            types.UpdateNewChannelMessage,
            types.UpdateShortMessage,
            types.UpdateShortChatMessage,
        ]
        self._client.add_event_handler(handle, events.Raw(types=kinds))

    async def _renamed(self, update: Any) -> None:
        self._session.rename(update.user_id, username_in(update))

    def on_change(self, callback: OnChange) -> None:
        """Call `callback` for each message that is edited, deleted or reacted to, whoever wrote it."""

        async def handle(update: Any) -> None:
            for change in now(update, getattr(update, "_entities", None) or {}, self._session):
                callback(change)

        kinds = [
            types.UpdateEditMessage,
            types.UpdateEditChannelMessage,
            types.UpdateDeleteMessages,
            types.UpdateDeleteChannelMessages,
            types.UpdateMessageReactions,
        ]
        self._client.add_event_handler(handle, events.Raw(types=kinds))

    def on_missed(self, callback: Callable[[int | None], None]) -> None:
        """Call `callback` when Telegram does not tell what this connection has missed: with the marked id of a
        supergroup, or None for private chats and basic groups. It comes before whatever is heard after it.
        """

        def missed(channel: int | None) -> None:
            callback(None if channel is None else utils.get_peer_id(types.PeerChannel(channel)))

        self._client.missed = missed

    def on_chats_changed(self, callback: Callable[[int | None], None]) -> None:
        """Call `callback` when something about the account's chats may have changed: it was let into one. With a marked
        id: this basic group is a supergroup from now on."""

        async def handle(update: Any) -> None:
            message = getattr(update, "message", None)
            if message is None or isinstance(message, types.MessageService):
                callback(upgraded_by(message))

        kinds = [types.UpdateChannel, types.UpdateChat, types.UpdateNewMessage, types.UpdateNewChannelMessage]
        self._client.add_event_handler(handle, events.Raw(types=kinds))

    def _incoming(self, message: Any, entities: dict[int, Any]) -> IncomingMessage | None:
        return incoming(message, entities, self._self_id, self._session)

    @within(REQUEST_TIMEOUT)
    async def send(self, target: Target, text: str, *, random_id: int, reply_to: int | None = None) -> SentMessage:
        """Say `text`, plain. A repeat with the same `random_id` says nothing: it returns the first one's id
        or raises AlreadySent, as does an answer that names no message. After a TransientError it is not known
        whether it was said.
        """
        peer, user_id = await peers.input_peer(self._client, target)
        request = functions.messages.SendMessageRequest(
            peer,
            text,
            random_id=random_id,
            no_webpage=True,
            reply_to=types.InputReplyToMessage(reply_to) if reply_to else None,
        )
        try:
            answer = await call(self._client, request)
        except TelegramError as error:
            raise await explained(self._client, peer, error) from error
        said = sent(answer, random_id, user_id)
        if said is None:
            raise AlreadySent("SENT_WITHOUT_AN_ID")
        return said

    @within(REQUEST_TIMEOUT)
    async def person_id(self, target: PersonTarget) -> int:
        """Who that is. Raises PeerRefuses when there is no such person."""
        _, user_id = await peers.input_peer(self._client, target)
        assert user_id is not None
        return user_id

    @within(JOIN_LIMIT)
    async def join(self, reference: str, known_id: int | None = None) -> ResolvedChat:
        """Become a member; no error when the account is one. ChatRefuses(INVITE_REQUEST_SENT): an admin decides.
        ReferenceLeadsElsewhere: the reference leads to another chat than the one with the marked id `known_id`.
        """
        return await peers.join(self._client, reference, known_id)

    @within(JOIN_LIMIT)
    async def find_chat(self, reference: str, known_id: int | None = None) -> ResolvedChat:
        """What a reference leads to, without joining it. Raises ReferenceLeadsElsewhere as `join`."""
        return await peers.resolve(self._client, reference, known_id)

    @within(JOIN_LIMIT)
    async def check_reference(self, reference: str, known_id: int) -> ResolvedChat:
        """The chat with the marked id `known_id`, when the reference leads to it; nothing is joined. Raises
        ReferenceLeadsElsewhere as `join`, and ChatRefuses(NOT_INSIDE) when this account cannot see where it leads.
        """
        return await check_reference(self._client, reference, known_id)

    @within(REQUEST_TIMEOUT)
    async def leave(self, telegram_id: int) -> bool:
        """Leave a chat. False: Telegram does not let the account go, or does not answer."""
        return await peers.leave(self._client, telegram_id)

    @within(REQUEST_TIMEOUT)
    async def membership(self, reference: str, telegram_id: int) -> ResolvedChat | None:
        """The chat, if the account is in it; None: Telegram says that it is not. ChatRefuses(MEMBERSHIP_UNKNOWN) when
        it says neither.
        """
        return await membership(self._client, reference, telegram_id)

    @within(JOIN_LIMIT)
    async def supergroup_of(self, group_id: int) -> ResolvedChat | None:
        """What the basic group with this marked id has become, as far as this account is told."""
        return await supergroup_of(self._client, group_id)

    @within(PAGES_LIMIT)
    async def dialogs(self) -> list[Dialog]:
        """All chats of the account: those it is a member of, and people it has talked with."""
        return await list_dialogs(self._client)

    @within(REQUEST_TIMEOUT)
    async def history(self, peer_id: int, *, after_id: int, limit: int = 100) -> list[IncomingMessage]:
        """At most `limit` messages with ids above `after_id`, the oldest of them, ascending. Empty: no more."""
        peer = await self._peer(peer_id)
        try:
            raw = await self._page(peer, offset_id=after_id + 1, add_offset=-limit, limit=limit)
        except TelegramError as error:
            raise await explained(self._client, peer, error) from error
        people = {utils.get_peer_id(entity): entity for entity in [*raw.users, *raw.chats]}
        newer = sorted((message for message in raw.messages if message.id > after_id), key=lambda message: message.id)
        found = [self._incoming(message, people) for message in newer]
        return [message for message in found if message is not None]

    @within(REQUEST_TIMEOUT)
    async def top_message_id(self, peer_id: int) -> int:
        """The newest message's id in a chat; 0 when it is empty."""
        raw = await self._page(await self._peer(peer_id), offset_id=0, add_offset=0, limit=1)
        return max((message.id for message in raw.messages), default=0)

    @within(PAGES_LIMIT)
    async def find_own_message(
        self, target: Target, text: str, since: datetime, exclude: Collection[int] = ()
    ) -> int | None:
        """The id of the account's own newest message with this text since then, also one that it sent as a channel or
        as an anonymous admin; None if there is none.

        Raises HistoryTooLong when so much was said since then that it is not known.
        """
        peer, _ = await peers.input_peer(self._client, target)
        return await self._find(peer, lambda seen: seen.outgoing, text, since, exclude)

    @within(PAGES_LIMIT)
    async def find_message(
        self, peer_id: int, *, from_user_id: int, text: str, since: datetime, exclude: Collection[int] = ()
    ) -> int | None:
        """This account's id of somebody's newest message with this text since then, as `find_own_message`."""
        peer = await self._peer(peer_id)
        return await self._find(peer, lambda seen: seen.from_user_id == from_user_id, text, since, exclude)

    async def _find(
        self, peer: Any, theirs: Callable[[IncomingMessage], bool], text: str, since: datetime, exclude: Collection[int]
    ) -> int | None:
        searched = offset_id = 0
        while searched < SEARCH_DEPTH:
            raw = await self._page(peer, offset_id=offset_id, add_offset=0, limit=SEARCH_PAGE)
            page = sorted(raw.messages, key=lambda message: message.id, reverse=True)
            for message in page:
                # Deleted ones have no date.
                at = getattr(message, "date", None)
                if at is not None and at < since - CLOCK_MARGIN:
                    return None
                seen = self._incoming(message, {})
                if seen is None or seen.message_id in exclude:
                    continue
                if theirs(seen) and same_text(seen.text, text):
                    return seen.message_id
            if not page:
                return None
            searched, offset_id = searched + len(page), page[-1].id
        raise HistoryTooLong

    @within(REQUEST_TIMEOUT)
    async def look_at(self, peer_id: int | None, message_ids: Sequence[int]) -> list[MessageNow]:
        """How these messages are now (at most 100): those of a supergroup, or without `peer_id` the account's own."""
        wanted = [types.InputMessageID(message_id) for message_id in message_ids]
        request: Any = functions.messages.GetMessagesRequest(wanted)
        if peer_id is not None:
            request = functions.channels.GetMessagesRequest(await self._peer(peer_id), wanted)
        answer = await call(self._client, request)
        there = {change.message_id: change for change in self._messages_now(answer)}
        return [there.get(number) or MessageNow(peer_id, number, deleted=True) for number in message_ids]

    @within(REQUEST_TIMEOUT)
    async def newest(self, peer_id: int, *, limit: int) -> list[MessageNow]:
        """How the newest messages of a chat are now, at most `limit` (100)."""
        return self._messages_now(await self._page(await self._peer(peer_id), offset_id=0, add_offset=0, limit=limit))

    def _messages_now(self, answer: Any) -> list[MessageNow]:
        people = {utils.get_peer_id(entity): entity for entity in [*answer.users, *answer.chats]}
        messages = [message for message in answer.messages if isinstance(message, types.Message)]
        return [message_now(message, people, self._session) for message in messages]

    @within(REQUEST_TIMEOUT)
    async def meet(self, peer_id: int, *, message_id: int) -> None:
        """Learn how to address somebody who wrote this message in a direct chat. No request if that is known."""
        if peer_id > 0 and peers.known_peer(self._client, peer_id) is None:
            # Telethon keeps the people of every answer.
            await call(self._client, functions.messages.GetMessagesRequest([types.InputMessageID(message_id)]))

    async def _page(self, peer: Any, *, offset_id: int, add_offset: int, limit: int) -> Any:
        return await call(
            self._client,
            functions.messages.GetHistoryRequest(
                peer,
                offset_id=offset_id,
                offset_date=None,
                add_offset=add_offset,
                limit=limit,
                max_id=0,
                min_id=0,
                hash=0,
            ),
        )

    async def _peer(self, peer_id: int) -> Any:
        known = peers.known_peer(self._client, peer_id)
        return (
            known if known is not None else (await peers.input_peer(self._client, ChatTarget(telegram_id=peer_id)))[0]
        )

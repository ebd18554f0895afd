"""One Telegram account during one connection."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from telethon import events, utils
from telethon.tl import functions, types

from telegram import peers
from telegram.calls import REQUEST_TIMEOUT, call, close, guarded, within
from telegram.connection.config import new_client
from telegram.connection.session_store import StoredSession, UnreadableSession
from telegram.convert import incoming, message_now, new_message, now, sent
from telegram.dialogs import list_dialogs
from telegram.discussions import discussion_of
from telegram.error_mapping import map_error
from telegram.errors import AlreadySent, BotDead, PermanentError, TelegramError, TransientError
from telegram.histories import find_newest, messages_after, messages_before, newest_messages, people_in
from telegram.membership import membership
from telegram.references import check_reference
from telegram.topics import list_topics
from telegram.types import (
    ChatTarget,
    Credentials,
    Dialog,
    IncomingMessage,
    Me,
    MessageNow,
    OlderMessages,
    PersonTarget,
    ResolvedChat,
    SentMessage,
    Target,
)
from telegram.upgrades import supergroup_of, upgrade_or, upgraded_by
from telegram.usernames import username_in
from texts.telegram_form import same_text

# Seconds for TCP, the transport and the first answer.
CONNECT_LIMIT = 25
# Seconds for operations of several requests: joining a chat, reading several pages.
JOIN_LIMIT, PAGES_LIMIT = 60, 120

Save = Callable[[str], Awaitable[None]]
OnMessage = Callable[[IncomingMessage], None]
OnChange = Callable[[MessageNow], None]

log = logging.getLogger(__name__)


class TelegramAccount:
    """A connection of one account. It connects once; create a new object to connect again.

    Every method has a time limit for all its requests. Methods raise only TelegramErrors, and the errors of `save`,
    which `flush` awaits with the session's text if the session has changed. The object never repeats a request, waits
    for the end of a flood wait, or reconnects by itself.
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
        # Short updates contain no description of the author, so changes of usernames are recorded as they come.
        self._client.add_event_handler(self._renamed, events.Raw(types=[types.UpdateUserName]))
        self._save = save
        self._self_id = 0
        self._watch: asyncio.Task[None] | None = None
        # Done when the connection has ended, with the error; None after disconnect().
        self.closed: asyncio.Future[TelegramError | None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> None:
        """Connect, and check that the account is logged in. Raises BotDead(needs_login) if it is not."""
        try:
            await guarded(self._client.connect(), CONNECT_LIMIT)
            self._watch = asyncio.get_running_loop().create_task(self._until_closed())
            self._self_id = (await self.me()).user_id
        except BaseException:
            await self.disconnect()
            raise

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now: `connect` has opened the connection, and the connection has not ended."""
        return self._client.is_connected()

    async def disconnect(self) -> None:
        """Close the connection in any state. This does not save changes of the session; `flush` does."""
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
        """Pass the session's text to `save` if the session has changed."""
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
        """Request that the server drops this connection unless it gets another such request within `seconds`."""
        ping = functions.PingDelayDisconnectRequest(random.getrandbits(63), disconnect_delay=seconds)

        async def send() -> None:
            # Not by client(…), which would wrap the ping in invokeWithoutUpdates. Service messages must not be wrapped.
            await self._client._sender.send(ping)

        await guarded(send(), min(seconds, 15))

    def on_message(self, callback: OnMessage) -> None:
        """Call `callback` for each new message that this connection did not send, in the order of Telegram's updates.

        Call this method before `connect`.
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
        """Call `callback` for each message that is edited or deleted or gets a reaction, by any author."""

        async def handle(update: Any) -> None:
            for change in now(update, getattr(update, "_entities", None) or {}, self._self_id, self._session):
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
        """Call `callback` when Telegram does not send the updates that this connection has missed.

        The argument is the marked id of a supergroup, or None for private chats and basic groups. The call precedes the
        calls for later updates.
        """

        def missed(channel: int | None) -> None:
            callback(None if channel is None else utils.get_peer_id(types.PeerChannel(channel)))

        self._client.missed = missed

    def on_chats_changed(self, callback: Callable[[int | None], None]) -> None:
        """Call `callback` when the account's chats may have changed, for example after an admin approved the account.

        The argument is the marked id of a basic group that has just become a supergroup, otherwise None.
        """

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
        """Send `text` without formatting.

        Another call with the same `random_id` sends nothing: it returns the first message's id or raises AlreadySent.
        AlreadySent is also raised if Telegram's answer contains no message id. After a TransientError it is not known
        whether the message was sent.
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
            raise await upgrade_or(self._client, peer, error) from error
        message = sent(answer, random_id, user_id)
        if message is None:
            raise AlreadySent("SENT_WITHOUT_AN_ID")
        return message

    @within(REQUEST_TIMEOUT)
    async def person_id(self, target: PersonTarget) -> int:
        """The person's Telegram id. Raises PeerRefuses if there is no such person."""
        _, user_id = await peers.input_peer(self._client, target)
        assert user_id is not None
        return user_id

    @within(JOIN_LIMIT)
    async def join(self, reference: str, known_id: int | None = None) -> ResolvedChat:
        """Join the chat, or return it if the account is a member already.

        Raises ChatRefuses(INVITE_REQUEST_SENT) if an admin has to approve the account, and ReferenceLeadsElsewhere if
        the reference does not lead to the chat with the marked id `known_id`.
        """
        return await peers.join(self._client, reference, known_id)

    @within(JOIN_LIMIT)
    async def find_chat(self, reference: str, known_id: int | None = None) -> ResolvedChat:
        """The chat that a reference leads to, without joining it. Raises ReferenceLeadsElsewhere as `join` does."""
        return await peers.resolve(self._client, reference, known_id)

    @within(JOIN_LIMIT)
    async def check_reference(self, reference: str, known_id: int) -> ResolvedChat:
        """The chat with the marked id `known_id`, if the reference leads to it. Joins nothing.

        Raises ReferenceLeadsElsewhere as `join` does, and ChatRefuses(NOT_INSIDE) if this account cannot see to which
        chat the reference leads.
        """
        return await check_reference(self._client, reference, known_id)

    @within(REQUEST_TIMEOUT)
    async def leave(self, telegram_id: int) -> bool:
        """Leave a chat. False if Telegram refuses or does not answer."""
        return await peers.leave(self._client, telegram_id)

    @within(REQUEST_TIMEOUT)
    async def membership(self, reference: str, telegram_id: int) -> ResolvedChat | None:
        """The chat if the account is in it, None if it is not.

        Raises ChatRefuses(MEMBERSHIP_UNKNOWN) if Telegram's answer does not show which is true.
        """
        return await membership(self._client, reference, telegram_id)

    @within(JOIN_LIMIT)
    async def supergroup_of(self, group_id: int) -> ResolvedChat | None:
        """The supergroup that this basic group (a marked id) was upgraded to, if Telegram shows it to this account."""
        return await supergroup_of(self._client, group_id)

    @within(PAGES_LIMIT)
    async def dialogs(self) -> list[Dialog]:
        """All chats of the account: those that it is a member of, and its private chats."""
        return await list_dialogs(self._client)

    @within(REQUEST_TIMEOUT)
    async def history(self, peer_id: int, *, after_id: int, limit: int = 100) -> list[IncomingMessage]:
        """The first `limit` messages with ids above `after_id`, in ascending order. Empty if there are none."""
        peer = await self._peer(peer_id)
        try:
            messages, answer = await messages_after(self._client, peer, after_id, limit)
        except TelegramError as error:
            raise await upgrade_or(self._client, peer, error) from error
        people = people_in(answer)
        found = [self._incoming(message, people) for message in messages]
        return [message for message in found if message is not None]

    @within(REQUEST_TIMEOUT)
    async def discussion(self, peer_id: int) -> ResolvedChat | None:
        """The discussion group of this channel; None for a channel without one, and for groups."""
        return await discussion_of(self._client, await self._peer(peer_id))

    @within(PAGES_LIMIT)
    async def topics(self, peer_id: int) -> dict[int, str]:
        """The titles of a forum's topics by id; those with the newest messages if there are very many."""
        return await list_topics(self._client, await self._peer(peer_id))

    @within(REQUEST_TIMEOUT)
    async def history_before(self, peer_id: int, *, before_id: int, limit: int = 100) -> OlderMessages:
        """The last `limit` messages with ids below `before_id` (0: the newest ones)."""
        messages, answer = await messages_before(self._client, await self._peer(peer_id), before_id, limit)
        people = people_in(answer)
        found = [self._incoming(message, people) for message in messages]
        # Deleted messages have no date.
        dates = [message.date for message in messages if getattr(message, "date", None) is not None]
        return OlderMessages(
            messages=[message for message in found if message is not None],
            lowest_id=min((message.id for message in messages), default=0),
            oldest=min(dates, default=None),
        )

    @within(REQUEST_TIMEOUT)
    async def top_message_id(self, peer_id: int) -> int:
        """The id of the newest message in a chat; 0 if the chat is empty."""
        answer = await newest_messages(self._client, await self._peer(peer_id), 1)
        return max((message.id for message in answer.messages), default=0)

    @within(PAGES_LIMIT)
    async def find_own_message(
        self, target: Target, text: str, since: datetime, exclude: Collection[int] = ()
    ) -> int | None:
        """The id of the account's newest message with this text since then; None if there is none.

        Messages that the account sent as a channel or as an anonymous admin count too. Raises HistoryTooLong if the
        chat has too many newer messages to search all of them.
        """
        peer, _ = await peers.input_peer(self._client, target)
        return await self._find(peer, lambda seen: seen.outgoing, text, since, exclude)

    @within(PAGES_LIMIT)
    async def find_message(
        self, peer_id: int, *, from_user_id: int, text: str, since: datetime, exclude: Collection[int] = ()
    ) -> int | None:
        """This account's id of the user's newest message with this text since then; see `find_own_message`."""
        peer = await self._peer(peer_id)
        return await self._find(peer, lambda seen: seen.from_user_id == from_user_id, text, since, exclude)

    async def _find(
        self, peer: Any, wanted: Callable[[IncomingMessage], bool], text: str, since: datetime, exclude: Collection[int]
    ) -> int | None:
        def same(seen: IncomingMessage) -> bool:
            return wanted(seen) and same_text(seen.text, text)

        read = partial(self._incoming, entities={})
        return await find_newest(self._client, peer, read, same, since=since, exclude=exclude)

    @within(REQUEST_TIMEOUT)
    async def messages_now(self, peer_id: int | None, message_ids: Sequence[int]) -> list[MessageNow]:
        """The present state of these messages (at most 100).

        `peer_id` is the supergroup that they are in; None for messages that the account numbers itself.
        """
        wanted = [types.InputMessageID(message_id) for message_id in message_ids]
        request: Any = functions.messages.GetMessagesRequest(wanted)
        if peer_id is not None:
            request = functions.channels.GetMessagesRequest(await self._peer(peer_id), wanted)
        answer = await call(self._client, request)
        there = {change.message_id: change for change in self._messages_now(answer)}
        return [there.get(number) or MessageNow(peer_id, number, deleted=True) for number in message_ids]

    @within(REQUEST_TIMEOUT)
    async def newest(self, peer_id: int, *, limit: int) -> list[MessageNow]:
        """The present state of the newest messages of a chat, at most `limit` (up to 100)."""
        return self._messages_now(await newest_messages(self._client, await self._peer(peer_id), limit))

    def _messages_now(self, answer: Any) -> list[MessageNow]:
        people = people_in(answer)
        messages = [message for message in answer.messages if isinstance(message, types.Message)]
        return [message_now(message, people, self._self_id, self._session) for message in messages]

    @within(REQUEST_TIMEOUT)
    async def learn_author(self, peer_id: int, *, message_id: int) -> None:
        """Make the author of this direct message known to the session, so that it can be addressed.

        Sends no request if the author is known already.
        """
        if peer_id > 0 and peers.known_peer(self._client, peer_id) is None:
            # Telethon stores the users in every answer.
            await call(self._client, functions.messages.GetMessagesRequest([types.InputMessageID(message_id)]))

    async def _peer(self, peer_id: int) -> Any:
        known = peers.known_peer(self._client, peer_id)
        return (
            known if known is not None else (await peers.input_peer(self._client, ChatTarget(telegram_id=peer_id)))[0]
        )

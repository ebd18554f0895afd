"""Resolves references, ids and people to the input peers of one account."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from telethon import TelegramClient, utils
from telethon.tl import functions, types

from telegram.calls import call
from telegram.convert import resolved_chat, updates_of
from telegram.errors import (
    ChatRefuses,
    ChatUpgraded,
    PeerRefuses,
    PermanentError,
    ReferenceLeadsElsewhere,
    TelegramError,
)
from telegram.histories import SEARCH_PAGE, newest_messages
from telegram.types import Author, ChatTarget, PersonTarget, ResolvedChat, Target, is_group
from telegram.upgrades import follow, supergroup_of

# The reason for a basic group: one of its members has to add the account.
MUST_BE_ADDED = "MUST_BE_ADDED"
# Telegram's errors for an account that leaves a chat that it is not in.
_OUTSIDE = ("USER_NOT_PARTICIPANT", "CHANNEL_PRIVATE")


async def input_peer(client: TelegramClient, target: Target) -> tuple[Any, int | None]:
    """The peer to write to and, for a person, their id. Raises ChatRefuses or PeerRefuses if there is no such peer."""
    if isinstance(target, ChatTarget):
        return await _chat_peer(client, target), None
    return await _person_peer(client, target)


async def _chat_peer(client: TelegramClient, target: ChatTarget) -> Any:
    if target.telegram_id is not None:
        known = known_peer(client, target.telegram_id)
        if known is not None:
            return known
    if not target.reference:
        raise ChatRefuses("CHAT_UNKNOWN")
    found = await resolve(client, target.reference, target.telegram_id)
    if found.upgraded_from is not None and found.telegram_id != target.telegram_id:
        raise ChatUpgraded(found.telegram_id, found.upgraded_from)
    peer = known_peer(client, found.telegram_id)
    if peer is None:
        raise ChatRefuses("CHAT_UNKNOWN")
    return peer


def known_peer(client: TelegramClient, peer_id: int) -> Any | None:
    """The input peer of a marked id; None if this account does not know it."""
    real_id, kind = utils.resolve_id(peer_id)
    if kind is types.PeerChat:
        return types.InputPeerChat(real_id)
    try:
        return client.session.get_input_entity(peer_id)
    except ValueError:
        return None


async def _person_peer(client: TelegramClient, target: PersonTarget) -> tuple[Any, int]:
    if target.user_id is not None:
        _refuse_no_person(client.session.author_of(target.user_id))
        known = known_peer(client, target.user_id) or await _peer_in_shared_chat(client, target)
        if known is not None:
            return known, target.user_id
    if not target.username:
        raise PeerRefuses("PERSON_UNKNOWN")
    answer = await call(client, functions.contacts.ResolveUsernameRequest(target.username.removeprefix("@")))
    if not isinstance(answer.peer, types.PeerUser):
        raise PeerRefuses("USERNAME_NOT_A_PERSON")
    user_id = answer.peer.user_id
    if target.user_id is not None and user_id != target.user_id:
        raise PeerRefuses("USERNAME_CHANGED_HANDS")
    _refuse_no_person(client.session.author_of(user_id))
    peer = known_peer(client, user_id)
    if peer is None:
        raise PeerRefuses("PERSON_UNKNOWN")
    return peer, user_id


def _refuse_no_person(known: Author | None) -> None:
    """Raise PeerRefuses for bots, deleted accounts and service accounts: they may have usernames like people."""
    if known is not None and known.kind in ("bot", "deleted", "service"):
        raise PeerRefuses("NOT_A_PERSON")


async def _peer_in_shared_chat(client: TelegramClient, target: PersonTarget) -> Any | None:
    """The peer of a person in the chat `via_chat_id` that the account shares with them; None if this is impossible."""
    if target.via_chat_id is None or target.user_id is None:
        return None
    chat = known_peer(client, target.via_chat_id)
    try:
        if isinstance(chat, types.InputPeerChannel) and target.via_message_id is not None:
            return await _peer_by_message(client, chat, target.via_message_id, target.user_id)
        if isinstance(chat, types.InputPeerChat):
            return await _peer_in_group(client, chat, target.user_id)
    except (PermanentError, ChatRefuses, PeerRefuses):
        pass
    return None


async def _peer_by_message(client: TelegramClient, chat: Any, message_id: int, user_id: int) -> Any | None:
    """The peer of a person by a message that they wrote in a supergroup, where all accounts see the same id."""
    users = await call(client, functions.users.GetUsersRequest([types.InputUserFromMessage(chat, message_id, user_id)]))
    if not any(isinstance(user, types.User) for user in users):
        return None
    return known_peer(client, user_id) or types.InputPeerUserFromMessage(chat, message_id, user_id)


async def _peer_in_group(client: TelegramClient, chat: Any, user_id: int) -> Any | None:
    """The peer of a member of a basic group, or of a person who has left it and whose message is among the newest.

    Each account has its own message ids there, so the message is found by its author.
    """
    with suppress(PermanentError, ChatRefuses, PeerRefuses):
        # Telethon stores the members in the answer. There is no such answer for a group that was upgraded.
        await call(client, functions.messages.GetFullChatRequest(chat.chat_id))
    if (member := known_peer(client, user_id)) is not None:
        return member
    newest = (await newest_messages(client, chat, SEARCH_PAGE)).messages
    wrote = (message.id for message in newest if getattr(message, "from_id", None) == types.PeerUser(user_id))
    message_id = next(wrote, None)
    return None if message_id is None else types.InputPeerUserFromMessage(chat, message_id, user_id)


async def resolve(client: TelegramClient, reference: str, known_id: int | None = None) -> ResolvedChat:
    """The chat that a reference leads to.

    A reference is @name, t.me/name, an invite link of a chat that the account is in, or a marked id.

    `known_id` is the marked id of the expected chat. Raises ReferenceLeadsElsewhere if the reference leads to a chat
    that is neither this chat nor the supergroup to which this chat was upgraded.
    """
    return await expected(client, await _resolve(client, reference), known_id)


async def expected(client: TelegramClient, found: ResolvedChat, known_id: int | None) -> ResolvedChat:
    """Return `found` if it is the chat with the marked id `known_id`; raises ReferenceLeadsElsewhere as `resolve`."""
    if known_id in (None, found.telegram_id, found.upgraded_from):
        return found
    if known_id is not None and is_group(known_id):
        now = await supergroup_of(client, known_id)
        if now is not None and now.telegram_id == found.telegram_id:
            return replace(now, title=found.title, joined=found.joined)
    raise ReferenceLeadsElsewhere(found.telegram_id, found.title)


async def _resolve(client: TelegramClient, reference: str) -> ResolvedChat:
    name, invite = parse_reference(reference)
    if not name:
        raise ChatRefuses("REFERENCE_NOT_UNDERSTOOD")
    if name.lstrip("-").isdigit():
        return await _by_id(client, int(name))
    if invite:
        answer = await call(client, functions.messages.CheckChatInviteRequest(name))
        chat = getattr(answer, "chat", None)
        if not isinstance(answer, types.ChatInviteAlready):
            raise ChatRefuses("NOT_A_MEMBER")
        client.session.process_entities([chat])
        return await group(client, chat)
    answer = await call(client, functions.contacts.ResolveUsernameRequest(name))
    return await group(client, next(iter(answer.chats), None))


async def join(client: TelegramClient, reference: str, known_id: int | None = None) -> ResolvedChat:
    """Join the chat that the reference leads to and return it; also if the account is in it already.

    `known_id` is the marked id of the expected chat, as in `resolve`. The chat behind an invite link is known only
    after joining; if it is not the expected chat, the account leaves it again.
    """
    name, invite = parse_reference(reference)
    if invite:
        found = await _join_by_invite(client, name)
        try:
            return await expected(client, found, known_id)
        except ReferenceLeadsElsewhere as error:
            error.joined = "before"
            if found.joined:
                error.joined = "left" if await leave(client, found.telegram_id) else "stays"
            raise
    found = await resolve(client, reference, known_id)
    peer = known_peer(client, found.telegram_id)
    if isinstance(peer, types.InputPeerChannel):
        request = functions.channels.JoinChannelRequest(types.InputChannel(peer.channel_id, peer.access_hash))
        await _joining(client, request)
        return replace(found, left=False, joined=found.left)
    return found


async def leave(client: TelegramClient, telegram_id: int) -> bool:
    """Leave the chat with this marked id. False if Telegram refuses or does not answer."""
    peer = known_peer(client, telegram_id)
    try:
        if isinstance(peer, types.InputPeerChannel):
            channel = types.InputChannel(peer.channel_id, peer.access_hash)
            await call(client, functions.channels.LeaveChannelRequest(channel))
        elif isinstance(peer, types.InputPeerChat):
            await call(client, functions.messages.DeleteChatUserRequest(peer.chat_id, types.InputUserSelf()))
        else:
            return False
    except TelegramError as error:
        return error.reason in _OUTSIDE
    return True


async def _join_by_invite(client: TelegramClient, invite: str) -> ResolvedChat:
    try:
        return await _resolve(client, f"https://t.me/+{invite}")
    except ChatRefuses as error:
        if error.reason != "NOT_A_MEMBER":
            raise
    updates = await _joining(client, functions.messages.ImportChatInviteRequest(invite))
    if updates is None:
        return await _resolve(client, f"https://t.me/+{invite}")
    client.session.process_entities(updates)
    return replace(await group(client, next(iter(updates.chats), None)), joined=True)


async def _joining(client: TelegramClient, request: Any) -> Any | None:
    """The updates of a join request; None if the account was a member already."""
    try:
        return updates_of(await call(client, request))
    except TelegramError as error:
        if error.reason == "USER_ALREADY_PARTICIPANT":
            return None
        raise


async def _by_id(client: TelegramClient, telegram_id: int) -> ResolvedChat:
    peer = known_peer(client, telegram_id)
    if isinstance(peer, types.InputPeerChannel):
        channel = types.InputChannel(peer.channel_id, peer.access_hash)
        answer = await call(client, functions.channels.GetChannelsRequest([channel]))
    elif isinstance(peer, types.InputPeerChat):
        return await _basic_group(client, peer)
    else:
        raise ChatRefuses("NOT_A_MEMBER")
    return await group(client, next(iter(answer.chats), None))


async def _basic_group(client: TelegramClient, peer: Any) -> ResolvedChat:
    """A basic group that the account is in. An account cannot join a basic group by its id."""
    try:
        answer = await call(client, functions.messages.GetChatsRequest([peer.chat_id]))
    except (ChatRefuses, PermanentError) as error:
        raise ChatRefuses(MUST_BE_ADDED) from error
    chat = next(iter(answer.chats), None)
    if not isinstance(chat, types.Chat) or (chat.left and chat.migrated_to is None):
        raise ChatRefuses(MUST_BE_ADDED)
    return await group(client, chat)


async def group(client: TelegramClient, chat: Any) -> ResolvedChat:
    """The group or supergroup in an answer. Raises ChatRefuses(NOT_A_GROUP) for anything else."""
    found = await follow(client, chat) or resolved_chat(chat)
    if found is None:
        raise ChatRefuses("NOT_A_GROUP")
    return found


def parse_reference(reference: str) -> tuple[str, bool]:
    """Split a reference: a username, the digits of an id or the hash of an invite; and whether it is an invite."""
    text = reference.strip()
    if text.lstrip("-").isdigit():
        return text, False
    if text.startswith("+"):
        return text[1:], True
    name, invite = utils.parse_username(text)
    return name or "", bool(invite)

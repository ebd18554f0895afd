"""Converts Telethon's objects to the adapter's own types."""

from collections.abc import Mapping
from typing import Any

from telethon import utils
from telethon.tl import types

from telegram.authors import KnownUsers, author_id, author_in
from telegram.types import IncomingMessage, MessageNow, ResolvedChat, SentMessage, is_supergroup
from telegram.usernames import username_in


def incoming(message: Any, entities: Mapping[int, Any], self_id: int, known: KnownUsers) -> IncomingMessage | None:
    """The message as one account sees it; None for a deleted message or an unknown object.

    A service message (for example "a member joined") has `service` set and no text. It only uses up an id.
    """
    if not isinstance(message, types.Message | types.MessageService):
        return None
    service = isinstance(message, types.MessageService)
    peer_id = utils.get_peer_id(message.peer_id)
    private = isinstance(message.peer_id, types.PeerUser)
    user_id = author_id(message, self_id)
    author = entities.get(user_id) if user_id is not None else None
    return IncomingMessage(
        peer_id=peer_id,
        message_id=message.id,
        from_user_id=user_id,
        from_username=_username(user_id, entities, known),
        from_name=utils.get_display_name(author) if author is not None else "",
        text="" if service else message.message or "",
        sent_at=message.date,
        outgoing=bool(message.out),
        reply_to_message_id=_replied(getattr(message, "reply_to", None)),
        private=private,
        service=service,
        edited_at=getattr(message, "edit_date", None),
        author=author_in(message, user_id, self_id, entities, known),
        via_bot_id=getattr(message, "via_bot_id", None),
        forwarded=getattr(message, "fwd_from", None) is not None,
        grouped_id=getattr(message, "grouped_id", None),
        topic_id=_topic(getattr(message, "reply_to", None)),
        thread_id=_thread(getattr(message, "reply_to", None)),
        is_post=_is_post(getattr(message, "fwd_from", None)),
    )


def _username(user_id: int | None, entities: Mapping[int, Any], known: KnownUsers) -> str:
    """The user's username. The last known username counts only if no description of the user came with the message."""
    if user_id is None:
        return ""
    described = entities.get(user_id)
    return username_in(described) if described is not None else known.username_of(user_id)


def _replied(header: Any) -> int | None:
    """The id of the message that this message replies to.

    In a topic of a forum every message has a reply header. A header with only the topic's root message is not a reply
    (https://core.telegram.org/api/forum).
    """
    if not isinstance(header, types.MessageReplyHeader) or (header.forum_topic and header.reply_to_top_id is None):
        return None
    return header.reply_to_msg_id


def _topic(header: Any) -> int | None:
    """The id of the forum's topic that a message is in, from the message's reply header."""
    if not isinstance(header, types.MessageReplyHeader) or not header.forum_topic:
        return None
    return header.reply_to_top_id or header.reply_to_msg_id


def _thread(header: Any) -> int | None:
    if not isinstance(header, types.MessageReplyHeader) or header.forum_topic:
        return None
    return header.reply_to_top_id or header.reply_to_msg_id


def _is_post(forward: Any) -> bool:
    """Whether Telegram itself has forwarded this channel's post to the discussion group."""
    return getattr(forward, "channel_post", None) is not None and getattr(forward, "saved_from_peer", None) is not None


def new_message(update: Any, self_id: int) -> Any:
    """The new message in an update. A short update contains the parts of a plain text message of a known user."""
    if isinstance(update, types.UpdateShortMessage):
        author = self_id if update.out else update.user_id
        return _of_parts(update, types.PeerUser(update.user_id), types.PeerUser(author))
    if isinstance(update, types.UpdateShortChatMessage):
        return _of_parts(update, types.PeerChat(update.chat_id), types.PeerUser(update.from_id))
    return update.message


def _of_parts(update: Any, peer: Any, author: Any) -> types.Message:
    return types.Message(
        id=update.id,
        peer_id=peer,
        from_id=author,
        date=update.date,
        message=update.message,
        out=update.out,
        fwd_from=update.fwd_from,
        via_bot_id=update.via_bot_id,
        reply_to=update.reply_to,
    )


def now(update: Any, entities: Mapping[int, Any], self_id: int, known: KnownUsers) -> list[MessageNow]:
    """The present state of the older messages that an update is about."""
    if isinstance(update, types.UpdateEditMessage | types.UpdateEditChannelMessage):
        message = update.message
        return [message_now(message, entities, self_id, known)] if isinstance(message, types.Message) else []
    if isinstance(update, types.UpdateMessageReactions):
        peer = numbered_in(update.peer)
        return [MessageNow(peer, update.msg_id, reactions=reactions_text(update.reactions))]
    if isinstance(update, types.UpdateDeleteChannelMessages):
        peer = numbered_in(types.PeerChannel(update.channel_id))
        return [MessageNow(peer, number, deleted=True) for number in update.messages]
    if isinstance(update, types.UpdateDeleteMessages):
        return [MessageNow(None, number, deleted=True) for number in update.messages]
    return []


def message_now(message: Any, entities: Mapping[int, Any], self_id: int, known: KnownUsers) -> MessageNow:
    direct = isinstance(message.peer_id, types.PeerUser)
    writer = int(message.peer_id.user_id) if direct and not message.out else None
    # With `edit_hide` the reactions changed, for example, and not the content.
    content = message.edit_date is not None and not message.edit_hide and not direct
    return MessageNow(
        numbered_in(message.peer_id),
        message.id,
        text=message.message or "",
        edited_at=message.edit_date,
        reactions=reactions_text(message.reactions),
        from_user_id=writer,
        from_username=_username(writer, entities, known),
        message=incoming(message, entities, self_id, known) if content else None,
    )


def numbered_in(peer: Any) -> int | None:
    """The marked id of a supergroup, which numbers its messages itself; None for chats that the account numbers."""
    marked = utils.get_peer_id(peer)
    return marked if is_supergroup(marked) else None


def reactions_text(reactions: Any) -> str:
    """Reactions with their counts, the most frequent first."""
    counted = [(found.count, _reaction(found.reaction)) for found in getattr(reactions, "results", None) or []]
    return " ".join(f"{emoji} {count}" for count, emoji in sorted(counted, key=lambda pair: (-pair[0], pair[1])))


def _reaction(reaction: Any) -> str:
    if isinstance(reaction, types.ReactionEmoji):
        return reaction.emoticon
    return "⭐" if isinstance(reaction, types.ReactionPaid) else "▫"


def sent(result: Any, random_id: int, user_id: int | None) -> SentMessage | None:
    """The message that Telegram's answer to a SendMessageRequest with `random_id` reports; None if it reports none."""
    if isinstance(result, types.UpdateShortSentMessage):
        return SentMessage(result.id, result.date, user_id)
    updates = getattr(result, "updates", None) or [getattr(result, "update", None)]
    message_id = next(
        (
            update.id
            for update in updates
            if isinstance(update, types.UpdateMessageID) and update.random_id == random_id
        ),
        None,
    )
    if message_id is None:
        return None
    for update in updates:
        message = getattr(update, "message", None)
        if message is not None and getattr(message, "id", None) == message_id:
            return SentMessage(message_id, message.date, user_id)
    return SentMessage(message_id, result.date, user_id)


def resolved_chat(chat: Any) -> ResolvedChat | None:
    """A group or supergroup that the account may read; None for anything else."""
    if isinstance(chat, types.Channel):
        channel = bool(chat.broadcast)
        return ResolvedChat(utils.get_peer_id(chat), "supergroup", chat.title, left=bool(chat.left), channel=channel)
    if isinstance(chat, types.Chat):
        return ResolvedChat(utils.get_peer_id(chat), "group", chat.title)
    return None


def updates_of(result: Any) -> Any:
    """The updates in an answer to a join request. Newer layers of the API wrap them."""
    return getattr(result, "updates", None) if isinstance(result, types.messages.ChatInviteJoinResultOk) else result

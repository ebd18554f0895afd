"""Converts Telethon's objects to the adapter's own types."""

from collections.abc import Mapping
from typing import Any

from telethon import utils
from telethon.tl import types

from telegram.authors import Met, author_id, author_in
from telegram.types import IncomingMessage, MessageNow, ResolvedChat, SentMessage, is_supergroup
from telegram.usernames import username_in


def incoming(message: Any, entities: Mapping[int, Any], self_id: int, met: Met) -> IncomingMessage | None:
    """The message as one account sees it; None for what is no message (deleted, unknown).

    A service message (somebody joined) has `service` set and no text: it only takes up an id.
    """
    if not isinstance(message, types.Message | types.MessageService):
        return None
    service = isinstance(message, types.MessageService)
    peer_id = utils.get_peer_id(message.peer_id)
    private = isinstance(message.peer_id, types.PeerUser)
    user_id = author_id(message, self_id)
    known = entities.get(user_id) if user_id is not None else None
    return IncomingMessage(
        peer_id=peer_id,
        message_id=message.id,
        from_user_id=user_id,
        from_username=_username(user_id, entities, met),
        from_name=utils.get_display_name(known) if known is not None else "",
        text="" if service else message.message or "",
        said_at=message.date,
        outgoing=bool(message.out),
        reply_to_message_id=_replied(getattr(message, "reply_to", None)),
        private=private,
        service=service,
        edited_at=getattr(message, "edit_date", None),
        author=author_in(message, user_id, self_id, entities, met),
        via_bot_id=getattr(message, "via_bot_id", None),
        forwarded=getattr(message, "fwd_from", None) is not None,
        grouped_id=getattr(message, "grouped_id", None),
    )


def _username(user_id: int | None, entities: Mapping[int, Any], met: Met) -> str:
    """A name that somebody has given up is not theirs any more: what was known before counts only without a
    description."""
    if user_id is None:
        return ""
    known = entities.get(user_id)
    return username_in(known) if known is not None else met.username_of(user_id)


def _replied(header: Any) -> int | None:
    """The message that it answers. In a forum's topic a header that names nothing but the root answers nobody: every
    message of the topic has it (https://core.telegram.org/api/forum)."""
    if not isinstance(header, types.MessageReplyHeader) or (header.forum_topic and header.reply_to_top_id is None):
        return None
    return header.reply_to_msg_id


def new_message(update: Any, self_id: int) -> Any:
    """The message that an update brings. A plain text of somebody whom the account has met comes in parts."""
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


def now(update: Any, entities: Mapping[int, Any], met: Met) -> list[MessageNow]:
    """What an update says of messages that were there before it."""
    if isinstance(update, types.UpdateEditMessage | types.UpdateEditChannelMessage):
        message = update.message
        return [message_now(message, entities, met)] if isinstance(message, types.Message) else []
    if isinstance(update, types.UpdateMessageReactions):
        peer = numbered_in(update.peer)
        return [MessageNow(peer, update.msg_id, reactions=reactions_text(update.reactions))]
    if isinstance(update, types.UpdateDeleteChannelMessages):
        peer = numbered_in(types.PeerChannel(update.channel_id))
        return [MessageNow(peer, number, deleted=True) for number in update.messages]
    if isinstance(update, types.UpdateDeleteMessages):
        return [MessageNow(None, number, deleted=True) for number in update.messages]
    return []


def message_now(message: Any, entities: Mapping[int, Any], met: Met) -> MessageNow:
    private = isinstance(message.peer_id, types.PeerUser) and not message.out
    writer = int(message.peer_id.user_id) if private else None
    return MessageNow(
        numbered_in(message.peer_id),
        message.id,
        text=message.message or "",
        edited_at=message.edit_date,
        reactions=reactions_text(message.reactions),
        from_user_id=writer,
        from_username=_username(writer, entities, met),
    )


def numbered_in(peer: Any) -> int | None:
    """The marked id of a supergroup, which numbers its messages itself; None for what the account numbers."""
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
    """What Telegram answered to a SendMessageRequest with `random_id`; None when it names no message."""
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
    """A group or supergroup that the account may look into; None for anything else."""
    if isinstance(chat, types.Channel):
        return ResolvedChat(utils.get_peer_id(chat), "supergroup", chat.title, left=bool(chat.left))
    if isinstance(chat, types.Chat):
        return ResolvedChat(utils.get_peer_id(chat), "group", chat.title)
    return None


def updates_of(result: Any) -> Any:
    """The updates within an answer to a join: newer layers wrap them."""
    return getattr(result, "updates", None) if isinstance(result, types.messages.ChatInviteJoinResultOk) else result

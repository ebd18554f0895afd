"""Sends messages to chats and people, with the checks that Telegram makes."""

from dataclasses import replace

from sandbox.world.actions import discussions
from sandbox.world.actions.posting import post_to_box, post_to_chat
from sandbox.world.entities import Chat, LedgerEntry, Speaker
from sandbox.world.errors import WorldError
from sandbox.world.marks import PLAIN, Marks
from sandbox.world.texts import as_stored, check_text
from sandbox.world.world import World


def send(
    world: World,
    *,
    user_id: int,
    peer: int,
    text: str,
    reply_to: int | None = None,
    random_id: int | None = None,
    by: Speaker = "person",
    marks: Marks = PLAIN,
) -> LedgerEntry:
    """Send a text once. It is stored in the form in which Telegram stores texts.

    `peer` is a marked chat id or a user id; `reply_to` is the sender's own id of a message. If `marks` has no
    `send_as`, the sender writes as the peer that `world.send_as` has for the chat.

    A repeat of (user_id, random_id) returns the original entry and counts in its `repeats`. Raises WorldError with
    Telegram's error name if the sender may not write there.
    """
    if random_id is not None and (original := world.count_repeat(user_id, random_id)):
        return original
    sender = world.registry.user(user_id)
    text = as_stored(text)
    if not marks.photo or text:
        check_text(text)
    replied = _replied(world, sender.id, peer, reply_to)
    entry = LedgerEntry(len(world.ledger) + 1, world.clock(), sender.id, peer, text, replied, random_id, by)
    entry.topic = _topic(world, peer, reply_to)
    default = world.send_as.get((sender.id, peer)) if marks.send_as is None else None
    entry.marks = marks if default is None else replace(marks, send_as=default)
    if peer < 0:
        _send_to_chat(world, entry)
    else:
        _send_to_person(world, entry)
    return entry


def check_may_write(world: World, user_id: int, chat: Chat) -> None:
    """Raises WorldError if the user may not write in the chat."""
    if chat.migrated_to is not None:
        raise WorldError("PEER_ID_INVALID", f"{chat.id} is {chat.migrated_to} now")
    if chat.is_broadcast and user_id != chat.owner:
        raise WorldError("CHAT_ADMIN_REQUIRED")
    if user_id in chat.members:
        return
    hidden = chat.is_channel and not chat.is_public
    raise WorldError("CHANNEL_PRIVATE" if hidden else "CHAT_WRITE_FORBIDDEN")


def _send_to_chat(world: World, entry: LedgerEntry) -> None:
    chat = world.registry.chat(entry.peer)
    check_may_write(world, entry.from_user, chat)
    world.record(entry)
    post_to_chat(world, entry.from_user, chat, entry=entry)
    world.announce(entry)
    if chat.is_broadcast:
        discussions.post_forward(world, chat, entry)


def _send_to_person(world: World, entry: LedgerEntry) -> None:
    sender, recipient = world.registry.user(entry.from_user), world.registry.user(entry.peer)
    if recipient.id in sender.blocked:
        raise WorldError("YOU_BLOCKED_USER")
    if sender.id in recipient.blocked:
        raise WorldError("USER_IS_BLOCKED")
    world.record(entry)
    world.meet(sender.id, recipient.id)
    world.meet(recipient.id, sender.id)
    post_to_box(world, sender.id, sender.id, recipient.id, entry)
    if recipient.id != sender.id:
        post_to_box(world, recipient.id, sender.id, sender.id, entry)
    world.announce(entry)


def _replied(world: World, sender: int, peer: int, reply_to: int | None) -> int | None:
    """The ledger entry behind the sender's own message id."""
    if reply_to is None or (peer not in world.users and peer not in world.chats):
        return None
    message = world.box_of(sender, peer).messages.get(reply_to)
    if message is None or message.peer != peer:
        raise WorldError("REPLY_MESSAGE_ID_INVALID", f"{sender} sees no message {reply_to} in {peer}")
    return message.seq


def _topic(world: World, peer: int, reply_to: int | None) -> int | None:
    """The root of the forum's topic, or the channel's post, in whose thread a reply to this message is."""
    chat = world.chats.get(peer)
    if chat is not None and chat.linked is not None and not chat.is_broadcast and reply_to is not None:
        return discussions.thread_of(world, chat, reply_to)
    if chat is None or not chat.forum or reply_to is None:
        return None
    return reply_to if reply_to in chat.topics else world.boxes[peer].messages[reply_to].topic

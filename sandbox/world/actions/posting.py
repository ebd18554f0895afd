"""Puts messages into the boxes of the accounts and supergroups that receive them, and numbers them there."""

from sandbox.world.boxes import Action, Message
from sandbox.world.entities import Chat, LedgerEntry
from sandbox.world.marks import PLAIN
from sandbox.world.notices import BoxChanged
from sandbox.world.world import World


def post_action(world: World, from_user: int, chat: Chat, action: Action) -> None:
    """Post a service message in the chat."""
    post_to_chat(world, from_user, chat, action=action)
    world.revision += 1


def post_to_chat(
    world: World, from_user: int, chat: Chat, *, entry: LedgerEntry | None = None, action: Action | None = None
) -> None:
    if chat.is_channel:
        post_to_box(world, chat.id, from_user, chat.id, entry, action)
        return
    # The author first: a member who is notified of the message may ask at once for the author's number of it.
    for member in [from_user, *(user for user in chat.members if user != from_user)]:
        post_to_box(world, member, from_user, chat.id, entry, action)


def post_to_box(
    world: World,
    box_id: int,
    from_user: int,
    peer: int,
    entry: LedgerEntry | None,
    action: Action | None = None,
) -> None:
    """Append the message to the box, record its number in the entry, and notify the watchers."""
    box = world.boxes[box_id]
    message_id = box.next_id()
    reply_to = None
    if entry:
        if box_id < 0:
            entry.channel_message_id = message_id
        else:
            entry.message_ids[box_id] = message_id
        replied = world.entry(entry.reply_to) if entry.reply_to else None
        reply_to = replied.id_for(box_id) if replied else None
    at, text, seq = (entry.at, entry.text, entry.seq) if entry else (world.clock(), "", None)
    topic, marks = (entry.topic, entry.marks) if entry else (None, PLAIN)
    message = Message(message_id, at, from_user, peer, text, reply_to, seq, action, topic=topic, marks=marks)
    world.notify(BoxChanged(box_id, box.append(message)))

"""Channels with a discussion group (https://core.telegram.org/api/discussion).

Telegram forwards each post of the channel to the group. The comments on a post are the thread of replies to this
message in the group.
"""

from sandbox.world.actions import posting
from sandbox.world.entities import Chat, LedgerEntry
from sandbox.world.errors import WorldError
from sandbox.world.marks import Forward, Marks
from sandbox.world.notices import MembershipChanged
from sandbox.world.world import World


def discussion_set(world: World, channel_id: int, group_id: int) -> None:
    """Make the supergroup the channel's discussion group. Raises WorldError for chats of other kinds."""
    channel, group = world.registry.chat(channel_id), world.registry.chat(group_id)
    if not channel.is_broadcast:
        raise WorldError("BROADCAST_ID_INVALID", f"{channel_id} is not a channel")
    if not group.is_channel or group.is_broadcast:
        raise WorldError("MEGAGROUP_ID_INVALID", f"{group_id} is not a supergroup")
    channel.linked, group.linked = group.id, channel.id
    world.revision += 1
    for chat in (channel, group):
        for member in chat.members:
            world.notify(MembershipChanged(member, chat.id))


def post_forward(world: World, channel: Chat, entry: LedgerEntry) -> None:
    """Forward a post of the channel to its discussion group, as Telegram does."""
    if channel.linked is None:
        return
    origin = Forward(entry.at, channel.id, post=entry.channel_message_id)
    marks = Marks(send_as=channel.id, forward=origin, photo=entry.marks.photo)
    seq, group = len(world.ledger) + 1, world.registry.chat(channel.linked)
    copy = LedgerEntry(seq, world.clock(), entry.from_user, group.id, entry.text, None, None, entry.by, marks=marks)
    world.record(copy)
    posting.post_to_chat(world, entry.from_user, group, entry=copy)
    world.announce(copy)


def thread_of(world: World, group: Chat, message_id: int) -> int | None:
    """The post on which a reply to this message comments; None if it is no comment."""
    message = world.boxes[group.id].messages[message_id]
    if message.topic is not None:
        return message.topic
    forward = message.marks.forward
    return message_id if forward is not None and forward.post is not None else None

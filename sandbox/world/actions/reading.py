"""Which messages a user has read, and that a user types."""

from sandbox.world.boxes import Box
from sandbox.world.notices import InboxRead, OutboxRead, Typing
from sandbox.world.world import World


def read(world: World, *, user_id: int, peer: int, max_id: int) -> int:
    """Mark messages up to `max_id` (0: all) as read by the user. Returns the new read position."""
    box = world.box_of(user_id, peer)
    ids = box.history(peer)
    last = ids[-1] if ids else 0
    position = min(max_id, last) if max_id else last
    key = user_id if box is not world.boxes[user_id] else peer
    if position <= box.read_inbox.get(key, 0):
        return box.read_inbox.get(key, 0)
    box.read_inbox[key] = position
    world.revision += 1
    world.notify(InboxRead(user_id, peer, position))
    if peer > 0 and peer != user_id:
        _read_outbox(world, author=peer, reader=user_id, box=box, position=position)
    return position


def read_position(world: World, user_id: int, peer: int) -> int:
    box = world.box_of(user_id, peer)
    return box.read_inbox.get(user_id if box is not world.boxes[user_id] else peer, 0)


def _read_outbox(world: World, *, author: int, reader: int, box: Box, position: int) -> None:
    """Mark the author's messages as read that the reader has in `box` up to `position`."""
    newest = max(
        (
            entry.message_ids.get(author, 0)
            for i in box.history(author)
            if i <= position and (entry := world.entry(box.messages[i].seq or 0))
        ),
        default=0,
    )
    if newest > world.boxes[author].read_outbox.get(reader, 0):
        world.boxes[author].read_outbox[reader] = newest
        world.notify(OutboxRead(author, reader, newest))


def show_typing(world: World, *, user_id: int, peer: int) -> None:
    world.notify(Typing(user_id, peer))

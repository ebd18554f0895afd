"""Changes of sent messages: edits, deletions and reactions. The ledger keeps the text that was sent first."""

from sandbox.world.entities import LedgerEntry
from sandbox.world.errors import WorldError
from sandbox.world.notices import BoxChanged, Reacted
from sandbox.world.texts import as_stored, check_text
from sandbox.world.world import World


def entry_of(world: World, user_id: int, peer: int, message_id: int) -> LedgerEntry:
    """The entry of a message, given this account's number of it.

    Raises WorldError if the message is gone, or is a service message.
    """
    message = world.box_of(user_id, peer).messages.get(message_id)
    entry = world.entry(message.seq or 0) if message is not None and message.peer == peer else None
    if entry is None:
        raise WorldError("MESSAGE_ID_INVALID", f"{user_id} sees no message {message_id} in {peer}")
    return entry


def edit(world: World, *, user_id: int, seq: int, text: str) -> LedgerEntry:
    """Change the text of a message for everyone. `user_id` must be its author."""
    entry = _existing(world, seq)
    text = as_stored(text)
    check_text(text)
    if entry.from_user != user_id:
        raise WorldError("MESSAGE_AUTHOR_REQUIRED")
    if text == (entry.edits or [entry.text])[-1]:
        raise WorldError("MESSAGE_NOT_MODIFIED")
    entry.edits.append(text)
    world.revision += 1
    for box_id, message_id in entry.places():
        if event := world.boxes[box_id].edit(message_id, text=text, at=world.clock()):
            world.notify(BoxChanged(box_id, event))
    return entry


def delete_for_all(world: World, *, seq: int) -> LedgerEntry:
    """Delete a message for everyone; the ledger keeps its entry."""
    entry = _existing(world, seq)
    entry.deleted = True
    world.revision += 1
    for box_id, message_id in entry.places():
        if event := world.boxes[box_id].delete([message_id]):
            world.notify(BoxChanged(box_id, event))
    return entry


def delete(world: World, *, user_id: int, peer: int | None, message_ids: list[int]) -> tuple[int, int]:
    """Delete messages from the account's box, or from the supergroup `peer`. Returns the box's pts and the count."""
    box_id = peer if peer is not None else user_id
    box = world.boxes[box_id]
    for message_id in message_ids if box_id < 0 else ():
        if (message := box.messages.get(message_id)) and (entry := world.entry(message.seq or 0)):
            entry.deleted = True
    event = box.delete(message_ids)
    if event is None:
        return box.pts, 0
    world.revision += 1
    world.notify(BoxChanged(box_id, event))
    return event.pts, event.pts_count


def react(world: World, *, user_id: int, seq: int, emoji: str | None) -> LedgerEntry:
    """Set the user's only reaction to a message; None removes it."""
    entry = _existing(world, seq)
    if entry.id_for(user_id) is None or (entry.peer < 0 and user_id not in world.registry.chat(entry.peer).members):
        raise WorldError("MESSAGE_ID_INVALID", f"{user_id} sees no entry {seq}")
    if emoji:
        entry.reactions[user_id] = emoji
    else:
        entry.reactions.pop(user_id, None)
    world.revision += 1
    for box_id, message_id in entry.places():
        if message_id in world.boxes[box_id].messages:
            world.notify(Reacted(box_id, message_id))
    return entry


def _existing(world: World, seq: int) -> LedgerEntry:
    entry = world.entry(seq)
    if entry is None or entry.deleted:
        raise WorldError("MESSAGE_ID_INVALID", f"there is no entry {seq}")
    return entry

"""What becomes of what was said: edits, deletions for everybody, reactions. The ledger keeps what was said first."""

from sandbox.world.entities import LedgerEntry
from sandbox.world.errors import WorldError
from sandbox.world.notices import BoxChanged, Reacted
from sandbox.world.texts import as_stored
from sandbox.world.world import World, check_text


def said_as(world: World, user_id: int, peer: int, message_id: int) -> LedgerEntry:
    """The entry behind a message as this account numbers it. Raises WorldError when it is gone or nobody's words."""
    message = world.box_of(user_id, peer).messages.get(message_id)
    entry = world.entry(message.seq or 0) if message is not None and message.peer == peer else None
    if entry is None:
        raise WorldError("MESSAGE_ID_INVALID", f"{user_id} sees no message {message_id} in {peer}")
    return entry


def edit(world: World, *, user_id: int, seq: int, text: str) -> LedgerEntry:
    """The author gives what they said another text, for everybody who can see it."""
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


def unsay(world: World, *, seq: int) -> LedgerEntry:
    """Deletes it for everybody; the ledger keeps it."""
    entry = _existing(world, seq)
    entry.deleted = True
    world.revision += 1
    for box_id, message_id in entry.places():
        if event := world.boxes[box_id].delete([message_id]):
            world.notify(BoxChanged(box_id, event))
    return entry


def react(world: World, *, user_id: int, seq: int, emoji: str | None) -> LedgerEntry:
    """A user's one reaction to it; None takes it back."""
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

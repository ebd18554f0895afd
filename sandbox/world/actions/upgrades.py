"""The upgrade of a basic group to a supergroup, a new chat with a new id and the same members.

The old chat stays in the members' lists of chats and can be read, but accepts no more messages
(https://core.telegram.org/api/channel#migration).
"""

from sandbox.world.actions import posting
from sandbox.world.entities import Chat
from sandbox.world.errors import WorldError
from sandbox.world.notices import MembershipChanged
from sandbox.world.world import World


def upgrade(world: World, chat_id: int, *, by: int | None = None) -> Chat:
    """Upgrade the group and return the supergroup. `by` must be its owner, or without an owner its first member.

    Raises WorldError if the chat is not a basic group, was already upgraded, or belongs to another user.
    """
    old = world.registry.chat(chat_id)
    if old.is_channel or old.migrated_to is not None:
        raise WorldError("CHAT_ID_INVALID", f"{chat_id} is not a basic group that can be upgraded")
    creator = old.owner or next(iter(old.members))
    if by not in (None, creator):
        raise WorldError("CHAT_ADMIN_REQUIRED")
    new = world.add_chat(kind="supergroup", title=old.title, owner=old.owner, approval=old.approval)
    new.members = dict(old.members)
    # The old group's link must lead to the supergroup.
    world.registry.exchange_invites(old, new)
    old.migrated_to, new.migrated_from = new.id, old.id
    for member in new.members:
        world.notify(MembershipChanged(member, new.id))
    posting.post_action(world, creator, old, "migrate_to")
    posting.post_action(world, creator, new, "migrate_from")
    return new

"""A basic group becomes a supergroup: a new chat with a new id, for the same people, beside the old one.

The old chat stays in everybody's list and can be read, but takes no messages any more
(https://core.telegram.org/api/channel#migration).
"""

from sandbox.world.actions import posting
from sandbox.world.entities import Chat
from sandbox.world.errors import WorldError
from sandbox.world.notices import MembershipChanged
from sandbox.world.world import World


def upgrade(world: World, chat_id: int, *, by: int | None = None) -> Chat:
    """Gives the supergroup. `by` is the creator; without it whoever owns the chat, or else is in it first.

    Raises WorldError when it is no basic group, was upgraded before, or is not theirs.
    """
    old = world.registry.chat(chat_id)
    if old.is_channel or old.migrated_to is not None:
        raise WorldError("CHAT_ID_INVALID", f"{chat_id} is no basic group that can be upgraded")
    creator = old.owner or next(iter(old.members))
    if by not in (None, creator):
        raise WorldError("CHAT_ADMIN_REQUIRED")
    new = world.add_chat(kind="supergroup", title=old.title, owner=old.owner, approval=old.approval)
    new.members = dict(old.members)
    # Whoever has the link comes to where the people are now.
    world.registry.exchange_invites(old, new)
    old.migrated_to, new.migrated_from = new.id, old.id
    for member in new.members:
        world.notify(MembershipChanged(member, new.id))
    posting.post_action(world, creator, old, "migrate_to")
    posting.post_action(world, creator, new, "migrate_from")
    return new

"""Who is in a chat, and who has blocked whom."""

from sandbox.world.actions.posting import post_action
from sandbox.world.boxes import Action
from sandbox.world.errors import WorldError
from sandbox.world.notices import MembershipChanged
from sandbox.world.world import World


def join(world: World, user_id: int, chat_id: int, *, announce: Action | None = None) -> None:
    """Make the user a member; nothing happens if they are one. `announce` posts a service message."""
    chat, user = world.registry.chat(chat_id), world.registry.user(user_id)
    if user.id in chat.members:
        return
    chat.members[user.id] = world.clock()
    world.revision += 1
    world.notify(MembershipChanged(user.id, chat.id))
    if announce:
        post_action(world, user.id, chat, announce)


def request_to_join(world: World, user_id: int, chat_id: int) -> None:
    world.join_requests.add((user_id, chat_id))
    world.revision += 1


def approve(world: World, user_id: int, chat_id: int) -> None:
    """Admit a user who has requested to join. Raises WorldError if there is no such request."""
    if (user_id, chat_id) not in world.join_requests:
        raise WorldError("HIDE_REQUESTER_MISSING")
    world.join_requests.discard((user_id, chat_id))
    join(world, user_id, chat_id, announce="joined_by_link")


def leave(world: World, user_id: int, chat_id: int) -> None:
    chat = world.registry.chat(chat_id)
    if chat.members.pop(user_id, None) is not None:
        world.revision += 1
        world.notify(MembershipChanged(user_id, chat.id))


def block(world: World, user_id: int, other_id: int) -> None:
    """`user_id` blocks `other_id`."""
    world.registry.user(other_id)
    world.registry.user(user_id).blocked.add(other_id)
    world.revision += 1


def unblock(world: World, user_id: int, other_id: int) -> None:
    world.registry.user(user_id).blocked.discard(other_id)
    world.revision += 1

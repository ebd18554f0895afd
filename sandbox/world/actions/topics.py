"""Forums: supergroups whose messages belong to topics. A topic is the thread of replies to the service message that
began it (https://core.telegram.org/api/forum). Each message in a topic replies to this root or to another message of
the topic. A message that replies to no message is in the topic General, which has no root here.
"""

from sandbox.world.actions import posting, sending
from sandbox.world.entities import Chat
from sandbox.world.errors import WorldError
from sandbox.world.notices import MembershipChanged
from sandbox.world.world import World


def forum_set(world: World, chat_id: int, *, forum: bool) -> None:
    """Make a supergroup a forum, or end this. Raises WorldError for a chat of another kind."""
    chat = world.registry.chat(chat_id)
    if not chat.is_channel:
        raise WorldError("CHANNEL_INVALID", f"{chat_id} is not a supergroup")
    chat.forum = forum
    world.revision += 1
    for member in chat.members:
        world.notify(MembershipChanged(member, chat.id))


def topic_begin(world: World, *, user_id: int, chat_id: int, title: str) -> int:
    """Begin a topic as a member of the forum. Returns the id of the topic's root."""
    chat = world.registry.chat(chat_id)
    _check_forum(chat)
    sending.check_may_write(world, user_id, chat)
    if not title.strip():
        raise WorldError("TOPIC_TITLE_EMPTY")
    root = world.boxes[chat.id].last_id + 1
    chat.topics[root] = title
    posting.post_action(world, user_id, chat, "topic")
    return root


def _check_forum(chat: Chat) -> None:
    if not chat.forum:
        raise WorldError("CHANNEL_FORUM_MISSING", f"{chat.id} is not a forum")

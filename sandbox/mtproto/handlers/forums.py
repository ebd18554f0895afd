"""Forums and their topics."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.updates.views import TOPIC_COLOUR, View
from sandbox.world.actions import topics
from sandbox.world.entities import Chat


@handles(functions.channels.ToggleForumRequest)
def toggle_forum(call: RpcCall, request: Any) -> Any:
    chat = peers.channel(call, request.channel)
    if chat.owner != call.user_id:
        raise RpcFailure("CHAT_ADMIN_REQUIRED")
    topics.forum_set(call.world, chat.id, forum=request.enabled)
    view = View(call.world, call.user_id)
    view.mention(chat.id)
    return view.updates([types.UpdateChannel(chat.bare_id)])


@handles(functions.messages.CreateForumTopicRequest)
def create_topic(call: RpcCall, request: Any) -> Any:
    chat = _forum(call, request)
    root = topics.topic_begin(call.world, user_id=call.user_id, chat_id=chat.id, title=request.title)
    view = View(call.world, call.user_id)
    event = call.world.boxes[chat.id].event_of(root)
    assert event is not None
    return view.updates([types.UpdateMessageID(root, request.random_id), view.event(chat.id, event)])


@handles(functions.messages.GetForumTopicsRequest)
def get_topics(call: RpcCall, request: Any) -> Any:
    """All topics in one answer, the newest first."""
    chat = _forum(call, request)
    box, view = call.world.boxes[chat.id], View(call.world, call.user_id)
    roots = [root for root in sorted(chat.topics, reverse=True) if root in box.messages]
    listed = [_topic(chat, view, root, box.messages.values()) for root in roots]
    shown = [view.message(box.messages[topic.top_message]) for topic in listed]
    view.mention(chat.id)
    return types.messages.ForumTopics(len(listed), listed, shown, view.chats, view.users, box.pts)


def _topic(chat: Chat, view: View, root: int, messages: Any) -> Any:
    by_id = {message.id: message for message in messages}
    return types.ForumTopic(
        id=root,
        date=int(by_id[root].at),
        peer=view.peer(chat.id),
        title=chat.topics[root],
        icon_color=TOPIC_COLOUR,
        top_message=max((message.id for message in messages if message.topic == root), default=root),
        read_inbox_max_id=0,
        read_outbox_max_id=0,
        unread_count=0,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        from_id=view.peer(by_id[root].from_user),
        notify_settings=types.PeerNotifySettings(),
    )


def _forum(call: RpcCall, request: Any) -> Chat:
    chat = peers.readable_channel(call, request.peer)
    if not chat.forum:
        raise RpcFailure("CHANNEL_FORUM_MISSING")
    return chat

"""channels.* and messages.* about chats: joining, leaving, members, details."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.updates.views import View
from sandbox.world.actions import membership, posting, reading
from sandbox.world.actions.upgrades import upgrade
from sandbox.world.boxes import Action
from sandbox.world.entities import Chat


def join(call: RpcCall, chat: Chat, action: Action) -> Any:
    """Join the chat. The answer contains the updates that the caller's other connections get."""
    if chat.approval and call.user_id not in chat.members:
        membership.request_to_join(call.world, call.user_id, chat.id)
        raise RpcFailure("INVITE_REQUEST_SENT")
    world, box_id = call.world, chat.id if chat.is_channel else call.user_id
    before = world.boxes[box_id].pts
    membership.join(world, call.user_id, chat.id, announce=action)
    view = View(world, call.user_id)
    view.mention(chat.id)
    listed = [types.UpdateChannel(chat.bare_id)] if chat.is_channel else []
    listed += [view.event(box_id, event) for event in world.boxes[box_id].since(before)]
    return types.messages.ChatInviteJoinResultOk(view.updates(listed))


@handles(functions.channels.JoinChannelRequest)
def join_channel(call: RpcCall, request: Any) -> Any:
    chat = peers.channel(call, request.channel)
    return join(call, peers.readable(call, chat), "joined")


@handles(functions.channels.LeaveChannelRequest)
def leave_channel(call: RpcCall, request: Any) -> Any:
    chat = peers.channel(call, request.channel)
    if call.user_id not in chat.members:
        raise RpcFailure("USER_NOT_PARTICIPANT")
    if call.user_id == chat.owner:
        raise RpcFailure("USER_CREATOR")
    membership.leave(call.world, call.user_id, chat.id)
    view = View(call.world, call.user_id)
    view.mention(chat.id)
    return view.updates([types.UpdateChannel(chat.bare_id)])


@handles(functions.messages.MigrateChatRequest)
def migrate_chat(call: RpcCall, request: Any) -> Any:
    """The owner upgrades the basic group to a supergroup."""
    old = peers.group(call, request.chat_id)
    before = call.world.boxes[call.user_id].pts
    new = upgrade(call.world, old.id, by=call.user_id)
    view = View(call.world, call.user_id)
    view.mention(old.id, new.id)
    listed = [types.UpdateChannel(new.bare_id)]
    for box_id, since in ((call.user_id, before), (new.id, 0)):
        listed += [view.event(box_id, event) for event in call.world.boxes[box_id].since(since)]
    return view.updates(listed)


@handles(functions.messages.DeleteChatUserRequest)
def leave_group(call: RpcCall, request: Any) -> Any:
    """Leave a group. Removing other users is not supported."""
    chat = peers.group(call, request.chat_id)
    if peers.user(call, request.user_id).id != call.user_id:
        raise RpcFailure("CHAT_ADMIN_REQUIRED")
    if call.user_id not in chat.members:
        raise RpcFailure("USER_NOT_PARTICIPANT")
    before = call.world.boxes[call.user_id].pts
    membership.leave(call.world, call.user_id, chat.id)
    posting.post_action(call.world, call.user_id, chat, "left")
    view = View(call.world, call.user_id)
    view.mention(chat.id)
    return view.updates([view.event(call.user_id, event) for event in call.world.boxes[call.user_id].since(before)])


@handles(functions.channels.GetChannelsRequest)
def get_channels(call: RpcCall, request: Any) -> Any:
    view = View(call.world, call.user_id)
    return types.messages.Chats([view.chat(peers.readable_channel(call, wanted)) for wanted in request.id])


@handles(functions.messages.GetChatsRequest)
def get_chats(call: RpcCall, request: Any) -> Any:
    return types.messages.Chats([_group(call, peers.group(call, wanted)) for wanted in request.id])


def _group(call: RpcCall, chat: Chat) -> Any:
    """A basic group as the server sends it to a member or a former member."""
    if call.user_id not in chat.members and call.world.boxes[call.user_id].history(chat.id):
        return types.ChatForbidden(chat.bare_id, chat.title)
    return View(call.world, call.user_id).chat(peers.readable(call, chat))


@handles(functions.channels.GetParticipantRequest)
def get_participant(call: RpcCall, request: Any) -> Any:
    chat = peers.readable_channel(call, request.channel)
    user = peers.peer_id(call, request.participant)
    if user not in chat.members:
        raise RpcFailure("USER_NOT_PARTICIPANT")
    view = View(call.world, call.user_id)
    view.mention(user)
    participant = _participant(call, chat, user)
    return types.channels.ChannelParticipant(participant, chats=[], users=view.users)


@handles(functions.channels.GetParticipantsRequest)
def get_participants(call: RpcCall, request: Any) -> Any:
    chat = peers.readable_channel(call, request.channel)
    words = getattr(request.filter, "q", "").casefold()
    members = [user for user in chat.members if words in call.world.users[user].first_name.casefold()]
    page = members[request.offset : request.offset + request.limit]
    view = View(call.world, call.user_id)
    view.mention(*page)
    listed = [_participant(call, chat, user) for user in page]
    return types.channels.ChannelParticipants(len(members), listed, chats=[], users=view.users)


@handles(functions.channels.GetFullChannelRequest)
def get_full_channel(call: RpcCall, request: Any) -> Any:
    chat = peers.readable_channel(call, request.channel)
    box = call.world.boxes[chat.id]
    view = View(call.world, call.user_id)
    view.mention(chat.id)
    full = types.ChannelFull(
        id=chat.bare_id,
        about="",
        read_inbox_max_id=reading.read_position(call.world, call.user_id, chat.id),
        read_outbox_max_id=box.last_id,
        unread_count=0,
        chat_photo=types.PhotoEmpty(0),
        notify_settings=types.PeerNotifySettings(),
        bot_info=[],
        pts=box.pts,
        participants_count=len(chat.members),
        can_view_participants=True,
        linked_chat_id=_linked(call, view, chat),
        **_migrated_from(call, view, chat),
    )
    return types.messages.ChatFull(full, chats=view.chats, users=[])


def _linked(call: RpcCall, view: View, chat: Chat) -> int | None:
    """The channel's discussion group, or the group's channel."""
    if chat.linked is None:
        return None
    view.mention(chat.linked)
    return call.world.chats[chat.linked].bare_id


def _migrated_from(call: RpcCall, view: View, chat: Chat) -> dict[str, Any]:
    """The basic group that became this supergroup, and the caller's number of the last message there."""
    if chat.migrated_from is None:
        return {}
    view.mention(chat.migrated_from)
    old = call.world.chats[chat.migrated_from]
    last = max(call.world.boxes[call.user_id].history(old.id), default=0)
    return {"migrated_from_chat_id": old.bare_id, "migrated_from_max_id": last}


@handles(functions.messages.GetFullChatRequest)
def get_full_chat(call: RpcCall, request: Any) -> Any:
    chat = peers.readable(call, peers.group(call, request.chat_id))
    view = View(call.world, call.user_id)
    view.mention(chat.id, *chat.members)
    members = [_group_participant(chat, user, joined_at) for user, joined_at in chat.members.items()]
    full = types.ChatFull(
        id=chat.bare_id,
        about="",
        participants=types.ChatParticipants(chat.bare_id, members, version=1),
        notify_settings=types.PeerNotifySettings(),
    )
    return types.messages.ChatFull(full, chats=view.chats, users=view.users)


def _participant(call: RpcCall, chat: Chat, user: int) -> Any:
    if user == chat.owner:
        return types.ChannelParticipantCreator(user, types.ChatAdminRights())
    at = int(chat.members[user])
    if user == call.user_id:
        return types.ChannelParticipantSelf(user, inviter_id=chat.owner or user, date=at)
    return types.ChannelParticipant(user, date=at)


def _group_participant(chat: Chat, user: int, joined_at: float) -> Any:
    if user == chat.owner:
        return types.ChatParticipantCreator(user)
    return types.ChatParticipant(user, inviter_id=chat.owner or user, date=int(joined_at))

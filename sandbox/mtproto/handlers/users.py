"""users.* and contacts.*: data about users, and blocking."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.updates.views import View
from sandbox.world.actions import membership
from sandbox.world.entities import User


@handles(functions.users.GetUsersRequest)
def get_users(call: RpcCall, request: Any) -> list[Any]:
    """The users. A user whom the caller may not address is empty."""
    return [_user_or_empty(call, wanted) for wanted in request.id]


def _user_or_empty(call: RpcCall, wanted: Any) -> Any:
    try:
        user = peers.user(call, wanted)
    except RpcFailure:
        return types.UserEmpty(getattr(wanted, "user_id", 0))
    # A client that identifies a user by their message gets the user's full hash.
    call.world.meet(call.user_id, user.id)
    return View(call.world, call.user_id).user(user)


@handles(functions.users.GetFullUserRequest)
def get_full_user(call: RpcCall, request: Any) -> Any:
    user = peers.user(call, request.id)
    call.world.meet(call.user_id, user.id)
    view = View(call.world, call.user_id)
    full = types.UserFull(
        id=user.id,
        settings=types.PeerSettings(),
        notify_settings=types.PeerNotifySettings(),
        common_chats_count=_common_chats(call, user),
        blocked=user.id in call.user.blocked,
    )
    return types.users.UserFull(full_user=full, chats=[], users=[view.user(user)])


@handles(functions.contacts.ResolveUsernameRequest)
def resolve_username(call: RpcCall, request: Any) -> Any:
    found = call.world.find_username(request.username)
    if found is None:
        raise RpcFailure("USERNAME_NOT_OCCUPIED")
    return _resolved(call, found.id)


@handles(functions.contacts.ResolvePhoneRequest)
def resolve_phone(call: RpcCall, request: Any) -> Any:
    found = call.world.find_phone(request.phone)
    if found is None:
        raise RpcFailure("PHONE_NOT_OCCUPIED")
    return _resolved(call, found.id)


@handles(functions.contacts.GetContactsRequest)
def get_contacts(_call: RpcCall, _request: Any) -> Any:
    return types.contacts.Contacts(contacts=[], saved_count=0, users=[])


@handles(functions.contacts.BlockRequest)
def block(call: RpcCall, request: Any) -> bool:
    membership.block(call.world, call.user_id, _person(call, request.id))
    return True


@handles(functions.contacts.UnblockRequest)
def unblock(call: RpcCall, request: Any) -> bool:
    membership.unblock(call.world, call.user_id, _person(call, request.id))
    return True


def _person(call: RpcCall, peer: Any) -> int:
    found = peers.peer_id(call, peer)
    if found < 0:
        raise RpcFailure("CONTACT_ID_INVALID")
    return found


def _resolved(call: RpcCall, found: int) -> Any:
    if found > 0:
        call.world.meet(call.user_id, found)
    view = View(call.world, call.user_id)
    return types.contacts.ResolvedPeer(view.peer(found), view.chats, view.users)


def _common_chats(call: RpcCall, user: User) -> int:
    return sum(1 for c in call.world.chats.values() if user.id in c.members and call.user_id in c.members)

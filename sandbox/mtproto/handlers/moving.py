"""auth.exportAuthorization and auth.importAuthorization, which move a login to another data centre."""

from secrets import token_bytes
from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto.handlers.account import DATA_CENTRES
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.updates.views import View


@handles(functions.auth.ExportAuthorizationRequest)
def export_authorization(call: RpcCall, request: Any) -> Any:
    if request.dc_id not in DATA_CENTRES:
        raise RpcFailure("DC_ID_INVALID")
    secret = token_bytes(32)
    call.server.exported_logins[secret] = call.user_id
    return types.auth.ExportedAuthorization(id=call.user_id, bytes=secret)


@handles(functions.auth.ImportAuthorizationRequest, login=False)
def import_authorization(call: RpcCall, request: Any) -> Any:
    """Log in with an exported login. It is valid once, for the account that exported it."""
    user_id = call.server.exported_logins.pop(request.bytes, None)
    if user_id is None or user_id != request.id or call.connection.key is None:
        raise RpcFailure("AUTH_BYTES_INVALID")
    call.server.auth_keys.bind(call.connection.key, user_id)
    return types.auth.Authorization(user=View(call.world, user_id).user(call.world.users[user_id]))

"""Answers service messages of the protocol: pings, salts, acknowledgements."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import wire
from sandbox.mtproto.server_state import Client

SALT_VALID_SECONDS = 365 * 24 * 3600
RECEIVED = 4  # the state of a message in msgs_state_info: received
TOLERATED = (types.MsgsAck, types.MsgResendReq, types.MsgsAllInfo, types.MsgsStateInfo, types.HttpWait)


def handle(connection: Client, message_id: int, message: Any) -> bool:
    """Answer the message if it is a service message. Returns whether it is."""
    if isinstance(message, functions.PingRequest | functions.PingDelayDisconnectRequest):
        if isinstance(message, functions.PingDelayDisconnectRequest):
            connection.drop_after(message.disconnect_delay)
        connection.send(types.Pong(message_id, message.ping_id))
    elif isinstance(message, functions.GetFutureSaltsRequest):
        _send_salts(connection, message_id)
    elif isinstance(message, functions.DestroySessionRequest):
        connection.send(types.DestroySessionNone(message.session_id))
    elif isinstance(message, functions.DestroyAuthKeyRequest):
        _destroy_key(connection)
    elif isinstance(message, functions.RpcDropAnswerRequest):
        answer = wire.rpc_result(message_id, bytes(types.RpcAnswerUnknown()))
        connection.send_bytes(answer, content=True, answer=True)
    elif isinstance(message, types.MsgsStateReq):
        connection.send(types.MsgsStateInfo(message_id, chr(RECEIVED) * len(message.msg_ids)))
    else:
        return isinstance(message, TOLERATED)
    return True


def _send_salts(connection: Client, message_id: int) -> None:
    now = int(connection.server.wall_clock())
    salt = types.FutureSalt(now, now + SALT_VALID_SECONDS, connection.key.salt if connection.key else 0)
    connection.send(types.FutureSalts(message_id, now, [salt]))


def _destroy_key(connection: Client) -> None:
    connection.send(types.DestroyAuthKeyOk())
    if connection.key:
        connection.server.auth_keys.forget(connection.key)

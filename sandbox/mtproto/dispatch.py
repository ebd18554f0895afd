"""Decodes a message, calls the request's handler and sends the answer. A handler's errors become RPC errors."""

import logging
import struct
from typing import Any

from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.tl import TLRequest, functions

from sandbox.mtproto import handlers as _handlers  # noqa: F401  (registers them)
from sandbox.mtproto import peers, service_messages, wire
from sandbox.mtproto.rpc import RpcCall, anonymous, handlers, method_name
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.server_state import Client, ServerState
from sandbox.world.errors import WorldError
from sandbox.world.faults import Fault

log = logging.getLogger(__name__)

WRAPPERS = (
    functions.InvokeWithLayerRequest,
    functions.InitConnectionRequest,
    functions.InvokeWithoutUpdatesRequest,
    functions.InvokeAfterMsgRequest,
    functions.InvokeAfterMsgsRequest,
)


class Dispatcher:
    """Answers messages one at a time."""

    def __init__(self, server: ServerState) -> None:
        self._server = server

    def receive(self, connection: Client, message_id: int, body: bytes) -> None:
        try:
            message = BinaryReader(body).tgread_object()
        except (TypeNotFoundError, BufferError, struct.error, RuntimeError, AttributeError) as error:
            log.warning("A request cannot be decoded: %s", error)
            self._answer(connection, message_id, RpcFailure("INPUT_REQUEST_INVALID", 400).as_tl())
            return
        if service_messages.handle(connection, message_id, message):
            return
        if not isinstance(message, TLRequest):
            log.info("Ignored %s", type(message).__name__)
            return
        self._request(connection, message_id, message)

    def _request(self, connection: Client, message_id: int, request: Any) -> None:
        request, silent = _unwrapped(request)
        call = RpcCall(self._server, connection, method_name(request))
        self._server.answering = connection
        try:
            result, lost = self._result(call, request)
        finally:
            self._server.answering = None
        if connection.user_id is not None and not silent:
            connection.wants_updates = True
        if lost is not None:
            log.info("%s: no answer to %s of user %s", lost.kind, call.method, connection.user_id)
            if lost.kind == "DROP_ANSWER":
                connection.drop()
            if lost.kind == "DELAY_ANSWER":
                self._server.faults.delay(lambda: self._answer_late(connection, message_id, result))
            return
        self._answer(connection, message_id, result)

    def _result(self, call: RpcCall, request: Any) -> tuple[Any, Fault | None]:
        """The answer, and the fault that loses it."""
        try:
            chat = peers.mentioned(call, request)
            user = _about(call, request)
            self._check_key(call)
            if fault := self._server.faults.take(method=call.method, user=user, chat=chat):
                self._fail(call, fault)
            result = self._handled(call, request)
            return result, self._server.faults.take(method=call.method, user=user, chat=chat, stage="after")
        except RpcFailure as failure:
            return failure.as_tl(), None
        except WorldError as error:
            return RpcFailure(error.name).as_tl(), None
        except Exception:
            log.exception("%s failed", call.method)
            return RpcFailure("INTERNAL", 500).as_tl(), None

    def _handled(self, call: RpcCall, request: Any) -> Any:
        handler = handlers.get(type(request))
        if handler is None:
            log.warning("Not supported: %s", call.method)
            raise RpcFailure("METHOD_NOT_SUPPORTED", 400)
        if type(request) not in anonymous:
            call.user_id  # noqa: B018  (raises AUTH_KEY_UNREGISTERED)
        return handler(call, request)

    def _check_key(self, call: RpcCall) -> None:
        key = call.connection.key
        if key and key.destroyed:
            raise RpcFailure(key.destroyed)

    def _fail(self, call: RpcCall, fault: Fault) -> None:
        if fault.kind == "AUTH_KEY_DUPLICATED" and call.connection.key:
            self._server.auth_keys.destroy(call.connection.key, fault.error_name)
        raise RpcFailure(fault.error_name, 500 if fault.kind == "INTERNAL" else None)

    def _answer_late(self, connection: Client, message_id: int, result: Any) -> None:
        if connection in self._server.connections:
            self._answer(connection, message_id, result)

    def _answer(self, connection: Client, message_id: int, result: Any) -> None:
        body = wire.rpc_result(message_id, wire.serialised(result))
        connection.send_bytes(body, content=True, answer=True)


def _about(call: RpcCall, request: Any) -> int | None:
    """The user who makes the request; during a login, the user with the phone number in the request."""
    if call.connection.user_id is not None:
        return call.connection.user_id
    if call.connection.key and call.connection.key.awaits_password:
        return call.connection.key.awaits_password
    named = call.world.find_phone(getattr(request, "phone_number", None) or "")
    return named.id if named else None


def _unwrapped(request: Any) -> tuple[Any, bool]:
    """The request without its wrappers, and whether they exclude updates on this connection."""
    silent = False
    while isinstance(request, WRAPPERS):
        silent = silent or isinstance(request, functions.InvokeWithoutUpdatesRequest)
        request = request.query
    return request, silent

"""The argument of request handlers, and the decorator that registers them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from telethon.tl import functions

from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.server_state import Client, ServerState
from sandbox.world.entities import User
from sandbox.world.world import World

Handler = Callable[["RpcCall", Any], Any]


@dataclass(frozen=True)
class RpcCall:
    """One request on one connection. `user` and `user_id` raise RpcFailure if the connection is not logged in."""

    server: ServerState
    connection: Client
    method: str

    @property
    def world(self) -> World:
        return self.server.world

    @property
    def user_id(self) -> int:
        user_id = self.connection.user_id
        if user_id is None or user_id not in self.world.users:
            if self.connection.key and self.connection.key.awaits_password:
                raise RpcFailure("SESSION_PASSWORD_NEEDED")
            raise RpcFailure("AUTH_KEY_UNREGISTERED")
        return user_id

    @property
    def user(self) -> User:
        return self.world.users[self.user_id]


handlers: dict[type[Any], Handler] = {}
# Request classes that a client may send before it has logged in.
anonymous: set[type[Any]] = set()


def handles(*requests: type[Any], login: bool = True) -> Callable[[Handler], Handler]:
    """Register a handler for these request classes. The handler returns the TL answer or raises RpcFailure."""

    def register(handler: Handler) -> Handler:
        for request in requests:
            handlers[request] = handler
            if not login:
                anonymous.add(request)
        return handler

    return register


def method_name(request: Any) -> str:
    """The TL name of a request: `messages.sendMessage` for a `SendMessageRequest` of `functions.messages`."""
    kind = type(request)
    name = kind.__name__.removesuffix("Request")
    name = name[:1].lower() + name[1:]
    room = kind.__module__.rpartition(".")[2]
    return name if kind.__module__ == functions.__name__ else f"{room}.{name}"

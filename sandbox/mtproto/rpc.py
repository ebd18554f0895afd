"""What a request handler is given and how it registers itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from telethon import errors
from telethon.tl import functions, types

from sandbox.world.entities import User
from sandbox.world.world import World

if TYPE_CHECKING:
    from sandbox.mtproto.connection import ClientConnection
    from sandbox.mtproto.server import MtprotoServer

Handler = Callable[["Call", Any], Any]


class RpcFailure(Exception):
    """The answer is an RPC error of this name; the code is Telegram's for that name."""

    def __init__(self, name: str, code: int | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.code = code if code is not None else code_of(name)

    def as_tl(self) -> Any:
        return types.RpcError(self.code, self.name)


@dataclass(frozen=True)
class Call:
    """One request of one connection."""

    server: "MtprotoServer"
    connection: "ClientConnection"
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
# Requests that need no login.
anonymous: set[type[Any]] = set()


def handles(*requests: type[Any], login: bool = True) -> Callable[[Handler], Handler]:
    """Registers a handler for these request classes; it returns the TL answer or raises RpcFailure."""

    def register(handler: Handler) -> Handler:
        for request in requests:
            handlers[request] = handler
            if not login:
                anonymous.add(request)
        return handler

    return register


def code_of(name: str) -> int:
    """The code with which Telegram sends this error (400 for one that Telethon does not know)."""
    known = errors.rpc_errors_dict.get(name)
    if known is None:
        known = next((cls for pattern, cls in errors.rpc_errors_re if re.match(pattern, name)), None)
    return int(getattr(known, "code", None) or 400)


def method_name(request: Any) -> str:
    """TL's name of a request: `SendMessageRequest` of `functions.messages` is `messages.sendMessage`."""
    kind = type(request)
    name = kind.__name__.removesuffix("Request")
    name = name[:1].lower() + name[1:]
    room = kind.__module__.rpartition(".")[2]
    return name if kind.__module__ == functions.__name__ else f"{room}.{name}"

"""A sandbox and unmodified Telethon clients, for the tests of the sandbox itself."""

import asyncio
from collections.abc import Callable
from typing import Any

from telethon import TelegramClient, events
from telethon.crypto import rsa
from telethon.sessions import StringSession
from telethon.tl import functions, types

from sandbox.server import Sandbox
from sandbox.world.entities import Chat, User

DEADLINE_SECONDS = 60


async def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Waits until the condition is truthy and gives its value."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
    while not (value := condition()):
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not come true"
        await asyncio.sleep(0.01)
    return value


class Town:
    """Anna, Boris and Vera, who share a basic group and a public supergroup, and the clients made for them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.clients: list[TelegramClient] = []
        # Telethon keeps the data centres' addresses for the whole process: those of the sandbox of another test.
        TelegramClient._config = None
        rsa.add_key(sandbox.public_key_pem_path.read_text(), old=False)
        add = self.world.add_user
        self.anna = add(first_name="Anna", phone="9996611111", username="anna")
        self.boris = add(first_name="Boris", phone="9996622222", username="boris")
        self.vera = add(first_name="Vera", phone="9996633333")
        everyone = [self.anna.id, self.boris.id, self.vera.id]
        self.group = self.world.add_chat(kind="group", title="Flat", members=everyone)
        self.square = self.world.add_chat(kind="supergroup", title="Square", username="the_square", members=everyone)

    def client(self, session: str | None = None, **options: Any) -> TelegramClient:
        """Not connected yet; a fresh session unless one is given."""
        stored = StringSession(session)
        stored.set_dc(2, self.sandbox.host, self.sandbox.mtproto_port)
        settings = {
            "request_retries": 1,
            "raise_last_call_error": True,
            "flood_sleep_threshold": 0,
            "retry_delay": 0.05,
            "sequential_updates": True,
        } | options
        client = TelegramClient(stored, 1, "hash", **settings)
        self.clients.append(client)
        return client

    async def login(self, user: User, **options: Any) -> TelegramClient:
        client = self.client(**options)
        await client.connect()
        await self.sign_in(client, user)
        return client

    async def sign_in(self, client: TelegramClient, user: User) -> None:
        assert user.phone
        await client.send_code_request(user.phone)
        await client.sign_in(user.phone, user.phone[5] * 5)

    async def close(self) -> None:
        for client in self.clients:
            await client.disconnect()


class Inbox:
    """The new messages that a client is told of, as (text, chat id, message id)."""

    def __init__(self, client: TelegramClient) -> None:
        self.events: list[Any] = []
        client.add_event_handler(self._received, events.NewMessage)

    async def _received(self, event: Any) -> None:
        self.events.append(event)

    @property
    def texts(self) -> list[str]:
        return [event.raw_text for event in self.events]

    async def wait_for(self, count: int) -> list[str]:
        await until(lambda: len(self.events) >= count, f"{count} messages (so far: {self.texts})")
        return self.texts


async def input_chat(client: TelegramClient, chat: Chat) -> Any:
    """The chat as the client addresses it, from its dialogs."""
    if not chat.is_channel:
        return types.InputPeerChat(chat.bare_id)
    dialogs = await client(functions.messages.GetDialogsRequest(None, 0, types.InputPeerEmpty(), 100, 0))
    found = next(c for c in dialogs.chats if isinstance(c, types.Channel) and c.id == chat.bare_id)
    return types.InputPeerChannel(found.id, found.access_hash)


async def send(
    client: TelegramClient, peer: Any, text: str, *, random_id: int | None = None, reply_to: int | None = None
) -> int:
    """Sends with a random_id of one's own and gives the message id from the answer."""
    request = functions.messages.SendMessageRequest(
        peer,
        text,
        random_id=random_id,
        reply_to=types.InputReplyToMessage(reply_to) if reply_to else None,
    )
    return sent_id(await client(request))


def sent_id(answer: Any) -> int:
    if isinstance(answer, types.UpdateShortSentMessage):
        return int(answer.id)
    return int(next(u.id for u in answer.updates if isinstance(u, types.UpdateMessageID)))

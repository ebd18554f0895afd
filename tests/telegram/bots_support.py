"""Bots of the product on a sandbox: a real database, a real runtime, Telethon over real sockets."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections, transaction

from bots import roles
from bots.logins.one_shot import bot_connect_with_code
from bots.models import Bot
from bots.roles import End
from bots.worker.executor import close_connections
from bots.worker.runtime import Runtime
from campaigns.models import Chat
from messaging.models import OutboxEvent
from sandbox.server import Sandbox, SandboxConfig
from sandbox.world.actions import sending
from telegram.types import IncomingMessage, MessageNow
from tests import private
from tests.support import wait_until
from tests.telegram.accounts import point_at

# Nobody loses such a lease because the machine was busy for some seconds. A test that waits for a lease's end has its
# own, or ends it.
LEASE_TTL_SECONDS = 60


def environment_of_processes() -> dict[str, str]:
    """For a process of the product: the test's database and sandbox."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "coolthing_site.settings",
        "DATABASE_URL": private.database_url(),
        "DATABASE_DIRECT_URL": private.database_url(),
        "TELEGRAM_SERVER": settings.TELEGRAM_SERVER,
        "TELEGRAM_SERVER_KEY": settings.TELEGRAM_SERVER_KEY,
    }


class Listener:
    """A role that reads everything, and keeps what was committed: a fake of the rooms above, at their own door."""

    def __init__(self, *, reads_chats: bool = True, reads_private: bool = False) -> None:
        self.reads_chats = reads_chats
        self.reads_private = reads_private
        self.bots: set[UUID] = set()
        self.places: dict[UUID, list[Chat]] = {}
        self.heard: list[tuple[UUID, IncomingMessage]] = []
        self.calls = 0
        # How often each bot has looked which chats it is to be in.
        self.looks: Counter[UUID] = Counter()
        self.fails_on: Callable[[IncomingMessage], bool] = lambda _: False

    def wanted(self, now: datetime) -> set[UUID]:
        return set(self.bots)

    def chats(self, bot_id: UUID) -> list[Chat]:
        self.looks[bot_id] += 1
        return list(Chat.objects.filter(pk__in=[chat.pk for chat in self.places.get(bot_id, [])]).order_by("key"))

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        for bot_id, message in [(bot_id, message) for bot_id, heard in messages.items() for message in heard]:
            self.calls += 1
            if self.fails_on(message):
                raise ValueError("this handler does not like it")
            transaction.on_commit(partial(self.heard.append, (bot_id, message)))

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        return list(changes)

    def received_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return []

    def people_unrecorded(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return []

    def chats_looked_after(self, *, bot_id: UUID, at_end: Collection[End]) -> Collection[End]:
        return ()

    def why_kept(self, bot_id: UUID) -> str:
        return ""

    def texts(self, bot: Bot) -> list[str]:
        return [message.text for bot_id, message in self.heard if bot_id == bot.pk]


class Company:
    """The sandbox's people and chats, the bots among them, and the processes that run them."""

    def __init__(self, sandbox: Sandbox, role: Listener) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.role = role
        self._runtimes: list[Runtime] = []
        self._threads: list[threading.Thread] = []
        self.pavel = self.make_user("Pavel")

    def make_user(self, name: str, **values: Any) -> Any:
        phone = f"999665{len(self.world.users):04d}"
        return self.sandbox.call(
            self.world.add_user, first_name=name, phone=phone, username=f"{name.lower()}_here", **values
        )

    def make_chat(self, name: str, *, kind: str = "supergroup", members: Iterable[Any] = ()) -> tuple[Any, Chat]:
        """A chat at Telegram with Pavel in it, and our row of it: only its reference is known yet."""
        there = self.sandbox.call(
            self.world.add_chat,
            kind=kind,
            title=name,
            username=f"chat_{name}" if kind == "supergroup" else None,
            invite_hash=f"Invite{name}" if kind == "group" else None,
            members=[self.pavel.id, *(member.id for member in members)],
        )
        reference = f"@chat_{name}" if kind == "supergroup" else f"https://t.me/+Invite{name}"
        return there, Chat.objects.create(key=name, reference=reference, label="Partly scripted")

    def make_bot(self, name: str, *chats: Chat, role: str = "parser") -> Bot:
        """An account at Telegram, logged in by code, that its role wants connected."""
        user = self.make_user(name)
        bot = Bot.objects.create(key=name, role=role, phone=user.phone)
        bot = bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: user.phone[5] * 5)
        self.role.bots.add(bot.pk)
        self.role.places[bot.pk] = list(chats)
        return bot

    def say(self, chat: Any, *texts: str) -> None:
        for text in texts:
            self.sandbox.call(
                sending.send, self.world, user_id=self.pavel.id, peer=getattr(chat, "id", chat), text=text
            )

    def start(self, name: str = "worker", capacity: int = 5) -> Runtime:
        """A worker process's runtime."""
        runtime = Runtime(role="parser", name=name, capacity=capacity)
        runtime.start()
        self._runtimes.append(runtime)
        return runtime

    def run(self, runtime: Runtime, *bots: Bot) -> list[threading.Thread]:
        """What the Celery task does, each in a thread."""

        def task(bot: Bot) -> None:
            try:
                runtime.run_bot(bot.pk)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=task, args=(bot,), name=f"run {bot.key}") for bot in bots]
        for thread in threads:
            thread.start()
        self._threads += threads
        return threads

    def online(self, *bots: Bot) -> None:
        for bot in bots:
            wait_until(partial(self.is_ready, bot), what=f"{bot.key} online: {self.state(bot)}")

    def is_ready(self, bot: Bot) -> bool:
        return any(
            (session := runtime.sessions.get(bot.pk)) is not None and session.ready for runtime in self._runtimes
        )

    def state(self, bot: Bot) -> tuple[str, str]:
        return Bot.objects.values_list("state", "state_reason").get(pk=bot.pk)

    def until_state(self, bot: Bot, state: str) -> Bot:
        wait_until(lambda: self.state(bot)[0] == state, what=f"{bot.key} {state}")
        return Bot.objects.get(pk=bot.pk)

    def until_heard(self, bot: Bot, count: int) -> list[str]:
        wait_until(lambda: len(self.role.texts(bot)) >= count, what=f"{count} messages, not {self.role.texts(bot)}")
        return self.role.texts(bot)

    def connections(self, bot: Bot) -> int:
        user_id = Bot.objects.values_list("telegram_user_id", flat=True).get(pk=bot.pk)
        return len(self.sandbox.call(self.sandbox.mtproto.connections_of, user_id))

    def look_again(self, bot: Bot) -> None:
        """Have the bot look twice, at once, which chats it is to be in: the second look has seen what is so now."""
        before = self.role.looks[bot.pk]

        def looked() -> bool:
            for runtime in self._runtimes:
                if (session := runtime.sessions.get(bot.pk)) is not None:
                    runtime.loop.call_soon_threadsafe(session.check_chats_now)
            return self.role.looks[bot.pk] >= before + 3

        wait_until(looked, what=f"{bot.key} looks at its chats")

    def close(self) -> None:
        for runtime in self._runtimes:
            runtime.close()
        for thread in self._threads:
            thread.join(60)
        close_connections()


class Registered:
    """The role's handler is `listener` while this lasts."""

    def __init__(self, role: str, listener: Listener) -> None:
        self.role, self.listener = role, listener

    def __enter__(self) -> Listener:
        self.before = roles.handler_of(self.role)
        roles.register(self.role, self.listener)
        return self.listener

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            roles.register(self.role, self.before)


def events(routing_key: str) -> list[str]:
    """The bodies of what was published with the key."""
    return list(OutboxEvent.objects.filter(routing_key=routing_key).values_list("body", flat=True))


@contextmanager
def company_with(role: Listener, key_dir: Path, settings: Any) -> Iterator[Company]:
    """A company at a sandbox of its own, to which `settings` point meanwhile; `role` stands in for the parser's."""
    settings.LEASE_TTL_SECONDS = LEASE_TTL_SECONDS
    settings.LEASE_RENEW_SECONDS = 1
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(SandboxConfig(key_dir=key_dir)))
        point_at(settings, sandbox)
        company = Company(sandbox, stack.enter_context(Registered("parser", role)))
        stack.callback(company.close)
        yield company

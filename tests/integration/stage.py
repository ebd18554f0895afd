"""A sender at work on accounts that are fakes at our own port; it runs in a thread, as it does in a worker."""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from bots.models import Bot, Delivery
from bots.worker.executor import close_connections
from bots.worker.sending.sender import Sender
from campaigns.models import Chat
from telegram.errors import TelegramError, TransientError
from telegram.types import PersonTarget, SentMessage, Target
from tests.support import wait_until


@dataclass(frozen=True)
class SentText:
    message_id: int
    target: Target
    text: str
    reply_to: int | None


@dataclass
class FakeAccount:
    """Sends each text once per random_id. `answers` are used in turn: an error instead of the answer, or LOST if the
    message is sent but the answer does not arrive."""

    answers: list[TelegramError | str] = field(default_factory=list)
    lookup_errors: list[TelegramError] = field(default_factory=list)
    visible: Callable[[str], int | None] = lambda text: None
    sent: dict[int, SentText] = field(default_factory=dict)
    requests: list[int] = field(default_factory=list)
    before_send: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)

    async def send(self, target: Target, text: str, *, random_id: int, reply_to: int | None = None) -> SentMessage:
        self.requests.append(random_id)
        self.entered.set()
        while self.before_send is not None and not self.before_send.is_set():
            await asyncio.sleep(0.01)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, TelegramError):
            raise answer
        message = self.sent.setdefault(random_id, SentText(len(self.sent) + 1, target, text, reply_to))
        if answer == LOST:
            raise TransientError("CONNECTION_LOST")
        return SentMessage(message.message_id, datetime.now(UTC), 4242)

    async def person_id(self, target: PersonTarget) -> int:
        if self.lookup_errors:
            raise self.lookup_errors.pop(0)
        return 4242

    async def find_own_message(
        self, target: Target, text: str, since: datetime, exclude: Collection[int] = ()
    ) -> int | None:
        if self.lookup_errors:
            raise self.lookup_errors.pop(0)
        found = [said.message_id for said in self.sent.values() if (said.target, said.text) == (target, text)]
        return max((number for number in found if number not in exclude), default=None)

    async def find_message(self, peer_id: int, *, from_user_id: int, text: str, since: datetime) -> int | None:
        return self.visible(text)

    def texts(self) -> list[str]:
        return [said.text for said in self.sent.values()]


LOST = "lost"


@dataclass
class FakeSession:
    bot_id: UUID
    epoch: int
    account: FakeAccount | None
    chats: Mapping[UUID, int]
    ready: bool = True
    held: bool = True
    reports: list[TelegramError] = field(default_factory=list)
    wanted_chats: int = 0

    def lease_valid(self) -> bool:
        return self.held

    def check_chats_now(self) -> None:
        self.wanted_chats += 1

    def report(self, error: TelegramError) -> None:
        self.reports.append(error)


class Stage:
    """One worker process's runtime with a sender, from `start` to `close`."""

    name = "tests"

    def __init__(self) -> None:
        self.sessions: dict[UUID, FakeSession] = {}
        self.loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stage")

    def put(self, bot: Bot, *chats: Chat, epoch: int = 1) -> FakeAccount:
        """This process owns the bot, which is a member of the chats."""
        account = FakeAccount()
        members = {chat.id: chat.telegram_id or 0 for chat in chats}
        self.sessions[bot.id] = FakeSession(bot.id, epoch, account, members)
        return account

    def start(self) -> "Stage":
        self._thread.start()
        return self

    def _run(self) -> None:
        sender = Sender(self)  # type: ignore[arg-type]  # The fakes have what a sender uses of a session.
        self.loop.run_until_complete(sender.run(self._stop))

    def stop(self) -> None:
        """Ask it to end; `close` waits for that."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)

    def close(self) -> None:
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(60)
        close_connections()


def until(delivery: Delivery, check: Callable[[Delivery], bool]) -> Delivery:
    def look() -> bool:
        delivery.refresh_from_db()
        return check(delivery)

    wait_until(look, what=f"{delivery}, waiting for {delivery.waiting_reason!r}, {delivery.error!r}")
    return delivery


def until_state(delivery: Delivery, state: Delivery.State) -> Delivery:
    return until(delivery, lambda row: row.state == state)

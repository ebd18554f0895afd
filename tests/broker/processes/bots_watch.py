"""Bots worker processes: Celery, their runtime, Telethon against a sandbox in the test's process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.utils import timezone

from bots.accounts.states import bot_restrict
from bots.logins.one_shot import bot_connect_with_code
from bots.models import Bot
from bots.worker.supervision import supervise
from campaigns.models import Campaign, Chat, ChatPermission
from coolthing_site.celery import app
from messaging.broker import topology
from messaging.models import OutboxEvent
from parser.models import Hit, Keyword, WatchedChat
from sandbox.server import Sandbox, SandboxConfig
from sandbox.world.actions import sending
from tests.support import Process, wait_until

PHONE, QUIET_PHONE = "9996622222", "9996633333"


class Watch:
    """One parser bot that reads one chat for a campaign, and the workers that may run it."""

    def __init__(self, sandbox: Sandbox, start_process: Callable[..., Process], ttl: int) -> None:
        self.sandbox, self._start_process, self.ttl = sandbox, start_process, ttl
        self.workers = 0
        self.yard: Any = None
        add = sandbox.world.add_user
        self.person = sandbox.call(add, first_name="Pavel", phone="9996611111", username="pavel")
        sandbox.call(add, first_name="Ears", phone=PHONE, username="ears")
        self.place = sandbox.call(
            sandbox.world.add_chat, kind="supergroup", title="Square", username="the_square", members=[self.person.id]
        )
        bot = Bot.objects.create(key="ears", role="parser", phone=PHONE)
        self.bot = bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: PHONE[5] * 5)
        self._campaign()

    def _campaign(self) -> None:
        campaign = Campaign.objects.create(slug="c", name="C", state=Campaign.State.RUNNING)
        Keyword.objects.create(campaign=campaign, text="plumber")
        self._watch(self.bot, Chat.objects.create(key="square", reference="@the_square"))

    def _watch(self, bot: Bot, chat: Chat) -> None:
        ChatPermission.objects.create(
            chat=chat, purpose=ChatPermission.Grant.PARSE, granted_by="o", granted_at=timezone.now(), evidence="e"
        )
        WatchedChat.objects.create(campaign=Campaign.objects.get(), chat=chat, bot=bot)

    def restricted_account(self) -> Bot:
        """Another account, which Telegram restricts, in a chat of its own. `say` writes there too from now on."""
        user = self.sandbox.call(self.sandbox.world.add_user, first_name="Quiet", phone=QUIET_PHONE, username="quiet")
        self.yard = self.sandbox.call(
            self.sandbox.world.add_chat,
            kind="supergroup",
            title="Yard",
            username="the_yard",
            members=[self.person.id, user.id],
        )
        bot = Bot.objects.create(key="quiet", role="parser", phone=QUIET_PHONE)
        bot = bot_connect_with_code(bot_id=bot.pk, ask_code=lambda: QUIET_PHONE[5] * 5)
        bot_restrict(bot_id=bot.pk, reason="PEER_FLOOD")
        self._watch(bot, Chat.objects.create(key="yard", reference="@the_yard", telegram_id=self.yard.id))
        return bot

    def start_worker(self, **env: str) -> Process:
        """A worker process of its own, with room for a few bots."""
        self.workers += 1
        worker = self._start_process(
            "celery", "-A", "coolthing_site", "worker", "-Q", topology.PARSER_BOTS_QUEUE, "--pool=threads",
            "-n", f"parser_bots_{self.workers}@test", "--concurrency=3", "--prefetch-multiplier=1", "-l", "INFO",
            BOTS_PER_WORKER="3", LEASE_TTL_SECONDS=str(self.ttl), LEASE_RENEW_SECONDS="1",
            TELEGRAM_SERVER=f"{self.sandbox.host}:{self.sandbox.mtproto_port}",
            TELEGRAM_SERVER_KEY=str(self.sandbox.public_key_pem_path), **env,
        )  # fmt: skip
        worker.wait_for_log("ready.")
        return worker

    def supervise_until_online(self) -> None:
        def online() -> bool:
            supervise(timezone.now())
            return self.state() == "online"

        wait_until(online, what="the bot online")

    def state(self) -> str:
        return Bot.objects.values_list("state", flat=True).get(pk=self.bot.pk)

    def owner(self) -> str:
        return Bot.objects.values_list("lease_owner", flat=True).get(pk=self.bot.pk)

    def say(self, text: str) -> None:
        said = [(self.place, text), *([(self.yard, f"yard, {text}")] if self.yard is not None else [])]
        for place, words in said:
            self.sandbox.call(sending.send, self.sandbox.world, user_id=self.person.id, peer=place.id, text=words)

    def connections(self) -> int:
        return len(self.sandbox.call(self.sandbox.mtproto.connections_of, self.bot.telegram_user_id))

    def until_hits(self, *texts: str, of: Bot | None = None) -> None:
        hits = Hit.objects.filter(bot=of or self.bot)

        def heard() -> bool:
            # As beat does: a worker that was held up for longer than its lease has let go of the bot.
            supervise(timezone.now())
            return hits.count() >= len(texts)

        wait_until(heard, what=f"hits {texts}")
        assert list(hits.order_by("message_id").values_list("text", flat=True)) == list(texts)

    def until_connected(self) -> None:
        """Once, and never more than that."""

        def once() -> bool:
            supervise(timezone.now())
            connections = self.connections()
            assert connections <= 1
            return connections == 1

        wait_until(once, what="the bot's connection")

    def assert_key_is_whole(self) -> None:
        """Telegram never saw two connections with the account's key."""
        assert self.state() != "needs_login"
        assert not OutboxEvent.objects.filter(body__contains="AUTH_KEY_DUPLICATED").exists()


@contextmanager
def watching(start_process: Callable[..., Process], settings: Any, key_dir: Path, *, ttl: int) -> Iterator[Watch]:
    """`ttl`: seconds that a lease lasts."""
    settings.LEASE_TTL_SECONDS = ttl
    # The probe of this room's conftest is a Celery app as well, and was made last.
    app.set_current()
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(SandboxConfig(key_dir=key_dir)))
        settings.TELEGRAM_SERVER = f"{sandbox.host}:{sandbox.mtproto_port}"
        settings.TELEGRAM_SERVER_KEY = str(sandbox.public_key_pem_path)
        yield Watch(sandbox, start_process, ttl)

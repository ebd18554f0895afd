"""A real bots worker process: Celery, its runtime, Telethon against a sandbox in this process."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.utils import timezone

from bots.models import Bot, Host
from bots.services import bot_connect_with_code
from bots.supervision import mark_abandoned, supervise
from campaigns.models import Campaign, Chat, ChatPermission
from coolthing_site.celery import app
from messaging import topology
from messaging.models import OutboxEvent
from parser.models import Hit, Keyword, WatchedChat
from sandbox.server import Sandbox, SandboxConfig
from tests.private import Broker
from tests.support import Process, wait_until

TTL = 6
PHONE = "9996622222"


class Watch:
    """One parser bot that reads one chat for a campaign, and the workers that may run it."""

    def __init__(self, sandbox: Sandbox, start_process: Callable[..., Process]) -> None:
        self.sandbox, self._start_process = sandbox, start_process
        self.workers = 0
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
        chat = Chat.objects.create(key="square", reference="@the_square")
        ChatPermission.objects.create(
            chat=chat, purpose=ChatPermission.Grant.PARSE, granted_by="o", granted_at=timezone.now(), evidence="e"
        )
        WatchedChat.objects.create(campaign=campaign, chat=chat, bot=self.bot)
        Keyword.objects.create(campaign=campaign, text="plumber")

    def start_worker(self) -> Process:
        self.workers += 1
        worker = self._start_process(
            "celery", "-A", "coolthing_site", "worker", "-Q", topology.PARSER_BOTS_QUEUE, "--pool=threads",
            "-n", f"parser_bots_{self.workers}@test", "--concurrency=3", "--prefetch-multiplier=1", "-l", "INFO",
            BOTS_PER_WORKER="3", LEASE_TTL_SECONDS=str(TTL), LEASE_RENEW_SECONDS="1",
            TELEGRAM_SERVER=f"{self.sandbox.host}:{self.sandbox.mtproto_port}",
            TELEGRAM_SERVER_KEY=str(self.sandbox.public_key_pem_path),
        )  # fmt: skip
        worker.wait_for_log("ready.")
        return worker

    def supervise_until_online(self) -> None:
        def online() -> bool:
            supervise(timezone.now())
            return self.state() == "online"

        wait_until(online, 30, "the bot online")

    def state(self) -> str:
        return Bot.objects.values_list("state", flat=True).get(pk=self.bot.pk)

    def owner(self) -> str:
        return Bot.objects.values_list("lease_owner", flat=True).get(pk=self.bot.pk)

    def say(self, text: str) -> None:
        self.sandbox.call(self.sandbox.world.say, user_id=self.person.id, peer=self.place.id, text=text)

    def connections(self) -> int:
        return len(self.sandbox.call(self.sandbox.mtproto.connections_of, self.bot.telegram_user_id))

    def until_hits(self, *texts: str) -> None:
        wait_until(lambda: Hit.objects.count() >= len(texts), what=f"hits {texts}")
        assert list(Hit.objects.order_by("message_id").values_list("text", flat=True)) == list(texts)


@pytest.fixture
def watch(
    broker: Broker, start_process: Callable[..., Process], settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watch]:
    settings.LEASE_TTL_SECONDS = TTL
    # The probe of this room's conftest is a Celery app as well, and was made last.
    app.set_current()
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(SandboxConfig(key_dir=tmp_path_factory.mktemp("key"))))
        settings.TELEGRAM_SERVER = f"{sandbox.host}:{sandbox.mtproto_port}"
        settings.TELEGRAM_SERVER_KEY = str(sandbox.public_key_pem_path)
        yield Watch(sandbox, start_process)


def test_a_worker_runs_its_bots_and_lets_them_go_when_it_is_stopped(watch: Watch):
    worker = watch.start_worker()
    watch.supervise_until_online()
    assert OutboxEvent.objects.filter(routing_key="bots.started").exists()
    watch.say("any plumber here?")
    watch.until_hits("any plumber here?")
    assert worker.stop() == 0
    bot = Bot.objects.get(pk=watch.bot.pk)
    assert (bot.state, bot.lease_owner, bot.lease_expires_at) == ("offline", "", None)
    assert not Host.objects.exists()
    assert watch.connections() == 0


def test_the_bots_of_a_killed_worker_go_on_elsewhere_and_lose_nothing(watch: Watch):
    first = watch.start_worker()
    watch.supervise_until_online()
    watch.say("plumber one")
    watch.until_hits("plumber one")
    first.kill()
    watch.say("plumber two")
    watch.start_worker()
    wait_until(lambda: mark_abandoned(), 30, "the lease to run out")
    watch.supervise_until_online()
    watch.say("plumber three")
    watch.until_hits("plumber one", "plumber two", "plumber three")


def test_a_frozen_owner_is_cut_off_before_its_lease_ends_and_stays_out_when_it_thaws(watch: Watch):
    first = watch.start_worker()
    watch.supervise_until_online()
    frozen_owner = watch.owner()
    first.signal(signal.SIGSTOP)
    wait_until(lambda: watch.connections() == 0, what="the server to drop the silent connection")
    assert watch.owner() == frozen_owner
    watch.start_worker()
    wait_until(lambda: mark_abandoned(), 30, "the lease to run out")
    Host.objects.filter(name=frozen_owner).delete()
    watch.supervise_until_online()
    first.signal(signal.SIGCONT)
    first.wait_for_log("it has been let go")
    watch.say("plumber, once")
    watch.until_hits("plumber, once")
    assert watch.connections() == 1
    assert watch.owner() != frozen_owner
    assert not OutboxEvent.objects.filter(body__contains="AUTH_KEY_DUPLICATED").exists()

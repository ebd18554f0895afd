"""Sets up the local world of `make up` and the demo: starts the sandbox, seeds campaigns, logs their bots in."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import QuerySet

from bots.logins.one_shot import bot_connect_with_code
from bots.models import Bot
from campaigns.models import Campaign
from coolthing_site.local_world.sandbox_control import SandboxControl
from coolthing_site.processes.procfile import SANDBOX, ProcessGroup
from coolthing_site.seeding import document

SEED_FILE = "docs/examples/demo.yaml"
START_SECONDS = 60.0
POLL_SECONDS = 0.2


def start_sandbox(processes: ProcessGroup, command: str) -> SandboxControl:
    """Start the sandbox in `processes` and return its control API once it answers."""
    control = SandboxControl(f"http://127.0.0.1:{processes.environment['SANDBOX_HTTP_PORT']}")
    processes.start(SANDBOX, command)
    deadline = time.monotonic() + START_SECONDS
    while not control.is_up():
        if processes.ended() or time.monotonic() > deadline:
            raise CommandError(f"the sandbox did not start. Its last output:\n{processes.tail(SANDBOX)}")
        time.sleep(POLL_SECONDS)
    return control


def bots_never_connected() -> QuerySet[Bot]:
    """The seed file's bots without a session, an unfinished login or a history.

    Bots that were logged out, and bots that an operator added, are not among them.
    """
    data, _ = document.load(str(settings.BASE_DIR / SEED_FILE))
    keys = [bot["key"] for bot in data["bots"]]
    untouched = Bot.objects.filter(session__isnull=True, pending_login__isnull=True, history__isnull=True)
    return untouched.filter(key__in=keys).order_by("key")


def bots_to_log_in_by_hand() -> list[str]:
    """The keys of the other bots without a session, which operators log in themselves."""
    others = Bot.objects.filter(session__isnull=True).exclude(pk__in=bots_never_connected().values("pk"))
    return list(others.order_by("key").values_list("key", flat=True))


def connect_bots(control: SandboxControl) -> int:
    """Log in the demo's bots with the codes that the sandbox shows. Returns how many."""
    bots = list(bots_never_connected())
    for bot in bots:
        bot_connect_with_code(bot_id=bot.id, ask_code=partial(login_code, control, bot.phone))
    return len(bots)


def login_code(control: SandboxControl, phone: str) -> str:
    """The code that the sandbox has sent to this phone."""
    digits = phone.lstrip("+")
    users = control.get("/world")["users"]
    return next(str(user["login_code"]) for user in users if user["phone"] == digits)


def prepare_local_world(
    environment: Mapping[str, str], sandbox_command: str, run_dir: Path, *, report: Callable[[str], object]
) -> None:
    """Seed the demo's campaigns into a database that has none, and log their bots in."""
    if not Campaign.objects.exists():
        call_command("seed_campaigns", str(settings.BASE_DIR / SEED_FILE), verbosity=0)
        report(f"seeded {SEED_FILE}")
    if keys := bots_to_log_in_by_hand():
        report(f"log these bots in yourself: {', '.join(keys)}")
    if not bots_never_connected().exists():
        return
    with ProcessGroup(environment=environment, log_dir=run_dir / "logs") as processes:
        count = connect_bots(start_sandbox(processes, sandbox_command))
    report(f"logged {count} bots in at the sandbox")

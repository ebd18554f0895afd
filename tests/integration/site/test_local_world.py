"""Which bots `make up` logs in at the sandbox by itself."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from bots.models import Bot, BotSession, BotStateChange, PendingLogin
from coolthing_site.local_world.setup import SEED_FILE, bots_never_connected, prepare_local_world
from tests.integration import ledger
from tests.support import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture
def others() -> set[str]:
    """Seeded bots with which an operator has done something, and one that was added in the panel."""
    call_command("seed_campaigns", str(ROOT / SEED_FILE), verbosity=0)
    logged_out, being_logged_in = Bot.objects.filter(key__in=("anna", "boris")).order_by("key")
    BotStateChange.objects.create(bot=logged_out, state=Bot.State.STOPPED, reason="logged out by olga")
    added = ledger.make_bot(phone="")
    for bot in (being_logged_in, added):
        PendingLogin.objects.create(bot=bot, expires_at=timezone.now() + timedelta(minutes=30))
    return {logged_out.key, being_logged_in.key, added.key}


def test_only_seeded_bots_that_were_never_logged_in_are(others: set[str]):
    every = set(Bot.objects.values_list("key", flat=True))
    assert set(bots_never_connected().values_list("key", flat=True)) == every - others


def test_the_others_are_left_alone_in_one_line(others: set[str], tmp_path: Path):
    for bot in bots_never_connected():
        BotSession.objects.create(bot=bot, data="session")
    lines: list[str] = []
    prepare_local_world({}, "no sandbox is started", tmp_path, report=lines.append)
    assert lines == [f"log these bots in yourself: {', '.join(sorted(others))}"]

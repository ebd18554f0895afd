"""Which bots `make up` logs in at the sandbox by itself."""

import pytest
from django.core.management import call_command

from bots.models import Bot, BotStateChange
from coolthing_site.local_world import SEED_FILE, bots_never_connected
from tests.integration import ledger
from tests.support import ROOT

pytestmark = pytest.mark.django_db


def test_only_seeded_bots_that_were_never_logged_in_are():
    call_command("seed_campaigns", str(ROOT / SEED_FILE), verbosity=0)
    seeded = set(Bot.objects.values_list("key", flat=True))
    ledger.make_bot()
    logged_out = Bot.objects.get(key="anna")
    BotStateChange.objects.create(bot=logged_out, state=Bot.State.STOPPED, reason="logged out by olga")
    assert set(bots_never_connected().values_list("key", flat=True)) == seeded - {"anna"}

"""Handlers that take long: a slow query, a broker that does not answer."""

import threading
from datetime import timedelta

from django.utils import timezone

from bots.models import Bot
from bots.worker import executor
from tests.support import wait_until
from tests.telegram.bots_support import LEASE_TTL_SECONDS, Company


def test_handlers_that_take_long_cost_no_bot_its_lease(company: Company):
    # Each bot records alone what it reads, as managers do.
    company.role.reads_private = True
    square, row = company.make_chat("square")
    bots = [company.make_bot(f"ears{number}", row) for number in range(executor.THREADS)]
    company.run(company.start(), *bots)
    company.online(*bots)
    epochs = set(Bot.objects.values_list("pk", "lease_epoch"))
    release = threading.Event()
    company.role.fails_on = lambda _: not release.wait(60)
    try:
        company.say(square, "this will take a while")
        wait_until(lambda: company.role.calls == executor.THREADS, what="all threads are busy")
        # Held by renewals alone: the leases of before would be over by then.
        late = timezone.now() + timedelta(seconds=LEASE_TTL_SECONDS + 4)
        wait_until(lambda: not Bot.objects.exclude(lease_expires_at__gt=late).exists(), what="renewed leases")
        assert set(Bot.objects.values_list("pk", "lease_epoch")) == epochs
        assert all(company.is_ready(bot) for bot in bots)
    finally:
        release.set()
    assert [company.until_heard(bot, 1) for bot in bots] == [["this will take a while"]] * len(bots)

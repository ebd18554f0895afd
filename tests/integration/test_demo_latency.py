"""What the demo measures from a hit to its lead."""

from datetime import timedelta

import pytest

from coolthing_site.demo.observe import hit_to_lead_ms
from leads.models import Lead
from parser.models import Hit
from tests.integration import ledger
from tests.integration.leads_world import make_world

pytestmark = pytest.mark.django_db


def test_a_leads_latency_counts_from_the_record_of_its_hit_not_from_telegrams_whole_seconds():
    world = make_world()
    for milliseconds in (40, 20):
        hit = Hit.objects.create(
            campaign=world.campaign, bot=world.parser, chat=world.chat, message_id=next(world.ids), keyword="tea",
            telegram_user_id=milliseconds, text="tea?", said_at=ledger.START - timedelta(seconds=1),
        )  # fmt: skip
        lead = world.receive(id=str(hit.id), telegram_user_id=milliseconds, username="")
        Hit.objects.filter(id=hit.id).update(created_at=ledger.START)
        Lead.objects.filter(id=lead.id).update(created_at=ledger.START + timedelta(milliseconds=milliseconds))
    # A lead of somebody else's event has no hit of ours.
    world.receive(telegram_user_id=777, username="")
    assert hit_to_lead_ms() == [20, 40]

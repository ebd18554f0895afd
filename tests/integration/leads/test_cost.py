"""What the rooms of leads and of the parser read while they work, on 200 000 rows: what they need, by an index."""

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns.suppressions.registry import last_id_of
from leads.models import Conversation, Lead, Message
from leads.selectors import MOST_FOR_LLM, conversation_with, messages_in_chat, received_since
from parser.hit_changes import hits_changed
from parser.models import Hit
from telegram.types import MessageNow
from tests.integration import ledger
from tests.integration.leads_world import World

pytestmark = pytest.mark.django_db
ROWS = 200_000


def run(statement: str, **values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.fixture
def history(conversation: Conversation) -> Conversation:
    """A conversation with every tenth of 200 000 messages, one every seven minutes; the others are those of 20 000
    conversations of eight managers."""
    bots = [str(conversation.bot_id), *(str(ledger.make_bot().id) for _ in range(7))]
    run(
        """
        INSERT INTO leads_lead (id, campaign_id, telegram_user_id, username, state, state_reason, message, chat_id,
            worker_id, event_id, hit_at, approved_by, attempts)
        SELECT gen_random_uuid(), %(campaign)s, 100000 + n, 'Name' || n, 'talking', '', '', -1, '', gen_random_uuid(),
            now(), '', 0
        FROM generate_series(1, 20000) AS n
        """,
        campaign=conversation.lead.campaign_id,
    )
    run(
        """
        INSERT INTO leads_conversation (id, lead_id, bot_id, owner, owner_reason, epoch, peer_id)
        SELECT gen_random_uuid(), id, (%(bots)s::uuid[])[1 + telegram_user_id %% 8], 'none', '', 0, telegram_user_id
        FROM leads_lead WHERE telegram_user_id > 100000
        """,
        bots=bots,
    )
    run(
        """
        INSERT INTO leads_message (id, conversation_id, author, text, original_text, telegram_message_id, epoch,
            parting, at)
        SELECT gen_random_uuid(), CASE WHEN n %% 10 = 0 THEN %(conversation)s::uuid ELSE conversation.id END, 'lead',
            'Hello', '', 10000 + n, n, false, now() - (%(rows)s - n) * interval '7 minutes'
        FROM generate_series(1, %(rows)s) AS n
        JOIN leads_conversation AS conversation ON conversation.peer_id = 100001 + n %% 20000
        """,
        conversation=conversation.id,
        rows=ROWS,
    )
    run("ANALYZE leads_lead, leads_conversation, leads_message, bots_delivery")
    return conversation


@pytest.fixture
def hits(world: World) -> None:
    run(
        """
        INSERT INTO parser_hit (id, campaign_id, bot_id, chat_id, peer_id, message_id, telegram_user_id, username, text,
            keyword, said_at)
        SELECT gen_random_uuid(), %(campaign)s, %(bot)s, %(chat)s, -1000000000001, n, n %% 20000, 'Name' || n %% 20000,
            '', 'tea', now() - n * interval '1 minute'
        FROM generate_series(1, %(rows)s) AS n
        """,
        campaign=world.campaign.id,
        bot=world.parser.id,
        chat=world.chat.id,
        rows=ROWS,
    )
    run("ANALYZE parser_hit")


def touched(ask: Callable[[], object], *tables: str) -> int:
    """How many rows of these tables are read for it, with those that are dropped."""
    with CaptureQueriesContext(connection) as queries:
        ask()
    statements = [query["sql"] for query in queries.captured_queries]
    plans = [plan(statement) for statement in statements if any(table in statement for table in tables)]
    assert plans
    return sum(rows(node) for top in plans for node in nodes(top) if node.get("Relation Name") in tables)


def plan(statement: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON, ANALYZE) {statement}")
        found = cursor.fetchone()[0]
    top: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return top


def nodes(node: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def rows(node: dict[str, Any]) -> int:
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int(node["Actual Loops"] * (node["Actual Rows"] + dropped))


def test_what_is_read_of_conversations_does_not_grow_with_all_that_was_ever_written(history: Conversation) -> None:
    """One test: filling the tables takes seconds."""
    assert (Message.objects.count() > ROWS) and (Lead.objects.count() > 20_000)
    since = timezone.now() - timedelta(days=7)

    def lately() -> list[int]:
        return received_since(bot_id=history.bot_id, since=since, most=500)

    assert 200 < len(lately()) < 400
    assert touched(lately, "leads_message") < 2_000

    def newest(most: int) -> list[int]:
        return [message.epoch for message in messages_in_chat(conversation_id=history.id, most=most)]

    assert newest(3) == [ROWS - 20, ROWS - 10, ROWS]
    assert touched(lambda: newest(1), "leads_message") < 50
    assert touched(lambda: messages_in_chat(conversation_id=history.id), "leads_message") < MOST_FOR_LLM + 100

    def met() -> Conversation | None:
        return conversation_with(bot_id=history.bot_id, telegram_user_id=501, username="tea_lover")

    assert met() == history
    assert touched(met, "leads_message", "leads_lead", "leads_conversation") < 20


def test_what_the_parser_has_met_is_found_by_an_index(hits: None) -> None:
    assert Hit.objects.count() == ROWS
    assert last_id_of("name77") == 77
    assert touched(lambda: last_id_of("name77"), "parser_hit") < 20
    there, other = deletions(-1_000_000_000_001), deletions(-1_000_000_000_002)
    assert touched(lambda: hits_changed(bot_id=uuid4(), changes=other), "parser_hit") < 20
    parser = Hit.objects.values_list("bot_id", flat=True)[0]
    assert touched(lambda: hits_changed(bot_id=parser, changes=deletions(None)), "parser_hit") < 20
    # Read to find them and to lock them, and written one by one.
    assert touched(lambda: hits_changed(bot_id=parser, changes=there), "parser_hit") < 20 * len(there)
    assert Hit.objects.filter(deleted_at__isnull=False).count() == len(there)


def deletions(peer_id: int | None) -> list[MessageNow]:
    """As many as are recorded at once."""
    return [MessageNow(peer_id, number, deleted=True) for number in range(501, 701)]

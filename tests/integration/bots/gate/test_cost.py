"""What a claimed batch costs the database: as many queries as for one delivery, each by an index."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bots.deliveries.claiming import claim
from bots.models import Bot, Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget, Purpose
from tests.integration import ledger

pytestmark = pytest.mark.django_db
Scope = Budget.Scope
ROWS = 20_000
EVERY_SECONDS = 4
CONTACTS = Budget.Counts.NEW_CONTACTS


class World:
    def __init__(self, bots: int = 4) -> None:
        ledger.noting_origin()
        self.clock = ledger.Clock()
        self.bots = [ledger.make_bot() for _ in range(bots)]
        self.campaign, self.chat = ledger.make_campaign(), ledger.make_chat()
        for bot in self.bots:
            ledger.queue_line(bot, self.campaign, self.chat)
            ledger.queue_message(bot, self.campaign, 1, ledger.DISCLOSED, purpose=Purpose.FIRST_CONTACT)
            ledger.queue_message(bot, self.campaign, None, peer_username="name2", purpose=Purpose.OPERATOR)
        for scope in Scope:
            budget_set(scope=scope, limit=1000, window_seconds=3600)
        for scope in (Scope.TEAM, Scope.CAMPAIGN, Scope.BOT):
            budget_set(scope=scope, limit=100, window_seconds=86_400, counts=CONTACTS)

    def claim(self, *bots: Bot) -> list[str]:
        """The statements of one batch."""
        owners = ledger.owners(*(bots or self.bots), chats=[self.chat])
        with CaptureQueriesContext(connection) as queries:
            batch = claim(owners, clock=self.clock)
        assert len(batch.outgoing) == len(owners)
        return [query["sql"] for query in queries.captured_queries]


def reads(statements: list[str]) -> list[str]:
    return [sql for sql in statements if not sql.startswith("UPDATE")]


def fill_ledger(world: World) -> None:
    """A day's messages by eight bots, half of them in a chat, the others to a hundred persons, one in ten of those by
    name only. The batch's bots said an eighth each: whatever is read for one of them, the others' stays unread."""
    bots = [*world.bots, *(ledger.make_bot() for _ in range(8 - len(world.bots)))]
    campaigns = [world.campaign, *(ledger.make_campaign() for _ in range(7))]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO bots_delivery (id, bot_id, campaign_id, chat_id, peer_id, peer_username, text, purpose, origin,
                origin_id, random_id, state, due_at, attempts, counted_at, sent_at, telegram_message_id,
                waiting_reason, error_kind, error)
            SELECT gen_random_uuid(), (%(bots)s::uuid[])[1 + n %% 8], (%(campaigns)s::uuid[])[1 + n %% 8],
                CASE WHEN n %% 2 = 0 THEN %(chat)s::uuid END,
                CASE WHEN n %% 2 = 1 AND n %% 20 <> 5 THEN n %% 100 END,
                CASE WHEN n %% 2 = 1 THEN 'name' || n %% 100 ELSE '' END,
                'said', 'operator', %(origin)s, gen_random_uuid(), n, 'sent', at, 1, at, at, n, '', '', ''
            FROM generate_series(1, %(rows)s) AS n,
                LATERAL (SELECT %(now)s - n * %(every)s * interval '1 s' AS at) AS moment
            """,
            {
                "bots": [bot.id for bot in bots],
                "campaigns": [campaign.id for campaign in campaigns],
                "chat": world.chat.id,
                "origin": f"tests.{uuid4().hex}",
                "rows": ROWS,
                "every": EVERY_SECONDS,
                "now": ledger.START,
            },
        )
        cursor.execute("ANALYZE bots_delivery")


def test_the_queries_of_a_batch_do_not_grow_with_deliveries_bots_budgets_or_ledger() -> None:
    world = World()
    alone = reads(world.claim(world.bots[0]))
    several = reads(world.claim(*world.bots[1:]))
    assert len(several) == len(alone) < 30

    more = World()
    for number in range(40):
        seconds = 60 + number
        budget_set(scope=Scope.BOT, key=str(more.bots[number % 4].id), limit=1000, window_seconds=seconds)
        budget_set(scope=Scope.PEER, limit=1000, window_seconds=seconds)
    fill_ledger(more)
    assert len(reads(more.claim())) == len(alone)


def test_only_the_budgets_that_concern_a_batch_are_locked() -> None:
    world = World(bots=1)
    for _ in range(20):
        budget_set(scope=Scope.BOT, key=str(uuid4()), limit=5, window_seconds=60)
    [locking] = [sql for sql in world.claim() if "campaigns_budget" in sql]
    with connection.cursor() as cursor:
        cursor.execute(locking)
        assert len(cursor.fetchall()) == len(Scope.values) + 3


def test_no_query_of_a_batch_reads_the_whole_ledger() -> None:
    world = World()
    fill_ledger(world)
    asked = [sql for sql in world.claim() if "bots_delivery" in sql]
    assert len(asked) > 5
    for sql in asked:
        for node in nodes(plan(sql)):
            scanned = node.get("Relation Name") == "bots_delivery" and node["Node Type"] == "Seq Scan"
            assert not scanned, f"{sql}\n{json.dumps(node, indent=1)}"


def test_a_batch_reads_of_the_ledger_what_its_budgets_count() -> None:
    """An hour has some 900 messages: 900 of the team, 112 of each of four bots, 450 in the chat, and so on. A window
    that were read by time alone would pass over everybody else's, a window at a time."""
    world = World()
    fill_ledger(world)
    asked = [sql for sql in reads(world.claim()) if "bots_delivery" in sql and "FOR UPDATE" not in sql]
    touched = sum(rows_touched(node) for sql in asked for node in nodes(plan(sql, analyze=True)))
    assert 900 < touched < 3000


def test_no_query_of_a_batch_is_compiled_by_the_database() -> None:
    """Compiling one for the windows of twenty bots takes 160 ms, answering it 5."""
    world = World()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit_above_cost = 0")
        for sql in [sql for sql in world.claim() if "wanted.since" in sql]:
            cursor.execute(f"EXPLAIN (FORMAT JSON, ANALYZE) {sql}")
            assert "JIT" not in str(cursor.fetchone())


def rows_touched(node: dict[str, Any]) -> int:
    """Those that it passed on, and those that it read and dropped."""
    if node.get("Relation Name") != "bots_delivery":
        return 0
    return int(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))


def plan(sql: str, *, analyze: bool = False) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON{', ANALYZE' if analyze else ''}) {sql}")
        found = cursor.fetchone()[0]
    top: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return top


def nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(below for child in node.get("Plans", ()) for below in nodes(child))]


def test_the_windows_of_the_ledger_are_what_was_filled_in() -> None:
    """So that the tests above measure something: the ledger's rows are in the budgets' windows."""
    world = World(bots=1)
    fill_ledger(world)
    assert Delivery.objects.filter(bot=world.bots[0], counted_at__isnull=False).count() == ROWS / 8
    budget_set(scope=Scope.TEAM, limit=1000, window_seconds=1000 * EVERY_SECONDS + 1)
    assert claim(ledger.owners(*world.bots, chats=[world.chat]), clock=world.clock).outgoing == []

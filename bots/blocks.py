"""Waits that Telegram asked for, by bot, method and place."""

from datetime import datetime
from uuid import UUID

from django.db import connection

from bots.models import BotBlock

# Telegram's method of looking at messages again (`bots.afterwards`): a bot that waits with it does all its work.
LOOKING = "GetMessages"


def block_keep(*, bot_id: UUID, method: str, peer_id: int, until: datetime, reason: str) -> None:
    """Keep a wait for the whole time; of two for the same thing the later end counts. `peer_id` 0: everywhere."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {BotBlock._meta.db_table} AS kept (bot_id, method, peer_id, until, reason) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (bot_id, method, peer_id) DO UPDATE SET "
            "reason = CASE WHEN excluded.until > kept.until THEN excluded.reason ELSE kept.reason END, "
            "until = greatest(kept.until, excluded.until)",
            [bot_id, method[:80], peer_id, until, reason[:120]],
        )

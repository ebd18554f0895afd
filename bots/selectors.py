"""Reads: what a bot is called."""

from uuid import UUID

from bots.models import Bot


def bot_name(bot_id: UUID) -> str | None:
    # Without the secrets beside it, which another key may have encrypted.
    bot = Bot.objects.only("display_name", "key").filter(pk=bot_id).first()
    return str(bot) if bot is not None else None

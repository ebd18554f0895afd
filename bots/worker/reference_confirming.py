"""Confirms chat references that operators have changed: an account checks where a reference leads, without joining."""

import logging
import time
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from bots.chats.entry_refusals import confirmation_refusal
from bots.chats.identity import chat_elsewhere, chat_resolved, unconfirmed_report
from bots.chats.permission_suspension import presence_ended, was_present
from bots.chats.references import references_to_check
from bots.models import Bot
from bots.worker.executor import in_db
from campaigns.chats.references import reference_confirmed
from campaigns.models import Chat
from panelkit.errors import NotPossible
from telegram.client import TelegramAccount
from telegram.errors import (
    NOT_INSIDE,
    BotDead,
    BotRestricted,
    ChatRefuses,
    PassingError,
    ReferenceLeadsElsewhere,
    RetryAfter,
    TelegramError,
    TransientError,
)

# Seconds before an account checks a reference again after a check without a result.
AGAIN_SECONDS = 120.0

log = logging.getLogger(__name__)


class ReferenceChecks:
    """The checks of references by one bot during one lease."""

    def __init__(self, bot_id: UUID) -> None:
        self._bot_id = bot_id
        self._not_before: dict[tuple[UUID, datetime], float] = {}

    async def check(self, account: TelegramAccount, wanted: Collection[UUID]) -> bool:
        """Check the references that wait for this account. Returns whether permissions may have changed.

        `wanted` are ids of chats that the account is to be in. Raises RetryAfter and BotRestricted, and the errors that
        end the connection: BotDead and TransientError.
        """
        waiting = await in_db(references_to_check, bot_id=self._bot_id, wanted=wanted)
        keys = {(chat.pk, chat.reference_changed_at) for chat in waiting}
        self._not_before = {key: moment for key, moment in self._not_before.items() if key in keys}
        changed = False
        for chat in waiting:
            assert chat.reference_changed_at is not None
            key = (chat.pk, chat.reference_changed_at)
            if self._not_before.get(key, 0.0) <= time.monotonic():
                self._not_before[key] = time.monotonic() + AGAIN_SECONDS
                changed = await self._look(account, chat, chat.reference_changed_at) or changed
        return changed

    async def _look(self, account: TelegramAccount, chat: Chat, changed_at: datetime) -> bool:
        which: dict[str, Any] = {"chat_id": chat.pk, "reference": chat.reference, "changed_at": changed_at}
        assert chat.telegram_id is not None
        try:
            found = await account.check_reference(chat.reference, chat.telegram_id)
            if found.telegram_id not in chat.telegram_ids:
                # The chat is the supergroup that the group was upgraded to.
                await in_db(chat_resolved, chat_id=chat.pk, found=found)
        except ReferenceLeadsElsewhere as error:
            await in_db(chat_elsewhere, bot_id=self._bot_id, error=error, **which)
            return True
        except PassingError as error:
            log.warning("bot %s cannot find out where the reference of chat %s leads: %s", self._bot_id, chat.pk, error)
            return False
        except (BotDead, BotRestricted, RetryAfter, TransientError):
            raise
        except (TelegramError, NotPossible) as error:
            if str(error) == NOT_INSIDE and await self._was_removed(account, chat):
                return True
            await in_db(report_unconfirmed, bot_id=self._bot_id, chat=chat, reason=str(error))
            return False
        confirmed = await in_db(reference_confirmed, **which)
        if confirmed:
            log.info("bot %s has confirmed the reference of chat %s", self._bot_id, chat.pk)
        return confirmed

    async def _was_removed(self, account: TelegramAccount, chat: Chat) -> bool:
        """Whether the account was in the chat and was removed, according to Telegram. Then an operator has to act."""
        assert chat.telegram_id is not None
        place: dict[str, Any] = {"bot_id": self._bot_id, "chat_id": chat.pk, "peer_ids": chat.telegram_ids}
        if not await in_db(was_present, **place):
            return False
        try:
            # By id, because the reference may lead to any chat.
            there = await account.membership(str(chat.telegram_id), chat.telegram_id)
        except ChatRefuses:
            return False
        return there is None and await in_db(presence_ended, **place)


def report_unconfirmed(*, bot_id: UUID, chat: Chat, reason: str) -> None:
    """Notify the operators that a reference could not be checked.

    `reason` is the error's name in Telegram or the adapter.
    """
    bot = Bot.objects.only("key", "display_name").get(pk=bot_id)
    unconfirmed_report(chat=chat, reason=confirmation_refusal(bot=str(bot), chat=chat, reason=reason))

"""Learns the titles of the topics of the forums that a bot reads."""

import asyncio
import logging

from django.db import Error as DatabaseFailure

from bots.chats.topics import topics_store
from bots.worker.executor import in_db
from telegram.client import TelegramAccount
from telegram.errors import BotDead, PassingError, RetryAfter, TelegramError, TransientError

# Seconds between requests, and before a request that failed is repeated.
PAUSE, RETRY_SECONDS = 1.0, 60.0

log = logging.getLogger(__name__)


class TopicTitles:
    """The topics of one connection. Titles are requested for all forums at first, later when a new topic is seen."""

    def __init__(self) -> None:
        self._known: dict[int, set[int]] = {}
        self._wanted: dict[int, set[int]] = {}
        self._news = asyncio.Event()

    def want(self, peer_id: int) -> None:
        """Request the topics of this forum (a marked id)."""
        self._wanted.setdefault(peer_id, set())
        self._news.set()

    def saw(self, peer_id: int, topic_id: int) -> None:
        """Note that a message is in this topic."""
        if topic_id not in self._known.get(peer_id, ()):
            self.want(peer_id)
            self._wanted[peer_id].add(topic_id)

    async def learn(self, account: TelegramAccount) -> None:
        """Request and store titles until the task is cancelled. Raises BotDead and TransientError."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._wanted:
                peer_id, seen = self._wanted.popitem()
                await asyncio.sleep(await self._learn(account, peer_id, seen))

    async def _learn(self, account: TelegramAccount, peer_id: int, seen: set[int]) -> float:
        """Returns the seconds before the next request."""
        # A topic without a title, for example a deleted one, is not requested again.
        known = self._known.setdefault(peer_id, set())
        try:
            titles = await account.topics(peer_id)
            await in_db(topics_store, peer_id=peer_id, titles=titles)
            known |= titles.keys() | seen
            return PAUSE
        except RetryAfter as error:
            self._wanted.setdefault(peer_id, set()).update(seen)
            return float(error.seconds)
        except (TelegramError, DatabaseFailure) as error:
            if isinstance(error, BotDead | TransientError) and not isinstance(error, PassingError):
                raise
            known |= seen
            log.info("the topics of %s are not known: %s", peer_id, error)
            return RETRY_SECONDS if isinstance(error, PassingError) else PAUSE

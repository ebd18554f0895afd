"""Backtests: start and cancel one, and what the accounts do with the older messages that they read for it.

An account reads the chats that it watches, newest messages first, while it has nothing newer to read. Messages are only
looked at in memory. Of those that one of the two lists of keywords matches and the other does not, a few are stored as
examples; nothing is stored of all others.
"""

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from django.db import transaction

from bots.models import Bot
from bots.roles import PastPage
from bots.selectors import is_own_account
from campaigns.models import Campaign, ChatPermission
from campaigns.permissions.validity import permissions_in_force
from campaigns.policy.locks import erasures_lock_shared
from campaigns.suppressions.lookup import is_erased
from messaging.database.clock import database_clock
from messaging.database.locks import rows_lock
from panelkit.errors import NotPossible
from parser.eligibility import why_no_hit
from parser.lab.keyword_lists import KeywordList, as_json, from_json
from parser.lab.trying import Trial
from parser.models import Backtest, BacktestMatch, WatchedChat
from parser.selectors import campaigns_watching
from telegram.types import IncomingMessage, OlderMessages

State = Backtest.State
MOST_DAYS = 14
# The most examples of each kind that a backtest stores.
MOST_EXAMPLES = 100
# Seconds for which a process remembers that no backtest is under way, so that idle accounts cost no queries.
_QUIET_SECONDS = 5.0
NOT_READ = "The account may not read this chat for the campaign now."


@dataclass
class ChatProgress:
    """A chat of a backtest. `since` and `reached` are ISO times; `before_id` is where the next page begins.

    `problem` says why the chat was not read to `since`.
    """

    chat_id: str
    name: str
    bot_id: str
    peer_id: int
    since: str
    before_id: int = 0
    read: int = 0
    reached: str = ""
    done: bool = False
    problem: str = ""


@transaction.atomic
def backtest_start(*, campaign_id: UUID, before: KeywordList, after: KeywordList, days: int, by: str) -> Backtest:
    """Let the watching accounts read the last days. The campaign's earlier backtests are deleted.

    A chat is never read further back than its owner's permission. Raises NotPossible if a backtest is under way, or if
    no chat can be read.
    """
    if not 1 <= days <= MOST_DAYS:
        raise NotPossible(f"Choose 1 to {MOST_DAYS} days.")
    rows_lock(Campaign.objects.filter(pk=campaign_id))
    earlier = Backtest.objects.filter(campaign_id=campaign_id)
    if earlier.filter(state=State.READING).exists():
        raise NotPossible("A backtest of this campaign is under way. Wait for its end, or cancel it.")
    chats = _chats(campaign_id, days)
    if not chats:
        raise NotPossible("No chat can be read: the campaign has to run and to watch chats whose owners permit it.")
    earlier.filter(pk__in=rows_lock(earlier)).delete()
    return Backtest.objects.create(
        campaign_id=campaign_id,
        days=days,
        before=as_json(before),
        after=as_json(after),
        chats=[asdict(chat) for chat in chats],
        by=by,
    )


def _chats(campaign_id: UUID, days: int) -> list[ChatProgress]:
    now = database_clock()
    permitted = permissions_in_force(purpose=ChatPermission.Grant.PARSE, now=now)
    granted = {permission.chat_id: permission for permission in permitted}
    watches = WatchedChat.objects.filter(campaign_id=campaign_id, campaign__state=Campaign.State.RUNNING)
    watches = watches.filter(chat_id__in=granted, chat__telegram_id__isnull=False).select_related("chat")
    found = []
    for watch in watches.order_by("chat__key"):
        permission = granted[watch.chat_id]
        begins = [now - timedelta(days=days), permission.granted_at, permission.valid_from]
        since = max(at for at in begins if at is not None)
        peer_id = watch.chat.telegram_id
        assert peer_id is not None
        found.append(ChatProgress(str(watch.chat_id), str(watch.chat), str(watch.bot_id), peer_id, since.isoformat()))
    return found


@transaction.atomic
def backtest_cancel(*, backtest_id: UUID) -> bool:
    """Returns whether it was under way. What was found so far stays."""
    rows = Backtest.objects.filter(pk__in=rows_lock(Backtest.objects.filter(pk=backtest_id)), state=State.READING)
    return bool(rows.update(state=State.CANCELLED, ended_at=database_clock()))


def progress_of(backtest: Backtest) -> list[ChatProgress]:
    return [ChatProgress(**chat) for chat in backtest.chats]


def accounts_of(backtest: Backtest) -> dict[str, Bot]:
    ids = {chat.bot_id for chat in progress_of(backtest)}
    return {str(bot.pk): bot for bot in Bot.objects.only("key", "display_name", "state").filter(pk__in=ids)}


class BacktestReader:
    """Implements `bots.roles.PastReader`."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def next_page(self, *, bot_id: UUID) -> PastPage | None:
        if time.monotonic() < self._quiet_until:
            return None
        backtests = list(Backtest.objects.filter(state=State.READING).order_by("created_at"))
        if not backtests:
            self._quiet_until = time.monotonic() + _QUIET_SECONDS
        for backtest in backtests:
            for chat in progress_of(backtest):
                if chat.bot_id != str(bot_id) or chat.done:
                    continue
                page = PastPage(backtest.pk, UUID(chat.chat_id), chat.peer_id, chat.before_id)
                if _may_read(backtest, bot_id, chat.peer_id):
                    return page
                self.page_refused(bot_id=bot_id, page=page, reason=NOT_READ)
        return None

    @transaction.atomic
    def page_read(self, *, bot_id: UUID, page: PastPage, found: OlderMessages) -> None:
        # This must be the transaction's first lock.
        erasures_lock_shared()
        backtest, chat = _locked(page)
        if backtest is None or chat is None or not _may_read(backtest, bot_id, page.peer_id):
            return
        since = datetime.fromisoformat(chat.since)
        messages = [message for message in found.messages if message.sent_at >= since]
        chat.read += len(messages)
        chat.before_id = found.lowest_id
        if found.oldest is not None:
            chat.reached = max(found.oldest, since).isoformat()
        chat.done = not found.lowest_id or (found.oldest is not None and found.oldest < since)
        _compare(backtest, page, messages)
        _store(backtest, chat)

    @transaction.atomic
    def page_refused(self, *, bot_id: UUID, page: PastPage, reason: str) -> None:
        backtest, chat = _locked(page)
        if backtest is not None and chat is not None:
            chat.done, chat.problem = True, reason
            _store(backtest, chat)


def _may_read(backtest: Backtest, bot_id: UUID, peer_id: int) -> bool:
    watches = campaigns_watching(bot_id=bot_id, telegram_id=peer_id, sent_at=database_clock())
    return any(watch.campaign_id == backtest.campaign_id for watch in watches)


def _locked(page: PastPage) -> tuple[Backtest | None, ChatProgress | None]:
    """The backtest and the chat, unless the backtest has ended or the page was read already."""
    rows = Backtest.objects.select_for_update(no_key=True, of=("self",))
    backtest = rows.filter(pk=page.purpose, state=State.READING).first()
    if backtest is None:
        return None, None
    chats = (chat for chat in progress_of(backtest) if chat.chat_id == str(page.chat_id))
    chat = next((chat for chat in chats if not chat.done and chat.before_id == page.before_id), None)
    return backtest, chat


def _store(backtest: Backtest, changed: ChatProgress) -> None:
    backtest.chats = [asdict(changed) if chat["chat_id"] == changed.chat_id else chat for chat in backtest.chats]
    if all(chat["done"] for chat in backtest.chats):
        backtest.state, backtest.ended_at = State.DONE, database_clock()
    backtest.save()


def _compare(backtest: Backtest, page: PastPage, messages: list[IncomingMessage]) -> None:
    """Count what the two lists find, and store the first examples of what only one of them finds."""
    before, after = _trials(backtest.pk)
    examples = []
    for message in messages:
        if why_no_hit(message):
            continue
        was, now = before.hit(message.text), after.hit(message.text)
        if not (was or now) or not _counts(message):
            continue
        backtest.matched += now
        backtest.lost += was and not now
        backtest.gained += now and not was
        if was != now:
            examples.append(_example(backtest, page, message, gained=now))
    there = {gained: BacktestMatch.objects.filter(backtest=backtest, gained=gained).count() for gained in (True, False)}
    kept = [
        example
        for kind in (True, False)
        for example in [each for each in examples if each.gained == kind][: MOST_EXAMPLES - there[kind]]
    ]
    BacktestMatch.objects.bulk_create(kept, ignore_conflicts=True)


def _counts(message: IncomingMessage) -> bool:
    author = message.from_user_id
    assert author is not None
    own = is_own_account(telegram_user_id=author, username=message.from_username)
    return not own and not is_erased(telegram_user_id=author)


def _example(backtest: Backtest, page: PastPage, message: IncomingMessage, *, gained: bool) -> BacktestMatch:
    assert message.from_user_id is not None
    return BacktestMatch(
        backtest=backtest,
        chat_id=page.chat_id,
        message_id=message.message_id,
        telegram_user_id=message.from_user_id,
        text=message.text,
        gained=gained,
        said_at=message.sent_at,
    )


@lru_cache(maxsize=8)
def _trials(backtest_id: UUID) -> tuple[Trial, Trial]:
    """The two lists, compiled once in a process: a backtest's lists never change."""
    backtest = Backtest.objects.get(pk=backtest_id)
    before, after = (
        Trial(from_json(stored), campaign_id=backtest.campaign_id) for stored in (backtest.before, backtest.after)
    )
    return before, after

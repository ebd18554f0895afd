"""Moves watched chats from one account to another, on an operator's decision: nothing is missed or counted twice."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from bots.accounts.suitability import with_logins
from bots.models import Bot, Cursor, Presence
from messaging.database.clock import database_clock
from panelkit.errors import NotPossible
from parser.models import WatchedChat
from parser.watching.accounts import accounts, standstill

# The handover is this far ahead when it is set, so neither account has read a later message; and the account that goes
# reads its last messages this long after it. Both cover the difference between the database's clock and Telegram's.
AHEAD = timedelta(seconds=60)
AFTER = timedelta(seconds=30)
# What `account_chosen` writes, and the account itself.
CHOSEN_FIELDS = ("bot", "next_bot", "handover_at", "read_since")


@transaction.atomic
def chat_move(*, chat_id: UUID, source_id: UUID, target_id: UUID) -> str:
    """Let `target` watch the chat instead of `source`, for all campaigns. Returns what happens now, in words.

    If the source has joined the chat, it reads on until the target has joined too. Raises NotPossible, also if
    Telegram restricts one of the accounts: the chats of such an account wait until an operator has dealt with it.
    """
    watches = WatchedChat.objects.select_for_update(of=("self",)).filter(chat_id=chat_id, bot_id=source_id)
    rows = list(watches.order_by("pk"))
    if not rows or any(row.next_bot_id for row in rows):
        raise NotPossible("The account does not watch this chat any more, or the chat is being moved already.")
    found = {account.bot.pk: account for account in accounts()}
    source, target = found.get(source_id), found.get(target_id)
    if source is None or target is None or source is target:
        raise NotPossible("Choose another parser account.")
    if source.problem:
        raise NotPossible(f"The chat stays with its account. {source.problem}")
    if target.problem:
        raise NotPossible(target.problem)
    if not target.has_room(chat_id):
        raise NotPossible(f"{target.bot} is in as many chats as an account may be in.")
    ids = [row.pk for row in rows]
    if not Presence.objects.filter(bot_id=source_id, chat_id=chat_id).exists():
        WatchedChat.objects.filter(pk__in=ids).update(bot_id=target_id)
        return f"{target.bot} watches the chat now."
    WatchedChat.objects.filter(pk__in=ids).update(next_bot_id=target_id)
    return f"{target.bot} joins the chat. Until then {source.bot} reads on."


def move_cancel(*, watch_id: int) -> None:
    """Let the chat stay with its account. Raises NotPossible once the next account has begun to count messages."""
    if not WatchedChat.objects.filter(pk=watch_id, handover_at=None).exclude(next_bot=None).update(next_bot=None):
        raise NotPossible("The chat is not being moved, or the next account reads it already.")


def account_chosen(watch: WatchedChat) -> None:
    """Prepare the row for saving with the account that an operator has chosen by hand, which ends a move."""
    took_over = watch.handover_at is not None and watch.bot_id == watch.next_bot_id
    # Messages of before were counted for the earlier account, as far as it had read them.
    watch.read_since = watch.handover_at if took_over else None if watch._state.adding else database_clock()
    watch.next_bot, watch.handover_at = None, None


def moves_advance(*, bot_id: UUID, at_end: Collection[tuple[int, datetime]]) -> set[tuple[int, datetime]]:
    """Advance the moves to and from this account. Its session calls this whenever it has looked after its chats.

    Returns chats (marked ids) that the account has to read to the end before it goes, each with its handover. `at_end`
    are those that it has read to the end since an earlier call returned them.
    """
    now = database_clock()
    coming = Q(next_bot_id=bot_id, handover_at=None)
    going = Q(bot_id=bot_id, handover_at__lte=now - AFTER)
    rows = list(WatchedChat.objects.filter(coming | going).values_list("pk", "handover_at", "chat__telegram_id"))
    ends = {pk: (peer_id, moment) for pk, moment, peer_id in rows if moment is not None and peer_id is not None}
    done = [pk for pk, end in ends.items() if end in at_end]
    _finish(done, bot_id)
    if len(rows) > len(ends):
        _hand_over(bot_id, now)
    return {end for pk, end in ends.items() if pk not in done}


def _finish(watch_ids: Collection[int], bot_id: UUID) -> None:
    for pk in watch_ids:
        going = WatchedChat.objects.filter(pk=pk, bot_id=bot_id, handover_at__isnull=False)
        going.update(bot_id=F("next_bot_id"), next_bot=None, read_since=F("handover_at"), handover_at=None)


def _hand_over(bot_id: UUID, now: datetime) -> None:
    """Set the handover of the chats that move to this account and that it reads now.

    An account that has been restricted or banned since the operator's decision hands over nothing.
    """
    inside = Presence.objects.filter(bot_id=bot_id, chat_id=OuterRef("chat_id"))
    reads = Cursor.objects.filter(bot_id=bot_id, peer_id=OuterRef("chat__telegram_id"))
    coming = WatchedChat.objects.filter(Exists(inside), Exists(reads), next_bot_id=bot_id, handover_at=None)
    sources = with_logins().filter(watches__in=coming).distinct()
    able = [bot.pk for bot in sources if not standstill(bot)]
    for pk in list(coming.filter(bot_id__in=able).values_list("pk", flat=True)):
        WatchedChat.objects.filter(pk=pk, next_bot_id=bot_id, handover_at=None).update(handover_at=now + AHEAD)


def move_state(watch: WatchedChat, source: Bot, target: Bot) -> str:
    """How far the move of the watched chat is, in a sentence; the row has a `next_bot`."""
    problem = standstill(source)
    if watch.handover_at is not None:
        rest = f"{source} still reads the messages sent until {watch.handover_at:%H:%M:%S} UTC"
        return f"Moves to {target}: {rest}.{f' {problem}' if problem else ''}"
    if problem:
        return f"The move to {target} waits: {problem}"
    problem = standstill(target)
    return f"Moves to {target} as soon as it has joined the chat. {problem}".rstrip()

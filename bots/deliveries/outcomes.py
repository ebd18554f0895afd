"""Stores the outcome of an attempt. Every write applies only while the delivery belongs to this owner's attempt."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest

from bots.accounts.flood_waits import flood_wait_record, long_wait_report
from bots.accounts.states import bot_restrict
from bots.chats.identity import chat_elsewhere, chat_upgraded
from bots.chats.permission_suspension import writing_refused
from bots.deliveries.outgoing import Outgoing
from bots.deliveries.queueing import delivery_finish
from bots.deliveries.timeline import note
from bots.gate.rules import PERSON_OPTED_OUT
from bots.models import Delivery, DeliveryEvent
from bots.selectors import is_own_account
from campaigns.policy.locks import suppressions_lock_shared
from campaigns.suppressions.lookup import is_suppressed
from campaigns.suppressions.recording import suppression_resolve
from panelkit.errors import NotPossible
from telegram.error_table import entry_of
from telegram.errors import (
    BotDead,
    BotRestricted,
    ChatRefuses,
    ChatUpgraded,
    ReferenceLeadsElsewhere,
    RetryAfter,
    TelegramError,
)
from telegram.types import ChatTarget, SentMessage

State, Kind = Delivery.State, DeliveryEvent.Kind
OWN_ACCOUNT = "The recipient is one of the team's own accounts."
LOST_BEFORE = "The account lost its connection before the message was sent."

log = logging.getLogger(__name__)


def record_sent(out: Outgoing, sent: SentMessage) -> bool:
    """Store that the message was sent. False if another owner has taken the delivery over and will settle it."""
    learned: dict[str, Any] = {}
    if out.chat_id is None and sent.user_id is not None:
        learned["peer_id"] = Coalesce("peer_id", sent.user_id)
    return delivery_finish(
        delivery_id=out.id,
        was=State.SENDING,
        epoch=out.epoch,
        state=State.SENT,
        telegram_message_id=sent.message_id,
        sent_at=sent.at,
        **learned,
    )


def record_unknown(out: Outgoing, reason: str) -> bool:
    return delivery_finish(
        delivery_id=out.id, was=State.SENDING, epoch=out.epoch, state=State.UNKNOWN, reason=reason, error_kind="unknown"
    )


def record_refused(out: Outgoing, reason: str) -> bool:
    return delivery_finish(
        delivery_id=out.id, was=State.SENDING, epoch=out.epoch, state=State.REFUSED, reason=reason, counted_at=None
    )


def record_failed(out: Outgoing, *, kind: str, reason: str) -> bool:
    return delivery_finish(
        delivery_id=out.id, was=State.SENDING, epoch=out.epoch, state=State.FAILED, reason=reason, error_kind=kind
    )


def recipient_identified(out: Outgoing, telegram_user_id: int, username: str) -> bool:
    """Store the recipient's id, which Telegram has sent for the username before the message is sent.

    Suppressions apply to ids, so they are checked again. False if the message must not be sent: the person is
    suppressed or is one of the team's accounts, and the delivery is refused; or another owner has taken it over.
    """
    suppression_resolve(telegram_user_id=telegram_user_id, username=username, by="Telegram")
    with transaction.atomic():
        mine = Delivery.objects.filter(id=out.id, state=State.SENDING, lease_epoch=out.epoch)
        if not mine.update(peer_id=Coalesce("peer_id", telegram_user_id)):
            return False
        suppressions_lock_shared()
        suppressed = is_suppressed(telegram_user_id=telegram_user_id)
        if not suppressed and not is_own_account(telegram_user_id=telegram_user_id):
            return True
    record_refused(out, PERSON_OPTED_OUT if suppressed else OWN_ACCOUNT)
    return False


@transaction.atomic
def put_back(
    out: Outgoing, reason: str, *, until: datetime | None = None, error_kind: str = "", answered: bool = True
) -> bool:
    """Put a delivery that was certainly not sent back into the queue. It no longer counts against its budgets.

    The gate checks it again. `attempts` counts only attempts that Telegram did not answer: if this one was refused or
    never left (`answered`), it is subtracted.
    """
    mine = Delivery.objects.filter(id=out.id, state=State.SENDING, lease_epoch=out.epoch)
    moved = mine.update(
        state=State.QUEUED,
        counted_at=None,
        first_attempt_at=None,
        attempts=Greatest(F("attempts") - int(answered), 0),
        waiting_reason=reason[:300],
        waiting_until=until,
        error_kind=error_kind,
    )
    if moved:
        note(Kind.PUT_BACK, {out.id: reason[:300]})
    return bool(moved)


@transaction.atomic
def note_unanswered(out: Outgoing, error: TelegramError) -> None:
    """Record that Telegram did not answer. The delivery stays `sending` until `bots.deliveries.recovery` settles it."""
    mine = Delivery.objects.filter(id=out.id, state=State.SENDING, lease_epoch=out.epoch)
    reason = f"Telegram did not answer ({error.reason}): CoolThing is checking whether the message was sent."[:300]
    if mine.update(waiting_reason=reason):
        note(Kind.UNANSWERED, {out.id: error.reason})


def record_refusal_of_telegram(out: Outgoing, error: TelegramError, now: datetime) -> None:
    """Store the outcome of an attempt that Telegram answered with an error: the message was not sent."""
    if isinstance(error, RetryAfter):
        until = now + timedelta(seconds=error.seconds)
        with transaction.atomic():
            put_back(out, f"{error.reason}: Telegram asked the account to wait.", until=until)
            flood_wait_store(out, error, until)
    elif isinstance(error, BotRestricted):
        with transaction.atomic():
            put_back(out, f"{error.reason}: Telegram restricts the account.", error_kind=error.kind)
            bot_restrict(bot_id=out.bot_id, reason=error.reason)
    elif isinstance(error, BotDead):
        how = "needs to be logged in again" if error.needs_login else "is banned"
        put_back(out, f"{error.reason}: the account {how}. No other account sends its messages.")
    elif isinstance(error, ChatUpgraded) and out.chat_id is not None:
        _follow(out, error)
    elif isinstance(error, ReferenceLeadsElsewhere) and out.chat_id is not None:
        assert isinstance(out.target, ChatTarget)
        chat_elsewhere(bot_id=out.bot_id, chat_id=out.chat_id, error=error, reference=out.target.reference)
        put_back(out, "The chat's reference leads to another chat.")
    else:
        if isinstance(error, ChatRefuses) and out.chat_id is not None:
            # Before settling, which may queue the next line for the same chat.
            writing_refused(bot_id=out.bot_id, chat_id=out.chat_id, error=error)
        record_failed(out, kind=error.kind, reason=error.reason)


def _follow(out: Outgoing, error: ChatUpgraded) -> None:
    """Record that the group is a supergroup now, and put the delivery back, to be sent there."""
    assert out.chat_id is not None
    try:
        chat_upgraded(chat_id=out.chat_id, telegram_id=error.telegram_id, upgraded_from=error.upgraded_from)
    except NotPossible as same:
        record_failed(out, kind=error.kind, reason=str(same))
        return
    put_back(out, "The group has become a supergroup: the message will be sent there.")


def flood_wait_store(out: Outgoing, error: RetryAfter, until: datetime) -> None:
    """Store the flood wait, for the chat if it is the chat's own, otherwise for the whole account."""
    entry = entry_of(error.reason)
    peer_id = (out.destination_id or 0) if entry is not None and entry.scope == "chat" else 0
    flood_wait_record(bot_id=out.bot_id, method=error.method, peer_id=peer_id, until=until, reason=error.reason)
    long_wait_report(bot_id=out.bot_id, error=error, until=until)
    log.warning("bot %s: %s for %s until %s", out.bot_id, error.reason, error.method, until.isoformat())

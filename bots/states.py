"""Which state of a bot may follow which, and the history of them."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from bots.models import Bot, BotStateChange

State = Bot.State

# What a connection by itself moves through.
CONNECTION = frozenset({State.OFFLINE, State.STARTING, State.ONLINE, State.WAITING})
# What keeps a bot from being connected until a person has acted.
BARRED = frozenset({State.NEEDS_LOGIN, State.BANNED, State.STOPPED})

# From which states each one may be entered. Only `bot_reset` leads out of restricted and out of BARRED.
ALLOWED_FROM: dict[State, frozenset[State]] = {
    State.OFFLINE: CONNECTION,
    State.STARTING: CONNECTION,
    State.ONLINE: CONNECTION,
    State.WAITING: CONNECTION,
    State.RESTRICTED: CONNECTION,
    State.NEEDS_LOGIN: CONNECTION | {State.RESTRICTED},
    State.BANNED: CONNECTION | {State.RESTRICTED, State.NEEDS_LOGIN},
    State.STOPPED: frozenset(State) - {State.STOPPED},
}

REASON_LENGTH = 300


def bot_set_state(
    *, bot_id: UUID, state: State, reason: str = "", until: datetime | None = None, epoch: int | None = None
) -> bool:
    """Move a bot to `state` and write it down; False when it may not move there from where it is.

    With `epoch`, only while the bot still belongs to the owner that took this epoch.
    """
    rows = Bot.objects.filter(pk=bot_id, state__in=ALLOWED_FROM[state])
    if epoch is not None:
        rows = rows.filter(lease_epoch=epoch)
    rows = rows.exclude(state=state, state_reason=reason[:REASON_LENGTH])
    with transaction.atomic():
        changed = rows.update(state=state, state_reason=reason[:REASON_LENGTH], state_until=until)
        if changed:
            _remember(bot_id, state, reason)
    return bool(changed)


def bot_reset(*, bot_id: UUID, reason: str) -> bool:
    """Back to offline, from where it may connect again: a person released it, started it or logged it in."""
    with transaction.atomic():
        barred = Bot.objects.filter(pk=bot_id, state__in=BARRED | {State.RESTRICTED})
        changed = barred.update(state=State.OFFLINE, state_reason=reason[:REASON_LENGTH], state_until=None)
        if changed:
            _remember(bot_id, State.OFFLINE, reason)
    return bool(changed)


def _remember(bot_id: UUID, state: State, reason: str) -> None:
    BotStateChange.objects.create(bot_id=bot_id, state=state, reason=reason[:REASON_LENGTH])

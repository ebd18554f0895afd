"""The states of a bot: the allowed changes, and their history."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from bots.accounts.incidents import incident_close, incident_report
from bots.models import Bot, BotStateChange
from telegram.errors import SUPERGROUPS_RESTRICTED

State = Bot.State

# The states of a bot that no operator has to act on; a connection moves through them by itself.
CONNECTION = frozenset({State.OFFLINE, State.STARTING, State.ONLINE, State.WAITING})
# No process connects a bot in one of these states until an operator has acted.
BARRED = frozenset({State.NEEDS_LOGIN, State.BANNED, State.STOPPED})

# state → the states that it may follow. Only `bot_reset` ends a restriction and the BARRED states.
# A banned or logged-out bot cannot be stopped as well: starting it again would hide that it needs a login.
ALLOWED_FROM: dict[State, frozenset[State]] = {
    State.OFFLINE: CONNECTION,
    State.STARTING: CONNECTION,
    State.ONLINE: CONNECTION,
    State.WAITING: CONNECTION,
    State.RESTRICTED: CONNECTION,
    State.NEEDS_LOGIN: CONNECTION | {State.RESTRICTED},
    State.BANNED: CONNECTION | {State.RESTRICTED, State.NEEDS_LOGIN},
    State.STOPPED: CONNECTION | {State.RESTRICTED},
}

REASON_LENGTH = 300


def bot_set_state(
    *, bot_id: UUID, state: State, reason: str = "", until: datetime | None = None, epoch: int | None = None
) -> bool:
    """Change a bot's state and record it in the history. False if the present state does not allow it, or is the same.

    With `epoch` nothing changes unless the owner with this epoch still owns the bot.
    """
    rows = Bot.objects.filter(pk=bot_id, state__in=ALLOWED_FROM[state])
    if epoch is not None:
        rows = rows.filter(lease_epoch=epoch)
    rows = rows.exclude(state=state, state_reason=reason[:REASON_LENGTH], state_until=until)
    with transaction.atomic():
        changed = rows.update(state=state, state_reason=reason[:REASON_LENGTH], state_until=until)
        if changed:
            _remember(bot_id, state, reason)
    return bool(changed)


def bot_reset(*, bot_id: UUID, reason: str, release: bool = False) -> bool:
    """Let a bot connect again after an operator has started it, logged it in or, with `release`, checked it.

    Only `release` lifts a restriction; a stop and a new login do not. False if there was nothing to reset.
    """
    with transaction.atomic():
        state = Bot.objects.select_for_update().values_list("state", flat=True).get(pk=bot_id)
        if state not in BARRED | {State.RESTRICTED}:
            return False
        restriction = None if release else _restriction(bot_id)
        to, why = (State.OFFLINE, reason) if restriction is None else (State.RESTRICTED, restriction)
        if to == state:
            return False
        Bot.objects.filter(pk=bot_id).update(state=to, state_reason=why[:REASON_LENGTH], state_until=None)
        if to != State.RESTRICTED:
            incident_close(key=restriction_incident(bot_id))
        _remember(bot_id, to, why)
    return True


def bot_restrict(*, bot_id: UUID, reason: str) -> bool:
    """Record that Telegram restricts the account (telegram.errors.BotRestricted), until `bot_reset` with `release`.

    Each reason is reported once; False if it is known already. Several reasons are joined with ", ". A bot in a BARRED
    state keeps that state and becomes restricted when it is reset.
    """
    with transaction.atomic():
        bot = Bot.objects.select_for_update().only("state", "key", "display_name").get(pk=bot_id)
        known = _restriction(bot_id)
        reasons = known.split(", ") if known is not None else []
        if reason in reasons:
            return False
        joined = ", ".join([*reasons, reason])
        if bot.state not in BARRED:
            Bot.objects.filter(pk=bot_id).update(
                state=State.RESTRICTED, state_reason=joined[:REASON_LENGTH], state_until=None
            )
        _remember(bot_id, State.RESTRICTED, joined)
        what = "write in supergroups" if reason == SUPERGROUPS_RESTRICTED else "write to strangers"
        incident_report(
            key=restriction_incident(bot_id),
            reason=f"Telegram does not let account {bot} {what} ({reason}): "
            "ask @SpamBot in Telegram why, then release the account",
        )
    return True


def is_restricted(*, bot_id: UUID) -> bool:
    """Whether Telegram restricts the account. A restricted account joins no chats until an operator releases it."""
    return Bot.objects.filter(pk=bot_id, state=State.RESTRICTED).exists()


def restriction_incident(bot_id: UUID) -> str:
    """The key of the incident that is open while the account is restricted."""
    return f"restricted:{bot_id}"


def _restriction(bot_id: UUID) -> str | None:
    """The reason of a restriction that no operator has lifted, even if the bot is in a BARRED state now; else None."""
    last = BotStateChange.objects.filter(bot_id=bot_id).exclude(state__in=BARRED).first()
    return last.reason if last is not None and last.state == State.RESTRICTED else None


def _remember(bot_id: UUID, state: State, reason: str) -> None:
    BotStateChange.objects.create(bot_id=bot_id, state=state, reason=reason[:REASON_LENGTH])

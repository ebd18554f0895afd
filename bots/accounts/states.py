"""The states of a bot: which may follow which, and their history."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from bots.accounts.incidents import trouble_over, trouble_tell
from bots.models import Bot, BotStateChange
from telegram.errors import SUPERGROUPS_RESTRICTED

State = Bot.State

# What a connection by itself moves through.
CONNECTION = frozenset({State.OFFLINE, State.STARTING, State.ONLINE, State.WAITING})
# What keeps a bot from being connected until a person has acted.
BARRED = frozenset({State.NEEDS_LOGIN, State.BANNED, State.STOPPED})

# From which states each one may be entered. Only `bot_reset` leads out of restricted and out of BARRED.
# Who is banned or logged out is not stopped on top: starting it would hide that it needs a login.
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
    """Move a bot to `state` and write it down; False when it may not move there from where it is.

    With `epoch`, only while the bot still belongs to the owner that took this epoch.
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
    """Back to where it may connect again: a person started it, logged it in, or (`release`) has looked at it.

    A restriction outlives a stop and a new login: only `release` lifts it. False when there was nothing to reset.
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
            trouble_over(key=restriction_trouble(bot_id))
        _remember(bot_id, to, why)
    return True


def bot_restrict(*, bot_id: UUID, reason: str) -> bool:
    """Telegram restricts the account (telegram.errors.BotRestricted): until `bot_reset` with `release`. It is reported
    once; False when this was known. Further reasons join the first one (", " between them). A barred bot is restricted
    when it comes back.
    """
    with transaction.atomic():
        bot = Bot.objects.select_for_update().only("state", "key", "display_name").get(pk=bot_id)
        known = _restriction(bot_id)
        reasons = known.split(", ") if known is not None else []
        if reason in reasons:
            return False
        told = ", ".join([*reasons, reason])
        if bot.state not in BARRED:
            Bot.objects.filter(pk=bot_id).update(
                state=State.RESTRICTED, state_reason=told[:REASON_LENGTH], state_until=None
            )
        _remember(bot_id, State.RESTRICTED, told)
        what = "write in no supergroup" if reason == SUPERGROUPS_RESTRICTED else "write to no strangers"
        trouble_tell(
            key=restriction_trouble(bot_id),
            reason=f"Telegram lets bot {bot} {what} ({reason}): ask @SpamBot in the account, then release it",
        )
    return True


def is_restricted(*, bot_id: UUID) -> bool:
    """Whether Telegram restricts the account: then it joins nothing until a person has looked."""
    return Bot.objects.filter(pk=bot_id, state=State.RESTRICTED).exists()


def restriction_trouble(bot_id: UUID) -> str:
    """The key of the Trouble that there is while the account is restricted."""
    return f"restricted:{bot_id}"


def _restriction(bot_id: UUID) -> str | None:
    """The reason of a restriction that nobody has lifted, whatever became of the bot since."""
    last = BotStateChange.objects.filter(bot_id=bot_id).exclude(state__in=BARRED).first()
    return last.reason if last is not None and last.state == State.RESTRICTED else None


def _remember(bot_id: UUID, state: State, reason: str) -> None:
    BotStateChange.objects.create(bot_id=bot_id, state=state, reason=reason[:REASON_LENGTH])

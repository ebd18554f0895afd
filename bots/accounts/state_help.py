"""Sentences for the panel about a bot's state: what it means and what the operator can do."""

from datetime import datetime

from bots.models import Bot, Role

State = Bot.State

NEXT_STEP: dict[str, str] = {
    State.OFFLINE: "Nothing to do: it connects when its role needs it.",
    State.STARTING: "Nothing to do: it is connecting. If it stays so, see Incidents and the worker's log.",
    State.ONLINE: "Nothing to do.",
    State.WAITING: "Nothing to do: Telegram asked it to wait, and it goes on by itself. Asking it for less helps.",
    State.RESTRICTED: "Open the account in Telegram, ask @SpamBot why, and release it here once the reason is gone. "
    "Replies go on meanwhile; first contacts wait.",
    State.NEEDS_LOGIN: "Telegram has ended its login. Look at the account's active sessions, then log it in again.",
    State.BANNED: "Telegram has closed the account: appeal there. If it is given back, log the bot in again. "
    "Its messages wait, or cancel them: they are not handed to another account.",
    State.STOPPED: "Start it when it may work again.",
}
_NEVER_LOGGED_IN = "It was never logged in: log it in."
_LOGGED_OUT = "It was logged out: log it in again when it may work."
_MANAGER_OFFLINE = (
    "It connects while a campaign that runs or pauses has it as a manager, and once it has conversations: "
    "assign it to a campaign if it has none."
)
_DISABLED = "It is switched off: tick “enabled” when it may connect."
_LOGIN_STATES = (State.NEEDS_LOGIN, State.BANNED)


def next_step(bot: Bot, *, has_session: bool = True, has_worker: bool = True) -> str:
    """What the operator has to do so that the bot works."""
    if not bot.enabled:
        return _DISABLED
    if not has_session and bot.state not in _LOGIN_STATES:
        # `telegram_user_id` is set at the first login and stays after a logout.
        return _NEVER_LOGGED_IN if bot.telegram_user_id is None else _LOGGED_OUT
    if not has_worker and bot.state == State.OFFLINE:
        return (
            f"No worker takes bots of the role {bot.role}: start the process {bot.role}_bots of the Procfile, "
            "or let a drained one take bots again."
        )
    if bot.state == State.OFFLINE and bot.role == Role.MANAGER:
        return _MANAGER_OFFLINE
    return NEXT_STEP[bot.state]


def waits_until(bot: Bot, now: datetime) -> datetime | None:
    """The end of the bot's wait that Telegram asked for, if it is after `now`; None otherwise."""
    ends = (bot.state_until, bot.blocked_until)
    return max((end for end in ends if end is not None and end > now), default=None)

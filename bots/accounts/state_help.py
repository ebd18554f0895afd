"""Sentences for the panel about a bot's state: what it means and what the operator can do."""

from datetime import datetime

from bots.models import Bot, Role

State = Bot.State

NEXT_STEP: dict[str, str] = {
    State.OFFLINE: "Nothing to do. The account connects when its role needs it.",
    State.STARTING: "Nothing to do. The account is connecting. If this takes longer than a minute, see Incidents "
    "and the worker's log.",
    State.ONLINE: "Nothing to do.",
    State.WAITING: "Nothing to do. Telegram asked the account to wait; it continues automatically. "
    "If this happens often, use the account less.",
    State.RESTRICTED: "Open the account in Telegram, ask @SpamBot why it is restricted, and release it here when the "
    "reason is gone. Until then its first contacts wait; it still sends replies.",
    State.NEEDS_LOGIN: "Telegram has ended the login. Check the account's active sessions in Telegram, "
    "then log it in again.",
    State.BANNED: "Telegram has banned the account. Appeal in Telegram. If the ban is lifted, log the account in "
    "again. Its messages wait until then, unless you cancel them. No other account sends them.",
    State.STOPPED: "Start the account when it may work again.",
}
_NEVER_LOGGED_IN = "The account was never logged in. Log it in."
_LOGGED_OUT = "The account was logged out. Log it in again when it may work."
_MANAGER_OFFLINE = (
    "The account connects while it is a manager of a running or paused campaign, or has conversations. "
    "If it has none, assign it to a campaign."
)
_DISABLED = "The account is disabled. Tick “enabled” to let it connect."
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
            f"No worker takes accounts of the role {bot.role}. Start the process {bot.role}_bots of the Procfile, "
            "or stop draining a worker of this role."
        )
    if bot.state == State.OFFLINE and bot.role == Role.MANAGER:
        return _MANAGER_OFFLINE
    return NEXT_STEP[bot.state]


def waits_until(bot: Bot, now: datetime) -> datetime | None:
    """The end of the bot's wait that Telegram asked for, if it is after `now`; None otherwise."""
    ends = (bot.state_until, bot.blocked_until)
    return max((end for end in ends if end is not None and end > now), default=None)

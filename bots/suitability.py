"""Whether an account can do a role's work now: what pickers offer, and why others are refused."""

from collections.abc import Collection

from django.db.models import QuerySet

from bots.models import Bot, Role

State = Bot.State
DISABLED = "is disabled"
_PROBLEMS = {
    State.BANNED: "is banned",
    State.NEEDS_LOGIN: "needs login",
    State.STOPPED: "is stopped",
    State.RESTRICTED: "is restricted",
}
# What to do on the account's page.
_REMEDIES = {
    DISABLED: "enable it on its page",
    _PROBLEMS[State.NEEDS_LOGIN]: "log it in on its page",
    _PROBLEMS[State.STOPPED]: "start it on its page",
    _PROBLEMS[State.RESTRICTED]: "look at it in Telegram and release it on its page",
}


def bots_suitable(*, role: Role, barred: Collection[str]) -> QuerySet[Bot]:
    """Accounts of the role that may connect and are in none of the states `barred`."""
    return Bot.objects.filter(role=role, enabled=True).exclude(state__in=barred)


def bot_problem(bot: Bot, *, role: Role, barred: Collection[str]) -> str:
    """Why this account is none of those, in a few words; or nothing."""
    if bot.role != role:
        return f"is no {role}"
    if not bot.enabled:
        return DISABLED
    return _PROBLEMS[State(bot.state)] if bot.state in barred else ""


def bot_told(bot: Bot, *, role: Role, barred: Collection[str]) -> str:
    """The same as a sentence for whoever chooses it: with what to do."""
    problem = bot_problem(bot, role=role, barred=barred)
    if not problem:
        return ""
    another = "choose another account" if bot.role == role else f"choose an account of the role {role}"
    remedy = _REMEDIES.get(problem)
    return f"{bot} {problem}: {remedy}, or {another}." if remedy else f"{bot} {problem}: {another}."

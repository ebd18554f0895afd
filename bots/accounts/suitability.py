"""Decides whether an account can do a role's work now: which accounts pickers offer, and why not the others."""

from collections.abc import Callable, Collection

from django.db.models import Exists, OuterRef, QuerySet

from bots.models import Bot, BotSession, Role

State = Bot.State
# The most accounts whose problems a text names: it has to fit into the reason of a lead's state.
NAMED = 2
DISABLED = "is disabled"
NEVER_LOGGED_IN, LOGGED_OUT = "was never logged in", "was logged out"
_PROBLEMS = {
    State.BANNED: "is banned",
    State.NEEDS_LOGIN: "needs login",
    State.STOPPED: "is stopped",
    State.RESTRICTED: "is restricted",
}
# problem → what the operator does on the account's page.
_REMEDIES = {
    DISABLED: "enable it on its page",
    _PROBLEMS[State.NEEDS_LOGIN]: "log it in on its page",
    NEVER_LOGGED_IN: "log it in on its page",
    LOGGED_OUT: "log it in on its page",
    _PROBLEMS[State.STOPPED]: "start it on its page",
    _PROBLEMS[State.RESTRICTED]: "check it in Telegram and release it on its page",
}


# The problems that end when an operator logs the account in.
LOGIN_PROBLEMS = (_PROBLEMS[State.NEEDS_LOGIN], NEVER_LOGGED_IN, LOGGED_OUT)


def bots_suitable(*, role: Role, barred: Collection[str], logged_in: bool = False) -> QuerySet[Bot]:
    """The enabled accounts of the role that are in none of the states `barred`.

    With `logged_in` only accounts with a stored session.
    """
    found = Bot.objects.filter(role=role, enabled=True).exclude(state__in=barred)
    return found.filter(_logged_in()) if logged_in else found


def with_logins() -> QuerySet[Bot]:
    """All accounts, annotated so that `login_problem` makes no query for each of them."""
    return Bot.objects.annotate(has_session=_logged_in())


def _logged_in() -> Exists:
    return Exists(BotSession.objects.filter(bot=OuterRef("pk")))


def login_problem(bot: Bot) -> str:
    """Why no process can connect the account, whatever its state; empty if a session is stored."""
    known: bool | None = getattr(bot, "has_session", None)
    if BotSession.objects.filter(bot=bot).exists() if known is None else known:
        return ""
    # `telegram_user_id` is set at the first login and stays after a logout.
    return NEVER_LOGGED_IN if bot.telegram_user_id is None else LOGGED_OUT


def bot_problem(bot: Bot, *, role: Role, barred: Collection[str], logged_in: bool = False) -> str:
    """Why `bots_suitable` does not include this account, in a few words; empty if it does."""
    if bot.role != role:
        return f"does not have the role {role}"
    if not bot.enabled:
        return DISABLED
    if bot.state in barred:
        return _PROBLEMS[State(bot.state)]
    return login_problem(bot) if logged_in else ""


def bot_advice(bot: Bot, *, role: Role, barred: Collection[str], logged_in: bool = False) -> str:
    """`bot_problem` as a sentence with advice for the operator; empty if there is no problem."""
    problem = bot_problem(bot, role=role, barred=barred, logged_in=logged_in)
    if not problem:
        return ""
    another = "choose another account" if bot.role == role else f"choose an account of the role {role}"
    remedy = _REMEDIES.get(problem)
    return f"{bot} {problem}: {remedy}, or {another}." if remedy else f"{bot} {problem}: {another}."


def accounts_advice(bots: QuerySet[Bot], advice: Callable[[Bot], str]) -> str:
    """Advice for a campaign without a usable account: `advice` of the first NAMED accounts, and the number of others.

    Empty if one of the accounts has no problem, or if there are no accounts.
    """
    found: list[str] = []
    # Do not load the secrets: they may be encrypted with a key that this process does not have.
    rows = with_logins().filter(pk__in=bots.order_by().values("pk")).defer("phone", "api_hash", "proxy_url")
    for bot in rows.order_by("key"):
        if not (problem := advice(bot)):
            return ""
        found.append(problem)
    more = [f"{len(found) - NAMED} more: see the campaign's page."] if len(found) > NAMED else []
    return " ".join([*found[:NAMED], *more])

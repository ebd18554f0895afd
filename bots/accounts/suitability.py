"""Whether an account can do a role's work now: what pickers offer, and why they refuse the others."""

from collections.abc import Callable, Collection

from django.db.models import Exists, OuterRef, QuerySet

from bots.models import Bot, BotSession, Role

State = Bot.State
# So many accounts are named with what is wrong; the text has to fit into a lead's reason.
NAMED = 2
DISABLED = "is disabled"
NEVER_LOGGED_IN, LOGGED_OUT = "was never logged in", "was logged out"
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
    NEVER_LOGGED_IN: "log it in on its page",
    LOGGED_OUT: "log it in on its page",
    _PROBLEMS[State.STOPPED]: "start it on its page",
    _PROBLEMS[State.RESTRICTED]: "look at it in Telegram and release it on its page",
}


# Each of these ends when somebody logs the account in.
LOGIN_PROBLEMS = (_PROBLEMS[State.NEEDS_LOGIN], NEVER_LOGGED_IN, LOGGED_OUT)


def bots_suitable(*, role: Role, barred: Collection[str], logged_in: bool = False) -> QuerySet[Bot]:
    """Accounts of the role that may connect and are in none of the states `barred`; with `logged_in` those that a
    login has been stored for."""
    found = Bot.objects.filter(role=role, enabled=True).exclude(state__in=barred)
    return found.filter(_logged_in()) if logged_in else found


def with_logins() -> QuerySet[Bot]:
    """All accounts, ready for `login_problem`, which then needs no query for each of them."""
    return Bot.objects.annotate(has_session=_logged_in())


def _logged_in() -> Exists:
    return Exists(BotSession.objects.filter(bot=OuterRef("pk")))


def login_problem(bot: Bot) -> str:
    """Why nothing can connect the account, whatever its state says; empty when a login has been stored."""
    known: bool | None = getattr(bot, "has_session", None)
    if BotSession.objects.filter(bot=bot).exists() if known is None else known:
        return ""
    # A login says whose account it is; that stays.
    return NEVER_LOGGED_IN if bot.telegram_user_id is None else LOGGED_OUT


def bot_problem(bot: Bot, *, role: Role, barred: Collection[str], logged_in: bool = False) -> str:
    """Why this account is none of those, in a few words; or nothing."""
    if bot.role != role:
        return f"is no {role}"
    if not bot.enabled:
        return DISABLED
    if bot.state in barred:
        return _PROBLEMS[State(bot.state)]
    return login_problem(bot) if logged_in else ""


def bot_advice(bot: Bot, *, role: Role, barred: Collection[str], logged_in: bool = False) -> str:
    """`bot_problem` as a sentence that says what to do; empty when there is no problem."""
    problem = bot_problem(bot, role=role, barred=barred, logged_in=logged_in)
    if not problem:
        return ""
    another = "choose another account" if bot.role == role else f"choose an account of the role {role}"
    remedy = _REMEDIES.get(problem)
    return f"{bot} {problem}: {remedy}, or {another}." if remedy else f"{bot} {problem}: {another}."


def accounts_advice(bots: QuerySet[Bot], advice: Callable[[Bot], str]) -> str:
    """What to do about a campaign's accounts, by `advice` of each, the first ones by name; empty as soon as one of them
    works, and when there are none."""
    found: list[str] = []
    # Without the secrets, which another key may have encrypted.
    rows = with_logins().filter(pk__in=bots.order_by().values("pk")).defer("phone", "api_hash", "proxy_url")
    for bot in rows.order_by("key"):
        if not (problem := advice(bot)):
            return ""
        found.append(problem)
    more = [f"{len(found) - NAMED} more: see the campaign's page."] if len(found) > NAMED else []
    return " ".join([*found[:NAMED], *more])

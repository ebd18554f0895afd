"""The rules of the gate, which allows a delivery now, lets it wait until a time, or refuses it, with a reason.

`judge` is a pure function of the facts that `bots.gate.facts` reads under the locks of the claiming transaction. The
reasons are sentences for operators, which the panel shows unchanged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfoNotFoundError

from bots.gate.verdicts import ALLOW, Refuse, Verdict, Wait
from bots.models import Bot, Delivery
from campaigns.models import Campaign, Purpose
from campaigns.permissions.validity import Gap
from campaigns.policy.quiet_hours import quiet_until
from telegram.errors import SUPERGROUPS_RESTRICTED

State = Delivery.State
PERSON_OPTED_OUT = "This person asked not to be written to."


@dataclass(frozen=True)
class FloodWait:
    """A flood wait of the bot."""

    until: datetime
    reason: str


@dataclass(frozen=True)
class FullBudget:
    """A used-up budget. `until` is when the oldest counted message leaves its window; None for a limit of 0."""

    name: str
    limit: int
    window_seconds: int
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the gate's verdict about one delivery at `now` depends on.

    The rows that these values come from are locked, so no value changes before the verdict is stored.

    `chat` is None for a message to a person. `permission_gap` is why the chat owner's permission is not in force.
    `chat_labelled`: the chat's label informs its members that scripts play there. `met_restriction`: Telegram has
    refused this message before because the bot is restricted. `blocked_until` is the end of a wait of the whole
    account, during which the account is not connected. `replies_to` is the state of the delivery that this one replies
    to. `ahead` is the reason to wait if another delivery of the bot must be sent first, otherwise empty.
    """

    now: datetime
    purpose: str
    bot: str
    owned: bool
    logged_in: bool
    bot_state: str
    bot_state_reason: str
    met_restriction: bool
    flood_waits: tuple[FloodWait, ...]
    blocked_until: datetime | None
    campaign: str
    campaign_state: str
    time_zone: str
    quiet_from: time | None
    quiet_to: time | None
    origin: Verdict
    suppressed: bool
    disclosed: bool
    chat: str | None
    in_supergroup: bool
    permission_gap: Gap | None
    chat_labelled: bool
    member: bool
    replies_to: str | None
    ahead: str
    full_budgets: tuple[FullBudget, ...]


def judge(facts: Facts) -> Verdict:
    """The verdict about a delivery.

    A refusal comes before a wait: a message that can never be sent should not stay in the queue. Of several waits the
    result is the first one without a known end, or else the one that ends last.
    """
    return next(iter(objections(facts)), ALLOW)


def objections(facts: Facts) -> list[Refuse | Wait]:
    """All reasons against sending, the decisive one first; empty if the delivery is allowed."""
    refusals = [refusal for clause in _REFUSALS if (refusal := clause(facts)) is not None]
    waits = [wait for clause in _WAITS if (wait := clause(facts)) is not None]
    open_ended = [wait for wait in waits if wait.until is None]
    timed = sorted((wait for wait in waits if wait.until), key=lambda wait: wait.until or facts.now, reverse=True)
    return [*refusals, *open_ended, *timed]


def _origin_refuses(facts: Facts) -> Refuse | None:
    return facts.origin if isinstance(facts.origin, Refuse) else None


def _campaign_over(facts: Facts) -> Refuse | None:
    if facts.campaign_state == Campaign.State.FINISHED:
        return Refuse(f"Campaign “{facts.campaign}” is finished.")
    return None


def _peer_suppressed(facts: Facts) -> Refuse | None:
    return Refuse(PERSON_OPTED_OUT) if facts.suppressed else None


def _chat_not_permitted(facts: Facts) -> Refuse | None:
    gap = facts.permission_gap
    return Refuse(_ungranted(facts.chat, gap)) if gap is not None and gap.lasting else None


def _permission_waits(facts: Facts) -> Wait | None:
    gap = facts.permission_gap
    return Wait(gap.until, _ungranted(facts.chat, gap)) if gap is not None and not gap.lasting else None


def _ungranted(chat: str | None, gap: Gap) -> str:
    return f"No permission from the owner of “{chat}” is in force: {gap.reason}."


def _not_disclosed(facts: Facts) -> Refuse | None:
    if facts.purpose != Purpose.FIRST_CONTACT or facts.disclosed:
        return None
    return Refuse("A first message must say that an AI writes it and how to opt out; this text does not.")


def _not_labelled(facts: Facts) -> Refuse | None:
    if facts.purpose != Purpose.SCRIPT or facts.chat is None or facts.chat_labelled:
        return None
    return Refuse(f"“{facts.chat}” has no label: enter the text that informs its members of the scripts.")


def _reply_impossible(facts: Facts) -> Refuse | None:
    if facts.replies_to in (State.FAILED, State.REFUSED, State.CANCELLED):
        return Refuse("The message to which this one replies was not sent.")
    if facts.replies_to == State.UNKNOWN:
        return Refuse("It is not known whether the message to which this one replies was sent.")
    return None


def _not_owned(facts: Facts) -> Wait | None:
    if facts.owned or _account_waits(facts):
        return None
    if not facts.logged_in:
        return Wait(None, f"{facts.bot} is not logged in: log it in.")
    why = f" ({facts.bot_state_reason})" if facts.bot_state_reason else ""
    return Wait(None, f"{facts.bot} is not connected{why}.")


def _campaign_not_running(facts: Facts) -> Wait | None:
    if facts.campaign_state == Campaign.State.RUNNING:
        return None
    how = "paused" if facts.campaign_state == Campaign.State.PAUSED else "not started yet"
    return Wait(None, f"Campaign “{facts.campaign}” is {how}.")


def _origin_waits(facts: Facts) -> Wait | None:
    return facts.origin if isinstance(facts.origin, Wait) else None


# In these states the account sends nothing until an operator or Telegram changes the state.
_UNUSABLE: dict[str, str] = {
    Bot.State.BANNED: "is banned",
    Bot.State.NEEDS_LOGIN: "needs to be logged in again",
    Bot.State.STOPPED: "is stopped",
}


def _bot_unusable(facts: Facts) -> Wait | None:
    how = _UNUSABLE.get(facts.bot_state)
    if how is None:
        return None
    why = f" ({facts.bot_state_reason})" if facts.bot_state_reason else ""
    return Wait(None, f"{facts.bot} {how}{why}. No other account sends its messages.")


def _bot_restricted(facts: Facts) -> Wait | None:
    if facts.bot_state != Bot.State.RESTRICTED:
        return None
    if facts.in_supergroup and SUPERGROUPS_RESTRICTED in facts.bot_state_reason.split(", "):
        return Wait(
            None,
            f"Telegram does not let {facts.bot} write in supergroups: "
            "its lines there wait until an operator releases the restriction.",
        )
    if facts.purpose == Purpose.FIRST_CONTACT or facts.met_restriction:
        return Wait(
            None, f"Telegram restricts {facts.bot}: its first contacts wait until an operator releases the restriction."
        )
    return None


def _not_a_member(facts: Facts) -> Wait | None:
    if facts.chat is None or facts.member:
        return None
    # Its limits of joins an hour and a day: `bots.chats.joins`.
    connected = "it is connected and its limits allow it"
    condition = connected if facts.permission_gap is None else "the permission is in force"
    return Wait(None, f"{facts.bot} is not a member of “{facts.chat}” yet and joins it when {condition}.")


def _earlier_message(facts: Facts) -> Wait | None:
    return Wait(None, facts.ahead) if facts.ahead else None


def _reply_not_yet_possible(facts: Facts) -> Wait | None:
    if facts.replies_to in (None, State.SENT):
        return None
    return Wait(None, "The message to which this one replies has not been sent yet.")


def _account_waits(facts: Facts) -> bool:
    return facts.blocked_until is not None and facts.blocked_until > facts.now


def _flood_wait(facts: Facts) -> Wait | None:
    ahead = [wait for wait in facts.flood_waits if wait.until > facts.now]
    if facts.blocked_until is not None and _account_waits(facts):
        ahead.append(FloodWait(facts.blocked_until, facts.bot_state_reason or "FLOOD_WAIT"))
    if not ahead:
        return None
    longest = max(ahead, key=lambda wait: wait.until)
    return Wait(longest.until, f"{longest.reason}: Telegram asked {facts.bot} to wait.")


def _quiet_hours(facts: Facts) -> Wait | None:
    """Quiet hours concern scripts and first contacts only: replies may be sent at any hour."""
    if facts.purpose not in (Purpose.FIRST_CONTACT, Purpose.SCRIPT):
        return None
    try:
        until = quiet_until(facts.now, time_zone=facts.time_zone, start=facts.quiet_from, end=facts.quiet_to)
    except (ZoneInfoNotFoundError, ValueError):
        return Wait(
            None,
            f"The time zone “{facts.time_zone}” of campaign “{facts.campaign}” is unknown: "
            "correct it on the campaign's page.",
        )
    if until is None:
        return None
    # In the campaign's time zone. The panel adds the time at which the wait ends.
    hours = f"{facts.quiet_from:%H:%M}–{facts.quiet_to:%H:%M} {facts.time_zone}"
    return Wait(until, f"Quiet hours of campaign “{facts.campaign}” ({hours}).")


def _no_budget(facts: Facts) -> Wait | None:
    if not facts.full_budgets:
        return None
    never = next((budget for budget in facts.full_budgets if budget.until is None), None)
    if never is not None:
        return Wait(None, f"The budget of {never.name} is 0.")
    latest = max(facts.full_budgets, key=lambda budget: budget.until or facts.now)
    return Wait(
        latest.until,
        f"The budget of {latest.name} is used up: at most {latest.limit} in {_span(latest.window_seconds)}.",
    )


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % unit == 0:
            count = seconds // unit
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} s"


_REFUSALS: tuple[Callable[[Facts], Refuse | None], ...] = (
    _origin_refuses,
    _campaign_over,
    _peer_suppressed,
    _chat_not_permitted,
    _not_disclosed,
    _not_labelled,
    _reply_impossible,
)
_WAITS: tuple[Callable[[Facts], Wait | None], ...] = (
    _campaign_not_running,
    _permission_waits,
    _origin_waits,
    _bot_unusable,
    _bot_restricted,
    _not_owned,
    _not_a_member,
    _reply_not_yet_possible,
    _earlier_message,
    _flood_wait,
    _quiet_hours,
    _no_budget,
)

"""Checks whether an assignment can start, at its activation and again when its plays are prepared."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db.models import Prefetch

from bots.accounts.suitability import LOGIN_PROBLEMS, bot_advice, bot_problem, with_logins
from bots.models import Bot, Role
from campaigns.models import Campaign, Chat, ChatPermission
from campaigns.permissions.validity import gap_at, permission_gaps
from scripts.errors import AssignedAlready
from scripts.models import Assignment, Casting, Target
from scripts.selectors import UNUSABLE_BOTS, script_assigned
from scripts.snapshot import SnapshotLine
from texts import spintax
from texts.telegram_form import LONGEST


def problems(assignment: Assignment, lines: Sequence[SnapshotLine], *, now: datetime) -> list[str]:
    """The reasons, in words for an operator, why `lines` cannot be played for `assignment` at `now`.

    Empty if they can.
    """
    return [
        *_campaign_problems(assignment.campaign),
        *_assignment_problems(assignment),
        *_line_problems(lines),
        *_cast_problems(assignment, {line.slot for line in lines}),
        *_target_problems(assignment, now),
    ]


def _campaign_problems(campaign: Campaign) -> Iterator[str]:
    if campaign.state not in (Campaign.State.RUNNING, Campaign.State.PAUSED):
        yield f"campaign “{campaign}” is {campaign.get_state_display().lower()}, not running"


def _assignment_problems(assignment: Assignment) -> Iterator[str]:
    """An assignment that failed may be activated again, unless the script has been assigned anew meanwhile."""
    if script_assigned(campaign_id=assignment.campaign_id, script_id=assignment.script_id, beside=assignment.pk):
        yield str(AssignedAlready())


def _line_problems(lines: Sequence[SnapshotLine]) -> Iterator[str]:
    if not lines:
        yield "the script has no lines"
    earlier: set[object] = set()
    for line in lines:
        reason = text_problem(line.text)
        if reason:
            yield f"line {line.key}: {reason}"
        if line.reply_to is not None and line.reply_to not in earlier:
            yield f"line {line.key} replies to a line that is not before it"
        earlier.add(line.id)


def text_problem(text: str) -> str:
    """What is wrong with a line's text; "" if nothing is."""
    try:
        if spintax.may_be_blank(text):
            return "one of its variants is blank"
        if spintax.longest(text) > LONGEST:
            return f"one of its variants is longer than {LONGEST} characters"
    except spintax.SpintaxError as error:
        return str(error)
    return ""


def _cast_problems(assignment: Assignment, slots: set[str]) -> Iterator[str]:
    castings = (
        Casting.objects.filter(assignment=assignment)
        .select_related("slot")
        .prefetch_related(Prefetch("bot", with_logins()))
    )
    cast = {casting.slot.name: casting.bot for casting in castings}
    for slot in sorted(slots - cast.keys()):
        yield f"slot {slot} has no account"
    for slot in sorted(slots & cast.keys()):
        if problem := actor_problem(cast[slot]):
            remedy = ": log it in" if problem in LOGIN_PROBLEMS else ""
            yield f"slot {slot}: {cast[slot]} {problem}{remedy}"


def actor_problem(bot: Bot) -> str:
    """Why this account cannot play, in a few words; "" if it can."""
    return bot_problem(bot, role=Role.ACTOR, barred=UNUSABLE_BOTS, logged_in=True)


def actor_advice(bot: Bot) -> str:
    """`actor_problem` as a sentence with advice for the operator; "" if there is no problem."""
    return bot_advice(bot, role=Role.ACTOR, barred=UNUSABLE_BOTS, logged_in=True)


def target_advice(chat: Chat, now: datetime) -> str:
    """Why nothing can be played in this chat at `now`, and what to do; "" if it can."""
    gap = gap_at(chat, ChatPermission.Grant.SCRIPT, now)
    if gap is not None and not gap.unconfirmed:
        return (
            f"{chat}: no permission for scripts is in force: {gap.reason}. Ask the chat's owner for it, and record it "
            "on the chat's page."
        )
    if not chat.label.strip():
        return f"{chat} has no label that informs its members about scripts: write it on the chat's page."
    return ""


def _target_problems(assignment: Assignment, now: datetime) -> Iterator[str]:
    chats = [
        target.chat for target in Target.objects.filter(assignment=assignment).select_related("chat").order_by("id")
    ]
    if not chats:
        yield "no target chats are chosen"
    gaps = permission_gaps(chat_ids=[chat.pk for chat in chats], purpose=ChatPermission.Grant.SCRIPT, now=now)
    for chat in chats:
        # If only the chat's reference must be confirmed, the cast does that, and the lines wait at the gate meanwhile.
        if chat.pk in gaps and not gaps[chat.pk].unconfirmed:
            yield f"chat {chat}: no permission for scripts is in force: {gaps[chat.pk].reason}"
        if not chat.label.strip():
            yield f"chat {chat}: it has no label that informs its members about scripts"

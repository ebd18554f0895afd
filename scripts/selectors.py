"""Queries: which actors must be connected, and the progress of assignments and plays."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from bots.accounts.suitability import bots_suitable
from bots.models import Bot, Delivery, Role
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.validity import permissions_given
from scripts.models import OPEN_STATES, Assignment, Play, Step

AssignmentState = Assignment.State
# An account in one of these states cannot be cast.
UNUSABLE_BOTS = (Bot.State.BANNED, Bot.State.NEEDS_LOGIN)
TO_COME = (Step.State.PENDING, Step.State.QUEUED)

# A step's earliest time: the time at which its play's queued step may be sent, plus the delays of the steps up to it.
_BOTS_WANTED = """
    SELECT bot_id FROM (
        SELECT step.bot_id,
               max(greatest(delivery.due_at, delivery.waiting_until)) OVER (PARTITION BY step.run_id) AS head,
               sum(CASE WHEN step.state = 'pending' THEN step.delay_seconds ELSE 0 END)
                   OVER (PARTITION BY step.run_id ORDER BY step.position) AS later
        FROM scripts_step step
        JOIN scripts_run play ON play.id = step.run_id AND play.state = 'playing'
        JOIN scripts_scriptforcampaign assignment
            ON assignment.id = play.sfc_id AND assignment.state = 'playing'
        LEFT JOIN bots_delivery delivery ON delivery.id = step.delivery_id
        WHERE step.state IN ('pending', 'queued')
    ) AS steps
    WHERE head + later * interval '1 second' <= %s
    UNION
    SELECT step.bot_id FROM scripts_step step JOIN bots_delivery delivery ON delivery.id = step.delivery_id
    WHERE step.state = 'queued' AND delivery.state = 'sending'
    UNION
    SELECT casting.bot_id FROM scripts_casting casting
    JOIN scripts_scriptforcampaign assignment
        ON assignment.id = casting.sfc_id AND assignment.state = 'active'
"""


def bots_wanted(*, now: datetime, near: timedelta) -> set[UUID]:
    """The actors that must be connected.

    They have a line that is due within `near`, have a message that is being sent, or are cast in an active assignment,
    which starts at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BOTS_WANTED, [now + near])
        return {row[0] for row in cursor.fetchall()}


def chats_of_actor(*, bot_id: UUID) -> list[Chat]:
    """The chats in which this actor has lines to send and whose owners permit it now.

    They include chats whose changed reference an account must confirm first.
    """
    plays = Play.objects.filter(
        state__in=(Play.State.PLAYING, Play.State.PAUSED),
        assignment__state__in=(AssignmentState.PLAYING, AssignmentState.PAUSED),
        steps__bot_id=bot_id,
        steps__state__in=TO_COME,
    )
    starting = Assignment.objects.filter(state=AssignmentState.ACTIVE, cast__bot_id=bot_id)
    wanted = Q(pk__in=plays.values("chat_id")) | Q(targeted_by__assignment__in=starting)
    permitted = permissions_given(purpose=ChatPermission.Grant.SCRIPT, now=Now()).values("chat_id")
    return list(Chat.objects.filter(wanted, pk__in=permitted).distinct().order_by("key"))


@dataclass(frozen=True)
class StepProgress:
    """`waiting_reason` and `waiting_until` show why a queued step waits, and until when at least."""

    id: UUID
    line_id: UUID
    position: int
    slot: str
    bot: str
    text: str
    state: str
    reason: str
    waiting_reason: str
    waiting_until: datetime | None
    sent_at: datetime | None
    telegram_message_id: int | None


@dataclass(frozen=True)
class PlayProgress:
    id: UUID
    chat: str
    chat_title: str
    state: str
    reason: str
    incident: str
    planned: int
    sent: int
    not_sent: int
    started_at: datetime
    finished_at: datetime | None
    steps: list[StepProgress]


@dataclass(frozen=True)
class AssignmentProgress:
    """`planned`, `sent` and `not_sent` count the lines of all plays, `leaving` the messages that are being sent.

    `more_after` is the key of the page's last chat if more plays follow, else "".
    """

    id: UUID
    campaign: str
    script: str
    state: str
    reason: str
    incident: str
    planned: int
    sent: int
    not_sent: int
    leaving: int
    activated_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    plays: list[PlayProgress]
    more_after: str


# The most plays of a page, and the default number: each play comes with all its lines.
MOST_PLAYS, DEFAULT_PLAYS = 200, 50


@dataclass(frozen=True)
class Wanted:
    """Which plays are wanted; their order is that of their chats' keys.

    `play` and `chat` (a key) select one play, `since` the plays that ended or in which a step settled since that time,
    `after` the plays after this chat's key. If `next_steps_only`, the plays contain only their queued steps.
    """

    play: UUID | None = None
    chat: str = ""
    since: datetime | None = None
    after: str = ""
    limit: int = DEFAULT_PLAYS
    next_steps_only: bool = False


def assignment_current(found: QuerySet[Assignment]) -> Assignment | None:
    """The assignment among `found` that has not ended, otherwise the latest. `found`: a script's in one campaign."""
    latest_first = found.order_by("-created_at")
    return latest_first.filter(state__in=OPEN_STATES).first() or latest_first.first()


def script_assigned(*, campaign_id: UUID, script_id: UUID, beside: UUID) -> bool:
    """Whether the script has an assignment to the campaign, other than `beside`, that has not ended."""
    same = Assignment.objects.filter(campaign=campaign_id, script=script_id, state__in=OPEN_STATES)
    return same.exclude(pk=beside).exists()


def assignment_progress(*, assignment_id: UUID, wanted: Wanted | None = None) -> AssignmentProgress:
    """The progress of an assignment, with the wanted page of its plays. Makes a fixed number of queries.

    The assignment's counts cover all plays, whichever are wanted. Raises Assignment.DoesNotExist.
    """
    wanted = wanted or Wanted()
    assignment = Assignment.objects.select_related("campaign", "script").get(pk=assignment_id)
    all_steps = Step.objects.filter(play__assignment=assignment)
    total = Counter(dict(all_steps.values_list("state").annotate(n=Count("pk")).order_by()))
    leaving = all_steps.filter(state=Step.State.QUEUED, delivery__state=Delivery.State.SENDING)
    plays, more = _plays_wanted(assignment, wanted)
    return AssignmentProgress(
        id=assignment.pk,
        campaign=assignment.campaign.slug,
        script=assignment.script.slug,
        state=assignment.state,
        reason=assignment.state_reason,
        incident=assignment.incident,
        planned=total.total(),
        sent=total[Step.State.SENT],
        not_sent=total[Step.State.NOT_SENT],
        leaving=leaving.count(),
        activated_at=assignment.activated_at,
        started_at=assignment.started_at,
        finished_at=assignment.finished_at,
        plays=_plays_progress(assignment, plays, wanted),
        more_after=plays[-1].chat.key if more else "",
    )


def _plays_wanted(assignment: Assignment, wanted: Wanted) -> tuple[list[Play], bool]:
    """A page of the wanted plays, and whether more follow."""
    plays = Play.objects.filter(assignment=assignment).select_related("chat")
    if wanted.play is not None:
        plays = plays.filter(pk=wanted.play)
    if wanted.chat:
        plays = plays.filter(chat__key=wanted.chat)
    if wanted.since is not None:
        plays = plays.filter(Q(progressed_at__gte=wanted.since) | Q(finished_at__gte=wanted.since))
    if wanted.after:
        plays = plays.filter(chat__key__gt=wanted.after)
    limit = min(wanted.limit, MOST_PLAYS)
    found = list(plays.order_by("chat__key")[: limit + 1])
    return found[:limit], len(found) > limit


def _plays_progress(assignment: Assignment, plays: list[Play], wanted: Wanted) -> list[PlayProgress]:
    of_plays = Step.objects.filter(play__in=[play.pk for play in plays])
    counts: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    for play_id, state, number in of_plays.values_list("play", "state").annotate(n=Count("pk")).order_by():
        counts[play_id][state] = number
    shown = of_plays.filter(state=Step.State.QUEUED) if wanted.next_steps_only else of_plays
    steps: defaultdict[UUID, list[Step]] = defaultdict(list)
    for step in shown.select_related("bot", "delivery").order_by("play_id", "position"):
        steps[step.play_id].append(step)
    return [_play_progress(assignment, play, counts[play.pk], steps[play.pk]) for play in plays]


def _play_progress(assignment: Assignment, play: Play, counts: Counter[str], steps: list[Step]) -> PlayProgress:
    paused = assignment.state == AssignmentState.PAUSED and play.state == Play.State.PLAYING
    return PlayProgress(
        id=play.pk,
        chat=play.chat.key,
        chat_title=play.chat.title,
        state=Play.State.PAUSED if paused else play.state,
        reason=assignment.state_reason if paused else play.state_reason,
        incident=play.incident,
        planned=counts.total(),
        sent=counts[Step.State.SENT],
        not_sent=counts[Step.State.NOT_SENT],
        started_at=play.started_at,
        finished_at=play.finished_at,
        steps=[_step_progress(step) for step in steps],
    )


def _step_progress(step: Step) -> StepProgress:
    delivery = step.delivery
    queued = delivery if step.state == Step.State.QUEUED else None
    sent = delivery if step.state == Step.State.SENT else None
    return StepProgress(
        id=step.pk,
        line_id=step.line_id,
        position=step.position,
        slot=step.slot_name,
        bot=step.bot.key,
        text=step.text,
        state=step.state,
        reason=step.reason,
        waiting_reason=queued.waiting_reason if queued else "",
        waiting_until=(queued.waiting_until or queued.due_at) if queued else None,
        sent_at=sent.sent_at if sent else None,
        telegram_message_id=sent.telegram_message_id if sent else None,
    )


def campaign_of_assignment(assignment_id: UUID) -> UUID | None:
    return Assignment.objects.filter(pk=assignment_id).values_list("campaign_id", flat=True).first()


def script_names(assignment_ids: Collection[UUID]) -> dict[UUID, str]:
    """Assignment id → the name of its script."""
    return dict(Assignment.objects.filter(pk__in=assignment_ids).values_list("pk", "script__name"))


def bots_castable() -> QuerySet[Bot]:
    """The accounts that an activation accepts as cast."""
    return bots_suitable(role=Role.ACTOR, barred=UNUSABLE_BOTS, logged_in=True)


def chats_playable() -> QuerySet[Chat]:
    """Chats that an activation accepts as targets now."""
    permitted = permissions_given(purpose=ChatPermission.Grant.SCRIPT, now=Now())
    return Chat.objects.filter(pk__in=permitted.values("chat_id"), label__regex=r"\S")


def assignments_in_preparation() -> QuerySet[Assignment]:
    """The assignments for which `scripts.services.may_be_activated` is true."""
    unplayed = Q(state=AssignmentState.FAILED) & ~Exists(Play.objects.filter(assignment=OuterRef("pk")))
    return Assignment.objects.filter(Q(state=AssignmentState.DRAFT) | unplayed)

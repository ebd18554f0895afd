"""Reads: who has to be on stage, and how far a play has come."""

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
# An account in one of these cannot begin to play.
UNUSABLE_BOTS = (Bot.State.BANNED, Bot.State.NEEDS_LOGIN)
TO_COME = (Step.State.PENDING, Step.State.QUEUED)

# A step's earliest moment: when its play's queued step may be said, and the delays of the steps between them.
_ON_STAGE = """
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


def bots_on_stage(*, now: datetime, near: timedelta) -> set[UUID]:
    """The actors with a line to say up to `near` from now, with a message leaving, or cast in what starts at once."""
    with connection.cursor() as cursor:
        cursor.execute(_ON_STAGE, [now + near])
        return {row[0] for row in cursor.fetchall()}


def chats_of_actor(*, bot_id: UUID) -> list[Chat]:
    """The chats in which this actor still has lines to say and whose owners permit it now, also when an account has to
    confirm a chat's changed reference first."""
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
    """`waiting_reason` and `waiting_until` are of a queued step: why it is not said yet, and until when at least."""

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
    said_at: datetime | None
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
    said: int
    not_said: int
    started_at: datetime
    finished_at: datetime | None
    steps: list[StepProgress]


@dataclass(frozen=True)
class AssignmentProgress:
    """`planned`, `said` and `not_said` count lines over all plays; `leaving`: messages on their way at this moment.
    `more_after`: the last chat of this page when more follow, else empty."""

    id: UUID
    campaign: str
    script: str
    state: str
    reason: str
    incident: str
    planned: int
    said: int
    not_said: int
    leaving: int
    activated_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    plays: list[PlayProgress]
    more_after: str


# Plays in one answer, and how many are asked for by default: each comes with all of its lines.
MOST_PLAYS, PLAYS_A_PAGE = 200, 50


@dataclass(frozen=True)
class Wanted:
    """Which of the plays, in the order of their chats' keys: one of them, the one in a chat, those in which a line
    settled or that ended from `since` on, those after a chat's key. `next_steps_only`: of their lines only those that
    are queued."""

    play: UUID | None = None
    chat: str = ""
    since: datetime | None = None
    after: str = ""
    limit: int = PLAYS_A_PAGE
    next_steps_only: bool = False


def assignment_current(found: QuerySet[Assignment]) -> Assignment | None:
    """Of one script's assignments to one campaign the one that has not ended, else the last."""
    latest_first = found.order_by("-created_at")
    return latest_first.filter(state__in=OPEN_STATES).first() or latest_first.first()


def script_assigned(*, campaign_id: UUID, script_id: UUID, beside: UUID) -> bool:
    """Whether the script has an assignment to the campaign, other than `beside`, that has not ended."""
    same = Assignment.objects.filter(campaign=campaign_id, script=script_id, state__in=OPEN_STATES)
    return same.exclude(pk=beside).exists()


def assignment_progress(*, assignment_id: UUID, wanted: Wanted | None = None) -> AssignmentProgress:
    """How far an assignment has come, and a page of its plays: a fixed number of queries. The counts of the whole are
    of all plays, whichever are wanted. Raises Assignment.DoesNotExist."""
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
        said=total[Step.State.SAID],
        not_said=total[Step.State.NOT_SAID],
        leaving=leaving.count(),
        activated_at=assignment.activated_at,
        started_at=assignment.started_at,
        finished_at=assignment.finished_at,
        plays=_plays_progress(assignment, plays, wanted),
        more_after=plays[-1].chat.key if more else "",
    )


def _plays_wanted(assignment: Assignment, wanted: Wanted) -> tuple[list[Play], bool]:
    """A page of them, and whether there are more."""
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
        said=counts[Step.State.SAID],
        not_said=counts[Step.State.NOT_SAID],
        started_at=play.started_at,
        finished_at=play.finished_at,
        steps=[_step_progress(step) for step in steps],
    )


def _step_progress(step: Step) -> StepProgress:
    delivery = step.delivery
    queued = delivery if step.state == Step.State.QUEUED else None
    said = delivery if step.state == Step.State.SAID else None
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
        said_at=said.sent_at if said else None,
        telegram_message_id=said.telegram_message_id if said else None,
    )


def campaign_of_assignment(assignment_id: UUID) -> UUID | None:
    return Assignment.objects.filter(pk=assignment_id).values_list("campaign_id", flat=True).first()


def script_names(assignment_ids: Collection[UUID]) -> dict[UUID, str]:
    """The scripts' names by assignment."""
    return dict(Assignment.objects.filter(pk__in=assignment_ids).values_list("pk", "script__name"))


def bots_castable() -> QuerySet[Bot]:
    """Accounts that an activation accepts."""
    return bots_suitable(role=Role.ACTOR, barred=UNUSABLE_BOTS, logged_in=True)


def chats_playable() -> QuerySet[Chat]:
    """Chats that an activation accepts as targets now."""
    permitted = permissions_given(purpose=ChatPermission.Grant.SCRIPT, now=Now())
    return Chat.objects.filter(pk__in=permitted.values("chat_id"), label__regex=r"\S")


def assignments_in_preparation() -> QuerySet[Assignment]:
    """As `scripts.services.may_be_activated` has it."""
    unplayed = Q(state=AssignmentState.FAILED) & ~Exists(Play.objects.filter(assignment=OuterRef("pk")))
    return Assignment.objects.filter(Q(state=AssignmentState.DRAFT) | unplayed)
